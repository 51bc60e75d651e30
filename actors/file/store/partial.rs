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

use crate::actors::file::store::active_uploads::{NameAccess, UploadGuard};
use crate::actors::file::store::checksums::{ChecksumFile, VerifiedPrefix};
use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::fs::{is_own_file, open_file, sync_directory};
use crate::actors::file::store::publish::{Publisher, TargetName, set_attributes};
use crate::actors::file::store::request::FileRequest;
use crate::actors::file::store::shared::StoreShared;
use crate::actors::file::store::space::SpaceReservation;
use crate::net::SplicePipe;
use crate::wire::file::CHUNK_SIZE;
use crate::wire::file::digest::{ChunkHash, FileHasher};

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
    upload_guard: Option<UploadGuard>,
    shared: Arc<StoreShared>,
    directory: OwnedFd,
    file: File,
    target: TargetName,
    checksums: Option<ChecksumFile>,
    verified: VerifiedPrefix,
    /// The number of first chunks that are kept whatever this upload does, because it has taken
    /// them over from another one.
    protected_chunks: u64,
    /// Whether this upload has created the file, so that it counts as one more.
    is_new: bool,
    length: u64,
    unsynced_bytes: u64,
    reservation: SpaceReservation,
}

impl PartialFile {
    /// Opens the partial file that an earlier attempt at the same file has left. Returns `None` if
    /// there is none. [`PartialFile::verify`] must find its chunks before it is started.
    pub(super) fn find(
        shared: &Arc<StoreShared>,
        directory: &OwnedFd,
        request: &FileRequest,
    ) -> Result<Option<PartialFile>, StoreError> {
        let failed = |error| shared.io_error("opening the partial file", error);
        let name = &request.name;
        let file = match open_locked(directory, &name.partial_name(), false).map_err(failed)? {
            OpenedPartial::None => return Ok(None),
            OpenedPartial::Busy => return Err(busy(shared, request)),
            OpenedPartial::Locked(file, _) => file,
        };
        let access = shared.active_uploads.access(request);
        if access == NameAccess::Protected {
            return Err(StoreError::Busy { name: name.to_string() });
        }
        let whole_chunks = file.metadata().map_err(failed)?.len() / CHUNK_SIZE as u64;
        let checksums = ChecksumFile::open(directory, request, whole_chunks).map_err(failed)?;
        let Some(checksums) = checksums.filter(|_| whole_chunks > 0) else { return Ok(None) };
        let is_takeover = access == NameAccess::Takeover;
        let upload_guard = UploadGuard::new(&shared.active_uploads, request, is_takeover);
        let directory = directory.try_clone().map_err(failed)?;
        Ok(Some(PartialFile::new(upload_guard, shared, directory, file, request, checksums)))
    }

    /// Creates the partial file of a named file, or empties the one that is there.
    pub(super) fn create(
        shared: &Arc<StoreShared>,
        directory: OwnedFd,
        request: &FileRequest,
    ) -> Result<PartialFile, StoreError> {
        let failed = |error| shared.io_error("creating the partial file", error);
        let name = &request.name;
        shared.space.admit_entry(&directory)?;
        let opened = open_locked(&directory, &name.partial_name(), true).map_err(failed);
        let (file, is_new) = match opened {
            Ok(OpenedPartial::Locked(file, is_new)) => (file, is_new),
            other => {
                shared.space.forget_entry();
                return Err(other.err().unwrap_or_else(|| busy(shared, request)));
            }
        };
        if !is_new {
            shared.space.forget_entry();
        }
        if shared.active_uploads.access(request) != NameAccess::Free {
            return Err(StoreError::Busy { name: name.to_string() });
        }
        // Other connections ask the upload to yield from now on.
        let upload_guard = UploadGuard::new(&shared.active_uploads, request, false);
        let reset = || {
            if ChecksumFile::remove(&directory, &name.checksum_name())? {
                retry_on_intr(|| fsync(&directory))?;
            }
            file.set_len(0)?;
            ChecksumFile::create(&directory, request)
        };
        let checksums = reset().map_err(failed).inspect_err(|_| {
            if is_new {
                let _ = unlinkat(&directory, name.partial_name(), AtFlags::empty());
                shared.space.forget_entry();
            }
        })?;
        let mut partial =
            PartialFile::new(upload_guard, shared, directory, file, request, checksums);
        partial.is_new = is_new;
        Ok(partial)
    }

