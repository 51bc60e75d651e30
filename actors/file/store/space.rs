//! The disk space of a store, and the reservations of its uploads.
//!
//! The store leaves some bytes and some inodes of its disk free. Every write is admitted first. It
//! is refused if the free bytes, less the bytes of the writes that have not returned yet, would
//! fall below that limit. So all uploads together keep the limit, however many of them run.
//!
//! An upload of known size reserves the space of its missing bytes when it begins. New uploads, and
//! those that began later, do not get that space. An upload that began earlier does: a reservation
//! never takes space from an upload in progress. A source reserves at most half of the space that
//! the other sources have left. A file larger than that is still accepted if it fits now, but only
//! a part of its space is reserved. A reservation expires if no data arrives.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::fs::fstatvfs;
use rustix::io::retry_on_intr;

use crate::actors::file::store::error::StoreError;
use crate::sync::lock;

/// The number of bytes written by all uploads between two readings of the free space. Other
/// programs write to the disk, too.
const CHECK_INTERVAL_BYTES: u64 = 16 << 20;

/// The share of the disk's inodes that stays free, as a divisor.
const FREE_INODES_DIVISOR: u64 = 100;

/// The number of further inodes that must be free for a file or directory. A file needs a second
/// one for its checksums, and several uploads may be admitted at once.
const INODE_MARGIN: u64 = 16;

/// The bytes that a write may use on the disk beside its own, because space is allocated in blocks.
const BLOCK_LEN: u64 = 4096;

/// The limits of a store's disk space, and the space reserved so far.
#[derive(Debug)]
pub(super) struct SpaceBudget {
    path: PathBuf,
    /// The bytes that stay free. With 0, no inodes stay free either.
    keep_free: u64,
    max_size: Option<u64>,
    max_files: Option<u64>,
    state: Mutex<SpaceState>,
}

#[derive(Debug, Default)]
struct SpaceState {
    /// The disk that the free space was read from. A directory below may be on another one.
    disk: Option<u64>,
    /// The free bytes at the last reading, less the bytes of all writes admitted since, and less
    /// those of the writes that had not returned.
    free: u64,
    /// The bytes admitted since the last reading.
    admitted: u64,
    /// The bytes of the writes that have not returned.
    in_flight: u64,
    /// The number of files and directories created in this run.
    created: u64,
    next_order: u64,
    /// The reservations, in the order in which their uploads began.
    reserved: BTreeMap<u64, Reserved>,
}

/// The reserved bytes of one upload that are not written yet.
#[derive(Debug)]
struct Reserved {
    source: Option<IpAddr>,
    bytes: u64,
}

impl SpaceState {
    /// Returns the sum of the reservations that `counts` selects.
    fn sum(&self, counts: impl Fn(u64, &Reserved) -> bool) -> u64 {
        let counted = self.reserved.iter().filter(|(order, reserved)| counts(**order, reserved));
        counted.fold(0, |sum, (_, reserved)| sum.saturating_add(reserved.bytes))
    }
}

