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

use super::active_uploads::UploadGuard;
use super::checksums::{ChecksumFile, VerifiedPrefix};
use super::opening::{open_locked, remove_partial, resume_or_reset};
use super::publish::{Publisher, TargetName};
use super::space::SpaceReservation;
use super::{FileRequest, FileStore, StoreError, attributes, fs, open_file};
use crate::net::SplicePipe;
use crate::wire::file::CHUNK_SIZE;
use crate::wire::file::digest::{ChunkHash, FileHasher};

/// After so many bytes what was written is brought to the disk, so that a power cut costs no more.
const SYNC_INTERVAL_BYTES: u64 = 64 << 20;

/// A file on its way.
#[derive(Debug)]
pub struct PartialFile {
    /// Let go before the lock is: whoever has that next holds the file, too.
    _upload_guard: Option<UploadGuard>,
    store: Arc<FileStore>,
    directory: OwnedFd,
    file: File,
    target: TargetName,
    checksums: Option<ChecksumFile>,
    verified: VerifiedPrefix,
    length: u64,
    unsynced_bytes: u64,
    reservation: SpaceReservation,
}

impl PartialFile {
    /// Opens the part of a named file, or makes it.
    pub(super) fn open(
        vault: &Arc<FileStore>,
        directory: OwnedFd,
        wanted: &FileRequest,
    ) -> Result<PartialFile, StoreError> {
        let opening = |error| vault.io_error("opening the part", error);
        let Some(file) = open_locked(&directory, &wanted.name.partial_name()).map_err(opening)?
        else {
            vault.active_uploads.request_yield(wanted.name.as_str());
            return Err(StoreError::Busy { name: wanted.name.to_string() });
        };
        let hold = UploadGuard::new(vault, wanted.name.as_str());
        let (sums, known) = resume_or_reset(&directory, &file, wanted).map_err(opening)?;
        let missing =
            wanted.size.unwrap_or(0).saturating_sub(known.chunk_count * CHUNK_SIZE as u64);
        let promise = SpaceReservation::new(vault, &file, missing).inspect_err(|_| {
            if known.chunk_count == 0 {
                remove_partial(&directory, &wanted.name);
            }
        })?;
        Ok(PartialFile {
            store: vault.clone(),
            directory,
            file,
            target: TargetName::Named(wanted.clone()),
            _upload_guard: Some(hold),
            checksums: Some(sums),
            length: known.chunk_count * CHUNK_SIZE as u64,
            verified: known,
            unsynced_bytes: 0,
            reservation: promise,
        })
    }

