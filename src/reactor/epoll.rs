//! The epoll instance of one thread, and the thread's current reactor.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::io::Errno;

use crate::reactor::notifier::Notifier;
use crate::reactor::registry::Registry;
use crate::reactor::timer_queue::TimerQueue;
use crate::sync::lock;

/// The maximum number of events of one sleep. Further events are the first of the next one.
const MAX_EVENTS: usize = 256;

/// The longest sleep. The kernel counts the milliseconds of a timeout in 31 bits.
pub(super) const MAX_SLEEP: Duration = Duration::from_secs(24 * 3600);

/// The key of the notifier's descriptor in epoll. All other keys are indices of the registry.
const NOTIFIER_KEY: u64 = u64::MAX;

/// The reactor of one thread.
pub(crate) struct Reactor {
    pub(super) epoll: OwnedFd,
    pub(super) notifier: Arc<Notifier>,
    pub(super) registry: Mutex<Registry>,
    pub(super) timers: Mutex<TimerQueue>,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Reactor>>> = const { RefCell::new(None) };
}

/// Returns the reactor of this thread, if it has one.
pub(super) fn current() -> Option<Arc<Reactor>> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

impl Reactor {
    /// Makes a reactor.
    ///
    /// # Errors
    ///
    /// Fails if there is no free descriptor.
    pub(crate) fn new() -> io::Result<Arc<Reactor>> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let notifier = Notifier::new()?;
        // Edge-triggered: each write is an event, so the eventfd is never read.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &*notifier, epoll::EventData::new_u64(NOTIFIER_KEY), flags)?;
        let (registry, timers) = Default::default();
        Ok(Arc::new(Reactor { epoll, notifier, registry, timers }))
    }

    /// Returns a waker of the thread that runs this reactor.
    pub(crate) fn waker(&self) -> Waker {
        Waker::from(self.notifier.clone())
    }

    /// Polls a future on this thread until it is ready, and sleeps in between.
    pub(crate) fn block_on<T>(self: Arc<Reactor>, future: impl Future<Output = T>) -> T {
        // Dropped after the future, also on a panic.
        let _guard = EnterGuard::enter(self.clone());
        let waker = self.waker();
        let mut cx = Context::from_waker(&waker);
        let mut future = pin!(future);
        let (mut events, mut woken) = (Vec::with_capacity(MAX_EVENTS), Vec::new());
        loop {
            self.notifier.clear();
            if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
                return output;
            }
            self.react(&mut events, &mut woken);
        }
    }

    /// Sleeps until there is an event, and wakes its tasks.
    ///
    /// If the notifier was notified since it was cleared, it collects the events without sleeping.
    fn react(&self, events: &mut Vec<epoll::Event>, woken: &mut Vec<Waker>) {
        let is_idle = self.notifier.try_park();
        let next = lock(&self.timers).next_timeout();
        let timeout = if is_idle { next } else { Some(Duration::ZERO) };
        events.clear();
        // The only possible error is EINTR: the descriptor and the buffer are valid.
        let _ = self.wait_events(events, timeout);
        self.notifier.finish_park();
        if !events.is_empty() {
            lock(&self.registry).dispatch(&self.epoll, events, is_idle, woken);
        }
        if next.is_some() {
            lock(&self.timers).fire(woken);
        }
        woken.drain(..).for_each(Waker::wake);
    }

    /// Waits for events for at most `timeout`, rounded up to whole milliseconds.
    pub(super) fn wait_events(
        &self,
        events: &mut Vec<epoll::Event>,
        timeout: Option<Duration>,
    ) -> Result<(), Errno> {
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout.min(MAX_SLEEP)).ok());
        epoll::wait(&self.epoll, spare_capacity(events), timeout.as_ref()).map(drop)
    }

    /// Closes the reactor and wakes all waiting tasks. They continue to wait in smol's reactor.
    fn close(&self) {
        let mut woken = lock(&self.registry).close();
        woken.extend(lock(&self.timers).close());
        woken.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reactor")
    }
}

/// Makes a reactor the current one of this thread until it is dropped, and then closes it.
///
/// A task of one reactor may run another one to its end.
struct EnterGuard {
    reactor: Arc<Reactor>,
    outer: Option<Arc<Reactor>>,
}

impl EnterGuard {
    fn enter(reactor: Arc<Reactor>) -> EnterGuard {
        let outer = CURRENT.replace(Some(reactor.clone()));
        EnterGuard { reactor, outer }
    }
}

impl Drop for EnterGuard {
    fn drop(&mut self) {
        CURRENT.set(mem::take(&mut self.outer));
        self.reactor.close();
    }
}
