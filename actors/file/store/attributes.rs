//! What a file has beside its bytes and its name: permissions, and the time when it was modified.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;

use rustix::fs::{Timespec, Timestamps, futimens};
use rustix::io::retry_on_intr;

/// Sets them; a time of 0 and 0 is not known, and left as it is.
pub(super) fn set_attributes(file: &File, mode: u32, modified: (i64, u32)) -> io::Result<()> {
    ignore_unsupported(file.set_permissions(Permissions::from_mode(mode)))?;
    if modified == (0, 0) {
        return Ok(());
    }
    let (tv_sec, nanoseconds) = modified;
    let time = Timespec { tv_sec, tv_nsec: nanoseconds.min(999_999_999).into() };
    let times = Timestamps { last_access: time, last_modification: time };
    ignore_unsupported(retry_on_intr(|| futimens(file, &times)).map_err(io::Error::from))
}

/// Takes it as done where the file system knows no permissions or times.
fn ignore_unsupported(result: io::Result<()>) -> io::Result<()> {
    use io::ErrorKind::{PermissionDenied, Unsupported};
    match result {
        Err(error) if matches!(error.kind(), PermissionDenied | Unsupported) => Ok(()),
        result => result,
    }
}
