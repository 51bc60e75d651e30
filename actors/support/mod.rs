//! Parts that several roles share.

pub(crate) mod accepted_connection;
pub(crate) mod backoff;
pub(crate) mod ban_list;
pub(crate) mod blocking_pool;
pub(crate) mod client_error;
pub(crate) mod client_quota;
pub(crate) mod ip_limit;
pub(crate) mod memory_budget;
pub(crate) mod memory_keeper;
pub(crate) mod progress;
pub(crate) mod rate_limit;
pub(crate) mod report;
pub(crate) mod source_rate_limit;
pub(crate) mod stats;
pub(crate) mod throttle;
pub(crate) mod write;
