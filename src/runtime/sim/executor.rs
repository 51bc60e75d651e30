//! The executor of a simulated system: one thread, a seeded random generator, and a clock that
//! jumps.
//!
//! The next task is chosen at random among the runnable ones. When none is runnable, the clock
//! jumps to the next timer. There is no other source of nondeterminism, so the same seed gives the
//! same run.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_task::{Runnable, Task};

use crate::runtime::sim::fault::{Fault, FaultRules};
use crate::sync::lock;
use crate::time::deadline_after;

/// The tasks, the timers and the random generator of a simulated system.
pub(crate) struct SimExecutor {
    epoch: Instant,
    state: Mutex<SimState>,
    faults: Mutex<FaultRules>,
    /// Live counts, with which a test checks that nothing is leaked.
    pub(crate) tasks: LiveCount,
    pub(crate) timers: LiveCount,
    pub(crate) children: LiveCount,
}

/// The number of live objects of one kind.
#[derive(Debug, Default)]
pub(crate) struct LiveCount(AtomicUsize);

impl LiveCount {
    pub(crate) fn increment(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn decrement(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

struct SimState {
    rng: fastrand::Rng,
    runnable: Vec<Runnable>,
    /// By their time and then by their number.
    timers: BTreeMap<(Duration, u64), Waker>,
    elapsed: Duration,
    next_timer_id: u64,
}

impl SimExecutor {
    pub(crate) fn new(seed: u64) -> Arc<SimExecutor> {
        let state = SimState {
            rng: fastrand::Rng::with_seed(seed),
            runnable: Vec::new(),
            timers: BTreeMap::new(),
            elapsed: Duration::ZERO,
            next_timer_id: 0,
        };
        Arc::new(SimExecutor {
            epoch: Instant::now(),
            state: Mutex::new(state),
            faults: Mutex::default(),
            tasks: LiveCount::default(),
            timers: LiveCount::default(),
            children: LiveCount::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, SimState> {
        lock(&self.state)
    }

    pub(crate) fn now(&self) -> Instant {
        deadline_after(self.epoch, self.state().elapsed)
    }

    /// Returns the virtual time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    /// Returns a random number from 0 to below 1.
    pub(crate) fn random_f64(&self) -> f64 {
        self.state().rng.f64()
    }

    /// Returns a random number from 0 to below `end`.
    pub(crate) fn random_index(&self, end: usize) -> usize {
        self.state().rng.usize(..end)
    }

    pub(crate) fn spawn<T: Send + 'static>(
        self: &Arc<SimExecutor>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        let executor = Arc::downgrade(self);
        let schedule = move |runnable| {
            // A task that is woken after the end of the simulation is dropped.
            if let Some(executor) = Weak::upgrade(&executor) {
                executor.state().runnable.push(runnable);
            }
        };
        let count = TaskCountGuard::new(self.clone());
        let future = async move {
            let _count = count;
            future.await
        };
        let (runnable, task) = async_task::spawn(future, schedule);
        runnable.schedule();
        task
    }

    pub(crate) fn timer(self: &Arc<SimExecutor>, delay: Duration) -> SimTimer {
        let mut state = self.state();
        let number = state.next_timer_id;
        state.next_timer_id += 1;
        let key = (state.elapsed.saturating_add(delay), number);
        self.timers.increment();
        SimTimer { executor: self.clone(), key }
    }

    /// Runs tasks until `done` is ready, and calls `before_step` before each step.
    ///
    /// # Panics
    ///
    /// Panics if no task is runnable and there is no timer: the system is deadlocked.
    pub(crate) fn run<T>(
        &self,
        done: impl Future<Output = T>,
        mut before_step: impl FnMut(&SimExecutor),
    ) -> T {
        let mut done = pin!(done);
        loop {
            if let Poll::Ready(output) = done.as_mut().poll(&mut Context::from_waker(Waker::noop()))
            {
                return output;
            }
            before_step(self);
            assert!(self.step(), "deadlock: no task can run, and there is no timer");
        }
    }

    /// Runs one task, or lets the clock jump. Returns `false` if it can do neither.
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
        let index = state.rng.usize(..count);
        let runnable = state.runnable.swap_remove(index);
        drop(state);
        runnable.run();
        true
    }

    /// Draws a random fault, or none, by the probability of the rules.
    pub(crate) fn draw_fault(&self) -> Option<Fault> {
        let mut faults = self.faults();
        let (probability, choices) = &faults.random;
        if faults.remaining == 0 || choices.is_empty() || self.random_f64() >= *probability {
            return None;
        }
        let fault = choices[self.random_index(choices.len())];
        faults.remaining -= 1;
        Some(fault)
    }

    /// Calls `ask` with the rules while no lock is held.
    ///
    /// A rule may send messages. The rules are taken out meanwhile, so they do not apply to these.
    /// A rule may also panic, after which the rules still apply.
    pub(crate) fn with_faults<T>(&self, ask: impl FnOnce(&mut FaultRules) -> T) -> T {
        let mut taken = TakenFaults { executor: self, faults: mem::take(&mut *self.faults()) };
        ask(&mut taken.faults)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultRules> {
        lock(&self.faults)
    }
}

impl fmt::Debug for SimExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimExecutor")
    }
}

/// The rules while one of them is asked. Dropping it puts them back.
struct TakenFaults<'a> {
    executor: &'a SimExecutor,
    faults: FaultRules,
}

impl Drop for TakenFaults<'_> {
    fn drop(&mut self) {
        *self.executor.faults() = mem::take(&mut self.faults);
    }
}

/// Counts a task until its future is dropped.
struct TaskCountGuard(Arc<SimExecutor>);

impl TaskCountGuard {
    fn new(executor: Arc<SimExecutor>) -> TaskCountGuard {
        executor.tasks.increment();
        TaskCountGuard(executor)
    }
}

impl Drop for TaskCountGuard {
    fn drop(&mut self) {
        self.0.tasks.decrement();
    }
}

/// A timer on the virtual clock.
#[derive(Debug)]
pub(crate) struct SimTimer {
    executor: Arc<SimExecutor>,
    key: (Duration, u64),
}

impl SimTimer {
    pub(crate) fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.executor.state();
        if state.elapsed >= self.key.0 {
            state.timers.remove(&self.key);
            return Poll::Ready(());
        }
        state.timers.insert(self.key, cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for SimTimer {
    fn drop(&mut self) {
        self.executor.timers.decrement();
        let waker = self.executor.state().timers.remove(&self.key);
        // Dropped after the lock is released: a waker may hold the last handle of a task.
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    #[test]
    fn panic_of_rule_keeps_fault_rules() {
        let executor = SimExecutor::new(1);
        executor.faults().remaining = 7;
        let ask = || executor.with_faults(|_| panic!("a rule fails"));
        assert!(catch_unwind(AssertUnwindSafe(ask)).is_err());
        assert_eq!(executor.faults().remaining, 7);
    }
}
