//! The chat roles: server sessions, the room manager, the history on disk, and the client.
//!
//! The modules are layered, lowest first: `messages`, `broadcast`, `history`, `registry`,
//! `manager`, `session`, `console`. The client uses `messages` only.

pub(crate) mod broadcast;
pub(crate) mod client;
pub(crate) mod console;
pub(crate) mod history;
pub(crate) mod manager;
pub(crate) mod messages;
pub(crate) mod operator_auth;
pub(crate) mod registry;
pub(crate) mod session;
