//! The driver's steps, drawn at random.

use std::sync::Arc;
use std::time::Duration;

use sockactors::runtime::{AutoShutdown, Context};

use super::events::{answer, line};
use super::generate::{MS, SECOND};
use super::pool_children::member;
use super::requests::{Request, RequestKind, count};
use super::run::Run;
use super::scripted_actor::{Directive, StartBehaviour, live};
use super::spec::{Body, Spec};
use super::state::{ChildState, Id, IncarnationState};

impl Run {
    /// Draws how much time passes now. Zero lets only runnable tasks run.
    pub fn gap(&mut self) -> Duration {
        self.is_edge = false;
        let generator = &mut self.generator;
        match generator.rng.u32(..100) {
            0..30 => generator.time(1, 1000),
            30..45 => generator.time(1000, 20 * MS),
            45..70 => generator.time(20 * MS, SECOND),
            70..92 => generator.time(SECOND, 12 * SECOND),
            _ => self.edge().unwrap_or(Duration::from_nanos(1)),
        }
    }

    /// Draws a time at which a restart is just inside a supervisor's window, or just outside.
    fn edge(&mut self) -> Option<Duration> {
        let windows: Vec<_> = self
            .state
            .nodes
            .iter()
            .filter_map(|node| match (&node.plan.body, &node.supervisor_state) {
                (Body::Supervisor(rules), Some(supervisor_state)) => {
                    Some((rules.within, supervisor_state))
                }
                _ => None,
            })
            .flat_map(|(within, supervisor_state)| {
                supervisor_state.restarts.iter().map(move |then| *then + within)
            })
            .filter(|edge| *edge > self.state.now)
            .collect();
        let edge = *windows.get(self.generator.rng.usize(..windows.len().max(1)))?;
        self.state.coverage.count("on the edge of the window");
        self.is_edge = true;
        Some(edge - self.state.now + Duration::from_nanos(self.generator.rng.u64(0..2)))
    }

    /// Takes one step.
    pub fn step(&mut self) {
        self.kill_list.lock().unwrap().clear();
        let nodes = &self.state.nodes;
        let is_pausing = nodes.iter().any(|node| matches!(node.slot, ChildState::Restarting(_)));
        let is_starting = nodes.iter().any(|node| node.life == IncarnationState::Starting);
        let is_stopping = nodes.iter().any(|node| node.life == IncarnationState::Stopping);
        for (is, what) in [
            (is_pausing, "acted during a pause"),
            (is_starting, "acted during a start"),
            (is_stopping, "acted during a stop"),
        ] {
            if is {
                self.state.coverage.count(what);
            }
        }
        match self.generator.rng.u32(..100) {
            0..45 => self.fault_one(),
            45..53 => self.fault_two(),
            53..60 => self.expect(),
            60..90 => self.administer(),
            90..97 => self.join(),
            _ => {}
        }
    }

    fn log(&mut self, what: impl std::fmt::Display) {
        let now = self.state.now;
        self.steps.push(format!("{now:?}: {what}"));
    }

    fn draw(&mut self, among: &[Id]) -> Option<Id> {
        among.get(self.generator.rng.usize(..among.len().max(1))).copied()
    }

