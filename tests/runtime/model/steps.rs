//! What the driver does: the steps of a run, drawn from the dice.

use std::sync::Arc;
use std::time::Duration;

use sockactors::runtime::{AutoShutdown, Context};

use super::events::{answer, line};
use super::generate::{MS, SECOND};
use super::pool_children::member;
use super::requests::{Ask, Request, count};
use super::run::Run;
use super::scripted_actor::{Mood, Order, live};
use super::spec::{Body, Plan};
use super::state::{Id, Life, Slot};

impl Run {
    /// Draws how much time passes now. An instant lets whoever can run do so, and nobody else.
    pub fn gap(&mut self) -> Duration {
        self.is_edge = false;
        let grower = &mut self.grower;
        match grower.dice.u32(..100) {
            0..30 => grower.time(1, 1000),
            30..45 => grower.time(1000, 20 * MS),
            45..70 => grower.time(20 * MS, SECOND),
            70..92 => grower.time(SECOND, 12 * SECOND),
            _ => self.edge().unwrap_or(Duration::from_nanos(1)),
        }
    }

    /// Draws a time at which a restart is just still in a supervisor's window, or just not any more.
    fn edge(&mut self) -> Option<Duration> {
        let windows: Vec<_> = self
            .world
            .nodes
            .iter()
            .filter_map(|node| match (&node.plan.body, &node.desk) {
                (Body::Supervisor(rules), Some(desk)) => Some((rules.within, desk)),
                _ => None,
            })
            .flat_map(|(within, desk)| desk.restarts.iter().map(move |then| *then + within))
            .filter(|edge| *edge > self.world.now)
            .collect();
        let edge = *windows.get(self.grower.dice.usize(..windows.len().max(1)))?;
        self.world.tally.count("on the edge of the window");
        self.is_edge = true;
        Some(edge - self.world.now + Duration::from_nanos(self.grower.dice.u64(0..2)))
    }

    /// Takes one step.
    pub fn step(&mut self) {
        self.doomed.lock().unwrap().clear();
        let nodes = &self.world.nodes;
        let is_pausing = nodes.iter().any(|node| matches!(node.slot, Slot::Restarting(_)));
        let is_starting = nodes.iter().any(|node| node.life == Life::Starting);
        let is_stopping = nodes.iter().any(|node| node.life == Life::Stopping);
        for (is, what) in [
            (is_pausing, "acted during a pause"),
            (is_starting, "acted during a start"),
            (is_stopping, "acted during a stop"),
        ] {
            if is {
                self.world.tally.count(what);
            }
        }
        match self.grower.dice.u32(..100) {
            0..45 => self.hurt_one(),
            45..53 => self.hurt_two(),
            53..60 => self.expect(),
            60..90 => self.administer(),
            90..97 => self.join(),
            _ => {}
        }
    }

    fn log(&mut self, what: impl std::fmt::Display) {
        let now = self.world.now;
        self.steps.push(format!("{now:?}: {what}"));
    }

    fn draw(&mut self, among: &[Id]) -> Option<Id> {
        among.get(self.grower.dice.usize(..among.len().max(1))).copied()
    }

    /// Lists the actors that something can befall.
    fn living(&self) -> Vec<Id> {
        let nodes = self.world.nodes.iter().enumerate();
        nodes
            .filter(|(_, node)| matches!(node.plan.body, Body::Actor(_)))
            .filter(|(_, node)| matches!(node.life, Life::Starting | Life::Up | Life::Stopping))
            .map(|(id, _)| id)
            .collect()
    }

    fn hurt_one(&mut self) {
        let living = self.living();
        let Some(victim) = self.draw(&living) else { return };
        if self.grower.is(30) {
            self.expect_of(victim);
        }
        self.hurt(victim);
    }

    /// Hurts two children of one supervisor at the same moment.
    fn hurt_two(&mut self) {
        let is_child = |id: &Id| {
            let parent = self.world.nodes[*id].parent;
            parent.is_some_and(|parent| self.world.nodes[parent].desk.is_some())
        };
        let living: Vec<_> = self.living().into_iter().filter(is_child).collect();
        let Some(first) = self.draw(&living) else { return };
        let parent = self.world.nodes[first].parent;
        let others: Vec<_> = living
            .into_iter()
            .filter(|other| *other != first && self.world.nodes[*other].parent == parent)
            .collect();
        let Some(second) = self.draw(&others) else { return };
        self.world.tally.count("two at once");
        self.hurt(first);
        self.hurt(second);
    }

    fn hurt(&mut self, id: Id) {
        let node = &self.world.nodes[id];
        let (plan, path, incarnation) = (node.plan.clone(), node.path.clone(), node.incarnation);
        let Body::Actor(puppet) = &plan.body else { return };
        let order = match node.life {
            Life::Starting => Order::Crash,
            _ => {
                let orders = [Order::Panic, Order::Error, Order::End, Order::Kill, Order::Crash];
                self.grower.of(&orders)
            }
        };
        self.log(format!("{order:?} of {path}"));
        match order {
            Order::Crash => assert!(self.handle.crash(&path), "{path} is there"),
            Order::Kill => {
                self.doomed.lock().unwrap().push((path, incarnation));
                puppet.board.order(None);
            }
            order => puppet.board.order(Some(order)),
        }
        self.world.order(id, order);
    }

