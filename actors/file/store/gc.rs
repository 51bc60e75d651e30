//! Removal of partial files whose upload was abandoned.
//!
//! Only files that certainly belong to the store are removed. The partial file of a named file has
//! a checksum file beside it that starts with our signature. The partial file of a file without a
//! name has a name that only the store uses. A locked partial file is being written and is kept.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, flock, openat, unlinkat};

use crate::actors::file::store::checksums::is_checksum_file;
use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::fs::{is_own_file, open_file};
use crate::actors::file::store::publish::is_numbered_name;
use crate::wire::file::filename::MAX_DEPTH;

/// Removes the partial files in a directory and its subdirectories that were last written before
/// a time, in seconds since 1970.
///
/// The names of the removed files are added to `removed`, with `path` in front of them.
pub(super) fn remove_stale(
    directory: &OwnedFd,
    path: &str,
    before: i64,
    depth: usize,
    removed: &mut Vec<String>,
) -> Result<(), StoreError> {
    let failed = |error: rustix::io::Errno| StoreError::Io {
        operation: "searching for partial files",
        source: error.into(),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    for entry in Dir::read_from(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        let is_directory = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if is_directory && !name.starts_with('.') && depth < MAX_DEPTH {
            if let Ok(inner) = openat(directory, name, flags, Mode::empty()) {
                let path = format!("{path}{name}/");
                // An unreadable directory does not end the search in the others.
                let _ = remove_stale(&inner, &path, before, depth + 1, removed);
            }
        } else if remove_if_stale(directory, name, before).unwrap_or(false) {
            removed.push(format!("{path}{name}"));
        }
    }
    Ok(())
}

/// Removes a partial file with its checksum file, or a checksum file without a partial file, if it
/// is old.
fn remove_if_stale(directory: &OwnedFd, name: &str, before: i64) -> io::Result<bool> {
    let Some(hidden_name) = name.strip_prefix('.') else { return Ok(false) };
    let is_old =
        |file: &File| Ok::<_, io::Error>(is_own_file(file)? && file.metadata()?.mtime() < before);
    let remove = |name: &str| unlinkat(directory, name, AtFlags::empty());
    if let Some(file_name) = hidden_name.strip_suffix(".sums") {
        let file = open_file(directory, name, OFlags::RDONLY)?;
        let has_partial =
            open_file(directory, &format!(".{file_name}.part"), OFlags::RDONLY).is_ok();
        if has_partial || !is_old(&file)? || !is_checksum_file(&file) {
            return Ok(false);
        }
        remove(name)?;
        return Ok(true);
    }
    let Some(file_name) = hidden_name.strip_suffix(".part") else { return Ok(false) };
    let checksum_name = format!(".{file_name}.sums");
    let has_checksums = open_file(directory, &checksum_name, OFlags::RDONLY)
        .is_ok_and(|file| is_own_file(&file).unwrap_or(false) && is_checksum_file(&file));
    if !has_checksums && !is_numbered_name(file_name) {
        return Ok(false);
    }
    let file = open_file(directory, name, OFlags::RDWR)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    if !is_old(&file)? {
        return Ok(false);
    }
    remove(name)?;
    if has_checksums {
        remove(&checksum_name)?;
    }
    Ok(true)
}