impl SpaceBudget {
    pub(super) fn new(
        path: PathBuf,
        keep_free: u64,
        max_size: Option<u64>,
        max_files: Option<u64>,
    ) -> SpaceBudget {
        SpaceBudget { path, keep_free, max_size, max_files, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, SpaceState> {
        lock(&self.state)
    }

    /// Rejects a size above the limit of a file.
    pub(super) fn check_size(&self, size: u64) -> Result<(), StoreError> {
        match self.max_size {
            Some(limit) if size > limit => Err(StoreError::TooLarge { limit }),
            _ => Ok(()),
        }
    }

    /// Rejects a file whose missing bytes do not fit beside the reservations.
    pub(super) fn check_fits(&self, disk: impl AsFd, missing: u64) -> Result<(), StoreError> {
        let mut state = self.state();
        self.read_disk(&mut state, disk)?;
        let reserved = state.sum(|_, _| true);
        self.check_room(&state, reserved.saturating_add(missing))
    }

    /// Counts a file or a directory that is about to be created on a disk. Rejects it if the store
    /// has created its maximum, or if bytes or inodes are short.
    pub(super) fn admit_entry(&self, disk: impl AsFd) -> Result<(), StoreError> {
        let mut state = self.state();
        match self.max_files {
            Some(limit) if state.created >= limit => {
                return Err(StoreError::TooManyFiles { limit });
            }
            _ => {}
        }
        let (free_inodes, inodes) = self.read_disk(&mut state, disk)?;
        let keep_inodes = match self.keep_free {
            0 => 0,
            _ => (inodes / FREE_INODES_DIVISOR).saturating_add(INODE_MARGIN),
        };
        // Some file systems allocate inodes as needed, and report no number.
        if inodes > 0 && free_inodes <= keep_inodes {
            return Err(self.disk_full());
        }
        self.check_room(&state, state.sum(|_, _| true))?;
        state.created += 1;
        Ok(())
    }

    /// Uncounts a file that was removed again.
    pub(super) fn forget_entry(&self) {
        let mut state = self.state();
        state.created = state.created.saturating_sub(1);
    }

    /// Reads the free space of a disk. Returns its free inodes and all its inodes.
    fn read_disk(&self, state: &mut SpaceState, disk: impl AsFd) -> Result<(u64, u64), StoreError> {
        let disk = retry_on_intr(|| fstatvfs(&disk)).map_err(|error| StoreError::Io {
            operation: "reading the free disk space",
            source: error.into(),
        })?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        state.disk = Some(disk.f_fsid);
        state.free = free.saturating_sub(state.in_flight);
        state.admitted = 0;
        Ok((disk.f_favail, disk.f_files))
    }

    /// Fails unless `bytes` fit beside the space that must stay free.
    fn check_room(&self, state: &SpaceState, bytes: u64) -> Result<(), StoreError> {
        match state.free < self.keep_free.saturating_add(bytes) {
            true => Err(self.disk_full()),
            false => Ok(()),
        }
    }

    fn disk_full(&self) -> StoreError {
        StoreError::DiskFull { path: self.path.clone() }
    }
}

/// The space reserved for the missing bytes of one upload. Dropping it releases what is left.
#[derive(Debug)]
pub(super) struct SpaceReservation {
    budget: Arc<SpaceBudget>,
    /// The upload's place in the order of beginnings.
    order: u64,
    source: Option<IpAddr>,
    /// The disk of the file, once its free space was read.
    disk: Option<u64>,
    /// The missing bytes of a file of known size, once it has begun.
    missing: u64,
    /// Whether the reservation has expired, and is taken again with the next data.
    is_expired: bool,
}

impl SpaceReservation {
    /// Creates the reservation of an upload, which reserves nothing yet. The uploads of one
    /// `source` share their part of the space. `None` is a source of its own.
    pub(super) fn new(budget: &Arc<SpaceBudget>, source: Option<IpAddr>) -> SpaceReservation {
        let mut state = budget.state();
        let order = state.next_order;
        state.next_order += 1;
        drop(state);
        SpaceReservation {
            budget: budget.clone(),
            order,
            source,
            disk: None,
            missing: 0,
            is_expired: false,
        }
    }

    /// Reserves space for the `missing` bytes of a file. Fails if they do not fit.
    pub(super) fn reserve(&mut self, disk: impl AsFd, missing: u64) -> Result<(), StoreError> {
        let mut state = self.budget.state();
        self.budget.read_disk(&mut state, disk)?;
        let all = state.sum(|_, _| true);
        self.budget.check_room(&state, all.saturating_add(missing))?;
        let is_same = |reserved: &Reserved| self.source.is_some() && reserved.source == self.source;
        let own = state.sum(|_, reserved| is_same(reserved));
        let left = state.free.saturating_sub(self.budget.keep_free).saturating_sub(all - own);
        let bytes = missing.min((left / 2).saturating_sub(own));
        // The reservation begins now, also if an earlier one of this upload has expired.
        self.order = state.next_order;
        state.next_order += 1;
        state.reserved.insert(self.order, Reserved { source: self.source, bytes });
        (self.missing, self.is_expired, self.disk) = (missing, false, state.disk);
        Ok(())
    }

    /// Releases the reserved space until the next data arrives. Returns whether there was any.
    pub(super) fn expire(&mut self) -> bool {
        let reserved = self.budget.state().reserved.remove(&self.order);
        self.is_expired |= reserved.is_some();
        reserved.is_some()
    }

    /// Returns whether space is reserved.
    pub(super) fn is_held(&self) -> bool {
        self.budget.state().reserved.contains_key(&self.order)
    }

    /// Admits a write of `bytes`, after which the file has `length` bytes. The write must be over
    /// when the returned guard is dropped.
    pub(super) fn admit(
        &mut self,
        disk: impl AsFd,
        bytes: u64,
        length: u64,
    ) -> Result<WriteGuard, StoreError> {
        self.budget.check_size(length)?;
        if self.is_expired {
            self.reserve(&disk, self.missing)?;
        }
        let mut state = self.budget.state();
        let earlier = state.sum(|order, _| order < self.order);
        let used = if self.budget.keep_free == 0 { bytes } else { bytes.saturating_add(BLOCK_LEN) };
        let needed = earlier.saturating_add(used);
        let is_stale = state.disk.is_none()
            || state.disk != self.disk
            || state.admitted >= CHECK_INTERVAL_BYTES;
        if is_stale || self.budget.check_room(&state, needed).is_err() {
            self.budget.read_disk(&mut state, disk)?;
            self.disk = state.disk;
            self.budget.check_room(&state, needed)?;
        }
        state.free = state.free.saturating_sub(used);
        state.admitted = state.admitted.saturating_add(bytes);
        state.in_flight = state.in_flight.saturating_add(used);
        if let Some(reserved) = state.reserved.get_mut(&self.order) {
            reserved.bytes = reserved.bytes.saturating_sub(bytes);
        }
        self.missing = self.missing.saturating_sub(bytes);
        Ok(WriteGuard { budget: self.budget.clone(), used })
    }
}

impl Drop for SpaceReservation {
    fn drop(&mut self) {
        self.budget.state().reserved.remove(&self.order);
    }
}

/// A write that was admitted and has not returned.
#[derive(Debug)]
pub(super) struct WriteGuard {
    budget: Arc<SpaceBudget>,
    used: u64,
}

impl Drop for WriteGuard {
    fn drop(&mut self) {
        let mut state = self.budget.state();
        state.in_flight = state.in_flight.saturating_sub(self.used);
    }
}
