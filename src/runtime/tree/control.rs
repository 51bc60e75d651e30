//! The control signal of a child: stop requests and interrupts, beside its mailbox.
//!
//! A stop must reach an actor whose mailbox is full, or that does not read it, so it never goes
//! through the mailbox. The signal is level-triggered: a flag stays set for the rest of the
//! incarnation. The next incarnation starts with all flags cleared.
//!
//! An incarnation is polled far more often than it is interrupted. Its task therefore registers its
//! waker once, and later polls only compare an identifier. A wait for the stop that uses the same
//! waker registers nothing.

use std::mem;
use std::task::{Context, Poll, Waker};

use crate::sync::{AtomicU8, AtomicUsize, Mutex, MutexGuard, Ordering, lock};

const STOP: u8 = 1;
const KILL: u8 = 2;
const LINK_EXIT: u8 = 4;
const PANIC: u8 = 8;
const ERROR: u8 = 16;
const DROP: u8 = 32;
const HANG: u8 = 64;
/// The flags that the incarnation's task checks before each poll.
const INTERRUPTS: u8 = LINK_EXIT | PANIC | ERROR | DROP | HANG;

/// An interruption of an incarnation from outside, between two of its polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// An actor that it is linked to has ended.
    LinkExit,
    /// The actor panics.
    Panic,
    /// The actor fails with an error.
    Error,
    /// The actor is dropped.
    Drop,
    /// The actor is not polled any more.
    Hang,
}

/// The control signal of one child. One task at a time polls it.
#[derive(Debug, Default)]
pub(crate) struct Control {
    level: AtomicU8,
    wakers: Mutex<Wakers>,
    /// The [`waker_id`] of the task's waker. Only the task itself reads and writes it.
    task_waker_id: AtomicUsize,
}

/// The wakers that are woken when a flag is set.
#[derive(Debug, Default)]
struct Wakers {
    /// The waker of the incarnation's task. It stays registered when it is woken.
    task: Option<Waker>,
    /// The waker of a wait for the stop with a waker of its own, which is rare.
    stop_waiter: Option<Box<Waker>>,
}

impl Wakers {
    /// Registers a waker that is woken once. Returns the one it replaces.
    fn register(&mut self, waker: &Waker) -> Option<Waker> {
        match &mut self.stop_waiter {
            Some(waiter) if waiter.will_wake(waker) => None,
            Some(waiter) => Some(mem::replace(waiter, waker.clone())),
            None => {
                self.stop_waiter = Some(Box::new(waker.clone()));
                None
            }
        }
    }
}

/// Returns a number that distinguishes all wakers that exist at the same time.
///
/// Two wakers with the same data differ in their vtables, whose addresses are close to each other.
/// The rotation moves that difference into the upper bits, where data addresses do not differ.
fn waker_id(waker: &Waker) -> usize {
    let vtable: *const _ = waker.vtable();
    waker.data().addr() ^ vtable.addr().rotate_right(16)
}

impl Control {
    /// Requests an orderly stop.
    pub(crate) fn stop(&self) {
        self.raise(STOP);
    }

    /// Requests that a supervisor kills its children. An actor is killed by dropping it instead.
    pub(crate) fn kill(&self) {
        self.raise(STOP | KILL);
    }

    /// Interrupts the incarnation before its next poll.
    pub(crate) fn interrupt(&self, interrupt: Interrupt) {
        self.raise(match interrupt {
            Interrupt::LinkExit => LINK_EXIT,
            Interrupt::Panic => PANIC,
            Interrupt::Error => ERROR,
            Interrupt::Drop => DROP,
            Interrupt::Hang => HANG,
        });
    }

    /// Clears all flags for a new incarnation.
    pub(crate) fn reset(&self) {
        self.level.store(0, Ordering::SeqCst);
    }

    pub(crate) fn is_stop_requested(&self) -> bool {
        self.level.load(Ordering::SeqCst) & STOP != 0
    }

    /// Returns the interrupt of this incarnation, if there is one. Of several it returns the first
    /// in the order of the list below.
    pub(crate) fn pending_interrupt(&self) -> Option<Interrupt> {
        let level = self.level.load(Ordering::Relaxed) & INTERRUPTS;
        if level == 0 {
            return None;
        }
        [Interrupt::Panic, Interrupt::Error, Interrupt::Drop, Interrupt::Hang, Interrupt::LinkExit]
            .into_iter()
            .zip([PANIC, ERROR, DROP, HANG, LINK_EXIT])
            .find_map(|(interrupt, flag)| (level & flag != 0).then_some(interrupt))
    }

    /// Polls whether a stop was requested.
    pub(crate) fn poll_stop(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_level(cx, STOP)
    }

    /// Polls whether a kill was requested.
    pub(crate) fn poll_kill(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_level(cx, KILL)
    }

    /// Registers the task of the incarnation, so that each flag that is set wakes it.
    pub(crate) fn register_task(&self, cx: &Context<'_>) {
        if !self.is_task_waker(cx) {
            let waker = cx.waker().clone();
            let last = self.wakers().task.replace(waker);
            self.task_waker_id.store(waker_id(cx.waker()), Ordering::Relaxed);
            // After the lock is released: a waker may hold the last handle of a task.
            drop(last);
        }
    }

    /// Returns whether this is the waker of the incarnation's task.
    ///
    /// That waker is kept alive, so no other waker can have its identifier.
    fn is_task_waker(&self, cx: &Context<'_>) -> bool {
        self.task_waker_id.load(Ordering::Relaxed) == waker_id(cx.waker())
    }

    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        lock(&self.wakers)
    }

    fn raise(&self, flags: u8) {
        self.level.fetch_or(flags, Ordering::SeqCst);
        let mut wakers = self.wakers();
        let (waiter, task) = (wakers.stop_waiter.take(), wakers.task.clone());
        // The lock is released first: a waker may run any code.
        drop(wakers);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        if let Some(task) = task {
            task.wake();
        }
    }

    fn poll_level(&self, cx: &mut Context<'_>, flag: u8) -> Poll<()> {
        if self.level.load(Ordering::SeqCst) & flag != 0 {
            return Poll::Ready(());
        }
        if self.is_task_waker(cx) {
            // `raise` sets the flag before it takes the waker of the task, which is registered
            // already, so this poll cannot miss it.
            return Poll::Pending;
        }
        let stale = self.wakers().register(cx.waker());
        drop(stale);
        // A flag that was set before the waker was registered woke nothing: check again.
        match self.level.load(Ordering::SeqCst) & flag {
            0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}
