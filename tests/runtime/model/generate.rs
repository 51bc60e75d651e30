//! Generates random trees.
//!
//! Every duration has its own nanoseconds, so that no two timers of a run coincide by chance.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use fastrand::Rng;
use sockactors::runtime::{AutoShutdown, Restart, Shutdown, Strategy};

use super::scripted_actor::{Script, StartBehaviour};
use super::spec::{Body, PoolSpec, Rules, ScriptedActor, Spec, StopBehaviour};

pub const MS: u64 = 1_000_000;
pub const SECOND: u64 = 1000 * MS;

/// A random generator, and the number of the next name.
#[derive(Debug)]
pub struct Generator {
    pub rng: Rng,
    next: u32,
}

impl Generator {
    pub fn new(seed: u64) -> Generator {
        Generator { rng: Rng::with_seed(seed), next: 0 }
    }

    /// Returns true in `percent` of a hundred cases.
    pub fn is(&mut self, percent: u32) -> bool {
        self.rng.u32(..100) < percent
    }

    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.rng.usize(..choices.len())]
    }

    /// Draws a duration between two numbers of nanoseconds.
    pub fn time(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_nanos(self.rng.u64(from..to))
    }

    /// Draws a whole tree.
    pub fn tree(&mut self) -> Arc<Spec> {
        let depth = self.of(&[1, 2, 2, 3, 3, 4]);
        let mut tree = self.supervisor(depth, AutoShutdown::Never);
        (tree.restart, tree.significant) = (Restart::Temporary, false);
        Arc::new(tree)
    }

    /// Draws a child to be added at run time to a supervisor with this automatic shutdown.
    pub fn added(&mut self, parent: AutoShutdown) -> Spec {
        match self.rng.u32(..100) {
            0..70 => self.actor(parent),
            70..85 => self.pool(),
            _ => self.supervisor(1, parent),
        }
    }

    fn name(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}{}", self.next)
    }

    fn plan(&mut self, kind: &str, parent: AutoShutdown, shutdown: Shutdown, body: Body) -> Spec {
        let restart = self.of(&[
            Restart::Permanent,
            Restart::Permanent,
            Restart::Transient,
            Restart::Transient,
            Restart::Temporary,
        ]);
        let may_be = restart != Restart::Permanent && parent != AutoShutdown::Never;
        let significant = self.is(if may_be { 35 } else { 1 });
        Spec { name: self.name(kind), restart, significant, shutdown, body }
    }

    fn supervisor(&mut self, depth: u32, parent: AutoShutdown) -> Spec {
        let auto_shutdown = self.of(&[
            AutoShutdown::Never,
            AutoShutdown::AnySignificant,
            AutoShutdown::AllSignificant,
            AutoShutdown::AllSignificant,
        ]);
        let backoff = self.is(35).then(|| {
            let first = self.time(MS, 2 * SECOND);
            (first, first + self.time(0, 8 * SECOND))
        });
        let mut children = Vec::new();
        for _ in 0..self.rng.u32(1..=4) {
            let child = match self.rng.u32(..100) {
                0..30 if depth > 1 => self.supervisor(depth - 1, auto_shutdown),
                30..38 => self.pool(),
                _ => self.actor(auto_shutdown),
            };
            children.push(Arc::new(child));
        }
        if children.len() > 1 && self.rng.u32(..300) == 0 {
            let double = children[0].name.clone();
            let mut other = self.actor(auto_shutdown);
            other.name = double;
            children.push(Arc::new(other));
        }
        let shutdown = match self.rng.u32(..100) {
            0..65 => Shutdown::Infinity,
            65..90 => Shutdown::Timeout(self.time(50 * MS, 5 * SECOND)),
            _ => Shutdown::Kill,
        };
        let rules = Rules {
            strategy: self.of(&[Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne]),
            intensity: self.rng.u32(0..=5),
            within: self.time(SECOND, 10 * SECOND),
            backoff,
            auto_shutdown,
            children,
            address: OnceLock::new(),
        };
        self.plan("s", parent, shutdown, Body::Supervisor(rules))
    }

    fn pool(&mut self) -> Spec {
        let members = PoolSpec { within: self.time(MS, 4 * SECOND), address: OnceLock::new() };
        Spec {
            name: self.name("p"),
            restart: Restart::Permanent,
            significant: false,
            shutdown: Shutdown::Infinity,
            body: Body::Pool(members),
        }
    }

    fn actor(&mut self, parent: AutoShutdown) -> Spec {
        let says = match self.rng.u32(..100) {
            0..40 => None,
            40..60 => Some(None),
            _ => Some(Some(self.time(50 * MS, 3 * SECOND))),
        };
        let scripted_actor = self.scripted_actor(says, 4);
        let shutdown = match self.rng.u32(..100) {
            0..12 => Shutdown::Kill,
            12..20 if scripted_actor.manners != StopBehaviour::Deaf => Shutdown::Infinity,
            _ => Shutdown::Timeout(self.time(MS, 4 * SECOND)),
        };
        self.plan("a", parent, shutdown, Body::Actor(scripted_actor))
    }

    /// Draws an actor whose first start is not good in `bad` of a hundred cases.
    pub fn scripted_actor(&mut self, says: Option<Option<Duration>>, bad: u32) -> ScriptedActor {
        let manners = match self.rng.u32(..100) {
            0..65 => StopBehaviour::Prompt,
            65..80 => StopBehaviour::Slow(self.time(MS, 3 * SECOND)),
            80..88 => StopBehaviour::Fails,
            _ => StopBehaviour::Deaf,
        };
        let behaviours = if self.is(bad) { vec![self.behaviour(says)] } else { Vec::new() };
        let board = Arc::new(Script::default());
        board.expect(&behaviours);
        ScriptedActor { says, manners, behaviours, board }
    }

    /// Draws a start behaviour that this actor can have.
    pub fn behaviour(&mut self, says: Option<Option<Duration>>) -> StartBehaviour {
        let Some(limit) = says else {
            return self.of(&[StartBehaviour::Panic, StartBehaviour::Panic, StartBehaviour::Good]);
        };
        match self.rng.u32(..100) {
            0..15 => StartBehaviour::Panic,
            15..40 => StartBehaviour::Fail,
            40..55 => StartBehaviour::Ignore,
            55..65 if limit.is_some() => StartBehaviour::Never,
            55..75 => StartBehaviour::SlowFail(self.time(MS, 3 * SECOND)),
            _ => StartBehaviour::Slow(self.time(MS, 4 * SECOND)),
        }
    }
}