    fn expect(&mut self) {
        let nodes = self.world.nodes.iter().enumerate();
        let actors: Vec<_> = nodes
            .filter(|(_, node)| matches!(node.plan.body, Body::Actor(_)) && !node.is_retired)
            .map(|(id, _)| id)
            .collect();
        if let Some(id) = self.draw(&actors) {
            self.expect_of(id);
        }
    }

    /// Has the next starts of an actor go otherwise than well.
    fn expect_of(&mut self, id: Id) {
        let plan = self.world.nodes[id].plan.clone();
        let Body::Actor(puppet) = &plan.body else { return };
        let many = self.grower.dice.usize(1..4);
        let moods: Vec<Mood> = (0..many).map(|_| self.grower.mood(puppet.says)).collect();
        self.log(format!("{} will start {moods:?}", self.world.nodes[id].path));
        puppet.board.expect(&moods);
        self.world.nodes[id].moods.extend(moods);
    }

    fn administer(&mut self) {
        let nodes = self.world.nodes.iter().enumerate();
        let supervisors: Vec<_> = nodes
            .filter(|(id, node)| matches!(node.plan.body, Body::Supervisor(_)) && *id != self.root)
            .map(|(id, _)| id)
            .collect();
        let Some(id) = self.draw(&supervisors) else { return };
        let node = &self.world.nodes[id];
        let (plan, path) = (node.plan.clone(), node.path.clone());
        let Body::Supervisor(rules) = &plan.body else { return };
        let Some(address) = rules.address.get().cloned() else { return };
        let known = node.desk.as_ref().map_or(&node.planned, |desk| &desk.children).clone();
        let name = match self.draw(&known) {
            Some(child) if !self.grower.is(8) => self.world.nodes[child].plan.name.clone(),
            _ => "nobody".into(),
        };
        let at = address.clone();
        let what = match self.grower.dice.u32(..100) {
            0..22 => self.added(rules.auto_shutdown, &name),
            22..42 => Ask::Terminate(name),
            42..64 => Ask::Restart(name),
            64..80 => Ask::Remove(name),
            80..88 => Ask::List,
            88..94 => Ask::One(name),
            _ => Ask::Count,
        };
        self.log(format!("{} {what} at {path}", self.asked + 1));
        let asked = what.clone();
        let number = self.wait_for(async move {
            match asked {
                Ask::Add(plan) => add(at, &plan).await,
                Ask::Remove(name) => answer(at.remove(&name).await),
                Ask::Terminate(name) => answer(at.terminate(&name).await),
                Ask::Restart(name) => answer(at.restart(&name).await),
                Ask::List => match at.children().await {
                    Ok(children) => {
                        let lines: Vec<_> = children.iter().map(line).collect();
                        format!("list of {lines:?}")
                    }
                    Err(error) => answer(Err(error)),
                },
                Ask::One(name) => match at.child(&name).await {
                    Ok(child) => format!("child {}", line(&child)),
                    Err(error) => answer(Err(error)),
                },
                Ask::Count => match at.count().await {
                    Ok(c) => count(c.specs, c.active, c.supervisors, c.workers),
                    Err(error) => answer(Err(error)),
                },
            }
        });
        self.world.ask(id, Request { number, what });
    }

    /// Draws a child to add; sometimes by the name of one that is there.
    fn added(&mut self, parent: AutoShutdown, name: &str) -> Ask {
        let mut plan = self.grower.added(parent);
        if self.grower.is(25) && name != "nobody" {
            plan.name = name.into();
        }
        Ask::Add(Arc::new(plan))
    }

    fn join(&mut self) {
        let nodes = self.world.nodes.iter().enumerate();
        let pools: Vec<_> = nodes
            .filter(|(_, node)| matches!(node.plan.body, Body::Pool(_)) && node.life != Life::None)
            .map(|(id, _)| id)
            .collect();
        let Some(pool) = self.draw(&pools) else { return };
        let plan = self.world.nodes[pool].plan.clone();
        let Body::Pool(members) = &plan.body else { return };
        let Some(address) = members.address.get() else { return };
        for _ in 0..self.grower.dice.u32(1..4) {
            let puppet = self.grower.puppet(None, 0);
            let (board, manners) = (puppet.board.clone(), puppet.manners);
            self.log(format!("{manners:?} joins {}", self.world.nodes[pool].path));
            let actor = move |ctx: Context<()>| live(ctx, board, Mood::Good, manners);
            let started = smol::future::block_on(address.start(actor)).is_ok();
            let number = self.world.nodes[pool].next_member;
            let joined = self.world.join(pool, &Arc::new(member(number, puppet))).is_some();
            if started != joined && self.failure.is_none() {
                self.failure = Some(format!("a pool's start: expected {joined}, seen {started}"));
            }
            self.world.tally.count(if joined { "joined a pool" } else { "found a pool closed" });
        }
    }
}

async fn add(at: sockactors::runtime::SupervisorAddress, plan: &Plan) -> String {
    match &plan.body {
        Body::Actor(puppet) => answer(at.add(plan.child(puppet)).await.map(drop)),
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
