//! Sim.

#[cfg(feature = "testing")]
pub(crate) mod executor;
#[cfg(feature = "testing")]
pub(crate) mod fault;
