//! What the tests of the runtime share.

#[path = "../../support/serial.rs"]
pub mod serial;
pub mod simulation;
pub mod system;
