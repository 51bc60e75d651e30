//! Roles for UDP and other datagram sockets.

pub(crate) mod client;
pub(crate) mod drop_log;
pub(crate) mod flood;
pub(crate) mod in_flight;
pub(crate) mod loop_detector;
pub(crate) mod network_rate_limit;
pub(crate) mod reply_policy;
pub(crate) mod responder;
pub(crate) mod slowed_sources;
pub(crate) mod targets;
