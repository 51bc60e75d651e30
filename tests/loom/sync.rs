//! What stands in for `src/runtime/sync.rs` in a model.

use std::sync::Arc as StdArc;
use std::task::{Wake, Waker};

pub use loom::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
pub use loom::sync::{Arc, Mutex, MutexGuard};
pub use std::sync::PoisonError;

/// Loom's waker, with the calls of `atomic-waker`.
#[derive(Debug)]
pub struct AtomicWaker(loom::future::AtomicWaker);

impl Default for AtomicWaker {
    fn default() -> AtomicWaker {
        AtomicWaker(loom::future::AtomicWaker::new())
    }
}

impl AtomicWaker {
    pub fn register(&self, waker: &Waker) {
        self.0.register_by_ref(waker);
    }

    pub fn wake(&self) {
        self.0.wake();
    }
}

/// Counts how often it is woken.
pub struct Woken(AtomicUsize);

impl Woken {
    pub fn new() -> (StdArc<Woken>, Waker) {
        let woken = StdArc::new(Woken(AtomicUsize::new(0)));
        (woken.clone(), Waker::from(woken))
    }

    pub fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: StdArc<Woken>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
