//! The detection of a chat client's dialect from its first bytes.

use std::time::Duration;

use crate::wire::chat::limits::MAX_LINE_LEN;

/// The silence after an unterminated first chunk that makes its sender a lecture client.
pub const DETECT_TIMEOUT: Duration = Duration::from_millis(100);

/// The number of bytes without a newline beyond which the sender is a lecture client, even if more
/// bytes keep arriving.
///
/// It bounds what a session buffers before it knows the dialect.
pub const MAX_DETECT_BYTES: usize = 4 * MAX_LINE_LEN;

/// The dialect of a session, as far as its first bytes show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetectedDialect {
    /// Undecided: wait for more bytes, or until [`DETECT_TIMEOUT`] has passed since the last ones.
    Pending,
    /// A lecture client: acknowledge each chunk, and send nothing else.
    Lecture,
    /// A client that sends lines.
    Line,
}

/// Detects the dialect of a session from all bytes received so far, and from the time since the
/// last of them arrived.
///
/// A newline anywhere means a [`Line`](DetectedDialect::Line) session. Without a newline,
/// [`DETECT_TIMEOUT`] of silence or more than [`MAX_DETECT_BYTES`] bytes mean a
/// [`Lecture`](DetectedDialect::Lecture) session. A peer that has sent nothing stays undecided for
/// any length of time.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
///
/// use sockactors::wire::chat::{DETECT_TIMEOUT, DetectedDialect, detect_dialect};
///
/// assert_eq!(detect_dialect(b"", DETECT_TIMEOUT), DetectedDialect::Pending);
/// assert_eq!(detect_dialect(b"Hello", Duration::ZERO), DetectedDialect::Pending);
/// assert_eq!(detect_dialect(b"Hello", DETECT_TIMEOUT), DetectedDialect::Lecture);
/// assert_eq!(detect_dialect(b"Hello\n", Duration::ZERO), DetectedDialect::Line);
/// ```
pub fn detect_dialect(first_bytes: &[u8], silence: Duration) -> DetectedDialect {
    if first_bytes.contains(&b'\n') {
        DetectedDialect::Line
    } else if !first_bytes.is_empty()
        && (silence >= DETECT_TIMEOUT || first_bytes.len() > MAX_DETECT_BYTES)
    {
        DetectedDialect::Lecture
    } else {
        DetectedDialect::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flood_without_newline_is_detected_at_once() {
        assert_eq!(
            detect_dialect(&vec![b'x'; MAX_DETECT_BYTES], Duration::ZERO),
            DetectedDialect::Pending
        );
        assert_eq!(
            detect_dialect(&vec![b'x'; MAX_DETECT_BYTES + 1], Duration::ZERO),
            DetectedDialect::Lecture
        );
    }
}
