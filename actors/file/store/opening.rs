//! The beginning of a part: it is opened or made, and what is held of its file is found.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{AtFlags, FlockOperation, OFlags, flock, fsync, statat, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::checksums::{ChecksumFile, VerifiedPrefix};
use super::{FileRequest, is_regular_with_one_link, open_file};
use crate::wire::file::CHUNK_SIZE;
use crate::wire::file::filename::SafeName;

/// How often somebody else may take a hidden name away before that is an error.
const MAX_LOCK_ATTEMPTS: usize = 8;

/// Opens a part for one holder alone, or makes it; nothing comes back where it has another.
pub(super) fn open_locked(directory: &OwnedFd, name: &str) -> io::Result<Option<File>> {
    for _ in 0..MAX_LOCK_ATTEMPTS {
        let file = match open_file(directory, name, OFlags::RDWR | OFlags::CREATE) {
            Ok(file) if is_regular_with_one_link(&file)? => file,
            // It is not ours, or one that has its name already and was not told so.
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
        // Its last holder may have given it its name, or removed it, before it was locked.
        let named = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW);
        let meta = file.metadata()?;
        if named.is_ok_and(|named| (named.st_ino, named.st_dev) == (meta.ino(), meta.dev())) {
            return Ok(Some(file));
        }
    }
    Err(io::Error::other("somebody else works in the directory"))
}

/// Finds what is held of a file in its part.
pub(super) fn resume_or_reset(
    directory: &OwnedFd,
    file: &File,
    wanted: &FileRequest,
) -> io::Result<(ChecksumFile, VerifiedPrefix)> {
    let whole = file.metadata()?.len() / CHUNK_SIZE as u64;
    if whole > 0 {
        if let Some((mut sums, known)) = ChecksumFile::open(directory, wanted, whole)? {
            // The value of a file's only chunk does not tell its digest, and one chunk is soon sent again.
            let known = if known.chunk_count == 1 { sums.truncate_to(0)? } else { known };
            return Ok((sums, known));
        }
    }
    if ChecksumFile::remove(directory, &wanted.name.checksum_name())? {
        retry_on_intr(|| fsync(directory))?;
    }
    file.set_len(0)?;
    Ok((ChecksumFile::create(directory, wanted)?, VerifiedPrefix::default()))
}

/// Removes a part that was opened and will hold nothing. One that cannot be removed is reaped later.
pub(super) fn remove_partial(directory: &OwnedFd, name: &SafeName) {
    let _ = retry_on_intr(|| unlinkat(directory, name.partial_name(), AtFlags::empty()));
    let _ = ChecksumFile::remove(directory, &name.checksum_name());
}
