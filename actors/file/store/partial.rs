//! A part: a file that is on its way and has no name yet.
//!
//! It is a hidden file beside the place of the final one, locked by its holder for as long as that lives. A named file's part
//! has its [sums](super::checksums) beside it and can be resumed; that of a file without a name cannot.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{AtFlags, FlockOperation, OFlags, fdatasync, flock, fsync, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::active_uploads::Hold;
use super::checksums::{Known, Sums};
use super::opening::{lock, remove, resume};
use super::publish::{Naming, Title};
use super::space::Promise;
use super::{Vault, VaultError, Wanted, attributes, fs, open_file};
use crate::net::SplicePipe;
use crate::wire::file::codec::CHUNK_SIZE;
use crate::wire::file::digest::{ChunkHash, FileHasher};

/// After so many bytes what was written is brought to the disk, so that a power cut costs no more.
const SYNC_EVERY: u64 = 64 << 20;

/// A file on its way.
#[derive(Debug)]
pub struct Part {
    /// Let go before the lock is: whoever has that next holds the file, too.
    _hold: Option<Hold>,
    vault: Arc<Vault>,
    directory: OwnedFd,
    file: File,
    title: Title,
    sums: Option<Sums>,
    known: Known,
    length: u64,
    unsynced: u64,
    promise: Promise,
}

impl Part {
    /// Opens the part of a named file, or makes it.
    pub(super) fn open(
        vault: &Arc<Vault>,
        directory: OwnedFd,
        wanted: &Wanted,
    ) -> Result<Part, VaultError> {
        let opening = |error| vault.fault("opening the part", error);
        let Some(file) = lock(&directory, &wanted.name.partial_name()).map_err(opening)? else {
            vault.holders.contest(wanted.name.as_str());
            return Err(VaultError::Busy { name: wanted.name.to_string() });
        };
        let hold = Hold::new(vault, wanted.name.as_str());
        let (sums, known) = resume(&directory, &file, wanted).map_err(opening)?;
        let missing = wanted.size.unwrap_or(0).saturating_sub(known.count * CHUNK_SIZE as u64);
        let promise = Promise::new(vault, &file, missing).inspect_err(|_| {
            if known.count == 0 {
                remove(&directory, &wanted.name);
            }
        })?;
        Ok(Part {
            vault: vault.clone(),
            directory,
            file,
            title: Title::Named(wanted.clone()),
            _hold: Some(hold),
            sums: Some(sums),
            length: known.count * CHUNK_SIZE as u64,
            known,
            unsynced: 0,
            promise,
        })
    }

