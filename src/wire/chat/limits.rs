//! The limits of the chat protocol.

/// The longest line in bytes, without its line ending. The server rejects a longer line with a
/// notice.
pub const MAX_LINE_LEN: usize = 4096;

/// The longest nickname and the longest room name, in bytes.
pub const MAX_NICK_LEN: usize = 32;
