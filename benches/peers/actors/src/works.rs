//! The workloads.

use std::sync::{Arc, OnceLock};

use crate::meter::{Meter, Spent};
use crate::role::{Gate, Guard, Role};
use crate::{Begun, Peer};

/// The number of actors of a ring, of a fan-out and of a start.
const CROWD: u64 = 1000;
/// The number of stages of a pipeline.
const STAGES: usize = 5;
/// The number of concurrent senders.
const SENDERS: u64 = 8;

/// A workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// One sender sends to one actor.
    Tell,
    /// Eight senders send to one actor.
    TellOfEight,
    /// One task asks an actor, one request after the other.
    Ask,
    /// A thousand actors are started.
    Spawn,
    /// A thousand actors are started and stopped.
    SpawnAndStop,
    /// A message goes round a ring of a thousand actors.
    Ring,
    /// A message goes to each of a thousand actors.
    Fan,
    /// Messages go through five actors.
    Pipeline,
    /// An actor fails and is restarted.
    Crash,
}

/// All workloads, each with its letter and name.
pub const WORKS: [(Work, &str, &str); 9] = [
    (Work::Tell, "a", "tell"),
    (Work::TellOfEight, "b", "tell, 8 senders"),
    (Work::Ask, "c", "ask"),
    (Work::Spawn, "d", "spawn"),
    (Work::SpawnAndStop, "d", "spawn and stop"),
    (Work::Ring, "f", "ring of 1000, a hop"),
    (Work::Fan, "g", "fan-out to 1000, each"),
    (Work::Pipeline, "h", "pipeline of 5"),
    (Work::Crash, "i", "crash and restart"),
];

impl Work {
    /// Runs the workload once, or returns none if the peer cannot do it.
    pub fn of<P: Peer>(self, threads: usize, scale: u64) -> Option<Spent> {
        P::run(threads, move |peer| async move {
            match self {
                Work::Tell => Some(tell(&peer, 1, 100_000 * scale).await),
                Work::TellOfEight => Some(tell(&peer, SENDERS, 100_000 * scale).await),
                Work::Ask => Some(ask(&peer, 30_000 * scale).await),
                Work::Spawn => Some(spawn(&peer, 10 * scale).await.0),
                Work::SpawnAndStop => Some(spawn(&peer, 10 * scale).await.1),
                Work::Ring => Some(ring(&peer, 50 * scale).await),
                Work::Fan => Some(fan(&peer, 50 * scale).await),
                Work::Pipeline => Some(pipeline(&peer, 20_000 * scale).await),
                Work::Crash => crash(&peer, 2_000 * scale).await,
            }
        })
    }
}

async fn tell<P: Peer>(peer: &P, senders: u64, messages: u64) -> Spent {
    let (done, wait) = Gate::new(1);
    let actor = peer.spawn(Role::Count { left: messages, sum: 0, done }).await;
    let meter = Meter::start();
    for _ in 0..senders {
        let actor = actor.clone();
        peer.go(async move {
            for number in 0..messages / senders {
                P::tell(&actor, number).await;
            }
        });
    }
    let _ = wait.recv().await;
    let spent = meter.stop(messages);
    P::stop(actor).await;
    spent
}

async fn ask<P: Peer>(peer: &P, questions: u64) -> Spent {
    let (gate, _wait) = Gate::new(1);
    let actor = peer.spawn(Role::Idle { _guard: Guard(gate) }).await;
    let (done, wait) = Gate::new(1);
    let meter = Meter::start();
    let asked = actor.clone();
    peer.go(async move {
        for number in 0..questions {
            assert_eq!(P::ask(&asked, number).await, number + 1);
        }
        done.pass();
    });
    let _ = wait.recv().await;
    let spent = meter.stop(questions);
    P::stop(actor).await;
    spent
}

/// Starts 1,000 actors several times. Returns the cost of the start, and of start and stop.
async fn spawn<P: Peer>(peer: &P, times: u64) -> (Spent, Spent) {
    let mut sums = (Spent::default(), Spent::default());
    let add = |sum: &mut Spent, spent: Spent| {
        sum.cpu += spent.cpu / times as f64;
        sum.wall += spent.wall / times as f64;
    };
    for _ in 0..times {
        let (gate, gone) = Gate::new(CROWD);
        let meter = Meter::start();
        let actors = idle(peer, CROWD, gate).await;
        add(&mut sums.0, meter.stop(CROWD));
        for actor in actors {
            P::stop(actor).await;
        }
        let _ = gone.recv().await;
        add(&mut sums.1, meter.stop(CROWD));
    }
    sums
}

