//! The seeded simulation: a tree on one thread, on dice from a seed and a clock that jumps.
//!
//! A test of actors that waits for real time is slow, and one that races real threads is lucky. In a
//! [`Simulation`] the next task to run is drawn by a seeded generator and the clock jumps to the next timer,
//! so a minute of backoff costs nothing, each seed tries another interleaving, and a seed that fails fails
//! again. Actors that only use their [`Context`](crate::runtime::Context) and addresses can be simulated;
//! those that wait for sockets or blocking threads cannot. An actor that serves a connection is given one
//! [in memory](crate::net::Stream::memory).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::runtime::{Exit, Handle, Lifecycle, SimExecutor, StopReason, Supervisor, System};
pub use crate::runtime::{Fault, MessageInfo, PollInfo};
use crate::sync::lock;

/// Runs a tree in simulation. Same seed, same run.
///
/// When the test panics, the seed and the lifecycle events that led there are printed.
///
/// # Examples
///
/// This example shows that a restart after an hour's backoff needs no hour.
///
/// ```
/// use std::time::Duration;
/// use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor};
/// use sockactors::testing::Simulation;
///
/// async fn patient(ctx: Context<()>) -> Outcome {
///     ctx.sleep(Duration::from_secs(3600)).await;
///     Ok(())
/// }
///
/// let hour = Duration::from_secs(3600);
/// for seed in 0..10 {
///     let mut tree = Supervisor::new("tree", Strategy::OneForOne).backoff(hour, hour);
///     tree.child(Child::new("patient", || patient).transient().significant());
///     let simulation = Simulation::new(seed).crash_probability(0.05).max_faults(2);
///     simulation.run(tree).unwrap();
/// }
/// ```
#[derive(Debug)]
pub struct Simulation {
    seed: u64,
    system: System,
    executor: Arc<SimExecutor>,
    events: Arc<Mutex<VecDeque<String>>>,
}

/// So many lifecycle events are told of a failed run: the last ones.
const MAX_LOGGED_EVENTS: usize = 1000;

impl Simulation {
    /// Makes a simulation without faults.
    pub fn new(seed: u64) -> Simulation {
        let events = Arc::new(Mutex::new(VecDeque::new()));
        let log = events.clone();
        let system = System::new().observe(move |event| {
            let mut log = lock(&log);
            if log.len() == MAX_LOGGED_EVENTS {
                log.pop_front();
            }
            log.push_back(event.to_string());
        });
        let world = SimExecutor::new(seed);
        world.faults().remaining = u64::MAX;
        Simulation { seed, system, executor: world, events }
    }

    /// Has a random actor panic before a step, with this probability (0 to 1) for each step.
    pub fn crash_probability(self, probability: f64) -> Simulation {
        self.random_faults(probability, &[Fault::Panic])
    }

    /// Has one of `faults` befall a random actor before a step, with this probability (0 to 1) for each
    /// step. A delay is nothing that can befall an actor at random; give a rule for it.
    pub fn random_faults(self, probability: f64, faults: &[Fault]) -> Simulation {
        self.executor.faults().random = (probability, faults.to_vec());
        self
    }

    /// Limits how many random faults there are in all.
    pub fn max_faults(self, faults: u64) -> Simulation {
        self.executor.faults().remaining = faults;
        self
    }

    /// Adds a rule, asked before each turn of each actor: what befalls it now? The first rule that has an
    /// answer is the one.
    ///
    /// # Examples
    ///
    /// This example shows a store that is slow to start, and hangs at its third await: its supervisor has to
    /// drop it at the end.
    ///
    /// ```
    /// use std::time::Duration;
    /// use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor};
    /// use sockactors::testing::{Fault, Simulation};
    ///
    /// let mut tree = Supervisor::new("shop", Strategy::OneForOne);
    /// tree.child(Child::new("store", || async |mut ctx: Context<()>| -> Outcome {
    ///     while ctx.recv().await.is_some() {}
    ///     Ok(())
    /// }));
    /// let simulation = Simulation::new(1).inject(|turn| match turn.number {
    ///     1 if turn.path.matches("store") => Some(Fault::Delay(Duration::from_secs(30))),
    ///     3 if turn.path.matches("store") => Some(Fault::Hang),
    ///     _ => None,
    /// });
    /// let handle = simulation.handle();
    /// tree.child(Child::new("closing time", move || {
    ///     let handle = handle.clone();
    ///     async move |ctx: Context<()>| -> Outcome {
    ///         ctx.sleep(Duration::from_secs(60)).await;
    ///         handle.stop();
    ///         Ok(())
    ///     }
    /// }).transient());
    /// simulation.run(tree).unwrap();
    /// ```
    pub fn inject(
        self,
        rule: impl FnMut(&PollInfo) -> Option<Fault> + Send + 'static,
    ) -> Simulation {
        self.executor.faults().fault_rules.push(Box::new(rule));
        self
    }

    /// Adds a rule, asked for each message: is it lost on its way? Its sender is told nothing.
    pub fn drop_messages(
        self,
        rule: impl FnMut(&MessageInfo) -> bool + Send + 'static,
    ) -> Simulation {
        self.executor.faults().drop_rules.push(Box::new(rule));
        self
    }

    /// Calls `watch` at each lifecycle event.
    pub fn observe(mut self, watch: impl Fn(&Lifecycle) + Send + Sync + 'static) -> Simulation {
        self.system = self.system.observe(watch);
        self
    }

    /// Returns a handle that stops, inspects and drills the system.
    pub fn handle(&self) -> Handle {
        self.system.handle()
    }

    /// Returns what counts the simulation's tasks, timers and children, to see that nothing is left.
    pub fn live_counts(&self) -> LiveCounts {
        LiveCounts(self.executor.clone())
    }

    /// Runs the tree to its end.
    ///
    /// # Errors
    ///
    /// See [`System::run`].
    ///
    /// # Panics
    ///
    /// When every actor waits for ever.
    pub fn run(self, tree: Supervisor) -> Result<StopReason, Exit> {
        let _told = FailureLog { seed: self.seed, events: self.events.clone() };
        self.system.simulate(tree, &self.executor)
    }
}

/// Counts what there is in a simulation.
#[derive(Debug, Clone)]
pub struct LiveCounts(Arc<SimExecutor>);

impl LiveCounts {
    /// Returns how many tasks there are that have not ended.
    pub fn tasks(&self) -> usize {
        self.0.tasks.get()
    }

    /// Returns how many timers there are.
    pub fn timers(&self) -> usize {
        self.0.timers.get()
    }

    /// Returns how many children of supervisors and pools there are in memory, with their mailboxes. An
    /// address keeps its child's.
    pub fn children(&self) -> usize {
        self.0.children.get()
    }
}

/// Tells what led to a panic.
struct FailureLog {
    seed: u64,
    events: Arc<Mutex<VecDeque<String>>>,
}

impl Drop for FailureLog {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let mut events = lock(&self.events);
            let events = events.make_contiguous().join("\n  ");
            eprintln!("the simulation with seed {} failed after\n  {events}", self.seed);
        }
    }
}
