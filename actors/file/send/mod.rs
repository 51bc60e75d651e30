//! Send.

pub(crate) mod batch;
pub(crate) mod connection;
pub(crate) mod framed;
pub(crate) mod hash_checkpoints;
pub(crate) mod pipeline;
pub(crate) mod raw;
pub(crate) mod source;
pub(crate) mod uploader;
pub(crate) mod walk;
