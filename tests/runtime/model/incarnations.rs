//! The model's incarnations: how they start, become idle and are removed.

use sockactors::runtime::NodeState;

use super::events::{EventKind, ModelExit};
use super::rules::ChildEvent;
use super::scripted_actor::{Directive, StartBehaviour};
use super::spec::Body;
use super::state::{ChildState, Id, IncarnationState, ModelState, Timer};

impl ModelState {
    /// Starts an incarnation.
    pub fn begin(&mut self, id: Id) {
        let node = &mut self.nodes[id];
        node.life = IncarnationState::Starting;
        if let Body::Supervisor(_) = node.plan.body {
            return self.open_supervisor_state(id);
        }
        let (behaviour, of) =
            (node.behaviours.pop_front().unwrap_or(StartBehaviour::Good), node.incarnation);
        node.fails_slowly = matches!(behaviour, StartBehaviour::SlowFail(_));
        match behaviour {
            StartBehaviour::Good => self.is_up(id),
            StartBehaviour::Panic => self.die(id, ModelExit::Panicked("no behaviour".into())),
            StartBehaviour::Fail => self.die(id, ModelExit::Failed("no behaviour".into())),
            StartBehaviour::Ignore => self.die(id, ModelExit::Normal),
            StartBehaviour::Never => {}
            StartBehaviour::Slow(pause) | StartBehaviour::SlowFail(pause) => {
                self.set_timer(self.now + pause, Timer::Start(id, of));
            }
        }
    }

    /// Starts the root, which has no supervisor.
    pub fn begin_root(&mut self, root: Id) {
        self.nodes[root].incarnation = 1;
        self.begin(root);
    }

    pub fn stop_root(&mut self, root: Id) {
        if let Some(supervisor_state) = &mut self.nodes[root].supervisor_state {
            supervisor_state.is_stopping = true;
            self.nodes[root].is_to_stop = true;
            self.wake(root);
        }
    }

    /// An incarnation has started.
    pub fn is_up(&mut self, id: Id) {
        let node = &mut self.nodes[id];
        (node.life, node.shown) = (IncarnationState::Up, NodeState::Running);
        let incarnation = node.incarnation;
        self.tell(id, EventKind::Started(incarnation));
        self.note(id, false);
    }

    /// An incarnation has ended by itself.
    pub fn die(&mut self, id: Id, end: ModelExit) {
        self.nodes[id].life = IncarnationState::Dead(end.clone(), self.now);
        let parent = self.nodes[id].parent;
        match parent.map(|parent| (parent, &self.nodes[parent].plan.body)) {
            Some((pool, Body::Pool(_))) => {
                self.tell(id, EventKind::Exited(end));
                self.member_is_over(pool, id);
            }
            Some(_) => self.note(id, true),
            None => {
                let was_asked = self.nodes[id].is_to_stop;
                self.nodes[id].shown = NodeState::Idle;
                let what = match end {
                    end if was_asked => EventKind::Stopped(end),
                    end @ (ModelExit::StartFailed(..) | ModelExit::Misconfigured) => {
                        EventKind::StartFailed(end)
                    }
                    end => EventKind::Exited(end),
                };
                self.tell(id, what);
            }
        }
    }

    fn note(&mut self, of: Id, is_end: bool) {
        let note = ChildEvent { of, incarnation: self.nodes[of].incarnation, is_end, at: self.now };
        let Some(parent) = self.nodes[of].parent else { return };
        if let Some(supervisor_state) = &mut self.nodes[parent].supervisor_state {
            supervisor_state.notes.push_back(note);
            self.wake(parent);
        }
    }

    /// Gives an actor a directive for its next poll.
    pub fn order(&mut self, id: Id, order: Directive) {
        self.nodes[id].ordered = Some(order);
        self.wake(id);
    }

    /// Executes an actor's directive.
    pub fn execute(&mut self, id: Id, order: Directive) {
        match self.nodes[id].life {
            IncarnationState::Stopping => self.stopped(id, order.end(true)),
            IncarnationState::Starting | IncarnationState::Up => self.die(id, order.end(false)),
            IncarnationState::None
            | IncarnationState::Newborn
            | IncarnationState::Dead(..)
            | IncarnationState::Over(_) => {}
        }
    }

    /// A child has ended: callers that wait for its answer are told so.
    pub fn rest(&mut self, id: Id) {
        self.nodes[id].shown = NodeState::Idle;
        self.refuse(id);
    }

    /// Rejects the caller that waits for a child's start.
    pub fn reject_waiting_caller(&mut self, child: Id) {
        if let Some((request, _)) = self.nodes[child].asked.take() {
            self.coverage.count("a start that was asked for was called off");
            self.answer(request, "gone");
        }
    }

    pub fn refuse(&mut self, id: Id) {
        while let Some(request) = self.nodes[id].requests.pop_front() {
            self.coverage.count("a waiting request was refused");
            self.answer(request.number, "gone");
        }
    }

    /// `remove_child`.
    pub fn leave(&mut self, id: Id, child: Id) {
        self.supervisor_state(id).children.retain(|other| *other != child);
        self.reject_waiting_caller(child);
        if self.nodes[child].is_added || self.nodes[id].parent.is_none() {
            self.retire(child);
        }
    }

    /// No actor below can ever run again.
    pub fn retire(&mut self, id: Id) {
        self.nodes[id].is_retired = true;
        self.refuse(id);
        for child in self.nodes[id].planned.clone() {
            self.retire(child);
        }
    }

    /// A supervisor's incarnation has ended, and its added children are lost.
    pub fn close_supervisor_state(&mut self, id: Id, end: ModelExit) {
        self.refuse(id);
        for child in self.nodes[id]
            .supervisor_state
            .take()
            .map(|supervisor_state| supervisor_state.children)
            .unwrap_or_default()
        {
            if self.nodes[child].slot == ChildState::Waiting {
                self.nodes[child].slot = ChildState::Idle;
                self.rest(child);
            }
        }
        match self.nodes[id].life {
            IncarnationState::Stopping => self.stopped(id, end),
            _ => self.die(id, end),
        }
    }
}
