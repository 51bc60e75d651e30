//! The bell: how a thread that sleeps in its reactor is called by another.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Wake;

use rustix::event::{EventfdFlags, eventfd};

const AWAKE: u8 = 0;
const ASLEEP: u8 = 1;
const RUNG: u8 = 2;

/// What wakes a thread. Rung while the thread is awake, it costs no system call, and the thread does not go to sleep.
pub(super) struct Bell {
    state: AtomicU8,
    /// An eventfd(2), which is never read: it would overflow after more calls than anybody makes.
    fd: OwnedFd,
}

impl Bell {
    pub(super) fn new() -> Result<Arc<Bell>, rustix::io::Errno> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Bell { state: AtomicU8::new(AWAKE), fd }))
    }

    /// Says that the thread begins to look after everything that it was rung for until now.
    pub(super) fn attend(&self) {
        self.state.swap(AWAKE, Ordering::SeqCst);
    }

    /// Says that the thread goes to sleep, unless the bell was rung meanwhile; tells whether it may.
    pub(super) fn lie_down(&self) -> bool {
        let asleep = self.state.compare_exchange(AWAKE, ASLEEP, Ordering::SeqCst, Ordering::SeqCst);
        asleep.is_ok()
    }

    /// Says that the thread is awake, and will [attend](Bell::attend) in any case.
    pub(super) fn get_up(&self) {
        self.state.store(RUNG, Ordering::SeqCst);
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Bell>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Bell>) {
        if self.state.swap(RUNG, Ordering::SeqCst) == ASLEEP {
            let _ = rustix::io::write(&self.fd, &1u64.to_ne_bytes());
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
