//! The watch over actors that keep their thread.
//!
//! Nothing preempts an actor: one that computes, or blocks, between two awaits holds up every other actor of
//! its thread. Each thread therefore notes whose turn it is, in a [`Slot`], and a thread beside them looks
//! whether it is still the same turn after a while. When nobody has had a turn in between it sleeps until
//! somebody has, so a system at rest is left alone.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use event_listener::Event;

use super::node::Node;
use super::observer::Observer;
use super::scheduler::Scheduler;
use super::{Lifecycle, until};

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
    /// One more at the begin and at the end of each turn: odd in between.
    turns: AtomicU64,
    node: Mutex<Option<Arc<Node>>>,
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

    /// Tells of each turn that takes longer than the limit, once; it never ends.
    pub(crate) async fn watch(&self, scheduler: &Scheduler, observer: &Observer) {
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
            for (thread, slot) in self.slots.iter().enumerate() {
                let turn = now[thread];
                if turn == seen[thread] && turn % 2 == 1 && turn != told[thread] {
                    told[thread] = turn;
                    let node = slot.node.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    if let Some(node) = node {
                        let (path, limit) = (node.path(), self.limit);
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
pub(crate) struct Turn(Option<(Arc<Stalls>, usize)>);

/// Notes that it is the turn of `node` on this thread, if anybody watches.
pub(crate) fn turn(node: &Arc<Node>) -> Turn {
    let slot = SLOT.with_borrow(Clone::clone);
    if let Some((stalls, thread)) = &slot {
        let slot = &stalls.slots[*thread];
        let last = slot.node.lock().unwrap_or_else(PoisonError::into_inner).replace(node.clone());
        slot.turns.fetch_add(1, Ordering::SeqCst);
        if stalls.parked.load(Ordering::SeqCst) {
            stalls.begun.notify(1);
        }
        drop(last);
    }
    Turn(slot)
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some((stalls, thread)) = &self.0 {
            stalls.slots[*thread].turns.fetch_add(1, Ordering::SeqCst);
        }
    }
}
