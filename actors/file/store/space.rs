//! The disk space of a store, and the reservations of its uploads.
//!
//! A file of known size is rejected before its first byte if it does not fit beside the space that
//! other uploads have reserved. A file of unknown size is checked while it grows.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::fstatvfs;
use rustix::io::retry_on_intr;

use crate::actors::file::store::error::StoreError;

/// The number of bytes written by all uploads between two checks of the free space.
const CHECK_INTERVAL_BYTES: u64 = 16 << 20;

/// The limits of a store's disk space and the space reserved so far.
#[derive(Debug)]
pub(super) struct SpaceBudget {
    path: PathBuf,
    keep_free: u64,
    max_size: Option<u64>,
    /// The bytes still to come of all files of known size.
    reserved: AtomicU64,
    /// The bytes that all uploads wrote since the last check of the free space.
    written_since_check: AtomicU64,
}

impl SpaceBudget {
    pub(super) fn new(path: PathBuf, keep_free: u64, max_size: Option<u64>) -> SpaceBudget {
        SpaceBudget {
            path,
            keep_free,
            max_size,
            reserved: AtomicU64::new(0),
            written_since_check: AtomicU64::new(0),
        }
    }

    /// Rejects a size above the limit of a file.
    pub(super) fn check_size(&self, size: u64) -> Result<(), StoreError> {
        match self.max_size {
            Some(limit) if size > limit => Err(StoreError::TooLarge { limit }),
            _ => Ok(()),
        }
    }

    fn check_free(&self, file: impl AsFd) -> Result<(), StoreError> {
        let disk = retry_on_intr(|| fstatvfs(&file)).map_err(|error| StoreError::Io {
            operation: "reading the free disk space",
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

/// The space reserved for the missing bytes of one file. Dropping it releases what is left.
#[derive(Debug)]
pub(super) struct SpaceReservation {
    budget: Arc<SpaceBudget>,
    remaining: u64,
}

impl SpaceReservation {
    /// Reserves space for the `missing` bytes of a file. Use 0 for a file of unknown size.
    pub(super) fn new(
        budget: &Arc<SpaceBudget>,
        file: &File,
        missing: u64,
    ) -> Result<SpaceReservation, StoreError> {
        budget.reserved.fetch_add(missing, Ordering::Relaxed);
        // If the check fails, dropping the reservation releases the bytes again.
        let reservation = SpaceReservation { budget: budget.clone(), remaining: missing };
        budget.check_free(file)?;
        Ok(reservation)
    }

    /// Uses `bytes` of the reservation. Call it before a write after which the file has `length`
    /// bytes.
    pub(super) fn consume(
        &mut self,
        file: &File,
        bytes: u64,
        length: u64,
    ) -> Result<(), StoreError> {
        let budget = &self.budget;
        budget.check_size(length)?;
        let unchecked = budget.written_since_check.fetch_add(bytes, Ordering::Relaxed);
        if unchecked >= CHECK_INTERVAL_BYTES {
            budget.written_since_check.store(0, Ordering::Relaxed);
            budget.check_free(file)?;
        }
        let consumed = bytes.min(self.remaining);
        self.remaining -= consumed;
        budget.reserved.fetch_sub(consumed, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for SpaceReservation {
    fn drop(&mut self) {
        self.budget.reserved.fetch_sub(self.remaining, Ordering::Relaxed);
    }
}
