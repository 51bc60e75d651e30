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
use crate::runtime::lifecycle::observer::Observer;
use crate::runtime::tree::node::Node;
use crate::runtime::until;
use crate::runtime::{Handle, Lifecycle};

thread_local! {
    static SLOT: RefCell<Option<(Arc<Stalls>, usize)>> = const { RefCell::new(None) };
}

/// The watch over one system's threads.
pub(crate) struct Stalls {
    limit: Duration,
    slots: Vec<Slot>,
    /// Whether the watching thread waits for a turn to begin.
    parked: AtomicBool,
    begun: Event,
}

/// What one thread is at.
#[derive(Default)]
struct Slot {
    /// One more at the begin and at the end of each turn: odd in between. Only the thread itself counts.
    turns: AtomicU64,
}

impl Slot {
    fn count(&self, order: Ordering) {
        self.turns.store(self.turns.load(Ordering::Relaxed) + 1, order);
    }
}

impl Stalls {
    pub(crate) fn new(limit: Duration, threads: usize) -> Arc<Stalls> {
        let slots = (0..threads).map(|_| Slot::default()).collect();
        Arc::new(Stalls { limit, slots, parked: AtomicBool::new(false), begun: Event::new() })
    }

    /// Has this thread note its turns in its slot, until what is returned is dropped.
    pub(crate) fn enroll(self: &Arc<Stalls>, thread: usize) -> Enrolled {
        Enrolled(SLOT.replace(Some((self.clone(), thread))))
    }

    fn turns(&self) -> Vec<u64> {
        self.slots.iter().map(|slot| slot.turns.load(Ordering::SeqCst)).collect()
    }

    /// Tells of each turn below `root` that takes longer than the limit, once; it never ends.
    pub(crate) async fn watch(&self, scheduler: &Scheduler, observer: &Observer, root: &Handle) {
        let mut seen = self.turns();
        let mut told = vec![0; seen.len()];
        loop {
            scheduler.sleep(self.limit).await;
            let now = self.turns();
            if now == seen && now.iter().all(|turns| turns % 2 == 0) {
                self.parked.store(true, Ordering::SeqCst);
                until(&self.begun, || self.turns() != now).await;
                self.parked.store(false, Ordering::SeqCst);
                seen = self.turns();
                continue;
            }
            for (thread, &turn) in now.iter().enumerate() {
                if turn == seen[thread] && turn % 2 == 1 && turn != told[thread] {
                    told[thread] = turn;
                    let path = root.in_turn(thread);
                    // Only if it is the same turn still is it the right actor.
                    if let (Some(path), true) = (path, self.turns()[thread] == turn) {
                        let limit = self.limit;
                        observer.tell(|| Lifecycle::Stalled { path, limit });
                    }
                }
            }
            seen = now;
        }
    }
}

/// A thread that notes its turns; dropped, it does so no more.
pub(crate) struct Enrolled(Option<(Arc<Stalls>, usize)>);

impl Drop for Enrolled {
    fn drop(&mut self) {
        SLOT.set(self.0.take());
    }
}

/// A turn of an actor, ended on drop.
pub(crate) struct Turn<'a>(Option<&'a Node>);

/// Notes that it is the turn of `node` on this thread, if anybody watches.
pub(crate) fn turn(node: &Node) -> Turn<'_> {
    SLOT.with_borrow(|slot| {
        let Some((stalls, thread)) = slot else { return Turn(None) };
        node.set_turn(Some(*thread));
        // Counted before it is asked who is parked, as the watch parks before it counts: one of them sees the other.
        stalls.slots[*thread].count(Ordering::SeqCst);
        if stalls.parked.load(Ordering::SeqCst) {
            stalls.begun.notify(1);
        }
        Turn(Some(node))
    })
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(node) = self.0 else { return };
        node.set_turn(None);
        SLOT.with_borrow(|slot| {
            if let Some((stalls, thread)) = slot {
                stalls.slots[*thread].count(Ordering::Release);
            }
        });
    }
}
