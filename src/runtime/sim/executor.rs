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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use async_task::{Runnable, Task};

use crate::runtime::executor::{Scheduler, Sleep};
use crate::runtime::sim::fault::{Edge, Fault, Faults, Turn};
use crate::runtime::tree::node::Node;
use crate::runtime::tree::snapshot;
use crate::runtime::tree::snapshot::Kind;

thread_local! {
    /// The actor whose turn it is.
    static SPEAKER: RefCell<Option<Arc<Node>>> = const { RefCell::new(None) };
}

/// The tasks, the timers and the dice of a simulated system.
pub(crate) struct World {
    epoch: Instant,
    state: Mutex<State>,
    pub(crate) faults: Mutex<Faults>,
    /// What there is, to see that nothing is left.
    pub(crate) tasks: Count,
    pub(crate) timers: Count,
    pub(crate) children: Count,
}

/// How many there are of something.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicUsize);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn remove(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
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
        Arc::new(World {
            epoch: Instant::now(),
            state: Mutex::new(state),
            faults: Mutex::default(),
            tasks: Count::default(),
            timers: Count::default(),
            children: Count::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Instant {
        self.epoch + self.state().elapsed
    }

    /// Returns how long the world has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        self.state().elapsed
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
        let counted = Counted::new(self.clone());
        let future = async move {
            let _counted = counted;
            future.await
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
        self.timers.add();
        SimulatedTimer { world: self.clone(), at }
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

    /// Draws a random fault, if the dice say that there is one now.
    pub(crate) fn draw_fault(&self) -> Option<Fault> {
        let mut faults = self.faults();
        let (probability, choices) = &faults.random;
        if faults.left == 0 || choices.is_empty() || self.chance() >= *probability {
            return None;
        }
        let fault = choices[self.below(choices.len())];
        faults.left -= 1;
        Some(fault)
    }

    /// Asks the rules, while nothing is locked and no rule is asked: a rule may send, and must not be asked
    /// about what it sends.
    fn apart<T>(&self, ask: impl FnOnce(&mut Faults) -> T) -> T {
        let mut faults = std::mem::take(&mut *self.faults());
        let answer = ask(&mut faults);
        *self.faults() = faults;
        answer
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Notes that it is the turn of `node`, and has befall it what the rules say.
pub(crate) fn enter(node: &Arc<Node>, turn: u64, hold: &mut Option<Box<Sleep>>) -> Speaker {
    let Some(scheduler @ Scheduler::Simulated(world)) = node.scheduler() else {
        return Speaker(None);
    };
    let turn = Turn { path: node.path(), incarnation: node.incarnation(), number: turn };
    match world.apart(|faults| faults.befall(&turn)) {
        Some(Fault::Delay(delay)) => *hold = Some(Box::new(scheduler.sleep(delay))),
        Some(fault) => fault.blow().into_iter().for_each(|blow| node.control.deal(blow)),
        None => {}
    }
    Speaker(Some(SPEAKER.replace(Some(node.clone()))))
}

/// The turn of an actor, ended on drop.
pub(crate) struct Speaker(Option<Option<Arc<Node>>>);

impl Drop for Speaker {
    fn drop(&mut self) {
        if let Some(last) = self.0.take() {
            SPEAKER.set(last);
        }
    }
}

/// What concerns a simulation alone.
impl Node {
    /// Tells whether the message that is just being sent to it is lost.
    pub(crate) fn loses_mail(&self) -> bool {
        let Some(Scheduler::Simulated(world)) = self.scheduler() else { return false };
        if world.faults().losses.is_empty() {
            return false;
        }
        let from = SPEAKER.with_borrow(|speaker| speaker.as_ref().map(|node| node.path()));
        let edge = Edge { from, to: self.path() };
        world.apart(|faults| faults.lose(&edge))
    }

    /// Collects the actors that live below this node, in the order of the tree.
    pub(crate) fn actors(self: &Arc<Node>, actors: &mut Vec<Arc<Node>>) {
        if self.kind() == Kind::Actor && self.state() == snapshot::State::Running {
            actors.push(self.clone());
        }
        self.nodes_below().iter().for_each(|child| child.actors(actors));
    }
}

/// Counts a task as long as there is anything of it.
struct Counted(Arc<World>);

impl Counted {
    fn new(world: Arc<World>) -> Counted {
        world.tasks.add();
        Counted(world)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.tasks.remove();
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
        self.world.timers.remove();
        let waker = self.world.state().timers.remove(&self.at);
        // Dropped outside of the lock: a waker may hold the last handle of a task.
        drop(waker);
    }
}