    /// Makes the part of a file without a name; nothing comes back where there is one of this number.
    pub(super) fn create(
        vault: &Arc<Vault>,
        directory: &OwnedFd,
        number: u64,
    ) -> Result<Option<Part>, VaultError> {
        let failed = |error| vault.fault("making the part", error);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let title = Title::Numbered(number);
        let hidden = title.hidden();
        let file = match open_file(directory, &hidden, flags) {
            Ok(file) => file,
            Err(Errno::EXIST) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let made = directory.try_clone().and_then(|directory| {
            retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive))?;
            Ok(directory)
        });
        let part = made.map_err(failed).and_then(|directory| {
            Ok(Part {
                vault: vault.clone(),
                directory,
                promise: Promise::new(vault, &file, 0)?,
                file,
                title,
                _hold: None,
                sums: None,
                known: Known::default(),
                length: 0,
                unsynced: 0,
            })
        });
        // The number is not used up by what never was.
        part.map(Some).inspect_err(|_| {
            let _ = unlinkat(directory, &hidden, AtFlags::empty());
        })
    }

    /// Returns how many chunks are held of an earlier attempt.
    pub fn held(&self) -> u64 {
        self.known.count
    }

    /// Returns the digest of the values of the chunks that are held.
    pub fn held_values(&self) -> ChunkHash {
        self.known.values.finish()
    }

    /// Returns how many bytes there are.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the name that it is to get.
    pub fn title(&self) -> String {
        self.title.shown()
    }

    /// Returns the hidden name that it has.
    pub fn hidden_name(&self) -> String {
        self.title.hidden()
    }

    /// Begins with this chunk, up to which all must be held; returns what those contribute to the file's digest.
    ///
    /// # Errors
    ///
    /// See [`VaultError`].
    pub fn begin(&mut self, number: u64) -> Result<FileHasher, VaultError> {
        let begun = self.try_begin(number);
        begun.map_err(|error| self.vault.fault("beginning the part", error))
    }

    fn try_begin(&mut self, number: u64) -> io::Result<FileHasher> {
        if let Some(sums) = &mut self.sums {
            if number < self.known.count {
                self.known = sums.keep(number)?;
            }
        }
        self.length = self.known.count * CHUNK_SIZE as u64;
        self.file.set_len(self.length)?;
        Ok(std::mem::take(&mut self.known.digest))
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// See [`VaultError`]; some of them may have been written then, which the next ones write over.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        self.promise.spend(&self.file, bytes.len() as u64, self.length + bytes.len() as u64)?;
        let written = self.file.write_all_at(bytes, self.length);
        written.map_err(|error| self.vault.fault("writing the file", error))?;
        self.grew(bytes.len() as u64);
        Ok(())
    }

    /// Appends what a pipe holds.
    ///
    /// # Errors
    ///
    /// As [`write`](Part::write).
    pub(in crate::actors) fn take(&mut self, pipe: &mut SplicePipe) -> Result<(), VaultError> {
        let bytes = pipe.buffered() as u64;
        self.promise.spend(&self.file, bytes, self.length + bytes)?;
        let drained = pipe.drain(&self.file, self.length);
        drained.map_err(|error| self.vault.fault("writing the file", error))?;
        self.grew(bytes);
        Ok(())
    }

    fn grew(&mut self, bytes: u64) {
        self.length += bytes;
        self.unsynced += bytes;
    }

    /// Remembers the value of a whole chunk that was written, for a resumption.
    pub fn remember(&mut self, value: &ChunkHash) {
        if let Some(sums) = &mut self.sums {
            sums.add(value);
        }
    }

    /// Writes down what was remembered, and now and then brings all to the disk.
    ///
    /// # Errors
    ///
    /// See [`VaultError`]. After a failed sync nobody knows what is on the disk, so the part is of no use then.
    pub fn checkpoint(&mut self) -> Result<(), VaultError> {
        let result = match &mut self.sums {
            Some(_) if self.unsynced >= SYNC_EVERY => self.sync(),
            Some(sums) => sums.flush(),
            // After a power cut nobody could go on with it.
            None => Ok(()),
        };
        result.map_err(|error| self.vault.fault("bringing the file to the disk", error))
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.unsynced > 0 {
            retry_on_intr(|| fdatasync(&self.file))?;
            self.unsynced = 0;
            if let Some(sums) = &mut self.sums {
                sums.mark()?;
            }
        }
        Ok(())
    }

    /// Leaves the part for a later attempt. What cannot be written down has to be sent again then.
    pub fn pause(mut self) {
        let sums = self.sums.as_mut();
        if sums.is_some_and(|sums| sums.flush().is_ok()) && self.sync().is_ok() {
            return;
        }
        // The part of a file without a name is kept for a person, if there is anything in it.
        if self.sums.is_some() || self.length == 0 {
            self.discard();
        }
    }

    /// Removes the part. One that cannot be removed is reaped later.
    pub fn discard(self) {
        let _ = retry_on_intr(|| unlinkat(&self.directory, self.hidden_name(), AtFlags::empty()));
        if let Title::Named(wanted) = &self.title {
            let _ = Sums::remove(&self.directory, &wanted.name.checksum_name());
        }
    }

    /// Brings the whole to the disk and gives it its name, which is returned. It would be there after a power cut.
    ///
    /// # Errors
    ///
    /// See [`VaultError`]. Where the name is taken, or nobody knows what is on the disk, the part is removed.
    pub fn commit(self) -> Result<String, VaultError> {
        let finished = self.finish();
        let failed = |error| self.vault.fault("bringing the file to the disk", error);
        if let Err(error) = finished.map_err(failed) {
            self.discard();
            return Err(error);
        }
        let (vault, directory, hidden) = (&*self.vault, &self.directory, self.hidden_name());
        match (Naming { vault, directory, hidden }).publish(&self.title) {
            Ok(Some(name)) => {
                if let Title::Named(wanted) = &self.title {
                    // They are of no use without their part, and would be removed with the next one.
                    let _ = Sums::remove(&self.directory, &wanted.name.checksum_name());
                }
                fs::sync(&self.directory)?;
                Ok(name)
            }
            Ok(None) => {
                let name = self.title.shown();
                self.discard();
                Err(VaultError::Exists { name })
            }
            Err(error) => {
                let error = self.vault.fault("naming the file", error.into());
                self.pause();
                Err(error)
            }
        }
    }

    /// Sets what else there is to a file, and brings all to the disk.
    fn finish(&self) -> io::Result<()> {
        let (mode, modified) = match &self.title {
            Title::Named(wanted) => (wanted.mode, wanted.modified),
            Title::Numbered(_) => (0o666, (0, 0)),
        };
        attributes::set(&self.file, mode & 0o777 & !self.vault.umask, modified)?;
        Ok(retry_on_intr(|| fsync(&self.file))?)
    }
}
