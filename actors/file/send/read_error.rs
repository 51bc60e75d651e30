//! Texts about files that cannot be read.

use std::io;

/// The text about a pipe, a socket or a device.
pub(super) const NOT_A_REGULAR_FILE: &str =
    "not a regular file but a pipe, a socket or a device; send its content through stdin: - < PATH";

/// Explains why a file cannot be read, with a remedy.
pub(super) fn explain_io_error(error: &io::Error) -> String {
    let explanation = match error.kind() {
        io::ErrorKind::NotFound => "no such file; check the name",
        io::ErrorKind::PermissionDenied => "not readable; check the permissions",
        io::ErrorKind::IsADirectory => "is a directory; name the files in it",
        // Errors with an inner error have a text of our own.
        io::ErrorKind::Other if error.get_ref().is_some() => return error.to_string(),
        _ => "cannot be read",
    };
    format!("{explanation} ({error})")
}
