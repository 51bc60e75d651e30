//! The model's rules for ending children, and what follows.
//!
//! Children end one by one, the last first, each by its shutdown: it is asked and given time, or
//! dropped. Nothing else is handled meanwhile.

use sockactors::runtime::{NodeState, Restart, Shutdown};

use super::events::{EventKind, ModelExit};
use super::rules::{AfterStop, Stopping};
use super::scripted_actor::Directive;
use super::spec::{Body, StopBehaviour};
use super::state::{ChildState, Id, IncarnationState, ModelState, Timer};

impl ModelState {
    pub fn stop_all_of(&mut self, id: Id, left: Vec<Id>, then: AfterStop) {
        self.supervisor_state(id).stopping = Some(Stopping { left, now: None, then });
    }

    pub fn end_with(&mut self, id: Id, end: ModelExit) {
        let left = self.supervisor_state(id).children.clone();
        self.stop_all_of(id, left, AfterStop::ModelExit(end));
    }

    /// `do_terminate`: starts to end a child.
    pub fn stop(&mut self, id: Id, child: Id) {
        let supervisor_state = self.supervisor_state(id);
        let has_no_time = supervisor_state.has_no_time;
        supervisor_state.starting = supervisor_state.starting.filter(|starting| *starting != child);
        let then = self.supervisor_state(id).stopping.as_ref().map(|stopping| &stopping.then);
        if matches!(then, Some(AfterStop::Answer(..) | AfterStop::ModelExit(_))) {
            self.reject_waiting_caller(child);
        }
        let slot = std::mem::replace(&mut self.nodes[child].slot, ChildState::Idle);
        if !matches!(slot, ChildState::Alive(_)) {
            let then = self.supervisor_state(id).stopping.as_ref().map(|stopping| &stopping.then);
            let is_due = matches!(then, Some(AfterStop::Begin(key)) if *key == child);
            if matches!(slot, ChildState::Restarting(_)) && !is_due {
                self.coverage.count("a pause was called off");
            }
            return self.is_stopped(id, child);
        }
        if let Some(stopping) = &mut self.supervisor_state(id).stopping {
            stopping.now = Some(child);
        }
        let is_dropped = has_no_time || self.nodes[child].plan.shutdown == Shutdown::Kill;
        let is_actor = matches!(self.nodes[child].plan.body, Body::Actor(_));
        if self.nodes[child].life == IncarnationState::Newborn && !(is_dropped && is_actor) {
            // It is polled, and finds its stop request.
            self.coverage.count("a newborn was stopped");
            self.nodes[child].is_to_stop = true;
            return self.wake(child);
        }
        self.ask_to_stop(child, has_no_time);
    }

    /// Polls a new child, which may have a stop request already.
    pub fn begin_or_stop(&mut self, id: Id) {
        self.begin(id);
        if !std::mem::take(&mut self.nodes[id].is_to_stop) {
            return;
        }
        if let IncarnationState::Dead(end @ ModelExit::Normal, _) = &mut self.nodes[id].life {
            *end = ModelExit::Shutdown;
        }
        let parent =
            self.nodes[id].parent.and_then(|parent| self.nodes[parent].supervisor_state.as_ref());
        let has_no_time = parent.is_some_and(|supervisor_state| supervisor_state.has_no_time);
        self.ask_to_stop(id, has_no_time);
    }

    fn ask_to_stop(&mut self, child: Id, has_no_time: bool) {
        let now = self.now;
        let (plan, of) = (self.nodes[child].plan.clone(), self.nodes[child].incarnation);
        let is_dropped = has_no_time || plan.shutdown == Shutdown::Kill;
        if let IncarnationState::Dead(end, _) = self.nodes[child].life.clone() {
            self.coverage.count("stopped when it had ended already");
            self.on_child_ended(child, Some(end));
            if let Some(parent) = self.nodes[child].parent {
                self.notice(parent);
            }
            return;
        }
        let was_up = self.nodes[child].life == IncarnationState::Up;
        (self.nodes[child].life, self.nodes[child].shown) =
            (IncarnationState::Stopping, NodeState::Stopping);
        match &plan.body {
            Body::Supervisor(_) => {
                self.supervisor_state(child).is_stopping = true;
                self.wake(child);
            }
            Body::Pool(_) => {
                self.nodes[child].is_to_stop = true;
                self.wake(child);
            }
            Body::Actor(_) if is_dropped => {}
            // It executes its directive first.
            Body::Actor(_) if self.nodes[child].ordered.is_some() => return,
            Body::Actor(_) if !was_up => return self.stopped(child, ModelExit::Shutdown),
            Body::Actor(scripted_actor) => match scripted_actor.manners {
                StopBehaviour::Prompt => return self.stopped(child, ModelExit::Shutdown),
                StopBehaviour::Fails => {
                    return self.stopped(child, ModelExit::Failed("no manners".into()));
                }
                StopBehaviour::Slow(pause) => self.set_timer(now + pause, Timer::Stop(child, of)),
                StopBehaviour::Deaf => {}
            },
        }
        match plan.shutdown {
            _ if is_dropped => self.leave_no_time(child),
            Shutdown::Timeout(limit) => self.set_timer(now + limit, Timer::Limit(child, of)),
            Shutdown::Kill | Shutdown::Infinity => {}
        }
    }

