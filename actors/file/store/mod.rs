//! A directory in which files appear complete or not at all.
//!
//! A file that is offered is *looked up* first, which creates nothing. When its upload begins, it
//! *creates* the file and gets a [`PartialFile`]: a hidden file beside the place of the final one,
//! which only this upload may write. No other reader sees its bytes until the upload commits it.
//! Then the file is on the disk under its final name, even if the power fails in the next moment. A
//! partial file that is left behind is found again when the same file is looked up again.
//!
//! The store never writes outside its directory. Names are [`SafeName`]s. Each directory is opened
//! relative to its parent and never through a link. A file at a hidden name that is not a partial
//! file of this user is never trusted. It is removed when its name is needed.
//!
//! All methods block. Call them on a [`BlockingPool`](crate::actors::BlockingPool).

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::FileType;

use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::existing::ExistingFile;
use crate::actors::file::store::fs::{create_beneath, file_type, open_beneath, open_root};
use crate::actors::file::store::partial::PartialFile;
use crate::actors::file::store::publish::numbered_name;
use crate::actors::file::store::request::FileRequest;
use crate::actors::file::store::shared::{OnConflict, StoreConfig, StoreShared};
use crate::wire::file::filename::SafeName;

mod active_uploads;
mod checksums;
pub(crate) mod error;
pub(crate) mod existing;
mod fs;
mod gc;
mod hash_cache;
pub(crate) mod partial;
mod publish;
pub(crate) mod request;
pub(crate) mod shared;
mod space;

/// The file that a store has in place of an offered one. Returned by [`FileStore::look_up`].
#[derive(Debug)]
pub enum OfferedFile {
    /// Nothing.
    New,
    /// A partial file, which may hold the first chunks of an earlier attempt.
    Partial(Box<PartialFile>),
    /// A complete file with the same name, size and time, which may be the same file.
    Existing(Box<ExistingFile>),
}

/// A directory in which files appear complete or not at all.
///
/// # Examples
///
/// ```
/// use sockactors::actors::{FileStore, StoreConfig};
///
/// let directory = tempfile::tempdir().unwrap();
/// let store = FileStore::new(directory.path().into(), StoreConfig::default());
/// let mut partial = store.create_numbered().unwrap();
/// partial.write(b"all of it").unwrap();
/// assert!(!directory.path().join("output0.txt").exists());
/// assert_eq!(partial.commit().unwrap(), "output0.txt");
/// assert_eq!(std::fs::read(directory.path().join("output0.txt")).unwrap(), b"all of it");
/// ```
#[derive(Debug)]
pub struct FileStore {
    shared: Arc<StoreShared>,
}

impl FileStore {
    /// Creates a store in the directory `path`.
    ///
    /// The directory is opened anew for each file, so it may be created or mounted later.
    pub fn new(path: PathBuf, config: StoreConfig) -> FileStore {
        FileStore { shared: Arc::new(StoreShared::new(path, config)) }
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Looks up what the store has of an offered file, and checks that the file can be stored.
    /// Creates and reserves nothing.
    ///
    /// # Errors
    ///
    /// See [`StoreError`].
    pub fn look_up(&self, request: &FileRequest) -> Result<OfferedFile, StoreError> {
        let size = request.size.unwrap_or(0);
        self.shared.space.check_size(size)?;
        let Some(directory) = open_beneath(self.path(), request.name.directories())? else {
            self.shared.space.check_fits(&open_root(self.path())?, size)?;
            return Ok(OfferedFile::New);
        };
        if let Some(existing) = ExistingFile::find(&self.shared, &directory, request)? {
            return Ok(OfferedFile::Existing(Box::new(existing)));
        }
        self.check_conflict(&directory, &request.name)?;
        if let Some(partial) = PartialFile::find(&self.shared, &directory, request)? {
            return Ok(OfferedFile::Partial(Box::new(partial)));
        }
        self.shared.space.check_fits(&directory, size)?;
        Ok(OfferedFile::New)
    }

    /// Creates the partial file of a named file. Missing directories are created, and what an
    /// earlier attempt has left is dropped.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. After an error nothing but the new directories has changed.
    pub fn create(&self, request: &FileRequest) -> Result<PartialFile, StoreError> {
        let space = &self.shared.space;
        space.check_size(request.size.unwrap_or(0))?;
        let directories = request.name.directories();
        let directory = create_beneath(self.path(), directories, 0o777, space)?;
        self.check_conflict(&directory, &request.name)?;
        PartialFile::create(&self.shared, directory, request)
    }

    /// Rejects a name that is taken, unless the conflict is resolved when the file is complete.
    fn check_conflict(&self, directory: &OwnedFd, name: &SafeName) -> Result<(), StoreError> {
        match (self.shared.on_conflict, file_type(directory, name.file_name())?) {
            (_, None) | (OnConflict::Rename, _) => Ok(()),
            (OnConflict::Overwrite, Some(FileType::RegularFile)) => Ok(()),
            (OnConflict::Skip, _) => Err(StoreError::Skipped { name: name.to_string() }),
            _ => Err(StoreError::Exists { name: name.to_string() }),
        }
    }

    /// Creates the partial file of a file without a name.
    ///
    /// The file becomes the next `outputK.txt` of which neither the file nor a partial file exists.
    ///
    /// # Errors
    ///
    /// Same as [`create`](FileStore::create). After an error the number is still free.
    pub fn create_numbered(&self) -> Result<PartialFile, StoreError> {
        let directory = open_root(self.path())?;
        self.shared.space.admit_entry(&directory)?;
        let created = self.try_create_numbered(&directory);
        created.inspect_err(|_| self.shared.space.forget_entry())
    }

    fn try_create_numbered(&self, directory: &OwnedFd) -> Result<PartialFile, StoreError> {
        loop {
            let number = self.shared.next_number.fetch_add(1, Ordering::SeqCst);
            let release_number = || {
                self.shared.next_number.fetch_min(number, Ordering::SeqCst);
            };
            let file_type = file_type(directory, &numbered_name(number));
            if file_type.inspect_err(|_| release_number())?.is_some() {
                continue;
            }
            let partial = PartialFile::create_numbered(&self.shared, directory, number)
                .inspect_err(|_| release_number())?;
            if let Some(partial) = partial {
                return Ok(partial);
            }
        }
    }

    /// Creates a directory and its parents. Existing directories keep their mode.
    ///
    /// # Errors
    ///
    /// Same as [`create`](FileStore::create).
    pub fn create_dir_all(&self, name: &SafeName, mode: u32) -> Result<(), StoreError> {
        let components = name.as_str().split('/');
        // The sender will add files to the directory, so its owner always gets full access.
        let mode = mode & 0o777 | 0o700;
        create_beneath(self.path(), components, mode, &self.shared.space).map(drop)
    }

    /// Removes the partial files that were last written before `before`, in seconds since 1970.
    /// Returns their names.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Io`] if the directory cannot be read.
    pub fn remove_stale(&self, before: i64) -> Result<Vec<String>, StoreError> {
        let directory = open_root(self.path())?;
        let mut removed = Vec::new();
        gc::remove_stale(&directory, "", before, 0, &mut removed)?;
        Ok(removed)
    }

    /// Waits until another upload asks for a file that is being uploaded.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub async fn yield_requested(&self, name: &str) {
        self.shared.active_uploads.yield_requested(name).await;
    }
}

#[cfg(test)]
mod tests;
