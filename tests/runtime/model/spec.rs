//! What a random tree is made of, as plain data, and how it is planted in the library.
//!
//! The model reads the same plans, so the two can only differ in what they make of them.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sockactors::runtime::{
    AutoShutdown, Child, Context, Pool, PoolAddress, Restart, Shutdown, Strategy, Supervisor,
    SupervisorAddress,
};

use super::scripted_actor::{Board, Mood, live};

/// A child of a supervisor.
#[derive(Debug)]
pub struct Plan {
    pub name: String,
    pub restart: Restart,
    pub significant: bool,
    pub shutdown: Shutdown,
    pub body: Body,
}

#[derive(Debug)]
pub enum Body {
    Actor(Puppet),
    Pool(Members),
    Supervisor(Rules),
}

/// An actor on strings.
#[derive(Debug)]
pub struct Puppet {
    /// Whether it says itself that it is ready, and the time it has for it.
    pub says: Option<Option<Duration>>,
    pub manners: Manners,
    /// How its first starts go.
    pub moods: Vec<Mood>,
    pub board: Arc<Board>,
}

/// What an actor does when it is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manners {
    Prompt,
    Slow(Duration),
    Fails,
    Deaf,
}

#[derive(Debug)]
pub struct Members {
    pub within: Duration,
    pub address: OnceLock<PoolAddress>,
}

/// The rules of a supervisor, and its children.
#[derive(Debug)]
pub struct Rules {
    pub strategy: Strategy,
    pub intensity: u32,
    pub within: Duration,
    pub backoff: Option<(Duration, Duration)>,
    pub auto_shutdown: AutoShutdown,
    pub children: Vec<Arc<Plan>>,
    pub address: OnceLock<SupervisorAddress>,
}

impl Plan {
    /// Makes the library's supervisor of this plan, which must be one.
    pub fn supervisor(&self) -> Supervisor {
        let Body::Supervisor(rules) = &self.body else { panic!("{} is none", self.name) };
        let mut supervisor = Supervisor::new(self.name.clone(), rules.strategy)
            .intensity(rules.intensity, rules.within)
            .auto_shutdown(rules.auto_shutdown)
            .restart(self.restart)
            .shutdown(self.shutdown);
        if let Some((first, most)) = rules.backoff {
            supervisor = supervisor.backoff(first, most);
        }
        if self.significant {
            supervisor = supervisor.significant();
        }
        for child in &rules.children {
            child.plant(&mut supervisor);
        }
        drop(rules.address.set(supervisor.address()));
        supervisor
    }

    /// Adds the child that is planned to a supervisor that does not run yet.
    fn plant(&self, supervisor: &mut Supervisor) {
        match &self.body {
            Body::Actor(puppet) => drop(supervisor.child(self.child(puppet))),
            Body::Pool(members) => drop(members.address.set(supervisor.pool(self.pool(members)))),
            Body::Supervisor(_) => supervisor.supervisor(self.supervisor()),
        }
    }

    pub fn pool(&self, members: &Members) -> Pool {
        Pool::new(self.name.clone()).shutdown(members.within)
    }

    pub fn child(&self, puppet: &Puppet) -> Child<impl sockactors::runtime::Actor<Message = ()>> {
        let (board, manners) = (puppet.board.clone(), puppet.manners);
        let child = Child::new(self.name.clone(), move || {
            let mood = board.begin();
            assert!(mood != Mood::Panic, "no mood");
            let board = board.clone();
            move |ctx: Context<()>| live(ctx, board, mood, manners)
        });
        let mut child = child.restart(self.restart).shutdown(self.shutdown).mailbox(1);
        if let Some(limit) = puppet.says {
            child = child.ready_within(limit);
        }
        if self.significant { child.significant() } else { child }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { name, restart, significant, shutdown, body } = self;
        let significant = if *significant { ", significant" } else { "" };
        write!(f, "{name}: {restart:?}{significant}, {shutdown:?}; ")?;
        match body {
            Body::Actor(Puppet { says, manners, moods, .. }) => {
                writeln!(f, "says {says:?}, {manners:?}, {moods:?}")
            }
            Body::Pool(members) => writeln!(f, "pool within {:?}", members.within),
            Body::Supervisor(rules) => {
                let Rules { strategy, intensity, within, backoff, auto_shutdown, .. } = rules;
                write!(f, "{strategy:?}, {intensity} within {within:?}, {backoff:?}, ")?;
                writeln!(f, "{auto_shutdown:?}")?;
                for child in &rules.children {
                    for line in child.to_string().lines() {
                        writeln!(f, "    {line}")?;
                    }
                }
                Ok(())
            }
        }
    }
}
