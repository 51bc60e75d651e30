//! Seeded simulation: runs a tree on one thread, on a virtual clock, with injected faults.
//!
//! A test that waits for real time is slow, and a test of real threads depends on their timing. A
//! [`Simulation`] draws the next task to run from a random generator with a seed, and its clock
//! jumps to the next timer when no task can run. So an hour of backoff takes no time, each seed
//! tries another interleaving, and a seed that fails always fails.
//!
//! An actor can be simulated if it only uses its [`Context`](crate::runtime::Context) and
//! addresses. An actor that waits for sockets or blocking threads cannot. An actor that serves a
//! connection is given one [in memory](crate::net::Stream::duplex).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use crate::runtime::{Exit, Handle, Lifecycle, SimExecutor, StopReason, Supervisor, System};
pub use crate::runtime::{Fault, MessageInfo, PollInfo};
use crate::sync::lock;

/// The maximum number of last lifecycle events that a failed simulation prints.
const MAX_LOGGED_EVENTS: usize = 1000;

/// A simulated run of a tree. The same seed gives the same run.
///
/// When the test panics during the run, the seed and the lifecycle events before the panic are
/// printed to stderr.
///
/// # Examples
///
/// This example shows that a restart after an hour's backoff takes no real time.
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

impl Simulation {
    /// Creates a simulation without faults.
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
        let executor = SimExecutor::new(seed);
        executor.faults().remaining = u64::MAX;
        Simulation { seed, system, executor, events }
    }

    /// Sets the probability (0 to 1) that a random actor panics before a step of the simulation.
    pub fn crash_probability(self, probability: f64) -> Simulation {
        self.random_faults(probability, &[Fault::Panic])
    }

    /// Sets the probability (0 to 1) that a random one of `faults` is injected into a random actor
    /// before a step of the simulation.
    ///
    /// A [`Fault::Delay`] has no effect here; inject it by a rule, see [`Simulation::inject`].
    pub fn random_faults(self, probability: f64, faults: &[Fault]) -> Simulation {
        self.executor.faults().random = (probability, faults.to_vec());
        self
    }

    /// Sets the maximum number of random faults in the run. Default: no limit.
    pub fn max_faults(self, faults: u64) -> Simulation {
        self.executor.faults().remaining = faults;
        self
    }

    /// Adds a rule that can inject a fault before each poll of each actor.
    ///
    /// Rules are called in the order in which they were added. The first one that returns a fault
    /// decides.
    ///
    /// # Examples
    ///
    /// This example shows a store that starts slowly and hangs at its third poll, so that its
    /// supervisor has to drop it at the end.
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
    /// let simulation = Simulation::new(1).inject(|poll| match poll.number {
    ///     1 if poll.path.matches("store") => Some(Fault::Delay(Duration::from_secs(30))),
    ///     3 if poll.path.matches("store") => Some(Fault::Hang),
    ///     _ => None,
    /// });
    /// let handle = simulation.handle();
    /// tree.child(Child::new("closing-time", move || {
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

    /// Adds a rule that is asked for each message, and drops the message if it returns `true`.
    ///
    /// The sender of a dropped message gets no error.
    pub fn drop_messages(
        self,
        rule: impl FnMut(&MessageInfo) -> bool + Send + 'static,
    ) -> Simulation {
        self.executor.faults().drop_rules.push(Box::new(rule));
        self
    }

    /// Adds an observer, which is called at each lifecycle event.
    pub fn observe(mut self, callback: impl Fn(&Lifecycle) + Send + Sync + 'static) -> Simulation {
        self.system = self.system.observe(callback);
        self
    }

    /// Returns a handle that stops and inspects the system.
    pub fn handle(&self) -> Handle {
        self.system.handle()
    }

    /// Returns counters of the simulation's tasks, timers and children, for a test of leaks.
    pub fn live_counts(&self) -> LiveCounts {
        LiveCounts(self.executor.clone())
    }

    /// Runs the tree until it ends.
    ///
    /// # Errors
    ///
    /// See [`System::run`].
    ///
    /// # Panics
    ///
    /// Panics if no task can run and no timer is left, so that every actor would wait for ever.
    pub fn run(self, tree: Supervisor) -> Result<StopReason, Exit> {
        let _failure_log = FailureLog { seed: self.seed, events: self.events.clone() };
        self.system.simulate(tree, &self.executor)
    }
}

/// Counters of the live objects of a simulation.
#[derive(Debug, Clone)]
pub struct LiveCounts(Arc<SimExecutor>);

impl LiveCounts {
    /// Returns the number of tasks that have not ended.
    pub fn tasks(&self) -> usize {
        self.0.tasks.get()
    }

    /// Returns the number of timers.
    pub fn timers(&self) -> usize {
        self.0.timers.get()
    }

    /// Returns the number of children of supervisors and pools that are in memory, with their
    /// mailboxes. An address keeps its child in memory.
    pub fn children(&self) -> usize {
        self.0.children.get()
    }
}

/// Prints the seed and the last events if it is dropped by a panic.
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
