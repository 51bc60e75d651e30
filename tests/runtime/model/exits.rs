//! The model of OTP's rules: how children come to their end, and what follows.
//!
//! One after the other, the last first, each by its shutdown: asked and given time, or dropped. Nothing else
//! is looked at meanwhile.

use sockactors::runtime::{NodeState, Restart, Shutdown};

use super::events::{End, What};
use super::rules::{Stopping, Then};
use super::scripted_actor::Order;
use super::spec::{Body, Manners};
use super::state::{Id, Life, Slot, Timer, World};

impl World {
    pub fn stop_all_of(&mut self, id: Id, left: Vec<Id>, then: Then) {
        self.desk(id).stopping = Some(Stopping { left, now: None, then });
    }

    pub fn end_with(&mut self, id: Id, end: End) {
        let left = self.desk(id).children.clone();
        self.stop_all_of(id, left, Then::End(end));
    }

    /// `do_terminate`: begins to bring a child to its end.
    pub fn stop(&mut self, id: Id, child: Id) {
        let desk = self.desk(id);
        let is_struck = desk.is_struck;
        desk.starting = desk.starting.filter(|starting| *starting != child);
        let then = self.desk(id).stopping.as_ref().map(|stopping| &stopping.then);
        if matches!(then, Some(Then::Answer(..) | Then::End(_))) {
            self.call_off_asked(child);
        }
        let slot = std::mem::replace(&mut self.nodes[child].slot, Slot::Idle);
        if !matches!(slot, Slot::Alive(_)) {
            let then = self.desk(id).stopping.as_ref().map(|stopping| &stopping.then);
            let is_due = matches!(then, Some(Then::Begin(key)) if *key == child);
            if matches!(slot, Slot::Restarting(_)) && !is_due {
                self.tally.count("a pause was called off");
            }
            return self.is_stopped(id, child);
        }
        if let Some(stopping) = &mut self.desk(id).stopping {
            stopping.now = Some(child);
        }
        let is_dropped = is_struck || self.nodes[child].plan.shutdown == Shutdown::Kill;
        let is_actor = matches!(self.nodes[child].plan.body, Body::Actor(_));
        if self.nodes[child].life == Life::Newborn && !(is_dropped && is_actor) {
            // It gets to run, and finds that it is to stop.
            self.tally.count("a newborn was stopped");
            self.nodes[child].is_to_stop = true;
            return self.wake(child);
        }
        self.ask_to_stop(child, is_struck);
    }

    /// Has a newborn begin, which may have been asked to stop before.
    pub fn begin_or_stop(&mut self, id: Id) {
        self.begin(id);
        if !std::mem::take(&mut self.nodes[id].is_to_stop) {
            return;
        }
        if let Life::Dead(end @ End::Normal, _) = &mut self.nodes[id].life {
            *end = End::Shutdown;
        }
        let parent = self.nodes[id].parent.and_then(|parent| self.nodes[parent].desk.as_ref());
        let is_struck = parent.is_some_and(|desk| desk.is_struck);
        self.ask_to_stop(id, is_struck);
    }

    fn ask_to_stop(&mut self, child: Id, is_struck: bool) {
        let now = self.now;
        let (plan, of) = (self.nodes[child].plan.clone(), self.nodes[child].incarnation);
        let is_dropped = is_struck || plan.shutdown == Shutdown::Kill;
        if let Life::Dead(end, _) = self.nodes[child].life.clone() {
            self.tally.count("stopped when it had ended already");
            self.is_over(child, Some(end));
            if let Some(parent) = self.nodes[child].parent {
                self.notice(parent);
            }
            return;
        }
        let was_up = self.nodes[child].life == Life::Up;
        (self.nodes[child].life, self.nodes[child].shown) = (Life::Stopping, NodeState::Stopping);
        match &plan.body {
            Body::Supervisor(_) => {
                self.desk(child).is_stopping = true;
                self.wake(child);
            }
            Body::Pool(_) => {
                self.nodes[child].is_to_stop = true;
                self.wake(child);
            }
            Body::Actor(_) if is_dropped => {}
            // It does what it was ordered first.
            Body::Actor(_) if self.nodes[child].ordered.is_some() => return,
            Body::Actor(_) if !was_up => return self.stopped(child, End::Shutdown),
            Body::Actor(puppet) => match puppet.manners {
                Manners::Prompt => return self.stopped(child, End::Shutdown),
                Manners::Fails => return self.stopped(child, End::Failed("no manners".into())),
                Manners::Slow(pause) => self.set_timer(now + pause, Timer::Stop(child, of)),
                Manners::Deaf => {}
            },
        }
        match plan.shutdown {
            _ if is_dropped => self.strike(child),
            Shutdown::Timeout(limit) => self.set_timer(now + limit, Timer::Limit(child, of)),
            Shutdown::Kill | Shutdown::Infinity => {}
        }
    }

