//! Chat.

pub(crate) mod broadcast;
pub(crate) mod client;
pub(crate) mod console;
pub(crate) mod history;
pub(crate) mod manager;
pub(crate) mod operator_auth;
pub(crate) mod registry;
pub(crate) mod session;
