//! The bell: how a thread that sleeps in its reactor is called by another.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Wake;

use rustix::event::{EventfdFlags, eventfd};

const EMPTY: u8 = 0;
const PARKED: u8 = 1;
const NOTIFIED: u8 = 2;

/// What wakes a thread. Rung while the thread is awake, it costs no system call, and the thread does not go to sleep.
pub(super) struct Notifier {
    state: AtomicU8,
    /// An eventfd(2), which is never read: it would overflow after more calls than anybody makes.
    fd: OwnedFd,
}

impl Notifier {
    pub(super) fn new() -> Result<Arc<Notifier>, rustix::io::Errno> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Notifier { state: AtomicU8::new(EMPTY), fd }))
    }

    /// Says that the thread begins to look after everything that it was rung for until now.
    pub(super) fn clear(&self) {
        self.state.swap(EMPTY, Ordering::SeqCst);
    }

    /// Says that the thread goes to sleep, unless the bell was rung meanwhile; tells whether it may.
    pub(super) fn try_park(&self) -> bool {
        let asleep = self.state.compare_exchange(EMPTY, PARKED, Ordering::SeqCst, Ordering::SeqCst);
        asleep.is_ok()
    }

    /// Says that the thread is awake, and will [attend](Notifier::clear) in any case.
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
