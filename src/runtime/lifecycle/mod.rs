//! The life of an actor: its events, its exit, and the future that drives one incarnation.

pub(crate) mod actor_future;
pub(crate) mod event;
pub(crate) mod exit;
pub(crate) mod notifier;
pub(crate) mod observer;
pub(crate) mod panic;
pub(crate) mod watchdog;
