//! A world of its own for a simulated system: one thread, dice from a seed, and a clock that jumps.
//!
//! The next task to run is drawn at random among those that can, and when none can the clock jumps to the
//! next timer. Nothing else decides anything, so the same seed is the same run.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_task::{Runnable, Task};

use crate::runtime::executor::{Scheduler, Sleep};
use crate::runtime::sim::fault::{Fault, FaultRules, MessageInfo, PollInfo};
use crate::runtime::tree::node::Node;
use crate::runtime::tree::snapshot;
use crate::runtime::tree::snapshot::NodeKind;
use crate::sync::lock;

thread_local! {
    /// The actor whose turn it is.
    static CURRENT_ACTOR: RefCell<Option<Arc<Node>>> = const { RefCell::new(None) };
}

/// The tasks, the timers and the dice of a simulated system.
pub(crate) struct SimExecutor {
    epoch: Instant,
    state: Mutex<SimState>,
    pub(crate) faults: Mutex<FaultRules>,
    /// What there is, to see that nothing is left.
    pub(crate) tasks: LiveCount,
    pub(crate) timers: LiveCount,
    pub(crate) children: LiveCount,
}

/// How many there are of something.
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
    /// By their time, and among the same time by their age.
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
        self.epoch + self.state().elapsed
    }

    /// Returns how long the world has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        self.state().elapsed
    }

    /// Returns a number from 0 up to 1.
    pub(crate) fn random_f64(&self) -> f64 {
        self.state().rng.f64()
    }

    /// Returns a number below `end`.
    pub(crate) fn random_index(&self, end: usize) -> usize {
        self.state().rng.usize(..end)
    }

    pub(crate) fn spawn<T: Send + 'static>(
        self: &Arc<SimExecutor>,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Task<T> {
        let world = Arc::downgrade(self);
        let schedule = move |runnable| {
            // What is woken after the end of the world is dropped with it.
            if let Some(world) = Weak::upgrade(&world) {
                world.state().runnable.push(runnable);
            }
        };
        let counted = TaskCountGuard::new(self.clone());
        let future = async move {
            let _counted = counted;
            future.await
        };
        let (runnable, task) = async_task::spawn(future, schedule);
        runnable.schedule();
        task
    }

    pub(crate) fn timer(self: &Arc<SimExecutor>, after: Duration) -> SimTimer {
        let mut state = self.state();
        let number = state.next_timer_id;
        state.next_timer_id += 1;
        let at = (state.elapsed.saturating_add(after), number);
        self.timers.increment();
        SimTimer { executor: self.clone(), key: at }
    }

    /// Runs tasks until `done` is ready, and calls `between` before each step.
    ///
    /// # Panics
    ///
    /// When nothing can run and no timer is left: everybody waits for ever.
    pub(crate) fn run<T>(
        &self,
        done: impl Future<Output = T>,
        mut between: impl FnMut(&SimExecutor),
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

    /// Draws a random fault, if the dice say that there is one now.
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

    /// Asks the rules, while nothing is locked and no rule is asked: a rule may send, and must not be asked
    /// about what it sends.
    fn with_faults<T>(&self, ask: impl FnOnce(&mut FaultRules) -> T) -> T {
        let mut faults = std::mem::take(&mut *self.faults());
        let answer = ask(&mut faults);
        *self.faults() = faults;
        answer
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultRules> {
        lock(&self.faults)
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
        let drawn = state.rng.usize(..count);
        let runnable = state.runnable.swap_remove(drawn);
        drop(state);
        runnable.run();
        true
    }
}

impl fmt::Debug for SimExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

/// Notes that it is the turn of `node`, and has befall it what the rules say.
pub(crate) fn enter_simulated_poll(
    node: &Arc<Node>,
    turn: u64,
    hold: &mut Option<Box<Sleep>>,
) -> CurrentActorGuard {
    let Some(scheduler @ Scheduler::Simulated(world)) = node.scheduler() else {
        return CurrentActorGuard(None);
    };
    let turn = PollInfo { path: node.path(), incarnation: node.incarnation(), number: turn };
    match world.with_faults(|faults| faults.fault_for(&turn)) {
        Some(Fault::Delay(delay)) => *hold = Some(Box::new(scheduler.sleep(delay))),
        Some(fault) => fault.interrupt().into_iter().for_each(|blow| node.control.interrupt(blow)),
        None => {}
    }
    CurrentActorGuard(Some(CURRENT_ACTOR.replace(Some(node.clone()))))
}

/// The turn of an actor, ended on drop.
pub(crate) struct CurrentActorGuard(Option<Option<Arc<Node>>>);

impl Drop for CurrentActorGuard {
    fn drop(&mut self) {
        if let Some(last) = self.0.take() {
            CURRENT_ACTOR.set(last);
        }
    }
}

/// What concerns a simulation alone.
impl Node {
    /// Tells whether the message that is just being sent to it is lost.
    pub(crate) fn drops_message(&self) -> bool {
        let Some(Scheduler::Simulated(world)) = self.scheduler() else { return false };
        if world.faults().drop_rules.is_empty() {
            return false;
        }
        let from = CURRENT_ACTOR.with_borrow(|speaker| speaker.as_ref().map(|node| node.path()));
        let edge = MessageInfo { from, to: self.path() };
        world.with_faults(|faults| faults.drops(&edge))
    }

    /// Collects the actors that live below this node, in the order of the tree.
    pub(crate) fn collect_actors(self: &Arc<Node>, actors: &mut Vec<Arc<Node>>) {
        if self.kind() == NodeKind::Actor && self.state() == snapshot::NodeState::Running {
            actors.push(self.clone());
        }
        self.child_nodes().iter().for_each(|child| child.collect_actors(actors));
    }
}

/// Counts a task as long as there is anything of it.
struct TaskCountGuard(Arc<SimExecutor>);

impl TaskCountGuard {
    fn new(world: Arc<SimExecutor>) -> TaskCountGuard {
        world.tasks.increment();
        TaskCountGuard(world)
    }
}

impl Drop for TaskCountGuard {
    fn drop(&mut self) {
        self.0.tasks.decrement();
    }
}

/// A timer on a world's clock.
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
        // Dropped outside of the lock: a waker may hold the last handle of a task.
        drop(waker);
    }
}