/// Starts `count` idle actors, and waits until they run.
pub async fn idle<P: Peer>(peer: &P, count: u64, gate: Gate) -> Vec<P::Address> {
    let mut actors = Vec::with_capacity(count as usize);
    for _ in 0..count {
        actors.push(peer.spawn(Role::Idle { _guard: Guard(gate.clone()) }).await);
    }
    // An executor runs its tasks in order, so all run when the last one answers.
    if let Some(last) = actors.last() {
        assert_eq!(P::ask(last, 1).await, 2);
    }
    actors
}

async fn ring<P: Peer>(peer: &P, rounds: u64) -> Spent {
    let (done, wait) = Gate::new(1);
    let first = Arc::new(OnceLock::new());
    let mut next = first.clone();
    let mut actors = Vec::new();
    for _ in 0..CROWD {
        let role = Role::Hand { next: next.clone(), done: done.clone() };
        let actor = peer.spawn(role).await;
        actors.push(actor.clone());
        next = Arc::new(OnceLock::new());
        let _ = next.set(actor);
    }
    let Some(last) = actors.last() else { return Spent::default() };
    let _ = first.set(last.clone());
    let meter = Meter::start();
    P::tell(last, CROWD * rounds).await;
    let _ = wait.recv().await;
    let spent = meter.stop(CROWD * rounds);
    for actor in actors {
        P::stop(actor).await;
    }
    spent
}

async fn fan<P: Peer>(peer: &P, rounds: u64) -> Spent {
    let (done, wait) = Gate::new(CROWD);
    let mut actors = Vec::new();
    for _ in 0..CROWD {
        let role = Role::Count { left: rounds, sum: 0, done: done.clone() };
        actors.push(peer.spawn(role).await);
    }
    let meter = Meter::start();
    let heard = actors.clone();
    peer.go(async move {
        for round in 0..rounds {
            for actor in &heard {
                P::tell(actor, round).await;
            }
            // Each message should find its actor idle.
            if let Some(last) = heard.last() {
                P::ask(last, round).await;
            }
        }
    });
    let _ = wait.recv().await;
    let spent = meter.stop(CROWD * rounds);
    for actor in actors {
        P::stop(actor).await;
    }
    spent
}

async fn pipeline<P: Peer>(peer: &P, messages: u64) -> Spent {
    let (done, wait) = Gate::new(1);
    let mut actor = peer.spawn(Role::Count { left: messages, sum: 0, done }).await;
    let mut all = vec![actor.clone()];
    for _ in 1..STAGES {
        actor = peer.spawn(Role::Stage { next: actor }).await;
        all.push(actor.clone());
    }
    let meter = Meter::start();
    peer.go(async move {
        for number in 0..messages {
            P::tell(&actor, number).await;
        }
    });
    let _ = wait.recv().await;
    let spent = meter.stop(messages);
    for actor in all {
        P::stop(actor).await;
    }
    spent
}

async fn crash<P: Peer>(peer: &P, lives: u64) -> Option<Spent> {
    let (begun, next) = Begun::new();
    let meter = Meter::start();
    peer.crash(lives, begun, next).await.then(|| meter.stop(lives))
}

/// Starts `count` idle actors, and returns the bytes of each, counted by `allocated`.
pub fn idle_bytes<P: Peer>(count: u64, allocated: fn() -> usize) -> f64 {
    P::run(1, move |peer| async move {
        let (gate, gone) = Gate::new(count + 1);
        // The first actor is not counted, since it may allocate shared state.
        let first = idle(&peer, 1, gate.clone()).await;
        let mut actors = Vec::with_capacity(count as usize);
        let before = allocated();
        actors.extend(idle(&peer, count, gate).await);
        // The list of addresses that `idle` allocated is freed now.
        let bytes = (allocated() - before) as f64 / count as f64;
        for actor in actors.into_iter().chain(first) {
            P::stop(actor).await;
        }
        let _ = gone.recv().await;
        bytes
    })
}
