//! Partial files: uploads that are not complete yet.
//!
//! A partial file is a hidden file beside the place of the final one. Its upload holds a lock on
//! it. The partial file of a named file has a [checksum file](super::checksums) beside it and can
//! be resumed. The partial file of a file without a name cannot.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use rustix::fs::{AtFlags, FlockOperation, OFlags, fdatasync, flock, fsync, statat, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use crate::actors::file::store::active_uploads::UploadGuard;
use crate::actors::file::store::checksums::{ChecksumFile, VerifiedPrefix};
use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::fs::{is_regular_with_one_link, open_file, sync_directory};
use crate::actors::file::store::publish::{Publisher, TargetName, set_attributes};
use crate::actors::file::store::request::FileRequest;
use crate::actors::file::store::shared::StoreShared;
use crate::actors::file::store::space::SpaceReservation;
use crate::net::SplicePipe;
use crate::wire::file::CHUNK_SIZE;
use crate::wire::file::digest::{ChunkHash, FileHasher};
use crate::wire::file::filename::SafeName;

/// The number of bytes after which a checkpoint flushes the file to the disk. A power cut costs
/// an upload about this much.
const SYNC_INTERVAL_BYTES: u64 = 64 << 20;

/// The number of attempts to open and lock a hidden name that other processes keep changing.
const MAX_LOCK_ATTEMPTS: usize = 8;

/// An upload that is not complete yet.
#[derive(Debug)]
pub struct PartialFile {
    /// Declared before `file`, so that it is dropped before the lock on `file` is released. In the
    /// other order it could remove the entry of the next upload that gets the lock.
    _upload_guard: Option<UploadGuard>,
    shared: Arc<StoreShared>,
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
    /// Opens or creates the partial file of a named file.
    pub(super) fn open(
        shared: &Arc<StoreShared>,
        directory: OwnedFd,
        request: &FileRequest,
    ) -> Result<PartialFile, StoreError> {
        let failed = |error| shared.io_error("opening the partial file", error);
        let name = &request.name;
        let Some(file) = open_locked(&directory, &name.partial_name()).map_err(failed)? else {
            shared.active_uploads.request_yield(name.as_str());
            return Err(StoreError::Busy { name: name.to_string() });
        };
        let upload_guard = UploadGuard::new(&shared.active_uploads, name.as_str());
        let (checksums, verified) = resume_or_reset(&directory, &file, request).map_err(failed)?;
        let length = verified.chunk_count * CHUNK_SIZE as u64;
        let missing = request.size.unwrap_or(0).saturating_sub(length);
        let reservation =
            SpaceReservation::new(&shared.space, &file, missing).inspect_err(|_| {
                if verified.chunk_count == 0 {
                    remove_partial(&directory, name);
                }
            })?;
        Ok(PartialFile {
            _upload_guard: Some(upload_guard),
            shared: shared.clone(),
            directory,
            file,
            target: TargetName::Named(request.clone()),
            checksums: Some(checksums),
            verified,
            length,
            unsynced_bytes: 0,
            reservation,
        })
    }