    /// Lists the actors that can be faulted.
    fn living(&self) -> Vec<Id> {
        let nodes = self.state.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| matches!(node.plan.body, Body::Actor(_)))
            .filter(|(_, node)| {
                matches!(
                    node.life,
                    IncarnationState::Starting | IncarnationState::Up | IncarnationState::Stopping
                )
            })
            .map(|(id, _)| id)
            .collect()
    }

    fn fault_one(&mut self) {
        let living = self.living();
        let Some(victim) = self.draw(&living) else { return };
        if self.generator.is(30) {
            self.expect_of(victim);
        }
        self.fault(victim);
    }

    /// Faults two children of one supervisor at the same moment.
    fn fault_two(&mut self) {
        let is_child = |id: &Id| {
            let parent = self.state.nodes[*id].parent;
            parent.is_some_and(|parent| self.state.nodes[parent].supervisor_state.is_some())
        };
        let living: Vec<_> = self.living().into_iter().filter(is_child).collect();
        let Some(first) = self.draw(&living) else { return };
        let parent = self.state.nodes[first].parent;
        let others: Vec<_> = living
            .into_iter()
            .filter(|other| *other != first && self.state.nodes[*other].parent == parent)
            .collect();
        let Some(second) = self.draw(&others) else { return };
        self.state.coverage.count("two at once");
        self.fault(first);
        self.fault(second);
    }

    fn fault(&mut self, id: Id) {
        let node = &self.state.nodes[id];
        let (plan, path, incarnation) = (node.plan.clone(), node.path.clone(), node.incarnation);
        let Body::Actor(scripted_actor) = &plan.body else { return };
        let order = match node.life {
            IncarnationState::Starting => Directive::Crash,
            _ => {
                let orders = [
                    Directive::Panic,
                    Directive::Error,
                    Directive::ModelExit,
                    Directive::Kill,
                    Directive::Crash,
                ];
                self.generator.of(&orders)
            }
        };
        self.log(format!("{order:?} of {path}"));
        match order {
            Directive::Crash => assert!(self.handle.crash(&path), "{path} is there"),
            Directive::Kill => {
                self.kill_list.lock().unwrap().push((path, incarnation));
                scripted_actor.board.order(None);
            }
            order => scripted_actor.board.order(Some(order)),
        }
        self.state.order(id, order);
    }

    fn expect(&mut self) {
        let nodes = self.state.nodes.iter().enumerate();
        let actors: Vec<_> = nodes
            .filter(|(_, node)| matches!(node.plan.body, Body::Actor(_)) && !node.is_retired)
            .map(|(id, _)| id)
            .collect();
        if let Some(id) = self.draw(&actors) {
            self.expect_of(id);
        }
    }

    /// Makes the next starts of an actor misbehave.
    fn expect_of(&mut self, id: Id) {
        let plan = self.state.nodes[id].plan.clone();
        let Body::Actor(scripted_actor) = &plan.body else { return };
        let many = self.generator.rng.usize(1..4);
        let behaviours: Vec<StartBehaviour> =
            (0..many).map(|_| self.generator.behaviour(scripted_actor.says)).collect();
        self.log(format!("{} will start {behaviours:?}", self.state.nodes[id].path));
        scripted_actor.board.expect(&behaviours);
        self.state.nodes[id].behaviours.extend(behaviours);
    }

    fn administer(&mut self) {
        let nodes = self.state.nodes.iter().enumerate();
        let supervisors: Vec<_> = nodes
            .filter(|(id, node)| matches!(node.plan.body, Body::Supervisor(_)) && *id != self.root)
            .map(|(id, _)| id)
            .collect();
        let Some(id) = self.draw(&supervisors) else { return };
        let node = &self.state.nodes[id];
        let (plan, path) = (node.plan.clone(), node.path.clone());
        let Body::Supervisor(rules) = &plan.body else { return };
        let Some(address) = rules.address.get().cloned() else { return };
        let known = node
            .supervisor_state
            .as_ref()
            .map_or(&node.planned, |supervisor_state| &supervisor_state.children)
            .clone();
        let name = match self.draw(&known) {
            Some(child) if !self.generator.is(8) => self.state.nodes[child].plan.name.clone(),
            _ => "nobody".into(),
        };
        let at = address.clone();
        let what = match self.generator.rng.u32(..100) {
            0..22 => self.added(rules.auto_shutdown, &name),
            22..42 => RequestKind::Terminate(name),
            42..64 => RequestKind::Restart(name),
            64..80 => RequestKind::Remove(name),
            80..88 => RequestKind::List,
            88..94 => RequestKind::One(name),
            _ => RequestKind::Count,
        };
        self.log(format!("{} {what} at {path}", self.asked + 1));
        let asked = what.clone();
        let number = self.wait_for(async move {
            match asked {
                RequestKind::Add(plan) => add(at, &plan).await,
                RequestKind::Remove(name) => answer(at.remove(&name).await),
                RequestKind::Terminate(name) => answer(at.terminate(&name).await),
                RequestKind::Restart(name) => answer(at.restart(&name).await),
                RequestKind::List => match at.children().await {
                    Ok(children) => {
                        let lines: Vec<_> = children.iter().map(line).collect();
                        format!("list of {lines:?}")
                    }
                    Err(error) => answer(Err(error)),
                },
                RequestKind::One(name) => match at.child(&name).await {
                    Ok(child) => format!("child {}", line(&child)),
                    Err(error) => answer(Err(error)),
                },
                RequestKind::Count => match at.count().await {
                    Ok(c) => count(c.specs, c.active, c.supervisors, c.workers),
                    Err(error) => answer(Err(error)),
                },
            }
        });
        self.state.ask(id, Request { number, what });
    }

    /// Draws a child to add, sometimes with a name that is taken.
    fn added(&mut self, parent: AutoShutdown, name: &str) -> RequestKind {
        let mut plan = self.generator.added(parent);
        if self.generator.is(25) && name != "nobody" {
            plan.name = name.into();
        }
        RequestKind::Add(Arc::new(plan))
    }

    fn join(&mut self) {
        let nodes = self.state.nodes.iter().enumerate();
        let pools: Vec<_> = nodes
            .filter(|(_, node)| {
                matches!(node.plan.body, Body::Pool(_)) && node.life != IncarnationState::None
            })
            .map(|(id, _)| id)
            .collect();
        let Some(pool) = self.draw(&pools) else { return };
        let plan = self.state.nodes[pool].plan.clone();
        let Body::Pool(members) = &plan.body else { return };
        let Some(address) = members.address.get() else { return };
        for _ in 0..self.generator.rng.u32(1..4) {
            let scripted_actor = self.generator.scripted_actor(None, 0);
            let (board, manners) = (scripted_actor.board.clone(), scripted_actor.manners);
            self.log(format!("{manners:?} joins {}", self.state.nodes[pool].path));
            let actor = move |ctx: Context<()>| live(ctx, board, StartBehaviour::Good, manners);
            let started = smol::future::block_on(address.start(actor)).is_ok();
            let number = self.state.nodes[pool].next_member;
            let joined = self.state.join(pool, &Arc::new(member(number, scripted_actor))).is_some();
            if started != joined && self.failure.is_none() {
                self.failure = Some(format!("a pool's start: expected {joined}, seen {started}"));
            }
            self.state.coverage.count(if joined { "joined a pool" } else { "found a pool closed" });
        }
    }
}

async fn add(at: sockactors::runtime::SupervisorAddress, plan: &Spec) -> String {
    match &plan.body {
        Body::Actor(scripted_actor) => answer(at.add(plan.child(scripted_actor)).await.map(drop)),
        Body::Supervisor(_) => answer(at.add_supervisor(plan.supervisor()).await),
        Body::Pool(members) => match at.add_pool(plan.pool(members)).await {
            Ok(address) => {
                drop(members.address.set(address));
                answer(Ok(()))
            }
            Err(error) => answer(Err(error)),
        },
    }
}
