//! The room on the disk, and who was promised how much of it.
//!
//! A file whose size is known is refused before its first byte where it would not fit, beside what others were promised. A
//! file that just grows is looked after while it does.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::fstatvfs;
use rustix::io::retry_on_intr;

use super::{FileStore, StoreError};

/// The free space is looked at again after so many bytes of all files.
const CHECK_INTERVAL_BYTES: u64 = 16 << 20;

/// The room of a vault.
#[derive(Debug)]
pub(super) struct SpaceBudget {
    path: PathBuf,
    keep_free: u64,
    max_size: Option<u64>,
    /// How many bytes will still come of files whose size is known.
    reserved: AtomicU64,
    /// How many bytes were written by all files since the free space was last looked at.
    written_since_check: AtomicU64,
}

impl SpaceBudget {
    pub(super) fn new(path: PathBuf, keep_free: u64, max_size: Option<u64>) -> SpaceBudget {
        let (promised, unlooked) = (AtomicU64::new(0), AtomicU64::new(0));
        SpaceBudget { path, keep_free, max_size, reserved: promised, written_since_check: unlooked }
    }

    /// Refuses a file that is larger than is taken.
    pub(super) fn check_size(&self, size: u64) -> Result<(), StoreError> {
        match self.max_size {
            Some(most) if size > most => Err(StoreError::TooLarge { limit: most }),
            _ => Ok(()),
        }
    }

    fn check_free(&self, file: impl AsFd) -> Result<(), StoreError> {
        let disk = retry_on_intr(|| fstatvfs(&file)).map_err(|error| StoreError::Io {
            operation: "looking at the free space",
            source: error.into(),
        })?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let needed = self.keep_free.saturating_add(self.reserved.load(Ordering::Relaxed));
        match free < needed {
            true => Err(StoreError::DiskFull { path: self.path.clone() }),
            false => Ok(()),
        }
    }
}

/// How much of the room a file was promised: what is missing of it, where its size is known.
#[derive(Debug)]
pub(super) struct SpaceReservation {
    store: Arc<FileStore>,
    remaining: u64,
}

impl SpaceReservation {
    /// Promises a file as much as is missing of it.
    pub(super) fn new(
        vault: &Arc<FileStore>,
        file: &File,
        missing: u64,
    ) -> Result<SpaceReservation, StoreError> {
        let promise = SpaceReservation { store: vault.clone(), remaining: missing };
        vault.space.reserved.fetch_add(missing, Ordering::Relaxed);
        vault.space.check_free(file)?;
        Ok(promise)
    }

    /// Is asked before so many bytes are written, after which the file will have `length`.
    pub(super) fn consume(
        &mut self,
        file: &File,
        bytes: u64,
        length: u64,
    ) -> Result<(), StoreError> {
        let room = &self.store.space;
        room.check_size(length)?;
        let unlooked = room.written_since_check.fetch_add(bytes, Ordering::Relaxed);
        if unlooked >= CHECK_INTERVAL_BYTES {
            room.written_since_check.store(0, Ordering::Relaxed);
            room.check_free(file)?;
        }
        let spent = bytes.min(self.remaining);
        self.remaining -= spent;
        room.reserved.fetch_sub(spent, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for SpaceReservation {
    fn drop(&mut self) {
        self.store.space.reserved.fetch_sub(self.remaining, Ordering::Relaxed);
    }
}
