//! Timers that tasks wait for, on any thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::reactor::epoll::{Reactor, current};
use crate::reactor::timer_queue::TimerQueue;
use crate::sync::lock;
use crate::time::deadline_after;

/// A future that is ready at a certain time.
#[derive(Debug)]
pub(crate) struct Timer {
    deadline: Instant,
    backend: TimerBackend,
}

/// The reactor that a timer is registered with.
#[derive(Debug)]
enum TimerBackend {
    Unregistered,
    /// The reactor of one thread, and the timer's number there.
    Local(Arc<Reactor>, u64),
    Global(smol::Timer),
}

impl Timer {
    /// Makes a timer that is ready after `duration`. It is registered at its first poll.
    pub(crate) fn after(duration: Duration) -> Timer {
        let deadline = deadline_after(Instant::now(), duration);
        Timer { deadline, backend: TimerBackend::Unregistered }
    }

    /// Registers a timer with this thread's reactor, or with smol's.
    fn register(at: Instant, waker: &Waker) -> TimerBackend {
        let local = current().and_then(|reactor| {
            let number = lock(&reactor.timers).add(at, waker)?;
            Some(TimerBackend::Local(reactor, number))
        });
        local.unwrap_or_else(|| TimerBackend::Global(smol::Timer::at(at)))
    }
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let at = self.deadline;
        let is_pending = match &self.backend {
            TimerBackend::Local(reactor, number) => {
                TimerQueue::update_waker(&reactor.timers, (at, *number), cx.waker())
            }
            TimerBackend::Unregistered | TimerBackend::Global(_) => false,
        };
        if is_pending {
            return Poll::Pending;
        }
        if !matches!(self.backend, TimerBackend::Global(_)) {
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            // It is not registered yet, or its reactor was closed.
            self.backend = Timer::register(at, cx.waker());
        }
        match &mut self.backend {
            TimerBackend::Global(timer) => Pin::new(timer).poll(cx).map(drop),
            TimerBackend::Unregistered | TimerBackend::Local(..) => Poll::Pending,
        }
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let TimerBackend::Local(reactor, number) = &self.backend {
            let waker = lock(&reactor.timers).remove((self.deadline, *number));
            // After the lock is released: the drop of a waker may call the reactor.
            drop(waker);
        }
    }
}
