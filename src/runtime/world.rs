//! A world of its own for a simulated system: one thread, dice from a seed, and a clock that jumps.
//!
//! The next task to run is drawn at random among those that can, and when none can the clock jumps to the
//! next timer. Nothing else decides anything, so the same seed is the same run.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_task::{Runnable, Task};

/// The tasks, the timers and the dice of a simulated system.
pub(crate) struct World {
    epoch: Instant,
    state: Mutex<State>,
}

struct State {
    dice: fastrand::Rng,
    runnable: Vec<Runnable>,
    /// By their time, and among the same time by their age.
    timers: BTreeMap<(Duration, u64), Waker>,
    elapsed: Duration,
    next_timer: u64,
}

impl World {
    pub(crate) fn new(seed: u64) -> Arc<World> {
        let state = State {
            dice: fastrand::Rng::with_seed(seed),
            runnable: Vec::new(),
            timers: BTreeMap::new(),
            elapsed: Duration::ZERO,
            next_timer: 0,
        };
        Arc::new(World { epoch: Instant::now(), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Instant {
        self.epoch + self.state().elapsed
    }

    /// Returns a number from 0 up to 1.
    pub(crate) fn chance(&self) -> f64 {
        self.state().dice.f64()
    }

    /// Returns a number below `end`.
    pub(crate) fn below(&self, end: usize) -> usize {
        self.state().dice.usize(..end)
    }

    pub(crate) fn spawn<T: Send + 'static>(
        self: &Arc<World>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        let world = Arc::downgrade(self);
        let schedule = move |runnable| {
            // What is woken after the end of the world is dropped with it.
            if let Some(world) = Weak::upgrade(&world) {
                world.state().runnable.push(runnable);
            }
        };
        let (runnable, task) = async_task::spawn(future, schedule);
        runnable.schedule();
        task
    }

    pub(crate) fn timer(self: &Arc<World>, after: Duration) -> SimulatedTimer {
        let mut state = self.state();
        let number = state.next_timer;
        state.next_timer += 1;
        let at = (state.elapsed.saturating_add(after), number);
        SimulatedTimer { world: self.clone(), at }
    }

    /// Runs tasks until `done` is ready.
    pub(crate) fn block_on<T>(&self, done: impl Future<Output = T>) -> T {
        self.run(done, |_| {})
    }

    /// Runs tasks until `done` is ready, and calls `between` before each step.
    ///
    /// # Panics
    ///
    /// When nothing can run and no timer is left: everybody waits for ever.
    pub(crate) fn run<T>(
        &self,
        done: impl Future<Output = T>,
        mut between: impl FnMut(&World),
    ) -> T {
        let mut done = pin!(done);
        loop {
            if let Poll::Ready(output) = done.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                return output;
            }
            between(self);
            assert!(self.step(), "nothing can run any more: every actor waits for ever");
        }
    }

    /// Runs one task, or lets the clock jump; `false` when there is neither.
    fn step(&self) -> bool {
        let mut state = self.state();
        if state.runnable.is_empty() {
            let Some(((at, _), waker)) = state.timers.pop_first() else { return false };
            state.elapsed = state.elapsed.max(at);
            drop(state);
            waker.wake();
            return true;
        }
        let count = state.runnable.len();
        let drawn = state.dice.usize(..count);
        let runnable = state.runnable.swap_remove(drawn);
        drop(state);
        runnable.run();
        true
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

/// A timer on a world's clock.
#[derive(Debug)]
pub(crate) struct SimulatedTimer {
    world: Arc<World>,
    at: (Duration, u64),
}

impl SimulatedTimer {
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.world.state();
        if state.elapsed >= self.at.0 {
            state.timers.remove(&self.at);
            return Poll::Ready(());
        }
        state.timers.insert(self.at, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for SimulatedTimer {
    fn drop(&mut self) {
        let waker = self.world.state().timers.remove(&self.at);
        // Dropped outside of the lock: a waker may hold the last handle of a task.
        drop(waker);
    }
}
