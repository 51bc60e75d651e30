//! The model of a pool: `simple_one_for_one` with temporary children, which stop in parallel.

use std::time::Duration;

use sockactors::runtime::{NodeState, Restart};

use super::events::{EventKind, ModelEvent, ModelExit};
use super::spec::{Body, Spec, StopBehaviour};
use super::state::{ChildState, Id, IncarnationState, ModelState, Timer};

impl ModelState {
    pub fn is_member(&self, id: Id) -> bool {
        let parent = self.nodes[id].parent;
        parent.is_some_and(|parent| matches!(self.nodes[parent].plan.body, Body::Pool(_)))
    }

    /// Starts a child of a pool. A closed pool starts none and uses up no number.
    pub fn join(&mut self, pool: Id, plan: &std::sync::Arc<Spec>) -> Option<Id> {
        if self.nodes[pool].life != IncarnationState::Up {
            return None;
        }
        self.nodes[pool].next_member += 1;
        let member = self.place(plan, Some(pool));
        let node = &mut self.nodes[member];
        (node.incarnation, node.slot) = (1, ChildState::Alive(true));
        self.nodes[pool].members.push(member);
        self.is_up(member);
        Some(member)
    }

    /// `terminate_dynamic_children`: asks all children to stop at once, and ends after the last
    /// one.
    pub fn pool_goes_on(&mut self, pool: Id) {
        if self.nodes[pool].life != IncarnationState::Stopping {
            return;
        }
        if std::mem::take(&mut self.nodes[pool].is_to_stop) {
            self.stop_members(pool);
        }
        if self.nodes[pool].members.is_empty() {
            self.stopped(pool, ModelExit::Shutdown);
        }
    }

    fn stop_members(&mut self, pool: Id) {
        let Body::Pool(rules) = &self.nodes[pool].plan.body else { return };
        let (now, within) = (self.now, rules.within);
        let members = self.nodes[pool].members.clone();
        self.coverage.count(match members.len() {
            0 => "an empty pool was stopped",
            _ => "a pool was stopped with its children",
        });
        for member in members {
            self.nodes[member].life = IncarnationState::Stopping;
            self.nodes[member].shown = NodeState::Stopping;
            if let StopBehaviour::Slow(pause) = self.manners(member) {
                self.set_timer(now + pause, Timer::Stop(member, 1));
            }
            self.wake(member);
        }
        let of = self.nodes[pool].incarnation;
        self.set_timer(now + within, Timer::Limit(pool, of));
    }

    /// A child of a pool stops or is dropped. A fast one may stop before it would be dropped.
    pub fn member_goes_on(&mut self, pool: Id, member: Id) {
        let has_no_time = self.nodes[pool].has_no_time;
        let end = match self.manners(member) {
            _ if self.nodes[member].life != IncarnationState::Stopping => return,
            StopBehaviour::Prompt => ModelExit::Shutdown,
            StopBehaviour::Fails => ModelExit::Failed("no manners".into()),
            StopBehaviour::Slow(_) | StopBehaviour::Deaf if has_no_time => {
                return self.leave_no_time(member);
            }
            StopBehaviour::Slow(_) | StopBehaviour::Deaf => return,
        };
        let stopped = ModelEvent {
            path: self.nodes[member].path.clone(),
            what: EventKind::Stopped(end.clone()),
        };
        match !has_no_time || self.seen.contains(&stopped) {
            true => self.stopped(member, end),
            false => self.leave_no_time(member),
        }
    }

    fn manners(&self, id: Id) -> StopBehaviour {
        match &self.nodes[id].plan.body {
            Body::Actor(scripted_actor) => scripted_actor.manners,
            _ => StopBehaviour::Prompt,
        }
    }

    pub fn member_is_over(&mut self, pool: Id, member: Id) {
        self.nodes[member].life = IncarnationState::None;
        self.nodes[member].shown = NodeState::Idle;
        self.nodes[pool].members.retain(|other| *other != member);
        self.wake(pool);
    }
}

/// Returns the specification of a child of a pool.
pub fn member(number: u64, scripted_actor: super::spec::ScriptedActor) -> Spec {
    Spec {
        name: number.to_string(),
        restart: Restart::Temporary,
        significant: false,
        shutdown: sockactors::runtime::Shutdown::Timeout(Duration::ZERO),
        body: Body::Actor(scripted_actor),
    }
}
