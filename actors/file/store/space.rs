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

use super::{Vault, VaultError};

/// The free space is looked at again after so many bytes of all files.
const LOOK_EVERY: u64 = 16 << 20;

/// The room of a vault.
#[derive(Debug)]
pub(super) struct Room {
    path: PathBuf,
    keep_free: u64,
    max_size: Option<u64>,
    /// How many bytes will still come of files whose size is known.
    promised: AtomicU64,
    /// How many bytes were written by all files since the free space was last looked at.
    unlooked: AtomicU64,
}

impl Room {
    pub(super) fn new(path: PathBuf, keep_free: u64, max_size: Option<u64>) -> Room {
        let (promised, unlooked) = (AtomicU64::new(0), AtomicU64::new(0));
        Room { path, keep_free, max_size, promised, unlooked }
    }

    /// Refuses a file that is larger than is taken.
    pub(super) fn check_size(&self, size: u64) -> Result<(), VaultError> {
        match self.max_size {
            Some(most) if size > most => Err(VaultError::TooLarge { most }),
            _ => Ok(()),
        }
    }

    fn look(&self, file: impl AsFd) -> Result<(), VaultError> {
        let disk = retry_on_intr(|| fstatvfs(&file)).map_err(|error| VaultError::Io {
            doing: "looking at the free space",
            source: error.into(),
        })?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let needed = self.keep_free.saturating_add(self.promised.load(Ordering::Relaxed));
        match free < needed {
            true => Err(VaultError::Full { path: self.path.clone() }),
            false => Ok(()),
        }
    }
}

/// How much of the room a file was promised: what is missing of it, where its size is known.
#[derive(Debug)]
pub(super) struct Promise {
    vault: Arc<Vault>,
    left: u64,
}

impl Promise {
    /// Promises a file as much as is missing of it.
    pub(super) fn new(
        vault: &Arc<Vault>,
        file: &File,
        missing: u64,
    ) -> Result<Promise, VaultError> {
        let promise = Promise { vault: vault.clone(), left: missing };
        vault.room.promised.fetch_add(missing, Ordering::Relaxed);
        vault.room.look(file)?;
        Ok(promise)
    }

    /// Is asked before so many bytes are written, after which the file will have `length`.
    pub(super) fn spend(&mut self, file: &File, bytes: u64, length: u64) -> Result<(), VaultError> {
        let room = &self.vault.room;
        room.check_size(length)?;
        let unlooked = room.unlooked.fetch_add(bytes, Ordering::Relaxed);
        if unlooked >= LOOK_EVERY {
            room.unlooked.store(0, Ordering::Relaxed);
            room.look(file)?;
        }
        let spent = bytes.min(self.left);
        self.left -= spent;
        room.promised.fetch_sub(spent, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.vault.room.promised.fetch_sub(self.left, Ordering::Relaxed);
    }
}
