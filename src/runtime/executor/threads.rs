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
use crate::sync::{Mutex, MutexGuard, lock};

/// After so many turns the reactor is looked at.
const EVENT_INTERVAL: usize = 200;

/// The thread, or the threads, of a system.
pub(crate) enum TaskExecutor {
    SingleThread(RunQueue),
    MultiThread(Executor<'static>),
}

impl TaskExecutor {
    /// Makes what runs the tasks on so many threads, each of which calls [`TaskExecutor::block_on`].
    pub(crate) fn new(threads: usize) -> Arc<TaskExecutor> {
        Arc::new(match threads {
            0 | 1 => TaskExecutor::SingleThread(RunQueue::default()),
            _ => TaskExecutor::MultiThread(Executor::new()),
        })
    }

    /// Drives the tasks on this thread until `done` is ready.
    pub(crate) fn block_on<T>(&self, done: impl Future<Output = T>) -> T {
        match self {
            TaskExecutor::SingleThread(turns) => turns.block_on(done),
            TaskExecutor::MultiThread(executor) => smol::block_on(executor.run(done)),
        }
    }

    /// Spawns a task.
    pub(crate) fn spawn<T: Send + 'static>(
        self: &Arc<TaskExecutor>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        if let TaskExecutor::MultiThread(executor) = &**self {
            return executor.spawn(future);
        }
        let threads = self.clone();
        let schedule = move |runnable| {
            if let TaskExecutor::SingleThread(turns) = &*threads {
                turns.schedule(runnable);
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
    static LOCAL_QUEUE: RefCell<LocalQueue> = const { RefCell::new(LocalQueue { owner_id: 0, ready: VecDeque::new() }) };
}

/// What a thread runs through, and where the [`RunQueue`] are whose it is; 0 for none.
struct LocalQueue {
    owner_id: usize,
    ready: VecDeque<Runnable>,
}

/// The tasks that are to have a turn: those that were woken from elsewhere than from within a turn.
#[derive(Default)]
pub(crate) struct RunQueue(Mutex<RunQueueState>);

#[derive(Default)]
struct RunQueueState {
    ready: VecDeque<Runnable>,
    /// The thread, when it has nothing to do.
    parked_waker: Option<Waker>,
}

impl RunQueue {
    fn state(&self) -> MutexGuard<'_, RunQueueState> {
        lock(&self.0)
    }

    /// Tells these from all others.
    fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Has a task have a turn.
    fn schedule(&self, runnable: Runnable) {
        let mut runnable = Some(runnable);
        // A thread that is just ending has no place of its own any more.
        let _ = LOCAL_QUEUE.try_with(|own| {
            let mut own = own.borrow_mut();
            if own.owner_id == self.id() {
                own.ready.extend(runnable.take());
            }
        });
        if let Some(runnable) = runnable {
            self.inject(runnable);
        }
    }

    /// Has a task have a turn. After the end it stays where it is: who wakes it may hold a lock that its drop would wait
    /// for.
    fn inject(&self, runnable: Runnable) {
        let mut state = self.state();
        state.ready.push_back(runnable);
        let sleeper = state.parked_waker.take();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Runs the tasks on this thread until `done` is ready, with a reactor of their own.
    fn block_on<T>(&self, done: impl Future<Output = T>) -> T {
        let Ok(reactor) = Reactor::new() else {
            // Out of descriptors, most likely, of which smol's may have its own already.
            return smol::block_on(self.run(done));
        };
        // Dropped after the thread's own, and by a panic too.
        let _end = DrainOnDrop(self);
        let mut own = LocalQueue { owner_id: self.id(), ready: VecDeque::new() };
        // Whom the reactor wakes between two rounds is at hand as well: there always is a next one.
        let _lent = LocalQueueGuard::new(&mut own);
        reactor.block_on(self.run(done))
    }

    /// Runs the tasks until `done` is ready, and drops those that are left.
    async fn run<T>(&self, done: impl Future<Output = T>) -> T {
        // Dropped after the thread's own, and by a panic too.
        let _end = DrainOnDrop(self);
        let mut own = LocalQueue { owner_id: self.id(), ready: VecDeque::new() };
        let mut done = pin!(done);
        poll_fn(|cx| match done.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => {
                self.run_batch(&mut own, cx);
                Poll::Pending
            }
        })
        .await
    }

    /// Gives tasks their turns until there is none, or the reactor is to have its own.
    fn run_batch(&self, own: &mut LocalQueue, cx: &Context<'_>) {
        let is_lent = LOCAL_QUEUE.with_borrow(|at_hand| at_hand.owner_id == self.id());
        let _lent = (!is_lent).then(|| LocalQueueGuard::new(own));
        self.take_injected(None);
        for _ in 0..EVENT_INTERVAL {
            // The borrow ends before the task runs, which wakes others.
            let next = LOCAL_QUEUE.with_borrow_mut(|own| own.ready.pop_front());
            match next {
                Some(runnable) => {
                    runnable.run();
                }
                None if self.take_injected(Some(cx)) => {}
                None => return,
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Takes the tasks that were woken from elsewhere; where there is none, tells so, and has a thread that would sleep
    /// woken by the next one.
    fn take_injected(&self, sleeper: Option<&Context<'_>>) -> bool {
        let mut state = self.state();
        if state.ready.is_empty() {
            let is_known = |cx: &&Context<'_>| {
                state.parked_waker.as_ref().is_some_and(|last| last.will_wake(cx.waker()))
            };
            let sleeper = sleeper.filter(|cx| !is_known(cx)).map(|cx| cx.waker().clone());
            let last = sleeper.and_then(|sleeper| state.parked_waker.replace(sleeper));
            drop(state);
            drop(last);
            return false;
        }
        LOCAL_QUEUE.with_borrow_mut(|own| own.ready.append(&mut state.ready));
        true
    }
}

/// What a thread runs through is at hand for those that it runs, until this is dropped. One system may run within a
/// turn of another.
struct LocalQueueGuard<'a>(&'a mut LocalQueue);

impl<'a> LocalQueueGuard<'a> {
    fn new(own: &'a mut LocalQueue) -> LocalQueueGuard<'a> {
        LOCAL_QUEUE.with_borrow_mut(|at_hand| mem::swap(at_hand, own));
        LocalQueueGuard(own)
    }
}

impl Drop for LocalQueueGuard<'_> {
    fn drop(&mut self) {
        LOCAL_QUEUE.with_borrow_mut(|at_hand| mem::swap(at_hand, self.0));
    }
}

/// Drops the tasks that still wait for a turn, and those that they wake meanwhile.
struct DrainOnDrop<'a>(&'a RunQueue);

impl Drop for DrainOnDrop<'_> {
    fn drop(&mut self) {
        loop {
            let mut state = self.0.state();
            // Whoever kept a handle to the system would keep what it slept on, too.
            let sleeper = state.parked_waker.take();
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
