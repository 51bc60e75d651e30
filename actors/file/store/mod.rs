//! The vault: a directory in which files appear whole or not at all.
//!
//! Whoever stores a file *claims* its name first and gets a [`PartialFile`]: a hidden file beside the place of the final one, which
//! only its holder may write to. What is written to a part is nobody's business until it is committed; then it is
//! on the disk, under its final name, also if the power fails in the next moment. A part that is left behind is
//! found again by the next claim of the same file.
//!
//! A vault never writes where a name leads: names are [`SafeName`]s, their directories are opened one beneath the other and never
//! through a link, and what a claim finds at a hidden name and is not a part is removed.
//!
//! Everything here blocks: it belongs on a [`Disk`](crate::actors::Disk).

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, statat};

use crate::wire::file::filename::SafeName;

pub(crate) mod active_uploads;
pub(crate) mod attributes;
pub(crate) mod checksums;
pub(crate) mod error;
pub(crate) mod existing;
pub(crate) mod fs;
pub(crate) mod gc;
pub(crate) mod opening;
pub(crate) mod partial;
pub(crate) mod publish;
pub(crate) mod space;

pub use error::StoreError;
pub use existing::ExistingFile;
pub use partial::PartialFile;

/// What is done with a file whose name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// It is refused.
    #[default]
    Fail,
    /// It gets another name: its own with a number.
    Rename,
    /// It takes the place of the other, which must be a file.
    Overwrite,
    /// It is left out, and nobody minds.
    Skip,
}

/// What a vault takes.
#[derive(Debug, Clone, Default)]
pub struct StoreConfig {
    /// How much of the disk stays free, in bytes.
    pub keep_free: u64,
    /// The largest file that is taken, in bytes.
    pub max_size: Option<u64>,
    /// What is done with a file whose name is taken.
    pub on_conflict: OnConflict,
}

/// What is to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRequest {
    /// Its name.
    pub name: SafeName,
    /// Its size in bytes, if it is known.
    pub size: Option<u64>,
    /// Its mode, of which the permissions count, less those that the process masks.
    pub mode: u32,
    /// When it was modified last: seconds since 1970, and nanoseconds; 0 and 0 if that is not known.
    pub modified: (i64, u32),
}

/// What a claim found.
#[derive(Debug)]
pub enum CreateOutcome {
    /// A part to write to, which may hold a beginning.
    Partial(PartialFile),
    /// A file of that name, size and time is there: perhaps the very one.
    Exists(ExistingFile),
}

/// A directory in which files appear whole or not at all.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use sockactors::actors::{FileStore, StoreConfig};
///
/// let directory = tempfile::tempdir().unwrap();
/// let vault = Arc::new(FileStore::new(directory.path().into(), StoreConfig::default()));
/// let mut part = vault.create_numbered().unwrap();
/// part.write(b"all of it").unwrap();
/// assert!(!directory.path().join("output0.txt").exists());
/// assert_eq!(part.commit().unwrap(), "output0.txt");
/// assert_eq!(std::fs::read(directory.path().join("output0.txt")).unwrap(), b"all of it");
/// ```
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    space: space::SpaceBudget,
    active_uploads: active_uploads::ActiveUploads,
    on_conflict: OnConflict,
    /// The next number of a file without a name.
    next_number: AtomicU64,
    umask: u32,
}

