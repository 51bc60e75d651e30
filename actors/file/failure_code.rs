//! Codes of the protocol's `failed` frame. `docs/file-protocol.md` lists them.

/// A frame is unexpected or damaged.
pub(super) const PROTOCOL_ERROR: u16 = 1;
/// The name is not allowed.
pub(super) const INVALID_NAME: u16 = 2;
/// The name is taken, and the old file is kept.
pub(super) const EXISTS: u16 = 3;
/// The file is larger than the limit.
pub(super) const TOO_LARGE: u16 = 4;
/// The server's disk is full.
pub(super) const DISK_FULL: u16 = 5;
/// A file system call of the server failed.
pub(super) const DISK_ERROR: u16 = 6;
/// The hash or the size is not that of the received bytes.
pub(super) const HASH_MISMATCH: u16 = 7;
/// Another connection is uploading a file of this name.
pub(super) const BUSY: u16 = 8;
/// The server is stopping.
pub(super) const STOPPING: u16 = 9;
/// The client cannot read its file to the end.
pub(super) const ABORTED: u16 = 10;
/// The name is taken, and the server skips such files.
pub(super) const SKIPPED: u16 = 11;
