//! A directory in which files appear complete or not at all.
//!
//! An upload first *creates* its file and gets a [`PartialFile`]: a hidden file beside the place of
//! the final one, which only this upload may write. No other reader sees its bytes until the upload
//! commits it. Then the file is on the disk under its final name, even if the power fails in the
//! next moment. A partial file that is left behind is found again when the same file is created
//! again.
//!
//! The store never writes outside its directory. Names are [`SafeName`]s. Each directory is opened
//! relative to its parent and never through a link. A file at a hidden name that is not a partial
//! file is removed.
//!
//! All methods block. Call them on a [`BlockingPool`](crate::actors::BlockingPool).

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::FileType;

use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::existing::{ExistingFile, find_match};
use crate::actors::file::store::fs::{file_type, open_beneath};
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
pub(crate) mod partial;
mod publish;
pub(crate) mod request;
pub(crate) mod shared;
mod space;

/// The result of [`FileStore::create`].
#[derive(Debug)]
pub enum CreateOutcome {
    /// A partial file to write to. It may hold the first chunks of an earlier attempt.
    Partial(PartialFile),
    /// A complete file with the same name, size and time, which may be the same file.
    Exists(ExistingFile),
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

    /// Creates the partial file of a named file, or opens the one of an earlier attempt. Missing
    /// directories are created.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]. After an error nothing but the new directories has changed.
    pub fn create(&self, request: &FileRequest) -> Result<CreateOutcome, StoreError> {
        self.shared.space.check_size(request.size.unwrap_or(0))?;
        let directory = self.open_parent(request)?;
        if let Some(existing) = find_match(&directory, request)? {
            return Ok(CreateOutcome::Exists(existing));
        }
        self.create_partial(directory, request).map(CreateOutcome::Partial)
    }

    /// Creates the partial file of a named file, although [`create`](FileStore::create) found a
    /// file that looks the same. Call it if the content turned out to differ.
    ///
    /// # Errors
    ///
    /// Same as [`create`](FileStore::create).
    pub fn create_despite_match(&self, request: &FileRequest) -> Result<PartialFile, StoreError> {
        self.create_partial(self.open_parent(request)?, request)
    }

    fn open_parent(&self, request: &FileRequest) -> Result<OwnedFd, StoreError> {
        open_beneath(self.path(), request.name.directories(), 0o777)
    }

    fn create_partial(
        &self,
        directory: OwnedFd,
        request: &FileRequest,
    ) -> Result<PartialFile, StoreError> {
        let name = request.name.as_str();
        match (self.shared.on_conflict, file_type(&directory, request.name.file_name())?) {
            (_, None) | (OnConflict::Rename, _) => {}
            (OnConflict::Overwrite, Some(FileType::RegularFile)) => {}
            (OnConflict::Skip, _) => return Err(StoreError::Skipped { name: name.into() }),
            _ => return Err(StoreError::Exists { name: name.into() }),
        }
        PartialFile::open(&self.shared, directory, request)
    }

    /// Creates the partial file of a file without a name.
    ///
    /// The file becomes the next `outputK.txt` of which neither the file nor a partial file exists.
    ///
    /// # Errors
    ///
    /// Same as [`create`](FileStore::create). After an error the number is still free.
    pub fn create_numbered(&self) -> Result<PartialFile, StoreError> {
        let directory = open_beneath(self.path(), std::iter::empty(), 0)?;
        loop {
            let number = self.shared.next_number.fetch_add(1, Ordering::SeqCst);
            let release_number = || {
                self.shared.next_number.fetch_min(number, Ordering::SeqCst);
            };
            let file_type = file_type(&directory, &numbered_name(number));
            if file_type.inspect_err(|_| release_number())?.is_some() {
                continue;
            }
            let partial = PartialFile::create_numbered(&self.shared, &directory, number)
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
        open_beneath(self.path(), components, mode & 0o777 | 0o700).map(drop)
    }

    /// Removes the partial files that were last written before `before`, in seconds since 1970.
    /// Returns their names.
    ///
    /// # Errors
    ///
    /// Returns [`StoreError::Io`] if the directory cannot be read.
    pub fn remove_stale(&self, before: i64) -> Result<Vec<String>, StoreError> {
        let directory = open_beneath(self.path(), std::iter::empty(), 0)?;
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
