//! The watchdog: finds actors that block their thread.
//!
//! Nothing preempts an actor. An actor that computes or blocks between two awaits delays every
//! other actor of its thread. Therefore each thread counts the begin and the end of each poll, and
//! the polled actor's node records the thread. The watchdog has a thread of its own. It looks at
//! intervals whether a poll is still the same one, and then asks which actor it is. When there was
//! no poll since the last look, the watchdog sleeps until the next one, so an idle system is not
//! woken.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use event_listener::Event;

use crate::runtime::executor::Scheduler;
use crate::runtime::executor::futures::wait_until;
use crate::runtime::lifecycle::event::Lifecycle;
use crate::runtime::lifecycle::observer::Observer;
use crate::runtime::tree::node::Node;
use crate::runtime::tree::path::Path;

thread_local! {
    static CURRENT_SLOT: RefCell<Option<(Arc<Watchdog>, usize)>> = const { RefCell::new(None) };
}

/// The watchdog of one system's threads.
pub(crate) struct Watchdog {
    limit: Duration,
    threads: Vec<ThreadSlot>,
    /// Whether the watchdog's thread waits for a poll to begin.
    parked: AtomicBool,
    poll_started: Event,
}

/// The poll counter of one thread.
#[derive(Default)]
struct ThreadSlot {
    /// Incremented at the begin and at the end of each poll, so it is odd during a poll. Only the
    /// thread itself writes it.
    transitions: AtomicU64,
}

impl ThreadSlot {
    fn record_transition(&self, order: Ordering) {
        self.transitions.store(self.transitions.load(Ordering::Relaxed) + 1, order);
    }
}

impl Watchdog {
    /// Creates a watchdog that reports polls longer than `limit` on `threads` threads.
    pub(crate) fn new(limit: Duration, threads: usize) -> Arc<Watchdog> {
        let threads = (0..threads).map(|_| ThreadSlot::default()).collect();
        Arc::new(Watchdog {
            limit,
            threads,
            parked: AtomicBool::new(false),
            poll_started: Event::new(),
        })
    }

    /// Makes this thread count its polls in slot `thread` until the guard is dropped.
    pub(crate) fn register_thread(self: &Arc<Watchdog>, thread: usize) -> ThreadGuard {
        ThreadGuard(CURRENT_SLOT.replace(Some((self.clone(), thread))))
    }

    fn transitions(&self) -> Vec<u64> {
        self.threads.iter().map(|slot| slot.transitions.load(Ordering::SeqCst)).collect()
    }

    /// Reports each poll that takes longer than the limit, once. Never returns.
    ///
    /// `find_running_on` returns the path of the actor that a thread is polling.
    pub(crate) async fn run(
        &self,
        scheduler: &Scheduler,
        observer: &Observer,
        find_running_on: impl Fn(usize) -> Option<Path>,
    ) {
        let mut seen = self.transitions();
        let mut reported = vec![0; seen.len()];
        loop {
            scheduler.sleep(self.limit).await;
            let now = self.transitions();
            if now == seen && now.iter().all(|transitions| transitions % 2 == 0) {
                self.parked.store(true, Ordering::SeqCst);
                wait_until(&self.poll_started, || self.transitions() != now).await;
                self.parked.store(false, Ordering::SeqCst);
                seen = self.transitions();
                continue;
            }
            for (thread, &poll) in now.iter().enumerate() {
                if poll == seen[thread] && poll % 2 == 1 && poll != reported[thread] {
                    reported[thread] = poll;
                    let path = find_running_on(thread);
                    // The path is only that of the blocked actor if the poll is still the same.
                    if let (Some(path), true) = (path, self.transitions()[thread] == poll) {
                        let limit = self.limit;
                        observer.emit(|| Lifecycle::Stalled { path, limit });
                    }
                }
            }
            seen = now;
        }
    }
}

/// A guard of a thread that counts its polls. Dropping it restores the previous slot, if any.
pub(crate) struct ThreadGuard(Option<(Arc<Watchdog>, usize)>);

impl Drop for ThreadGuard {
    fn drop(&mut self) {
        CURRENT_SLOT.set(self.0.take());
    }
}

/// A guard of a poll, which ends when it is dropped.
pub(crate) struct PollGuard<'a>(Option<&'a Node>);

/// Records that this thread polls `node`, if the thread has a watchdog.
pub(crate) fn enter_poll(node: &Node) -> PollGuard<'_> {
    CURRENT_SLOT.with_borrow(|slot| {
        let Some((watchdog, thread)) = slot else { return PollGuard(None) };
        node.set_running_on(Some(*thread));
        // This thread counts and then reads `parked`. The watchdog sets `parked` and then reads the
        // counters. So one of the two sees the other, and no poll is missed.
        watchdog.threads[*thread].record_transition(Ordering::SeqCst);
        if watchdog.parked.load(Ordering::SeqCst) {
            watchdog.poll_started.notify(1);
        }
        PollGuard(Some(node))
    })
}

impl Drop for PollGuard<'_> {
    fn drop(&mut self) {
        let Some(node) = self.0 else { return };
        node.set_running_on(None);
        CURRENT_SLOT.with_borrow(|slot| {
            if let Some((watchdog, thread)) = slot {
                watchdog.threads[*thread].record_transition(Ordering::Release);
            }
        });
    }
}
