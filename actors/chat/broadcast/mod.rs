//! Broadcast.

pub(crate) mod log;
pub(crate) mod subscribers;
pub(crate) mod subscription;