    fn new(
        upload_guard: UploadGuard,
        shared: &Arc<StoreShared>,
        directory: OwnedFd,
        file: File,
        request: &FileRequest,
        checksums: ChecksumFile,
    ) -> PartialFile {
        PartialFile {
            upload_guard: Some(upload_guard),
            shared: shared.clone(),
            directory,
            file,
            target: TargetName::Named(request.clone()),
            checksums: Some(checksums),
            verified: VerifiedPrefix::default(),
            protected_chunks: 0,
            is_new: false,
            length: 0,
            unsynced_bytes: 0,
            reservation: SpaceReservation::new(&shared.space, request.source),
        }
    }

    /// Reads at most `max_records` more hashes of the chunks that an earlier attempt has stored.
    /// Returns whether all are read.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Io`] if the checksum file cannot be read.
    pub fn verify(&mut self, max_records: u64) -> Result<bool, StoreError> {
        let Some(checksums) = &mut self.checksums else { return Ok(true) };
        let verified = checksums.verify(&mut self.verified, max_records);
        let is_done =
            verified.map_err(|error| self.shared.io_error("reading the checksum file", error))?;
        if is_done {
            // The hash of a file's only chunk does not determine the hash of the file, and one
            // chunk is quickly sent again.
            if self.verified.chunk_count == 1 {
                self.verified = VerifiedPrefix::default();
            }
            if self.upload_guard.as_ref().is_some_and(UploadGuard::is_takeover) {
                self.protected_chunks = self.verified.chunk_count;
            }
        }
        Ok(is_done)
    }

    /// Creates the partial file of a file without a name, which the caller has counted. Returns
    /// `None` if the number is taken by another partial file.
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
        // A failed attempt does not use up the number.
        let directory = locked.map_err(failed).inspect_err(|_| {
            let _ = unlinkat(directory, &temp_name, AtFlags::empty());
        })?;
        Ok(Some(PartialFile {
            upload_guard: None,
            shared: shared.clone(),
            directory,
            file,
            target,
            checksums: None,
            verified: VerifiedPrefix::default(),
            protected_chunks: 0,
            is_new: true,
            length: 0,
            unsynced_bytes: 0,
            reservation: SpaceReservation::new(&shared.space, None),
        }))
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

    /// Starts the file after its first `chunk_count` chunks, and reserves the space of the others.
    /// Returns a hasher of the first ones. The next write appends to them.
    ///
    /// `chunk_count` is the number of verified chunks, or 0 to start anew.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. It is [`StoreError::Busy`] if the verified chunks were taken over from
    /// another connection, and may not be dropped.
    pub fn start_at(&mut self, chunk_count: u64) -> Result<FileHasher, StoreError> {
        if chunk_count < self.protected_chunks {
            return Err(StoreError::Busy { name: self.target.final_name() });
        }
        let started = self.try_start_at(chunk_count);
        let hasher =
            started.map_err(|error| self.shared.io_error("truncating the partial file", error))?;
        if let TargetName::Named(FileRequest { size: Some(size), .. }) = &self.target {
            self.reservation.reserve(&self.file, size.saturating_sub(self.length))?;
        }
        Ok(hasher)
    }

    fn try_start_at(&mut self, chunk_count: u64) -> io::Result<FileHasher> {
        if chunk_count < self.verified.chunk_count {
            self.verified = VerifiedPrefix::default();
        }
        if let Some(checksums) = &mut self.checksums {
            if self.verified.chunk_count < checksums.chunk_count() {
                checksums.truncate_to(self.verified.chunk_count)?;
            }
        }
        self.length = self.verified.chunk_count * CHUNK_SIZE as u64;
        self.file.set_len(self.length)?;
        Ok(std::mem::take(&mut self.verified.file_hasher))
    }

    /// Releases the reserved space until the next data arrives. Returns whether there was any.
    pub fn expire_reservation(&mut self) -> bool {
        self.reservation.expire()
    }

