//! What the smallest pieces synchronise with: the standard library's atomics and locks.
//!
//! The control signal and the way back take them from here and from nowhere else, so that the same source
//! files can be checked on `loom`'s stand-ins; see `tests/loom.rs`.

pub(crate) use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
