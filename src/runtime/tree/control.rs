//! The control signal: how a supervisor reaches an actor beside its mailbox.
//!
//! A stop must arrive when the mailbox is full and when nobody reads it, so it never goes through the
//! mailbox. It is a level, not an edge: once raised it stays up for the rest of the incarnation, and
//! whoever looks sees it. The next incarnation begins with the level lowered.
//!
//! An incarnation is polled far more often than anything befalls it, so its task leaves its waker once, and
//! every later poll only sees that it is there. Whoever awaits the stop with that same waker leaves none at all.

use std::task::{Context, Poll, Waker};

use crate::sync::{AtomicU8, AtomicUsize, Mutex, MutexGuard, Ordering, lock};

const STOP: u8 = 1;
const KILL: u8 = 2;
const LINK_EXIT: u8 = 4;
const PANIC: u8 = 8;
const ERROR: u8 = 16;
const DROP: u8 = 32;
const HANG: u8 = 64;
/// Whatever the incarnation's task looks at between two polls.
const INTERRUPTS: u8 = LINK_EXIT | PANIC | ERROR | DROP | HANG;

/// What befalls an incarnation from outside, between two of its polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// An actor that it is linked to ended.
    LinkExit,
    /// It panics.
    Panic,
    /// It fails with an error.
    Error,
    /// It is dropped where it is.
    Drop,
    /// It is not polled any more.
    Hang,
}

/// The signal of one child. One task at a time looks at it.
#[derive(Debug, Default)]
pub(crate) struct Control {
    level: AtomicU8,
    wakers: Mutex<Wakers>,
    /// The [mark] of the task's waker. Only the task itself changes it, and asks.
    task_waker_id: AtomicUsize,
}

/// Who is woken by a level that is raised.
#[derive(Debug, Default)]
struct Wakers {
    /// The incarnation's task as a whole. It stays when it is woken.
    task: Option<Waker>,
    /// Whoever awaits the stop with a waker of its own, which few do.
    stop_waiter: Option<Box<Waker>>,
}

impl Wakers {
    /// Has a waker woken once, in the place of the last one, which is returned.
    fn register(&mut self, waker: &Waker) -> Option<Waker> {
        match &mut self.stop_waiter {
            Some(waiter) if waiter.will_wake(waker) => None,
            Some(waiter) => Some(std::mem::replace(waiter, waker.clone())),
            None => {
                self.stop_waiter = Some(Box::new(waker.clone()));
                None
            }
        }
    }
}

/// Returns what tells a waker from all others that there are. Two wakers that share their data differ in their
/// functions, which lie close to each other, so the upper bits tell those apart, which no data's place has.
fn waker_id(waker: &Waker) -> usize {
    let functions: *const _ = waker.vtable();
    waker.data().addr() ^ functions.addr().rotate_right(16)
}

impl Control {
    /// Asks for an orderly end.
    pub(crate) fn stop(&self) {
        self.raise(STOP);
    }

    /// Asks a supervisor to end its children at once; an actor is ended by dropping it instead.
    pub(crate) fn kill(&self) {
        self.raise(STOP | KILL);
    }

    /// Has a blow befall the incarnation.
    pub(crate) fn interrupt(&self, blow: Interrupt) {
        self.raise(match blow {
            Interrupt::LinkExit => LINK_EXIT,
            Interrupt::Panic => PANIC,
            Interrupt::Error => ERROR,
            Interrupt::Drop => DROP,
            Interrupt::Hang => HANG,
        });
    }

    /// Lowers every level for a new incarnation.
    pub(crate) fn reset(&self) {
        self.level.store(0, Ordering::SeqCst);
    }

    pub(crate) fn is_stop_requested(&self) -> bool {
        self.level.load(Ordering::SeqCst) & STOP != 0
    }

    /// Returns what has befallen the incarnation.
    pub(crate) fn pending_interrupt(&self) -> Option<Interrupt> {
        let level = self.level.load(Ordering::Relaxed) & INTERRUPTS;
        if level == 0 {
            return None;
        }
        [Interrupt::Panic, Interrupt::Error, Interrupt::Drop, Interrupt::Hang, Interrupt::LinkExit]
            .into_iter()
            .zip([PANIC, ERROR, DROP, HANG, LINK_EXIT])
            .find_map(|(blow, bit)| (level & bit != 0).then_some(blow))
    }

    /// Is ready once a stop was asked for.
    pub(crate) fn poll_stop(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_level(cx, STOP)
    }

    /// Is ready once a kill was asked for.
    pub(crate) fn poll_kill(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_level(cx, KILL)
    }

    /// Remembers the task that runs the incarnation, so that a raised level polls it.
    pub(crate) fn register_task(&self, cx: &Context<'_>) {
        if !self.is_task_waker(cx) {
            let waker = cx.waker().clone();
            let last = self.wakers().task.replace(waker);
            self.task_waker_id.store(waker_id(cx.waker()), Ordering::Relaxed);
            // Outside of the lock: a waker may hold the last handle of a task.
            drop(last);
        }
    }

    /// Tells whether this is the waker of the incarnation's task. That one is kept, so no other can have its place.
    fn is_task_waker(&self, cx: &Context<'_>) -> bool {
        self.task_waker_id.load(Ordering::Relaxed) == waker_id(cx.waker())
    }

    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        lock(&self.wakers)
    }

    fn raise(&self, level: u8) {
        self.level.fetch_or(level, Ordering::SeqCst);
        let mut wakers = self.wakers();
        let (waiter, task) = (wakers.stop_waiter.take(), wakers.task.clone());
        // Outside of the lock: a waker may do anything.
        drop(wakers);
        if let Some(waiter) = waiter {
            waiter.wake();
        }
        if let Some(task) = task {
            task.wake();
        }
    }

    fn poll_level(&self, cx: &mut Context<'_>, level: u8) -> Poll<()> {
        if self.level.load(Ordering::SeqCst) & level != 0 {
            return Poll::Ready(());
        }
        if self.is_task_waker(cx) {
            // Whoever raises a level does so before it looks for the task's waker, which was there before.
            return Poll::Pending;
        }
        let last = self.wakers().register(cx.waker());
        drop(last);
        // A level that was raised before the waker was there woke nobody: look again.
        match self.level.load(Ordering::SeqCst) & level {
            0 => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}