    /// Makes the part of a file without a name; nothing comes back where there is one of this number.
    pub(super) fn create_numbered(
        vault: &Arc<FileStore>,
        directory: &OwnedFd,
        number: u64,
    ) -> Result<Option<PartialFile>, StoreError> {
        let failed = |error| vault.io_error("making the part", error);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let title = TargetName::Numbered(number);
        let hidden = title.temp_name();
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
            Ok(PartialFile {
                store: vault.clone(),
                directory,
                reservation: SpaceReservation::new(vault, &file, 0)?,
                file,
                target: title,
                _upload_guard: None,
                checksums: None,
                verified: VerifiedPrefix::default(),
                length: 0,
                unsynced_bytes: 0,
            })
        });
        // The number is not used up by what never was.
        part.map(Some).inspect_err(|_| {
            let _ = unlinkat(directory, &hidden, AtFlags::empty());
        })
    }

    /// Returns how many chunks are held of an earlier attempt.
    pub fn verified_chunks(&self) -> u64 {
        self.verified.chunk_count
    }

    /// Returns the digest of the values of the chunks that are held.
    pub fn verified_hash(&self) -> ChunkHash {
        self.verified.list_hasher.finish()
    }

    /// Returns how many bytes there are.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the name that it is to get.
    pub fn final_name(&self) -> String {
        self.target.final_name()
    }

    /// Returns the hidden name that it has.
    pub fn temp_name(&self) -> String {
        self.target.temp_name()
    }

    /// Begins with this chunk, up to which all must be held; returns what those contribute to the file's digest.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn start_at(&mut self, number: u64) -> Result<FileHasher, StoreError> {
        let begun = self.try_start_at(number);
        begun.map_err(|error| self.store.io_error("beginning the part", error))
    }

    fn try_start_at(&mut self, number: u64) -> io::Result<FileHasher> {
        if let Some(sums) = &mut self.checksums {
            if number < self.verified.chunk_count {
                self.verified = sums.truncate_to(number)?;
            }
        }
        self.length = self.verified.chunk_count * CHUNK_SIZE as u64;
        self.file.set_len(self.length)?;
        Ok(std::mem::take(&mut self.verified.file_hasher))
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; some of them may have been written then, which the next ones write over.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.reservation.consume(
            &self.file,
            bytes.len() as u64,
            self.length + bytes.len() as u64,
        )?;
        let written = self.file.write_all_at(bytes, self.length);
        written.map_err(|error| self.store.io_error("writing the file", error))?;
        self.advance(bytes.len() as u64);
        Ok(())
    }

    /// Appends what a pipe holds.
    ///
    /// # Errors
    ///
    /// As [`write`](PartialFile::write).
    pub(in crate::actors) fn write_from_pipe(
        &mut self,
        pipe: &mut SplicePipe,
    ) -> Result<(), StoreError> {
        let bytes = pipe.buffered() as u64;
        self.reservation.consume(&self.file, bytes, self.length + bytes)?;
        let drained = pipe.drain(&self.file, self.length);
        drained.map_err(|error| self.store.io_error("writing the file", error))?;
        self.advance(bytes);
        Ok(())
    }

    fn advance(&mut self, bytes: u64) {
        self.length += bytes;
        self.unsynced_bytes += bytes;
    }

    /// Remembers the value of a whole chunk that was written, for a resumption.
    pub fn record_chunk(&mut self, value: &ChunkHash) {
        if let Some(sums) = &mut self.checksums {
            sums.push(value);
        }
    }

    /// Writes down what was remembered, and now and then brings all to the disk.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. After a failed sync nobody knows what is on the disk, so the part is of no use then.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        let result = match &mut self.checksums {
            Some(_) if self.unsynced_bytes >= SYNC_INTERVAL_BYTES => self.sync(),
            Some(sums) => sums.flush(),
            // After a power cut nobody could go on with it.
            None => Ok(()),
        };
        result.map_err(|error| self.store.io_error("bringing the file to the disk", error))
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.unsynced_bytes > 0 {
            retry_on_intr(|| fdatasync(&self.file))?;
            self.unsynced_bytes = 0;
            if let Some(sums) = &mut self.checksums {
                sums.mark_synced()?;
            }
        }
        Ok(())
    }

    /// Leaves the part for a later attempt. What cannot be written down has to be sent again then.
    pub fn suspend(mut self) {
        let sums = self.checksums.as_mut();
        if sums.is_some_and(|sums| sums.flush().is_ok()) && self.sync().is_ok() {
            return;
        }
        // The part of a file without a name is kept for a person, if there is anything in it.
        if self.checksums.is_some() || self.length == 0 {
            self.discard();
        }
    }

    /// Removes the part. One that cannot be removed is reaped later.
    pub fn discard(self) {
        let _ = retry_on_intr(|| unlinkat(&self.directory, self.temp_name(), AtFlags::empty()));
        if let TargetName::Named(wanted) = &self.target {
            let _ = ChecksumFile::remove(&self.directory, &wanted.name.checksum_name());
        }
    }

    /// Brings the whole to the disk and gives it its name, which is returned. It would be there after a power cut.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. Where the name is taken, or nobody knows what is on the disk, the part is removed.
    pub fn commit(self) -> Result<String, StoreError> {
        let finished = self.set_attributes_and_sync();
        let failed = |error| self.store.io_error("bringing the file to the disk", error);
        if let Err(error) = finished.map_err(failed) {
            self.discard();
            return Err(error);
        }
        let (vault, directory, hidden) = (&*self.store, &self.directory, self.temp_name());
        match (Publisher { store: vault, directory, temp_name: hidden }).publish(&self.target) {
            Ok(Some(name)) => {
                if let TargetName::Named(wanted) = &self.target {
                    // They are of no use without their part, and would be removed with the next one.
                    let _ = ChecksumFile::remove(&self.directory, &wanted.name.checksum_name());
                }
                fs::sync_directory(&self.directory)?;
                Ok(name)
            }
            Ok(None) => {
                let name = self.target.final_name();
                self.discard();
                Err(StoreError::Exists { name })
            }
            Err(error) => {
                let error = self.store.io_error("naming the file", error.into());
                self.suspend();
                Err(error)
            }
        }
    }

    /// Sets what else there is to a file, and brings all to the disk.
    fn set_attributes_and_sync(&self) -> io::Result<()> {
        let (mode, modified) = match &self.target {
            TargetName::Named(wanted) => (wanted.mode, wanted.modified),
            TargetName::Numbered(_) => (0o666, (0, 0)),
        };
        attributes::set_attributes(&self.file, mode & 0o777 & !self.store.umask, modified)?;
        Ok(retry_on_intr(|| fsync(&self.file))?)
    }
}
