//! File.

pub(crate) mod progress;
pub(crate) mod reaper;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod store;
pub(crate) mod writer;