    /// Leaves a child that is being stopped no more time: it is dropped, or drops its own children.
    pub fn strike(&mut self, id: Id) {
        let node = &self.nodes[id];
        let is_unborn_actor =
            node.life == Life::Newborn && matches!(node.plan.body, Body::Actor(_));
        if node.life != Life::Stopping && !is_unborn_actor {
            return;
        }
        match self.nodes[id].plan.body {
            Body::Actor(_) => {
                self.tally.count("killed");
                self.is_over(id, None);
            }
            Body::Pool(_) => {
                self.nodes[id].is_struck = true;
                for member in self.nodes[id].members.clone() {
                    self.wake(member);
                }
            }
            Body::Supervisor(_) => {
                self.tally.count("a supervisor was killed");
                self.desk(id).is_struck = true;
                let now = self.desk(id).stopping.as_ref().and_then(|stopping| stopping.now);
                if let Some(child) = now {
                    self.strike(child);
                }
                self.wake(id);
            }
        }
    }

    /// An actor that was asked to stop has ended, if it did not before.
    pub fn stopped(&mut self, id: Id, end: End) {
        self.is_over(id, Some(end));
    }

    /// A child that was being stopped is over; without an end where it was dropped.
    fn is_over(&mut self, child: Id, end: Option<End>) {
        let Some(parent) = self.nodes[child].parent else { return };
        if self.is_member(child) {
            self.tell(child, end.map_or(What::Killed, What::Stopped));
            return self.member_is_over(parent, child);
        }
        self.nodes[child].life = Life::Over(end);
        self.wake(parent);
    }

    /// Notices that the child is over which is being stopped.
    pub fn notice(&mut self, id: Id) -> bool {
        let Some(stopping) = &mut self.desk(id).stopping else { return false };
        let Some(child) = stopping.now else { return true };
        let Life::Over(end) = self.nodes[child].life.clone() else { return false };
        self.tell(child, end.map_or(What::Killed, What::Stopped));
        if let Some(stopping) = &mut self.desk(id).stopping {
            stopping.now = None;
        }
        self.is_stopped(id, child);
        true
    }

    fn is_stopped(&mut self, id: Id, child: Id) {
        self.nodes[child].life = Life::None;
        self.rest(child);
        let then = self.desk(id).stopping.as_ref().map(|stopping| stopping.then.clone());
        let is_temporary = self.nodes[child].plan.restart == Restart::Temporary;
        match then {
            Some(Then::Restart(key, _) | Then::Begin(key)) if is_temporary && child != key => {
                self.tally.count("a temporary child left with its group");
                self.leave(id, child);
            }
            Some(Then::End(_)) if self.nodes[child].is_added => self.retire(child),
            _ => {}
        }
    }

    /// `terminate_children` is over.
    pub fn all_stopped(&mut self, id: Id) {
        let Some(stopping) = self.desk(id).stopping.take() else { return };
        match stopping.then {
            Then::Restart(child, is_retry) => self.restart_group(id, child, is_retry),
            Then::Begin(child) => {
                self.tally.count("a pause was over");
                self.wait_for_start(id, child);
            }
            Then::Answer(child, request) => {
                if self.nodes[child].plan.restart == Restart::Temporary {
                    self.leave(id, child);
                }
                self.answer(request, "ok");
            }
            Then::End(end) => self.close_desk(id, end),
        }
    }
}

impl Order {
    /// How an actor ends that does as it is told.
    pub fn end(self, is_stopping: bool) -> End {
        match self {
            Order::Panic => End::Panicked("as written".into()),
            Order::Error => End::Failed("as written".into()),
            Order::End if is_stopping => End::Shutdown,
            Order::End => End::Normal,
            Order::Kill => End::Killed,
            Order::Crash => End::Panicked("crashed on request".into()),
        }
    }
}
