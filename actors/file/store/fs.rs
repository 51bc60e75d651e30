//! Directories, opened one beneath the other.
//!
//! A path that is opened as a whole may lead through a link to anywhere. So each component is opened beneath the
//! descriptor of the one before, and none is followed if it is a link. There is no `..` in a [`SafeName`], so
//! whatever is moved meanwhile, what is opened was beneath the first directory. (`openat2` could open them at
//! once, but not make them, and boards run kernels that lack it.)
//!
//! [`SafeName`]: crate::wire::file::filename::SafeName

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, mkdirat, open as open_path, openat};
use rustix::io::{Errno, retry_on_intr};

use super::StoreError;

const DIRECTORY_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens the directory that `names` lead to from `path`. The missing ones are made, with `mode`, and will be there after a
/// power cut.
pub(super) fn open_beneath<'a>(
    path: &Path,
    names: impl Iterator<Item = &'a str>,
    mode: u32,
) -> Result<OwnedFd, StoreError> {
    let failed = |doing| {
        move |error: Errno| match error {
            Errno::NOSPC | Errno::DQUOT => StoreError::DiskFull { path: path.into() },
            Errno::LOOP | Errno::NOTDIR => {
                StoreError::InvalidName("a part of its path is no directory here")
            }
            error => StoreError::Io { operation: doing, source: error.into() },
        }
    };
    let mut directory =
        retry_on_intr(|| open_path(path, DIRECTORY_FLAGS, Mode::empty())).map_err(|error| {
            StoreError::Io { operation: "opening the directory", source: error.into() }
        })?;
    for name in names {
        let opened = |directory: &OwnedFd| {
            retry_on_intr(|| {
                openat(directory, name, DIRECTORY_FLAGS | OFlags::NOFOLLOW, Mode::empty())
            })
        };
        let next = match opened(&directory) {
            Err(Errno::NOENT) => {
                let making = failed("making a directory");
                match retry_on_intr(|| mkdirat(&directory, name, Mode::from_raw_mode(mode))) {
                    Ok(()) => sync_directory(&directory)?,
                    Err(Errno::EXIST) => {}
                    Err(error) => return Err(making(error)),
                }
                opened(&directory)
            }
            opened => opened,
        };
        directory = next.map_err(failed("opening a directory"))?;
    }
    Ok(directory)
}

/// Writes to the disk which names a directory has.
pub(super) fn sync_directory(directory: &OwnedFd) -> Result<(), StoreError> {
    match retry_on_intr(|| rustix::fs::fsync(directory)) {
        // Some file systems cannot sync a directory; they have no better way.
        Ok(()) | Err(Errno::INVAL) => Ok(()),
        Err(error) => {
            Err(StoreError::Io { operation: "syncing the directory", source: error.into() })
        }
    }
}
