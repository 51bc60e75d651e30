//! What runs the tasks of a system: one thread with a queue of its own, or several with smol's executor.
//!
//! One thread is what most systems have, and it needs no more than a queue of the tasks that are to have a turn: no
//! list of all tasks, and nobody beside it to wake for each of them. The queue is taken as a whole and run through, in
//! the order in which the tasks were woken, and the reactor gets its turn every so many tasks. Tasks are woken from any
//! thread. It is made of `async-task`, as smol's executor is, and costs half as much for a turn.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use async_task::Runnable;
use smol::{Executor, Task};

use super::sync::{Mutex, MutexGuard, PoisonError};

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
            Threads::One(turns) => smol::block_on(turns.run(done)),
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

/// The tasks that are to have a turn.
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

    /// Has a task have a turn. After the end it stays where it is: who wakes it may hold a lock that its drop would wait
    /// for.
    fn add(&self, runnable: Runnable) {
        let mut state = self.state();
        state.ready.push_back(runnable);
        let sleeper = state.sleeper.take();
        drop(state);
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// Runs the tasks until `done` is ready, and drops those that are left.
    async fn run<T>(&self, done: impl Future<Output = T>) -> T {
        // Dropped after the batch, and by a panic too.
        let _end = End(self);
        let mut batch = VecDeque::new();
        let mut done = pin!(done);
        poll_fn(|cx| match done.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(output),
            Poll::Pending => {
                self.round(&mut batch, cx);
                Poll::Pending
            }
        })
        .await
    }

    /// Gives tasks their turns until there is none, or the reactor is to have its own.
    fn round(&self, batch: &mut VecDeque<Runnable>, cx: &Context<'_>) {
        for _ in 0..ROUND {
            if batch.is_empty() && !self.refill(batch, cx) {
                return;
            }
            if let Some(runnable) = batch.pop_front() {
                runnable.run();
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Takes the tasks that are to have a turn; where there is none, tells so and has the thread woken by the next one.
    fn refill(&self, batch: &mut VecDeque<Runnable>, cx: &Context<'_>) -> bool {
        let mut state = self.state();
        if state.ready.is_empty() {
            let last = state.sleeper.replace(cx.waker().clone());
            drop(state);
            drop(last);
            return false;
        }
        std::mem::swap(&mut state.ready, batch);
        true
    }
}

/// Drops the tasks that still wait for a turn, and those that they wake meanwhile.
struct End<'a>(&'a Turns);

impl Drop for End<'_> {
    fn drop(&mut self) {
        loop {
            let mut state = self.0.state();
            if state.ready.is_empty() {
                return;
            }
            let left = std::mem::take(&mut state.ready);
            drop(state);
            drop(left);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use futures_lite::FutureExt;
    use futures_lite::future::yield_now;

    use super::*;

    /// Drives the tasks without a reactor, which Miri has none of.
    fn drive<T>(threads: &Threads, done: impl Future<Output = T>) -> T {
        match threads {
            Threads::One(turns) => futures_lite::future::block_on(turns.run(done)),
            Threads::Several(_) => unreachable!("one thread was asked for"),
        }
    }

    #[test]
    fn tasks_have_their_turns_in_the_order_in_which_they_were_woken() {
        let threads = Threads::new(1);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..3)
            .map(|number| {
                let seen = seen.clone();
                threads.spawn(async move {
                    for round in 0..2 {
                        seen.lock().unwrap().push((round, number));
                        yield_now().await;
                    }
                })
            })
            .collect();
        drive(&threads, async {
            for task in tasks {
                task.await;
            }
        });
        assert_eq!(*seen.lock().unwrap(), [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]);
    }

    #[test]
    fn a_task_is_woken_from_another_thread() {
        let threads = Threads::new(1);
        let (sender, receiver) = async_channel::bounded(1);
        let task = threads.spawn(async move {
            let mut sum = 0;
            while let Ok(number) = receiver.recv().await {
                sum += number;
            }
            sum
        });
        let sending = std::thread::spawn(move || {
            (0..100).for_each(|number| sender.send_blocking(number).unwrap());
        });
        assert_eq!(drive(&threads, task), 4950);
        sending.join().unwrap();
    }

    #[test]
    fn what_a_task_throws_reaches_who_awaits_it_and_no_other_task() {
        let threads = Threads::new(1);
        let thrown = threads.spawn(async { std::panic::resume_unwind(Box::new(7)) });
        let other = threads.spawn(async { yield_now().await });
        let caught = AssertUnwindSafe(async {
            let _: () = thrown.await;
        });
        let seen = drive(&threads, async {
            let seen = caught.catch_unwind().await;
            other.await;
            seen
        });
        assert_eq!(seen.unwrap_err().downcast_ref(), Some(&7));
    }

    #[test]
    fn a_task_that_is_left_at_the_end_is_dropped() {
        let threads = Threads::new(1);
        let held = Arc::new(());
        let woken = held.clone();
        let ready = threads.spawn(async move {
            let _held = woken;
            loop {
                yield_now().await;
            }
        });
        drive(&threads, yield_now());
        ready.detach();
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
