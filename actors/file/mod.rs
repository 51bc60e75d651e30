//! Roles that send, receive and write files.
//!
//! `store`, `progress` and `failure_code` are the base. `receive`, `send`, `reaper` and `writer`
//! use them and do not know each other.

mod failure_code;
mod progress;
pub(crate) mod reaper;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod store;
pub(crate) mod writer;
