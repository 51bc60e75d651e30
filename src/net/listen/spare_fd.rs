//! A descriptor that is kept for the moment in which there is none left.
//!
//! A server that has run out of descriptors can accept nobody, so nobody whom it could turn away either: those who wait stay
//! in the kernel's queue until they lose patience. With one descriptor in reserve, which is closed for the length of one
//! `accept`, each of them can be let in and shown out at once.

use rustix::fs::{CWD, Mode, OFlags, openat};
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use crate::sync::lock;

/// One descriptor in reserve.
#[derive(Debug, Default)]
pub(crate) struct SpareFd(Mutex<Option<OwnedFd>>);

impl SpareFd {
    /// Takes a descriptor into reserve, if there is one to take.
    pub(crate) fn new() -> SpareFd {
        SpareFd(Mutex::new(open_spare()))
    }

    /// Makes a call with one descriptor more than there are otherwise. It must not keep what it opens.
    ///
    /// Another thread may be quicker to take it; the call fails then as it would have without. Without a reserve, which
    /// is taken anew after each call, nothing is called.
    pub(crate) fn with_spare<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        let mut reserve = lock(&self.0);
        if reserve.is_none() {
            *reserve = open_spare();
        }
        drop(reserve.take()?);
        let called = call();
        *reserve = open_spare();
        Some(called)
    }
}

/// Opens what is open at no cost.
fn open_spare() -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    openat(CWD, "/dev/null", flags, Mode::empty()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_comes_back() {
        let reserve = SpareFd::new();
        for _ in 0..2 {
            assert_eq!(reserve.with_spare(|| 5), Some(5));
            assert!(reserve.0.lock().unwrap().is_some());
        }
        let none = SpareFd::default();
        assert_eq!(none.with_spare(|| none.0.try_lock().is_err()), Some(true));
    }
}