    /// Returns whether space is reserved for the missing bytes.
    pub fn has_reservation(&self) -> bool {
        self.reservation.is_held()
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. After an error some of the bytes may be in the file. The next write
    /// overwrites them.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let count = bytes.len() as u64;
        let _write = self.reservation.admit(&self.file, count, self.length + count)?;
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
        let _write = self.reservation.admit(&self.file, count, self.length + count)?;
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

    /// Keeps the partial file for a later attempt. A resumable file is removed if it has no whole
    /// chunk, or if its hashes cannot be written or synced.
    pub fn suspend(mut self) {
        let checksums = self.checksums.as_mut();
        let is_resumable = checksums
            .is_some_and(|checksums| checksums.chunk_count() > 0 && checksums.flush().is_ok());
        if is_resumable && self.sync().is_ok() {
            return;
        }
        // The partial file of a file without a name stays for a person to look at, unless it is
        // empty.
        if self.checksums.is_some() || self.length == 0 {
            self.discard();
        }
    }

    /// Removes the partial file, except for the chunks that were taken over from another upload. If
    /// that fails, the reaper removes it later.
    pub fn discard(mut self) {
        if let (1.., Some(checksums)) = (self.protected_chunks, &mut self.checksums) {
            let _ = checksums.truncate_to(self.protected_chunks);
            let _ = self.file.set_len(self.protected_chunks * CHUNK_SIZE as u64);
            return;
        }
        let _ = retry_on_intr(|| unlinkat(&self.directory, self.temp_name(), AtFlags::empty()));
        if let TargetName::Named(request) = &self.target {
            let _ = ChecksumFile::remove(&self.directory, &request.name.checksum_name());
        }
        if self.is_new {
            self.shared.space.forget_entry();
        }
        if let Some(upload_guard) = &mut self.upload_guard {
            upload_guard.complete();
        }
    }

    /// Flushes the file to the disk, gives it its final name, and returns that name. The file then
    /// survives a power cut.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. The partial file is removed if the name is taken, or if a failed sync
    /// leaves its content on the disk unknown.
    pub fn commit(mut self) -> Result<String, StoreError> {
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
        match publisher.publish(&self.file, &self.target) {
            Ok(Some(name)) => {
                if let Some(upload_guard) = &mut self.upload_guard {
                    upload_guard.complete();
                }
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

/// Returns the error for a name that another upload has, after asking that upload to yield.
fn busy(shared: &StoreShared, request: &FileRequest) -> StoreError {
    shared.active_uploads.request_yield(request);
    StoreError::Busy { name: request.name.to_string() }
}

/// The result of opening a partial file.
enum OpenedPartial {
    /// There is no partial file of ours.
    None,
    /// Another upload has locked it.
    Busy,
    /// The locked file, and whether it was created.
    Locked(File, bool),
}

/// Opens a partial file and locks it. With `create`, it is created if there is none of ours.
fn open_locked(directory: &OwnedFd, name: &str, create: bool) -> io::Result<OpenedPartial> {
    let excl = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
    for _ in 0..MAX_LOCK_ATTEMPTS {
        let (file, is_new) = match open_file(directory, name, OFlags::RDWR) {
            Ok(file) if is_own_file(&file)? => (file, false),
            Err(Errno::NOENT) if !create => return Ok(OpenedPartial::None),
            Err(Errno::NOENT) => match open_file(directory, name, excl) {
                // A file system may show another owner. The file is ours, because it is new.
                Ok(file) => (file, true),
                Err(Errno::EXIST) => continue,
                Err(error) => return Err(error.into()),
            },
            Ok(_) | Err(Errno::LOOP | Errno::NXIO | Errno::ACCESS) if !create => {
                return Ok(OpenedPartial::None);
            }
            // The file is not ours. Or it is a file of ours that has its final name already, and
            // whose hidden name was not removed because the process ended in between.
            Ok(_) | Err(Errno::LOOP | Errno::NXIO | Errno::ACCESS) => {
                retry_on_intr(|| unlinkat(directory, name, AtFlags::empty()))?;
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Err(Errno::WOULDBLOCK) => return Ok(OpenedPartial::Busy),
            locked => locked?,
        }
        // The last upload may have renamed or removed the file before we locked it. The name then
        // belongs to another file or to none.
        let named = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
        let metadata = file.metadata()?;
        if named.is_ok_and(|stat| (stat.st_ino, stat.st_dev) == (metadata.ino(), metadata.dev())) {
            return Ok(OpenedPartial::Locked(file, is_new));
        }
    }
    Err(io::Error::other("another process keeps changing the hidden file"))
}
