//! Loom's types and `lock`, in place of those of `src/sync.rs`.

use std::sync::Arc as StdArc;
use std::task::{Wake, Waker};

pub use loom::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
pub use loom::sync::{Arc, Mutex, MutexGuard};

/// Locks a mutex. No thread of a model panics while it holds a lock.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
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