impl FileStore {
    /// Makes the vault in a directory, which is opened anew for each file: it may be mounted or made later.
    pub fn new(path: PathBuf, limits: StoreConfig) -> FileStore {
        let StoreConfig { keep_free, max_size, on_conflict } = limits;
        let room = space::SpaceBudget::new(path.clone(), keep_free, max_size);
        let (next, holders) = (AtomicU64::new(0), active_uploads::ActiveUploads::default());
        FileStore {
            path,
            space: room,
            active_uploads: holders,
            on_conflict,
            next_number: next,
            umask: umask(),
        }
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Claims the place of a file. Its directories are made.
    ///
    /// # Errors
    ///
    /// See [`StoreError`]; nothing has changed then but directories.
    pub fn create(
        self: &Arc<FileStore>,
        wanted: &FileRequest,
    ) -> Result<CreateOutcome, StoreError> {
        self.space.check_size(wanted.size.unwrap_or(0))?;
        let directory = fs::open_beneath(&self.path, wanted.name.directories(), 0o777)?;
        if let Some(there) = existing::find_match(&directory, wanted)? {
            return Ok(CreateOutcome::Exists(there));
        }
        self.create_partial(directory, wanted).map(CreateOutcome::Partial)
    }

    /// Claims the place of a file of which another is there that turned out to be a different one.
    ///
    /// # Errors
    ///
    /// As [`claim`](FileStore::create).
    pub fn create_despite_match(
        self: &Arc<FileStore>,
        wanted: &FileRequest,
    ) -> Result<PartialFile, StoreError> {
        self.create_partial(fs::open_beneath(&self.path, wanted.name.directories(), 0o777)?, wanted)
    }

    fn create_partial(
        self: &Arc<FileStore>,
        directory: OwnedFd,
        wanted: &FileRequest,
    ) -> Result<PartialFile, StoreError> {
        let name = wanted.name.as_str();
        match (self.on_conflict, file_type(&directory, wanted.name.file_name())?) {
            (_, None) | (OnConflict::Rename, _) => {}
            (OnConflict::Overwrite, Some(FileType::RegularFile)) => {}
            (OnConflict::Skip, _) => return Err(StoreError::Skipped { name: name.into() }),
            _ => return Err(StoreError::Exists { name: name.into() }),
        }
        PartialFile::open(self, directory, wanted)
    }

    /// Claims the place of a file that has no name: the next `outputK.txt`, of which there is neither a file nor a part.
    ///
    /// # Errors
    ///
    /// As [`claim`](FileStore::create); the number is still free then.
    pub fn create_numbered(self: &Arc<FileStore>) -> Result<PartialFile, StoreError> {
        let directory = fs::open_beneath(&self.path, std::iter::empty(), 0)?;
        loop {
            let number = self.next_number.fetch_add(1, Ordering::SeqCst);
            let free = || {
                self.next_number.fetch_min(number, Ordering::SeqCst);
            };
            if file_type(&directory, &numbered_name(number)).inspect_err(|_| free())?.is_some() {
                continue;
            }
            let part =
                PartialFile::create_numbered(self, &directory, number).inspect_err(|_| free())?;
            if let Some(part) = part {
                return Ok(part);
            }
        }
    }

    /// Makes a directory, and those that it is in; one that is there is left as it is.
    ///
    /// # Errors
    ///
    /// As [`claim`](FileStore::create).
    pub fn create_dir_all(&self, name: &SafeName, mode: u32) -> Result<(), StoreError> {
        let all = name.as_str().split('/');
        // Whoever makes a directory will want to put files into it.
        fs::open_beneath(&self.path, all, mode & 0o777 | 0o700).map(drop)
    }

    /// Removes the parts that nobody has written to since `before`, in seconds since 1970, and returns their names.
    ///
    /// # Errors
    ///
    /// The directory cannot be read.
    pub fn remove_stale(&self, before: i64) -> Result<Vec<String>, StoreError> {
        let directory = fs::open_beneath(&self.path, std::iter::empty(), 0)?;
        let mut reaped = Vec::new();
        gc::remove_stale(&directory, "", before, 0, &mut reaped)?;
        Ok(reaped)
    }

    /// Waits until somebody else would like a file that is in hand. Cancel-safe.
    pub async fn yield_requested(&self, name: &str) {
        self.active_uploads.yield_requested(name).await;
    }

    fn disk_full_error(&self) -> StoreError {
        StoreError::DiskFull { path: self.path.clone() }
    }

    /// Tells what went wrong with a write: a full disk is not a broken one.
    fn io_error(&self, doing: &'static str, source: io::Error) -> StoreError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => self.disk_full_error(),
            _ => StoreError::Io { operation: doing, source },
        }
    }
}

fn numbered_name(number: u64) -> String {
    format!("output{number}.txt")
}

/// Tells what is at a name, if anything is.
fn file_type(directory: &OwnedFd, name: &str) -> Result<Option<FileType>, StoreError> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => {
            Err(StoreError::Io { operation: "looking for the file", source: error.into() })
        }
    }
}

/// Opens a file beneath a directory, never through a link.
fn open_file(directory: &OwnedFd, name: &str, flags: OFlags) -> rustix::io::Result<File> {
    // A pipe that somebody put there must not hold up the open.
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened =
        rustix::io::retry_on_intr(|| openat(directory, name, flags, Mode::RUSR | Mode::WUSR));
    opened.map(File::from)
}

/// Tells whether a file is one that can have been ours: a plain one with a single name.
fn is_regular_with_one_link(file: &File) -> io::Result<bool> {
    let meta = file.metadata()?;
    Ok(meta.is_file() && meta.nlink() == 1)
}

/// Returns the permissions that the process masks. The call that asks for them would change them, for all threads.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    mask.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o022)
}

#[cfg(test)]
mod tests;
