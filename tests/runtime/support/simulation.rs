//! A driver in the simulation: the test's steps, run as an actor beside the actors under test.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor};
use sockactors::testing::Simulation;

/// The number of seeds per test. Each is a different order of events.
pub const SEEDS: u64 = 50;

/// Virtual time after which everything is idle.
pub const LONG_TIME: Duration = Duration::from_secs(3600);

/// Runs `steps` as the last child of a tree that `build_tree` fills, and returns the lifecycle
/// events. The tree ends with the steps. A panic or an error in them fails the test.
pub fn drive<P, F>(
    seed: u64,
    build_tree: impl FnOnce(&mut Supervisor) -> P,
    steps: F,
) -> Vec<String>
where
    P: Send + 'static,
    F: AsyncSteps<P>,
{
    drive_in(Simulation::new(seed), build_tree, steps)
}

/// The same in a simulation with faults.
pub fn drive_in<P, F>(
    simulation: Simulation,
    build_tree: impl FnOnce(&mut Supervisor) -> P,
    steps: F,
) -> Vec<String>
where
    P: Send + 'static,
    F: AsyncSteps<P>,
{
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let simulation = simulation.observe(move |event| seen.lock().unwrap().push(event.to_string()));
    let mut tree = Supervisor::new("t", Strategy::OneForOne).intensity(100, LONG_TIME);
    let once = Mutex::new(Some((steps, build_tree(&mut tree))));
    tree.child(
        Child::new("driver", move || {
            let (steps, built) = once.lock().unwrap().take().expect("it is started once");
            move |ctx| steps.run(ctx, built)
        })
        .temporary()
        .significant(),
    );
    simulation.run(tree).unwrap();
    let events = events.lock().unwrap();
    events.clone()
}

/// The steps of a driver: an async closure over its context and the value that `build_tree`
/// returned.
pub trait AsyncSteps<P>: Send + 'static {
    fn run(self, ctx: Context<()>, built: P) -> impl Future<Output = Outcome> + Send;
}

impl<P, F, Fut> AsyncSteps<P> for F
where
    F: FnOnce(Context<()>, P) -> Fut + Send + 'static,
    Fut: Future<Output = Outcome> + Send,
{
    fn run(self, ctx: Context<()>, built: P) -> impl Future<Output = Outcome> + Send {
        self(ctx, built)
    }
}

/// The commands of a scripted actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    End,
    Fail,
    Panic,
}

/// An actor that executes its commands, and ends when it is stopped.
pub async fn obey(mut ctx: Context<Command>) -> Outcome {
    match ctx.recv().await {
        Some(Command::Fail) => Err("as told".into()),
        Some(Command::Panic) => panic!("as told"),
        Some(Command::End) | None => Ok(()),
    }
}

/// Returns the events that contain one of `words`, in order.
pub fn with<'a>(events: &'a [String], words: &[&str]) -> Vec<&'a str> {
    let wanted = |event: &&String| words.iter().any(|word| event.contains(word));
    events.iter().filter(wanted).map(String::as_str).collect()
}
