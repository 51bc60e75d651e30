//! Tcp.

pub(crate) mod client;
pub(crate) mod greeter;
pub(crate) mod listener;
pub(crate) mod probe;
pub(crate) mod stats_collector;
