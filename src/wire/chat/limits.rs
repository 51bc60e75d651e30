//! The limits of the chat protocol.

use std::time::Duration;

/// The longest line in bytes, without its line ending. The server rejects a longer line with a
/// notice.
pub const MAX_LINE_LEN: usize = 4096;

/// The longest nickname and the longest room name, in bytes.
pub const MAX_NICK_LEN: usize = 32;

/// The silence after an unterminated first chunk that makes its sender a lecture client.
pub const DETECT_TIMEOUT: Duration = Duration::from_millis(100);

/// The number of bytes without a newline beyond which the sender is a lecture client, even if more
/// bytes keep arriving.
///
/// It bounds what a session buffers before it knows the dialect.
pub const MAX_DETECT_BYTES: usize = 4 * MAX_LINE_LEN;
