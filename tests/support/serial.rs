//! A lock for tests that measure time or load the machine, and so must not run beside each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The lock of this test program. A failed test does not fail the tests that take it later.
pub static SERIAL: Mutex<()> = Mutex::new(());

/// Waits until no other test of this program holds the lock, and takes it until the guard is
/// dropped.
pub fn lock() -> MutexGuard<'static, ()> {
    SERIAL.lock().unwrap_or_else(PoisonError::into_inner)
}