    /// Creates the partial file of a file without a name. Returns `None` if the number is taken by
    /// another partial file.
    pub(super) fn create_numbered(
        shared: &Arc<StoreShared>,
        directory: &OwnedFd,
        number: u64,
    ) -> Result<Option<PartialFile>, StoreError> {
        let failed = |error| shared.io_error("creating the partial file", error);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let target = TargetName::Numbered(number);
        let temp_name = target.temp_name();
        let file = match open_file(directory, &temp_name, flags) {
            Ok(file) => file,
            Err(Errno::EXIST) => return Ok(None),
            Err(error) => return Err(failed(error.into())),
        };
        let locked = directory.try_clone().and_then(|directory| {
            retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive))?;
            Ok(directory)
        });
        let partial = locked.map_err(failed).and_then(|directory| {
            Ok(PartialFile {
                _upload_guard: None,
                shared: shared.clone(),
                directory,
                reservation: SpaceReservation::new(&shared.space, &file, 0)?,
                file,
                target,
                checksums: None,
                verified: VerifiedPrefix::default(),
                length: 0,
                unsynced_bytes: 0,
            })
        });
        // A failed attempt does not use up the number.
        partial.map(Some).inspect_err(|_| {
            let _ = unlinkat(directory, &temp_name, AtFlags::empty());
        })
    }

    /// Returns the number of whole chunks that an earlier attempt has stored.
    pub fn verified_chunks(&self) -> u64 {
        self.verified.chunk_count
    }

    /// Returns the hash of the list of the hashes of these chunks.
    pub fn verified_hash(&self) -> ChunkHash {
        self.verified.list_hasher.finish()
    }

    /// Returns the number of bytes received so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the name that the file gets when it is complete.
    pub fn final_name(&self) -> String {
        self.target.final_name()
    }

    /// Returns the hidden name of the partial file.
    pub fn temp_name(&self) -> String {
        self.target.temp_name()
    }

    /// Truncates the file to its first `chunk_count` chunks, at most the verified ones, and returns
    /// a hasher of these. The next write appends to them.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn start_at(&mut self, chunk_count: u64) -> Result<FileHasher, StoreError> {
        let started = self.try_start_at(chunk_count);
        started.map_err(|error| self.shared.io_error("truncating the partial file", error))
    }

    fn try_start_at(&mut self, chunk_count: u64) -> io::Result<FileHasher> {
        if let Some(checksums) = &mut self.checksums {
            if chunk_count < self.verified.chunk_count {
                self.verified = checksums.truncate_to(chunk_count)?;
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
    /// See [`StoreError`]. After an error some of the bytes may be in the file. The next write
    /// overwrites them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let count = bytes.len() as u64;
        self.reservation.consume(&self.file, count, self.length + count)?;
        let written = self.file.write_all_at(bytes, self.length);
        written.map_err(|error| self.shared.io_error("writing the file", error))?;
        self.advance(count);
        Ok(())
    }

    /// Appends the bytes that a pipe holds.
    ///
    /// # Errors
    ///
    /// Same as [`write`](PartialFile::write).
    pub(in crate::actors) fn write_from_pipe(
        &mut self,
        pipe: &mut SplicePipe,
    ) -> Result<(), StoreError> {
        let count = pipe.buffered() as u64;
        self.reservation.consume(&self.file, count, self.length + count)?;
        let drained = pipe.drain(&self.file, self.length);
        drained.map_err(|error| self.shared.io_error("writing the file", error))?;
        self.advance(count);
        Ok(())
    }

    fn advance(&mut self, count: u64) {
        self.length += count;
        self.unsynced_bytes += count;
    }

    /// Records the hash of a whole chunk that was written, so that the upload can be resumed after
    /// it.
    pub fn record_chunk(&mut self, hash: &ChunkHash) {
        if let Some(checksums) = &mut self.checksums {
            checksums.push(hash);
        }
    }

    /// Writes the recorded hashes to the checksum file. After every 64 MiB it also flushes both
    /// files to the disk.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. Discard the file after an error: after a failed sync its content on the
    /// disk is unknown.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        let result = match &mut self.checksums {
            Some(_) if self.unsynced_bytes >= SYNC_INTERVAL_BYTES => self.sync(),
            Some(checksums) => checksums.flush(),
            // An upload without checksums cannot be resumed, so an early sync is of no use.
            None => Ok(()),
        };
        result.map_err(|error| self.shared.io_error("syncing the file", error))
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.unsynced_bytes > 0 {
            retry_on_intr(|| fdatasync(&self.file))?;
            self.unsynced_bytes = 0;
            if let Some(checksums) = &mut self.checksums {
                checksums.mark_synced()?;
            }
        }
        Ok(())
    }

    /// Keeps the partial file for a later attempt. A resumable file is removed
    /// if its hashes cannot be written or synced.
    pub fn suspend(mut self) {
        let checksums = self.checksums.as_mut();
        if checksums.is_some_and(|checksums| checksums.flush().is_ok()) && self.sync().is_ok() {
            return;
        }
        // The partial file of a file without a name stays for a person to look at, unless it is
        // empty.
        if self.checksums.is_some() || self.length == 0 {
            self.discard();
        }
    }

    /// Removes the partial file. If that fails, the reaper removes it later.
    pub fn discard(self) {
        let _ = retry_on_intr(|| unlinkat(&self.directory, self.temp_name(), AtFlags::empty()));
        if let TargetName::Named(request) = &self.target {
            let _ = ChecksumFile::remove(&self.directory, &request.name.checksum_name());
        }
    }

    /// Flushes the file to the disk, gives it its final name, and returns that name. The file then
    /// survives a power cut.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. The partial file is removed if the name is taken, or if a failed sync
    /// leaves its content on the disk unknown.
    pub fn commit(self) -> Result<String, StoreError> {
        let synced = self.set_attributes_and_sync();
        if let Err(error) = synced {
            let error = self.shared.io_error("syncing the file", error);
            self.discard();
            return Err(error);
        }
        let publisher = Publisher {
            shared: &self.shared,
            directory: &self.directory,
            temp_name: self.temp_name(),
        };
        match publisher.publish(&self.target) {
            Ok(Some(name)) => {
                if let TargetName::Named(request) = &self.target {
                    // The checksum file is useless without its partial file. If it cannot be
                    // removed, the next upload of this name removes it.
                    let _ = ChecksumFile::remove(&self.directory, &request.name.checksum_name());
                }
                sync_directory(&self.directory)?;
                Ok(name)
            }
            Ok(None) => {
                let name = self.target.final_name();
                self.discard();
                Err(StoreError::Exists { name })
            }
            Err(error) => {
                let error = self.shared.io_error("naming the file", error.into());
                self.suspend();
                Err(error)
            }
        }
    }

    /// Sets the mode and modification time, and flushes the file to the disk.
    fn set_attributes_and_sync(&self) -> io::Result<()> {
        let (mode, modified) = match &self.target {
            TargetName::Named(request) => (request.mode, request.modified),
            TargetName::Numbered(_) => (0o666, (0, 0)),
        };
        set_attributes(&self.file, mode & 0o777 & !self.shared.umask, modified)?;
        Ok(retry_on_intr(|| fsync(&self.file))?)
    }
}

