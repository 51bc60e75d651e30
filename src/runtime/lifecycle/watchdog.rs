//! The watch over actors that keep their thread.
//!
//! Nothing preempts an actor: one that computes, or blocks, between two awaits holds up every other actor of
//! its thread. Each thread therefore notes that a turn begins and
//! ends, and the actor's node that it is its turn; a thread beside them looks whether it is still the same turn
//! after a while, and then whose. When nobody has had a turn in between it sleeps until
//! somebody has, so a system at rest is left alone.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use event_listener::Event;

use crate::runtime::executor::Scheduler;
use crate::runtime::lifecycle::event::Lifecycle;
use crate::runtime::lifecycle::observer::Observer;
use crate::runtime::tree::node::Node;
use crate::runtime::tree::path::Path;
use crate::runtime::wait_until;

thread_local! {
    static CURRENT_SLOT: RefCell<Option<(Arc<Watchdog>, usize)>> = const { RefCell::new(None) };
}

/// The watch over one system's threads.
pub(crate) struct Watchdog {
    limit: Duration,
    threads: Vec<ThreadSlot>,
    /// Whether the watching thread waits for a turn to begin.
    parked: AtomicBool,
    poll_started: Event,
}

/// What one thread is at.
#[derive(Default)]
struct ThreadSlot {
    /// One more at the begin and at the end of each turn: odd in between. Only the thread itself counts.
    transitions: AtomicU64,
}

impl ThreadSlot {
    fn record_transition(&self, order: Ordering) {
        self.transitions.store(self.transitions.load(Ordering::Relaxed) + 1, order);
    }
}

impl Watchdog {
    pub(crate) fn new(limit: Duration, threads: usize) -> Arc<Watchdog> {
        let slots = (0..threads).map(|_| ThreadSlot::default()).collect();
        Arc::new(Watchdog {
            limit,
            threads: slots,
            parked: AtomicBool::new(false),
            poll_started: Event::new(),
        })
    }

    /// Has this thread note its turns in its slot, until what is returned is dropped.
    pub(crate) fn register_thread(self: &Arc<Watchdog>, thread: usize) -> ThreadGuard {
        ThreadGuard(CURRENT_SLOT.replace(Some((self.clone(), thread))))
    }

    fn transitions(&self) -> Vec<u64> {
        self.threads.iter().map(|slot| slot.transitions.load(Ordering::SeqCst)).collect()
    }

    /// Tells of each turn below `root` that takes longer than the limit, once; it never ends.
    pub(crate) async fn run(
        &self,
        scheduler: &Scheduler,
        observer: &Observer,
        find_running_on: impl Fn(usize) -> Option<Path>,
    ) {
        let mut seen = self.transitions();
        let mut told = vec![0; seen.len()];
        loop {
            scheduler.sleep(self.limit).await;
            let now = self.transitions();
            if now == seen && now.iter().all(|turns| turns % 2 == 0) {
                self.parked.store(true, Ordering::SeqCst);
                wait_until(&self.poll_started, || self.transitions() != now).await;
                self.parked.store(false, Ordering::SeqCst);
                seen = self.transitions();
                continue;
            }
            for (thread, &turn) in now.iter().enumerate() {
                if turn == seen[thread] && turn % 2 == 1 && turn != told[thread] {
                    told[thread] = turn;
                    let path = find_running_on(thread);
                    // Only if it is the same turn still is it the right actor.
                    if let (Some(path), true) = (path, self.transitions()[thread] == turn) {
                        let limit = self.limit;
                        observer.emit(|| Lifecycle::Stalled { path, limit });
                    }
                }
            }
            seen = now;
        }
    }
}

/// A thread that notes its turns; dropped, it does so no more.
pub(crate) struct ThreadGuard(Option<(Arc<Watchdog>, usize)>);

impl Drop for ThreadGuard {
    fn drop(&mut self) {
        CURRENT_SLOT.set(self.0.take());
    }
}

/// A turn of an actor, ended on drop.
pub(crate) struct PollGuard<'a>(Option<&'a Node>);

/// Notes that it is the turn of `node` on this thread, if anybody watches.
pub(crate) fn enter_poll(node: &Node) -> PollGuard<'_> {
    CURRENT_SLOT.with_borrow(|slot| {
        let Some((stalls, thread)) = slot else { return PollGuard(None) };
        node.set_running_on(Some(*thread));
        // Counted before it is asked who is parked, as the watch parks before it counts: one of them sees the other.
        stalls.threads[*thread].record_transition(Ordering::SeqCst);
        if stalls.parked.load(Ordering::SeqCst) {
            stalls.poll_started.notify(1);
        }
        PollGuard(Some(node))
    })
}

impl Drop for PollGuard<'_> {
    fn drop(&mut self) {
        let Some(node) = self.0 else { return };
        node.set_running_on(None);
        CURRENT_SLOT.with_borrow(|slot| {
            if let Some((stalls, thread)) = slot {
                stalls.threads[*thread].record_transition(Ordering::Release);
            }
        });
    }
}
