//! What the tests of the runtime share.

pub mod simulation;
pub mod system;
