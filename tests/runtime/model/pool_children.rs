//! The model of a pool: `simple_one_for_one` with temporary children, which stop in parallel.

use std::time::Duration;

use sockactors::runtime::{NodeState, Restart};

use super::events::{End, Told, What};
use super::spec::{Body, Manners, Plan};
use super::state::{Id, Life, Slot, Timer, World};

impl World {
    pub fn is_member(&self, id: Id) -> bool {
        let parent = self.nodes[id].parent;
        parent.is_some_and(|parent| matches!(self.nodes[parent].plan.body, Body::Pool(_)))
    }

    /// Starts a child of a pool; none where the pool is closed, and then no number is used up.
    pub fn join(&mut self, pool: Id, plan: &std::sync::Arc<Plan>) -> Option<Id> {
        if self.nodes[pool].life != Life::Up {
            return None;
        }
        self.nodes[pool].next_member += 1;
        let member = self.place(plan, Some(pool));
        let node = &mut self.nodes[member];
        (node.incarnation, node.slot) = (1, Slot::Alive(true));
        self.nodes[pool].members.push(member);
        self.is_up(member);
        Some(member)
    }

    /// `terminate_dynamic_children`: asks all to stop, at once and together, and ends behind the last.
    pub fn pool_goes_on(&mut self, pool: Id) {
        if self.nodes[pool].life != Life::Stopping {
            return;
        }
        if std::mem::take(&mut self.nodes[pool].is_to_stop) {
            self.stop_members(pool);
        }
        if self.nodes[pool].members.is_empty() {
            self.stopped(pool, End::Shutdown);
        }
    }

    fn stop_members(&mut self, pool: Id) {
        let Body::Pool(rules) = &self.nodes[pool].plan.body else { return };
        let (now, within) = (self.now, rules.within);
        let members = self.nodes[pool].members.clone();
        self.tally.count(match members.len() {
            0 => "an empty pool was stopped",
            _ => "a pool was stopped with its children",
        });
        for member in members {
            self.nodes[member].life = Life::Stopping;
            self.nodes[member].shown = NodeState::Stopping;
            if let Manners::Slow(pause) = self.manners(member) {
                self.set_timer(now + pause, Timer::Stop(member, 1));
            }
            self.wake(member);
        }
        let of = self.nodes[pool].incarnation;
        self.set_timer(now + within, Timer::Limit(pool, of));
    }

    /// A child of a pool stops, or is dropped. One that is prompt may stop before its turn comes to be dropped.
    pub fn member_goes_on(&mut self, pool: Id, member: Id) {
        let is_struck = self.nodes[pool].is_struck;
        let end = match self.manners(member) {
            _ if self.nodes[member].life != Life::Stopping => return,
            Manners::Prompt => End::Shutdown,
            Manners::Fails => End::Failed("no manners".into()),
            Manners::Slow(_) | Manners::Deaf if is_struck => return self.strike(member),
            Manners::Slow(_) | Manners::Deaf => return,
        };
        let stopped =
            Told { path: self.nodes[member].path.clone(), what: What::Stopped(end.clone()) };
        match !is_struck || self.seen.contains(&stopped) {
            true => self.stopped(member, end),
            false => self.strike(member),
        }
    }

    fn manners(&self, id: Id) -> Manners {
        match &self.nodes[id].plan.body {
            Body::Actor(puppet) => puppet.manners,
            _ => Manners::Prompt,
        }
    }

    pub fn member_is_over(&mut self, pool: Id, member: Id) {
        self.nodes[member].life = Life::None;
        self.nodes[member].shown = NodeState::Idle;
        self.nodes[pool].members.retain(|other| *other != member);
        self.wake(pool);
    }
}

/// The plan of a child of a pool.
pub fn member(number: u64, puppet: super::spec::Puppet) -> Plan {
    Plan {
        name: number.to_string(),
        restart: Restart::Temporary,
        significant: false,
        shutdown: sockactors::runtime::Shutdown::Timeout(Duration::ZERO),
        body: Body::Actor(puppet),
    }
}
