//! The life of an actor: its events, its exits, and the future that drives one incarnation.
//!
//! Lowest first: [`exit`] and [`event`] are values, [`panic`] turns panics into exits, [`observer`]
//! distributes events, [`notifier`] reports to the supervisor, [`watchdog`] finds blocked threads,
//! and [`actor_future`] drives one incarnation with all of them.

pub(crate) mod actor_future;
pub(crate) mod event;
pub(crate) mod exit;
pub(crate) mod notifier;
pub(crate) mod observer;
pub(crate) mod panic;
pub(crate) mod watchdog;
