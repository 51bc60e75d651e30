//! The supervision tree: its nodes, their paths and states, and snapshots of it.

pub(crate) mod control;
#[cfg(test)]
#[path = "control/tests.rs"]
mod control_tests;
pub(crate) mod liveness;
pub(crate) mod node;
pub(crate) mod path;
pub(crate) mod render;
pub(crate) mod snapshot;