/// Opens or creates a partial file and locks it. Returns `None` if another upload holds the lock.
fn open_locked(directory: &OwnedFd, name: &str) -> io::Result<Option<File>> {
    for _ in 0..MAX_LOCK_ATTEMPTS {
        let file = match open_file(directory, name, OFlags::RDWR | OFlags::CREATE) {
            Ok(file) if is_regular_with_one_link(&file)? => file,
            // The file is not ours. Or it is a file of ours that has its final name already, and
            // whose hidden name was not removed because the process ended in between.
            Ok(_) | Err(Errno::LOOP | Errno::NXIO) => {
                retry_on_intr(|| unlinkat(directory, name, AtFlags::empty()))?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            locked => locked?,
        }
        // The last upload may have renamed or removed the file before we locked it. The name then
        // belongs to another file or to none.
        let named = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
        let metadata = file.metadata()?;
        if named.is_ok_and(|stat| (stat.st_ino, stat.st_dev) == (metadata.ino(), metadata.dev())) {
            return Ok(Some(file));
        }
    }
    Err(io::Error::other("another process keeps changing the hidden file"))
}

/// Finds the verified chunks in a partial file, or empties it if there are none.
fn resume_or_reset(
    directory: &OwnedFd,
    file: &File,
    request: &FileRequest,
) -> io::Result<(ChecksumFile, VerifiedPrefix)> {
    let whole_chunks = file.metadata()?.len() / CHUNK_SIZE as u64;
    if whole_chunks > 0 {
        if let Some((mut checksums, verified)) =
            ChecksumFile::open(directory, request, whole_chunks)?
        {
            // The hash of a file's only chunk does not determine the hash of the file, and one
            // chunk is quickly sent again.
            let verified = match verified.chunk_count {
                1 => checksums.truncate_to(0)?,
                _ => verified,
            };
            return Ok((checksums, verified));
        }
    }
    if ChecksumFile::remove(directory, &request.name.checksum_name())? {
        retry_on_intr(|| fsync(directory))?;
    }
    file.set_len(0)?;
    Ok((ChecksumFile::create(directory, request)?, VerifiedPrefix::default()))
}

/// Removes a partial file that was opened and will hold nothing. If that fails, the reaper removes
/// it later.
fn remove_partial(directory: &OwnedFd, name: &SafeName) {
    let _ = retry_on_intr(|| unlinkat(directory, name.partial_name(), AtFlags::empty()));
    let _ = ChecksumFile::remove(directory, &name.checksum_name());
}
