//! An upload on its way to the disk.
//!
//! What an upload has come to (its open file, its hash, its length) is its [`Transfer`], and the next free
//! number is its [`Directory`]'s. Both belong to the tree, so a writer that crashes loses neither.
//!
//! Bytes go to `outputK.txt.part`; the final name is given when the upload is whole, and it never takes
//! the place of a file that was there before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use event_listener::Event;
use rustix::fs::{CWD, RenameFlags, fstatvfs, renameat_with};
use thiserror::Error;

use crate::runtime::until;

/// The free space is looked at again after so many bytes of all uploads.
const LOOK_EVERY: u64 = 16 << 20;

/// Where uploads are stored, and how much of the disk stays free.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
    keep_free: u64,
    next: AtomicU64,
    /// Bytes written by all uploads since the free space was last looked at.
    unlooked: AtomicU64,
}

impl Directory {
    /// Makes the place for uploads, which exists already, keeping `keep_free` bytes of its disk free.
    pub fn new(path: PathBuf, keep_free: u64) -> Directory {
        Directory { path, keep_free, next: AtomicU64::new(0), unlooked: AtomicU64::new(0) }
    }

    /// Creates the file for the next upload: the first number that neither a file nor a partial one has.
    fn create(&self) -> io::Result<(u64, File)> {
        loop {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            if fs::symlink_metadata(self.path.join(name(number))).is_ok() {
                continue;
            }
            match OpenOptions::new().write(true).create_new(true).open(self.part(number)) {
                Ok(file) => return Ok((number, file)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    // The number is still free for an upload that comes after the trouble is over.
                    self.next.fetch_min(number, Ordering::SeqCst);
                    return Err(error);
                }
            }
        }
    }

    fn part(&self, number: u64) -> PathBuf {
        self.path.join(format!("{}.part", name(number)))
    }

    /// Gives a whole upload its final name: its own number, or a later one if somebody took that meanwhile.
    fn publish(&self, number: u64) -> io::Result<String> {
        let part = self.part(number);
        let mut wanted = number;
        loop {
            match rename_new(&part, &self.path.join(name(wanted))) {
                Ok(()) => return Ok(name(wanted)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    wanted = self.next.fetch_add(1, Ordering::SeqCst);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks at the free space, for the first bytes of an upload and then every so often.
    fn check_free(&self, file: &File, bytes: usize, first: bool) -> Result<(), StoreError> {
        let unlooked = self.unlooked.fetch_add(bytes as u64, Ordering::Relaxed);
        if !first && unlooked < LOOK_EVERY {
            return Ok(());
        }
        self.unlooked.store(0, Ordering::Relaxed);
        let disk = fstatvfs(file).map_err(io::Error::from)?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < self.keep_free {
            return Err(StoreError::Full { path: self.path.clone() });
        }
        Ok(())
    }
}

fn name(number: u64) -> String {
    format!("output{number}.txt")
}

/// Renames without replacing, as far as the file system can.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        result => Ok(result?),
    }
}

/// Why an upload could not be stored.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The disk has no more room, or less than is to stay free.
    #[error("the disk of {} is full, or has no more than is to stay free; the upload is dropped", path.display())]
    Full {
        /// The directory.
        path: PathBuf,
    },
    /// The file system failed.
    #[error("the upload cannot be stored: {0}")]
    Io(#[from] io::Error),
    /// Some of its bytes were lost in a crash of the writer.
    #[error("{missing} bytes of the upload were lost in a crash; the rest is kept in {part}")]
    Incomplete {
        /// How many bytes.
        missing: u64,
        /// The name of the partial file.
        part: String,
    },
}

/// A stored upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its final name, without the directory.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its BLAKE3 hash in hexadecimal digits.
    pub blake3: String,
}

/// One upload on its way to the disk, from its first byte on.
#[derive(Debug)]
pub struct Transfer {
    directory: Arc<Directory>,
    /// Held while the disk is written to, so no actor ever waits for it.
    state: Mutex<State>,
    number: OnceLock<u64>,
    failed: AtomicBool,
    failure: Event,
}

#[derive(Debug, Default)]
struct State {
    open: Option<(u64, File)>,
    hasher: blake3::Hasher,
    written: u64,
    failed: Option<StoreError>,
}

impl Transfer {
    /// Begins an upload. Nothing is created before its first byte.
    pub fn new(directory: Arc<Directory>) -> Transfer {
        Transfer {
            directory,
            state: Mutex::default(),
            number: OnceLock::new(),
            failed: AtomicBool::new(false),
            failure: Event::new(),
        }
    }

    /// Tells whether the upload has failed, so that the rest of it need not be read.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// Waits until the upload has failed; for ever if it does not. Cancel-safe.
    pub async fn failed(&self) {
        until(&self.failure, || self.has_failed()).await;
    }

    /// Returns the name of the file that holds what has come so far.
    pub fn part(&self) -> Option<String> {
        self.number.get().map(|number| format!("{}.part", name(*number)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self, chunk: &[u8]) {
        let mut state = self.state();
        if state.failed.is_some() {
            return;
        }
        if let Err(error) = self.try_write(&mut state, chunk) {
            // Half an upload on a full disk helps nobody; the space helps the others.
            if let Some((number, _)) = state.open.take() {
                let _ = fs::remove_file(self.directory.part(number));
            }
            state.failed = Some(error);
            drop(state);
            self.failed.store(true, Ordering::SeqCst);
            self.failure.notify(usize::MAX);
        }
    }

    fn try_write(&self, state: &mut State, chunk: &[u8]) -> Result<(), StoreError> {
        if state.open.is_none() {
            let (number, file) = self.directory.create().map_err(|error| self.full(error))?;
            // An upload has one file, so there was no number before.
            let _ = self.number.set(number);
            state.open = Some((number, file));
        }
        let Some((_, file)) = &mut state.open else { return Ok(()) };
        self.directory.check_free(file, chunk.len(), state.written == 0)?;
        file.write_all(chunk).map_err(|error| self.full(error))?;
        state.hasher.update(chunk);
        state.written += chunk.len() as u64;
        Ok(())
    }

    fn full(&self, error: io::Error) -> StoreError {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::Full { path: self.directory.path.clone() }
            }
            _ => StoreError::Io(error),
        }
    }

    /// Ends an upload that is not wanted, and removes what has come of it.
    pub(super) fn discard(&self) {
        if let Some((number, _)) = self.state().open.take() {
            let _ = fs::remove_file(self.directory.part(number));
        }
    }

    pub(super) fn finish(&self, length: u64) -> Result<Stored, StoreError> {
        let mut state = self.state();
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        let Some((number, file)) = state.open.take() else {
            return Err(StoreError::Io(io::Error::other("it has no bytes")));
        };
        drop(file);
        if state.written != length {
            let part = format!("{}.part", name(number));
            return Err(StoreError::Incomplete { missing: length.abs_diff(state.written), part });
        }
        let name = self.directory.publish(number)?;
        Ok(Stored { name, bytes: length, blake3: state.hasher.finalize().to_hex().to_string() })
    }
}

#[cfg(test)]
mod tests;
