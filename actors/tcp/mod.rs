//! Roles for TCP and other stream sockets.

pub(crate) mod client;
pub(crate) mod greeter;
pub(crate) mod listener;
pub(crate) mod stats_collector;
