//! A spare file descriptor, for the moment when all others are in use.
//!
//! With no free descriptor a server cannot even accept a connection in order to reject it. Clients
//! would wait in the kernel's queue until their own timeouts. A spare descriptor, released for one
//! `accept`, makes it possible to accept each connection and close it at once.

use rustix::fs::{CWD, Mode, OFlags, openat};
use std::os::fd::OwnedFd;
use std::sync::Mutex;

use crate::sync::lock;

/// A spare file descriptor.
#[derive(Debug, Default)]
pub(crate) struct SpareFd(Mutex<Option<OwnedFd>>);

impl SpareFd {
    /// Opens the spare descriptor. If that fails, a later call retries.
    pub(crate) fn new() -> SpareFd {
        SpareFd(Mutex::new(open_spare()))
    }

    /// Calls `call` with one more free descriptor, and reopens the spare one afterwards. `call`
    /// must not keep the descriptor that it opens.
    ///
    /// Another thread may take the free descriptor first, so `call` may still fail. If there is no
    /// spare descriptor and none can be opened, the result is `None` and `call` is not called.
    pub(crate) fn with_spare<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        let mut spare = lock(&self.0);
        if spare.is_none() {
            *spare = open_spare();
        }
        drop(spare.take()?);
        let result = call();
        *spare = open_spare();
        Some(result)
    }
}

/// Opens `/dev/null`, a file that costs nothing while it is open.
fn open_spare() -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    openat(CWD, "/dev/null", flags, Mode::empty()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spare_descriptor_is_reopened_after_use() {
        let spare_fd = SpareFd::new();
        for _ in 0..2 {
            assert_eq!(spare_fd.with_spare(|| 5), Some(5));
            assert!(spare_fd.0.lock().unwrap().is_some());
        }
        let empty = SpareFd::default();
        assert_eq!(empty.with_spare(|| empty.0.try_lock().is_err()), Some(true));
    }
}
