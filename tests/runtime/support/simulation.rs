//! A driver in a simulation: the test's own steps, run as an actor beside the actors under test.

#![allow(dead_code, reason = "not every test uses all of it")]

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockactors::runtime::{Child, Context, Outcome, Strategy, Supervisor};
use sockactors::testing::Simulation;

/// How many seeds a test runs: each is another order of events.
pub const SEEDS: u64 = 50;

/// Virtual time in which everything comes to rest.
pub const AGES: Duration = Duration::from_secs(3600);

/// Runs `steps` in a tree that `plant` plants, as a child behind all others, and returns the lifecycle events.
/// The tree ends with the steps; a panic in them, or an error, fails the test.
pub fn drive<P, F>(seed: u64, plant: impl FnOnce(&mut Supervisor) -> P, steps: F) -> Vec<String>
where
    P: Send + 'static,
    F: AsyncSteps<P>,
{
    drive_in(Simulation::new(seed), plant, steps)
}

/// The same in a simulation with faults.
pub fn drive_in<P, F>(
    simulation: Simulation,
    plant: impl FnOnce(&mut Supervisor) -> P,
    steps: F,
) -> Vec<String>
where
    P: Send + 'static,
    F: AsyncSteps<P>,
{
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let simulation = simulation.observe(move |event| seen.lock().unwrap().push(event.to_string()));
    let mut tree = Supervisor::new("t", Strategy::OneForOne).intensity(100, AGES);
    let once = Mutex::new(Some((steps, plant(&mut tree))));
    tree.child(
        Child::new("driver", move || {
            let (steps, planted) = once.lock().unwrap().take().expect("it is started once");
            move |ctx| steps.run(ctx, planted)
        })
        .temporary()
        .significant(),
    );
    simulation.run(tree).unwrap();
    let events = events.lock().unwrap();
    events.clone()
}

/// What a driver does: an async closure over its context and what was planted.
pub trait AsyncSteps<P>: Send + 'static {
    fn run(self, ctx: Context<()>, planted: P) -> impl Future<Output = Outcome> + Send;
}

impl<P, F, Fut> AsyncSteps<P> for F
where
    F: FnOnce(Context<()>, P) -> Fut + Send + 'static,
    Fut: Future<Output = Outcome> + Send,
{
    fn run(self, ctx: Context<()>, planted: P) -> impl Future<Output = Outcome> + Send {
        self(ctx, planted)
    }
}

/// What a scripted actor is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Do {
    End,
    Fail,
    Panic,
}

/// An actor that does what it is told, and ends when it is stopped.
pub async fn obey(mut ctx: Context<Do>) -> Outcome {
    match ctx.recv().await {
        Some(Do::Fail) => Err("as told".into()),
        Some(Do::Panic) => panic!("as told"),
        Some(Do::End) | None => Ok(()),
    }
}

/// Returns the events that contain one of `words`, in their order.
pub fn with<'a>(events: &'a [String], words: &[&str]) -> Vec<&'a str> {
    let wanted = |event: &&String| words.iter().any(|word| event.contains(word));
    events.iter().filter(wanted).map(String::as_str).collect()
}
