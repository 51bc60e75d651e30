//! File system calls that never follow a link inside the store.
//!
//! A path that is opened as a whole may lead through a link to any place. Each component is
//! therefore opened relative to the descriptor of its parent directory, and never through a link.
//! A [`SafeName`] contains no `..`. So an opened directory was inside the first one, even if
//! another process moves directories meanwhile. `openat2` could open a whole path at once, but it
//! cannot create directories, and the kernels of some boards lack it.
//!
//! [`SafeName`]: crate::wire::file::filename::SafeName

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, fsync, mkdirat, open as open_path, openat, statat,
};
use rustix::io::{Errno, retry_on_intr};

use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::space::SpaceBudget;

const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens the directory that the components `names` lead to from `path`. Returns `None` if there is
/// no such directory.
pub(super) fn open_beneath<'a>(
    path: &Path,
    mut names: impl Iterator<Item = &'a str>,
) -> Result<Option<OwnedFd>, StoreError> {
    let root = open_root(path)?;
    names.try_fold(Some(root), |directory, name| match directory {
        Some(directory) => open_directory(&directory, name),
        None => Ok(None),
    })
}

/// Opens a directory like [`open_beneath`]. Missing directories are created with `mode`, counted
/// against `space`, and survive a power cut.
pub(super) fn create_beneath<'a>(
    path: &Path,
    names: impl Iterator<Item = &'a str>,
    mode: u32,
    space: &SpaceBudget,
) -> Result<OwnedFd, StoreError> {
    let failed = |error: Errno| match error {
        Errno::NOSPC | Errno::DQUOT => StoreError::DiskFull { path: path.into() },
        error => StoreError::Io { operation: "creating a directory", source: error.into() },
    };
    let mut directory = open_root(path)?;
    for name in names {
        directory = match open_directory(&directory, name)? {
            Some(inner) => inner,
            None => {
                space.admit_entry(&directory)?;
                match retry_on_intr(|| mkdirat(&directory, name, Mode::from_raw_mode(mode))) {
                    Ok(()) => sync_directory(&directory)?,
                    // Another upload created it first.
                    Err(Errno::EXIST) => space.forget_entry(),
                    Err(error) => {
                        space.forget_entry();
                        return Err(failed(error));
                    }
                }
                open_directory(&directory, name)?.ok_or_else(|| failed(Errno::NOENT))?
            }
        }
    }
    Ok(directory)
}

/// Opens the directory of the store itself.
pub(super) fn open_root(path: &Path) -> Result<OwnedFd, StoreError> {
    retry_on_intr(|| open_path(path, DIRECTORY_FLAGS, Mode::empty())).map_err(|error| {
        StoreError::Io { operation: "opening the directory", source: error.into() }
    })
}

/// Opens a directory in another one, never through a link. Returns `None` if there is none.
fn open_directory(directory: &OwnedFd, name: &str) -> Result<Option<OwnedFd>, StoreError> {
    let flags = DIRECTORY_FLAGS | OFlags::NOFOLLOW;
    match retry_on_intr(|| openat(directory, name, flags, Mode::empty())) {
        Ok(inner) => Ok(Some(inner)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP | Errno::NOTDIR) => {
            Err(StoreError::InvalidName("a component of its path is not a directory on the server"))
        }
        Err(error) => {
            Err(StoreError::Io { operation: "opening a directory", source: error.into() })
        }
    }
}

/// Flushes the entries of a directory to the disk.
pub(super) fn sync_directory(directory: &OwnedFd) -> Result<(), StoreError> {
    match retry_on_intr(|| fsync(directory)) {
        // Some file systems cannot sync a directory, and offer nothing else.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => {
            Err(StoreError::Io { operation: "syncing the directory", source: error.into() })
        }
    }
}

/// Returns the type of the file with a name, or `None` if there is no such file.
pub(super) fn file_type(directory: &OwnedFd, name: &str) -> Result<Option<FileType>, StoreError> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(FileType::from_raw_mode(stat.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => {
            Err(StoreError::Io { operation: "looking up the file", source: error.into() })
        }
    }
}

/// Opens a file in a directory, never through a link.
pub(super) fn open_file(
    directory: &OwnedFd,
    name: &str,
    flags: OFlags,
) -> rustix::io::Result<File> {
    // NONBLOCK: if the name belongs to a pipe, opening it must not wait for a writer.
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = retry_on_intr(|| openat(directory, name, flags, Mode::RUSR | Mode::WUSR));
    opened.map(File::from)
}

/// Returns whether a file was created by this user: a regular file of ours with a single name.
///
/// The store creates no other files. Anything else at a hidden name was put there by another
/// process or user. A write could change a file elsewhere, and the content cannot be trusted.
pub(super) fn is_own_file(file: &File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    let is_ours = metadata.uid() == rustix::process::geteuid().as_raw();
    Ok(is_ours && metadata.is_file() && metadata.nlink() == 1)
}

/// Returns the umask that the process had at the first call.
///
/// It is read from `/proc`, because the system call that returns the umask also changes it, for
/// all threads.
pub(super) fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        umask.and_then(|umask| u32::from_str_radix(umask.trim(), 8).ok()).unwrap_or(0o022)
    })
}
