//! The file port's framed protocol, file digests and file names.
//!
//! `docs/file-protocol.md` is the specification. A connection begins with a preamble that
//! negotiates the version. Numbered frames follow in each direction. A [`FrameWriter`] encodes the
//! frames of one direction, and a [`FrameReader`] decodes them. Nothing here opens a file or a
//! socket.
//!
//! - `preamble`: the signature, the hello messages, and the detection of raw uploads
//! - `frame`: the kinds of frames, the layout of their bodies, and their limits
//! - `codec`: headers, checksums and numbers around the bodies
//! - [`digest`]: the BLAKE3 digest of a file, computed from its chunks, and the chunk size
//! - [`filename`]: a peer's name for a file, rejected or safe

mod codec;
pub mod digest;
pub mod filename;
mod frame;
mod preamble;

pub use codec::{DATA_HEADER_LEN, DATA_OVERHEAD, DataFrames, FrameReader, FrameWriter};
pub use digest::CHUNK_SIZE;
pub use frame::{Failed, Frame, FrameError, Offer, Stored, VERSION};
pub use preamble::{
    Preamble, SIGNATURE, client_hello, detect_preamble, parse_server_hello, server_hello,
};
