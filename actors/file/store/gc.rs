//! Parts that nobody comes back for.
//!
//! Only what is certainly a part is removed: a named file's part has sums beside it that begin as ours do, and the part of a
//! file without a name is called as only we call one. One that is locked is being written to.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, OFlags, flock, openat, unlinkat};

use super::{StoreError, checksums, is_regular_with_one_link, open_file};
use crate::wire::file::filename::MAX_DEPTH;

/// Removes the parts in a directory, and in those beneath it, that were last written to before a time.
pub(super) fn remove_stale(
    directory: &OwnedFd,
    path: &str,
    before: i64,
    depth: usize,
    reaped: &mut Vec<String>,
) -> Result<(), StoreError> {
    let failed = |error: rustix::io::Errno| StoreError::Io {
        operation: "looking for parts",
        source: error.into(),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    for entry in Dir::read_from(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        let is_directory = matches!(entry.file_type(), FileType::Directory | FileType::Unknown);
        if is_directory && !name.starts_with('.') && depth < MAX_DEPTH {
            if let Ok(inner) = openat(directory, name, flags, rustix::fs::Mode::empty()) {
                let path = format!("{path}{name}/");
                // One that cannot be read hides none of the others.
                let _ = remove_stale(&inner, &path, before, depth + 1, reaped);
            }
        } else if remove_if_stale(directory, name, before).unwrap_or(false) {
            reaped.push(format!("{path}{name}"));
        }
    }
    Ok(())
}

/// Removes a part, or sums without one, if it is time.
fn remove_if_stale(directory: &OwnedFd, name: &str, before: i64) -> std::io::Result<bool> {
    let Some(hidden) = name.strip_prefix('.') else { return Ok(false) };
    let is_old = |file: &File| {
        Ok::<_, std::io::Error>(
            is_regular_with_one_link(file)? && file.metadata()?.mtime() < before,
        )
    };
    let remove = |name: &str| unlinkat(directory, name, AtFlags::empty());
    if let Some(title) = hidden.strip_suffix(".sums") {
        let file = open_file(directory, name, OFlags::RDONLY)?;
        let has_part = open_file(directory, &format!(".{title}.part"), OFlags::RDONLY).is_ok();
        if has_part || !is_old(&file)? || !checksums::is_checksum_file(&file) {
            return Ok(false);
        }
        remove(name)?;
        return Ok(true);
    }
    let Some(title) = hidden.strip_suffix(".part") else { return Ok(false) };
    let beside = format!(".{title}.sums");
    let has_sums = open_file(directory, &beside, OFlags::RDONLY)
        .is_ok_and(|file| checksums::is_checksum_file(&file));
    if !has_sums && !is_numbered_name(title) {
        return Ok(false);
    }
    let file = open_file(directory, name, OFlags::RDWR)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    if !is_old(&file)? {
        return Ok(false);
    }
    remove(name)?;
    if has_sums {
        remove(&beside)?;
    }
    Ok(true)
}

fn is_numbered_name(title: &str) -> bool {
    let number = title.strip_prefix("output").and_then(|rest| rest.strip_suffix(".txt"));
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}
