//! Tree.

pub(crate) mod below;
pub(crate) mod control;
#[cfg(test)]
#[path = "control/tests.rs"]
mod control_tests;
pub(crate) mod late;
pub(crate) mod liveness;
pub(crate) mod node;
pub(crate) mod path;
pub(crate) mod place;
pub(crate) mod render;
pub(crate) mod snapshot;
