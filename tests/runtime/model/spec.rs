//! The specification of a random tree as plain data, and its translation to the library.
//!
//! The model reads the same specifications, so the two sides can only differ in their behaviour.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sockactors::runtime::{
    AutoShutdown, Child, Context, Pool, PoolAddress, Restart, Shutdown, Strategy, Supervisor,
    SupervisorAddress,
};

use super::scripted_actor::{Script, StartBehaviour, live};

/// A child of a supervisor.
#[derive(Debug)]
pub struct Spec {
    pub name: String,
    pub restart: Restart,
    pub significant: bool,
    pub shutdown: Shutdown,
    pub body: Body,
}

#[derive(Debug)]
pub enum Body {
    Actor(ScriptedActor),
    Pool(PoolSpec),
    Supervisor(Rules),
}

/// An actor that follows a script.
#[derive(Debug)]
pub struct ScriptedActor {
    /// Whether it reports itself ready, and the time limit for it.
    pub says: Option<Option<Duration>>,
    pub manners: StopBehaviour,
    /// The behaviour of its first starts.
    pub behaviours: Vec<StartBehaviour>,
    pub board: Arc<Script>,
}

/// The reaction of an actor to its stop request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopBehaviour {
    Prompt,
    Slow(Duration),
    Fails,
    Deaf,
}

#[derive(Debug)]
pub struct PoolSpec {
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
    pub children: Vec<Arc<Spec>>,
    pub address: OnceLock<SupervisorAddress>,
}

impl Spec {
    /// Builds the library's supervisor of this specification, which must be one.
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
            child.build_tree(&mut supervisor);
        }
        drop(rules.address.set(supervisor.address()));
        supervisor
    }

    /// Adds the specified child to a supervisor that does not run yet.
    fn build_tree(&self, supervisor: &mut Supervisor) {
        match &self.body {
            Body::Actor(scripted_actor) => drop(supervisor.child(self.child(scripted_actor))),
            Body::Pool(members) => drop(members.address.set(supervisor.pool(self.pool(members)))),
            Body::Supervisor(_) => supervisor.supervisor(self.supervisor()),
        }
    }

    pub fn pool(&self, members: &PoolSpec) -> Pool {
        Pool::new(self.name.clone()).shutdown(members.within)
    }

    pub fn child(
        &self,
        scripted_actor: &ScriptedActor,
    ) -> Child<impl sockactors::runtime::Actor<Message = ()>> {
        let (board, manners) = (scripted_actor.board.clone(), scripted_actor.manners);
        let child = Child::new(self.name.clone(), move || {
            let behaviour = board.begin();
            assert!(behaviour != StartBehaviour::Panic, "no behaviour");
            let board = board.clone();
            move |ctx: Context<()>| live(ctx, board, behaviour, manners)
        });
        let mut child = child.restart(self.restart).shutdown(self.shutdown).mailbox(1);
        if let Some(limit) = scripted_actor.says {
            child = child.ready_within(limit);
        }
        if self.significant { child.significant() } else { child }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Spec { name, restart, significant, shutdown, body } = self;
        let significant = if *significant { ", significant" } else { "" };
        write!(f, "{name}: {restart:?}{significant}, {shutdown:?}; ")?;
        match body {
            Body::Actor(ScriptedActor { says, manners, behaviours, .. }) => {
                writeln!(f, "says {says:?}, {manners:?}, {behaviours:?}")
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
