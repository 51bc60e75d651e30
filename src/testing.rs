//! The seeded simulation: a tree on one thread, on dice from a seed and a clock that jumps.
//!
//! A test of actors that waits for real time is slow, and one that races real threads is lucky. In a
//! [`Simulation`] the next task to run is drawn by a seeded generator and the clock jumps to the next timer,
//! so a minute of backoff costs nothing, each seed tries another interleaving, and a seed that fails fails
//! again. Actors that only use their [`Context`](crate::runtime::Context) and addresses can be simulated;
//! those that wait for sockets or blocking threads cannot.

use std::sync::{Arc, Mutex, PoisonError};

use crate::runtime::{Ended, Exit, Handle, Lifecycle, Supervisor, System};

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
///     let simulation = Simulation::new(seed).crashes(0.05).at_most(2);
///     simulation.run(tree).unwrap();
/// }
/// ```
#[derive(Debug)]
pub struct Simulation {
    seed: u64,
    system: System,
    crashes: f64,
    at_most: u64,
    events: Arc<Mutex<Vec<String>>>,
}

impl Simulation {
    /// Makes a simulation without faults.
    pub fn new(seed: u64) -> Simulation {
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = events.clone();
        let system = System::new().observe(move |event| {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(event.to_string());
        });
        Simulation { seed, system, crashes: 0.0, at_most: u64::MAX, events }
    }

    /// Has a random actor panic before a step, with this probability (0 to 1) for each step.
    pub fn crashes(mut self, probability: f64) -> Simulation {
        self.crashes = probability;
        self
    }

    /// Limits how many crashes there are in all.
    pub fn at_most(mut self, crashes: u64) -> Simulation {
        self.at_most = crashes;
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

    /// Runs the tree to its end.
    ///
    /// # Errors
    ///
    /// See [`System::run`].
    ///
    /// # Panics
    ///
    /// When every actor waits for ever.
    pub fn run(self, tree: Supervisor) -> Result<Ended, Exit> {
        let _told = Told { seed: self.seed, events: self.events.clone() };
        self.system.simulate(tree, self.seed, self.crashes, self.at_most)
    }
}

/// Tells what led to a panic.
struct Told {
    seed: u64,
    events: Arc<Mutex<Vec<String>>>,
}

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let events = self.events.lock().unwrap_or_else(PoisonError::into_inner).join("\n  ");
            eprintln!("the simulation with seed {} failed after\n  {events}", self.seed);
        }
    }
}
