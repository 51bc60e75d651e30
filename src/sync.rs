//! Locks and atomics of the whole crate, and [`lock`], which ignores poisoning.
//!
//! `runtime::tree::control`, `runtime::mailbox::queue` and `runtime::mailbox::reply` import their
//! locks and atomics from here only. `tests/loom` compiles the same three files beside a `sync` of
//! loom's types, and checks every interleaving of their threads.

pub(crate) use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
pub(crate) use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locks a mutex, also if a thread panicked while it held the lock.
///
/// A critical section of this crate calls no foreign code that could panic halfway, or leaves its
/// data valid before each such call. The data behind a poisoned lock is therefore sound.
pub(crate) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
