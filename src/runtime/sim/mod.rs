//! The simulated system: a virtual clock, a seeded random scheduler, and injected faults.
//!
//! `executor` and `fault` are below the tree's nodes. `hooks` is above them: the runtime calls it
//! where a simulation may interfere with an actor.

#[cfg(feature = "testing")]
pub(crate) mod executor;
#[cfg(feature = "testing")]
pub(crate) mod fault;
#[cfg(feature = "testing")]
pub(crate) mod hooks;
