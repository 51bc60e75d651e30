//! Helpers of the runtime's tests.

#[path = "../../support/serial.rs"]
pub mod serial;
pub mod simulation;
pub mod system;