    /// Leaves a stopping child no more time. It is dropped, or drops its own children.
    pub fn leave_no_time(&mut self, id: Id) {
        let node = &self.nodes[id];
        let is_unborn_actor =
            node.life == IncarnationState::Newborn && matches!(node.plan.body, Body::Actor(_));
        if node.life != IncarnationState::Stopping && !is_unborn_actor {
            return;
        }
        match self.nodes[id].plan.body {
            Body::Actor(_) => {
                self.coverage.count("killed");
                self.on_child_ended(id, None);
            }
            Body::Pool(_) => {
                self.nodes[id].has_no_time = true;
                for member in self.nodes[id].members.clone() {
                    self.wake(member);
                }
            }
            Body::Supervisor(_) => {
                self.coverage.count("a supervisor was killed");
                self.supervisor_state(id).has_no_time = true;
                let now =
                    self.supervisor_state(id).stopping.as_ref().and_then(|stopping| stopping.now);
                if let Some(child) = now {
                    self.leave_no_time(child);
                }
                self.wake(id);
            }
        }
    }

    /// A stopping actor has ended, unless it had ended before.
    pub fn stopped(&mut self, id: Id, end: ModelExit) {
        self.on_child_ended(id, Some(end));
    }

    /// A stopping child has ended; without an exit if it was dropped.
    fn on_child_ended(&mut self, child: Id, end: Option<ModelExit>) {
        let Some(parent) = self.nodes[child].parent else { return };
        if self.is_member(child) {
            self.tell(child, end.map_or(EventKind::Killed, EventKind::Stopped));
            return self.member_is_over(parent, child);
        }
        self.nodes[child].life = IncarnationState::Over(end);
        self.wake(parent);
    }

    /// Handles the end of the child that is being stopped.
    pub fn notice(&mut self, id: Id) -> bool {
        let Some(stopping) = &mut self.supervisor_state(id).stopping else { return false };
        let Some(child) = stopping.now else { return true };
        let IncarnationState::Over(end) = self.nodes[child].life.clone() else { return false };
        self.tell(child, end.map_or(EventKind::Killed, EventKind::Stopped));
        if let Some(stopping) = &mut self.supervisor_state(id).stopping {
            stopping.now = None;
        }
        self.is_stopped(id, child);
        true
    }

    fn is_stopped(&mut self, id: Id, child: Id) {
        self.nodes[child].life = IncarnationState::None;
        self.rest(child);
        let then =
            self.supervisor_state(id).stopping.as_ref().map(|stopping| stopping.then.clone());
        let is_temporary = self.nodes[child].plan.restart == Restart::Temporary;
        match then {
            Some(AfterStop::Restart(key, _) | AfterStop::Begin(key))
                if is_temporary && child != key =>
            {
                self.coverage.count("a temporary child left with its group");
                self.leave(id, child);
            }
            Some(AfterStop::ModelExit(_)) if self.nodes[child].is_added => self.retire(child),
            _ => {}
        }
    }

    /// `terminate_children` has finished.
    pub fn all_stopped(&mut self, id: Id) {
        let Some(stopping) = self.supervisor_state(id).stopping.take() else { return };
        match stopping.then {
            AfterStop::Restart(child, is_retry) => self.restart_group(id, child, is_retry),
            AfterStop::Begin(child) => {
                self.coverage.count("a pause was over");
                self.wait_for_start(id, child);
            }
            AfterStop::Answer(child, request) => {
                if self.nodes[child].plan.restart == Restart::Temporary {
                    self.leave(id, child);
                }
                self.answer(request, "ok");
            }
            AfterStop::ModelExit(end) => self.close_supervisor_state(id, end),
        }
    }
}

impl Directive {
    /// The exit of an actor that obeys its stop request.
    pub fn end(self, is_stopping: bool) -> ModelExit {
        match self {
            Directive::Panic => ModelExit::Panicked("as written".into()),
            Directive::Error => ModelExit::Failed("as written".into()),
            Directive::ModelExit if is_stopping => ModelExit::Shutdown,
            Directive::ModelExit => ModelExit::Normal,
            Directive::Kill => ModelExit::Killed,
            Directive::Crash => ModelExit::Panicked("crashed on request".into()),
        }
    }
}
