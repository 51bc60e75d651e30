//! The broadcast log of a room: messages, subscribers, the log itself and subscriptions to it.

pub(crate) mod log;
pub(crate) mod message;
pub(crate) mod subscribers;
pub(crate) mod subscription;
