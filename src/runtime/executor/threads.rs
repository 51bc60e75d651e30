//! What runs the tasks of a system: one thread with a queue and a reactor of its own, or several with smol's.
//!
//! One thread is what most systems have, and it needs no more than a queue of the tasks that are to have a turn: no
//! list of all tasks, and nobody beside it to wake for each of them. Who is woken within a turn, as nearly all are, joins
//! that queue without a lock; who is woken from elsewhere waits behind a lock and is fetched at least every so many
//! turns, when the reactor gets its own too. It is made of `async-task`, as smol's executor is.
//!
//! It is here for what it saves: beside smol's executor, with all else alike, asking takes 212 ns of 312, starting an actor
//! 354 of 444, and a hop in a ring 120 of 168.
//! See `docs/performance.md`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_task::Runnable;
use smol::{Executor, Task};

use crate::reactor::Reactor;
use crate::runtime::executor::sync::{Mutex, MutexGuard, PoisonError};

/// After so many turns the reactor is looked at.
const ROUND: usize = 200;

/// The thread, or the threads, of a system.
pub(crate) enum Threads {
    One(Turns),
    Several(Executor<'static>),
}

impl Threads {
    /// Makes what runs the tasks on so many threads, each of which calls [`Threads::block_on`].
    pub(crate) fn new(threads: usize) -> Arc<Threads> {
        Arc::new(match threads {
            0 | 1 => Threads::One(Turns::default()),
            _ => Threads::Several(Executor::new()),
        })
    }

    /// Drives the tasks on this thread until `done` is ready.
    pub(crate) fn block_on<T>(&self, done: impl Future<Output = T>) -> T {
        match self {
            Threads::One(turns) => turns.drive(done),
            Threads::Several(executor) => smol::block_on(executor.run(done)),
        }
    }

    /// Spawns a task.
    pub(crate) fn spawn<T: Send + 'static>(
        self: &Arc<Threads>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        if let Threads::Several(executor) = &**self {
            return executor.spawn(future);
        }
        let threads = self.clone();
        let schedule = move |runnable| {
            if let Threads::One(turns) = &*threads {
                turns.add(runnable);
            }
        };
        // Whoever awaits the task is thrown what it throws, and not this thread, as with smol's executor.
        let builder = async_task::Builder::new().propagate_panic(true);
        let (runnable, task) = builder.spawn(|()| future, schedule);
        runnable.schedule();
        task
    }
}

thread_local! {
    /// The tasks that this thread is running through.
    static OWN: RefCell<Own> = const { RefCell::new(Own { whose: 0, ready: VecDeque::new() }) };
}

/// What a thread runs through, and where the [`Turns`] are whose it is; 0 for none.
struct Own {
    whose: usize,
    ready: VecDeque<Runnable>,
}

/// The tasks that are to have a turn: those that were woken from elsewhere than from within a turn.
#[derive(Default)]
pub(crate) struct Turns(Mutex<State>);

#[derive(Default)]
struct State {
    ready: VecDeque<Runnable>,
    /// The thread, when it has nothing to do.
    sleeper: Option<Waker>,
}

impl Turns {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells these from all others.
    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Has a task have a turn.
    fn add(&self, runnable: Runnable) {
        let mut runnable = Some(runnable);
        // A thread that is just ending has no place of its own any more.
        let _ = OWN.try_with(|own| {
            let mut own = own.borrow_mut();
            if own.whose == self.id() {
                own.ready.extend(runnable.take());
            }
        });
        if let Some(runnable) = runnable {
            self.add_from_elsewhere(runnable);
        }
    }

    /// Has a task have a turn. After the end it stays where it is: who wakes it may hold a lock that its drop would wait
    /// for.
    fn add_from_elsewhere(&self, runnable: Runnable) {
        let mut state = self.state();
        state.ready.push_back(runnable);
        let sleeper = state.sleeper.take();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Runs the tasks on this thread until `done` is ready, with a reactor of their own.
    fn drive<T>(&self, done: impl Future<Output = T>) -> T {
        let Ok(reactor) = Reactor::new() else {
            // Out of descriptors, most likely, of which smol's may have its own already.
            return smol::block_on(self.run(done));
        };
        // Dropped after the thread's own, and by a panic too.
        let _end = End(self);
        let mut own = Own { whose: self.id(), ready: VecDeque::new() };
        // Whom the reactor wakes between two rounds is at hand as well: there always is a next one.
        let _lent = Lent::new(&mut own);
        reactor.drive(self.run(done))
    }

    /// Runs the tasks until `done` is ready, and drops those that are left.
    async fn run<T>(&self, done: impl Future<Output = T>) -> T {
        // Dropped after the thread's own, and by a panic too.
        let _end = End(self);
        let mut own = Own { whose: self.id(), ready: VecDeque::new() };
        let mut done = pin!(done);
        poll_fn(|cx| match done.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => {
                self.round(&mut own, cx);
                Poll::Pending
            }
        })
        .await
    }

    /// Gives tasks their turns until there is none, or the reactor is to have its own.
    fn round(&self, own: &mut Own, cx: &Context<'_>) {
        let is_lent = OWN.with_borrow(|at_hand| at_hand.whose == self.id());
        let _lent = (!is_lent).then(|| Lent::new(own));
        self.fetch(None);
        for _ in 0..ROUND {
            // The borrow ends before the task runs, which wakes others.
            let next = OWN.with_borrow_mut(|own| own.ready.pop_front());
            match next {
                Some(runnable) => {
                    runnable.run();
                }
                None if self.fetch(Some(cx)) => {}
                None => return,
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Takes the tasks that were woken from elsewhere; where there is none, tells so, and has a thread that would sleep
    /// woken by the next one.
    fn fetch(&self, sleeper: Option<&Context<'_>>) -> bool {
        let mut state = self.state();
        if state.ready.is_empty() {
            let is_known = |cx: &&Context<'_>| {
                state.sleeper.as_ref().is_some_and(|last| last.will_wake(cx.waker()))
            };
            let sleeper = sleeper.filter(|cx| !is_known(cx)).map(|cx| cx.waker().clone());
            let last = sleeper.and_then(|sleeper| state.sleeper.replace(sleeper));
            drop(state);
            drop(last);
            return false;
        }
        OWN.with_borrow_mut(|own| own.ready.append(&mut state.ready));
        true
    }
}

/// What a thread runs through is at hand for those that it runs, until this is dropped. One system may run within a
/// turn of another.
struct Lent<'a>(&'a mut Own);

impl<'a> Lent<'a> {
    fn new(own: &'a mut Own) -> Lent<'a> {
        OWN.with_borrow_mut(|at_hand| mem::swap(at_hand, own));
        Lent(own)
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        OWN.with_borrow_mut(|at_hand| mem::swap(at_hand, self.0));
    }
}

/// Drops the tasks that still wait for a turn, and those that they wake meanwhile.
struct End<'a>(&'a Turns);

impl Drop for End<'_> {
    fn drop(&mut self) {
        loop {
            let mut state = self.0.state();
            // Whoever kept a handle to the system would keep what it slept on, too.
            let sleeper = state.sleeper.take();
            let left = mem::take(&mut state.ready);
            drop(state);
            drop(sleeper);
            if left.is_empty() {
                return;
            }
            drop(left);
        }
    }
}

#[cfg(test)]
mod tests;
