//! The notifier: it wakes a thread that sleeps in its reactor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Wake;

use rustix::event::{EventfdFlags, eventfd};

const EMPTY: u8 = 0;
const PARKED: u8 = 1;
const NOTIFIED: u8 = 2;

/// A waker of the reactor's thread.
///
/// While the thread is awake, a notification makes no system call and prevents the next sleep.
pub(super) struct Notifier {
    state: AtomicU8,
    /// An eventfd(2). It is never read: its 64-bit counter cannot overflow in practice.
    fd: OwnedFd,
}

impl Notifier {
    pub(super) fn new() -> Result<Arc<Notifier>, rustix::io::Errno> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Notifier { state: AtomicU8::new(EMPTY), fd }))
    }

    /// Clears the notification before the thread polls.
    pub(super) fn clear(&self) {
        self.state.swap(EMPTY, Ordering::SeqCst);
    }

    /// Marks the thread as asleep. Returns `false`, and does not, if there is a notification.
    pub(super) fn try_park(&self) -> bool {
        let parked = self.state.compare_exchange(EMPTY, PARKED, Ordering::SeqCst, Ordering::SeqCst);
        parked.is_ok()
    }

    /// Marks the thread as awake. It [clears](Notifier::clear) and polls next in any case.
    pub(super) fn finish_park(&self) {
        self.state.store(NOTIFIED, Ordering::SeqCst);
    }
}

impl Wake for Notifier {
    fn wake(self: Arc<Notifier>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Notifier>) {
        if self.state.swap(NOTIFIED, Ordering::SeqCst) == PARKED {
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        }
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
