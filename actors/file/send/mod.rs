//! Roles that send files: raw, as the lecture's client does, and framed.

mod connection;
pub(crate) mod framed;
mod hash_checkpoints;
mod pipeline;
pub(crate) mod raw;
mod read_error;
mod source;
mod threads;
mod uploader;
mod walk;
