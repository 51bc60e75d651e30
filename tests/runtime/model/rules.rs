//! The model's rules: what a supervisor does with its events.
//!
//! Each rule is named after its function in `supervisor.erl`. Beyond OTP, a child may take time to
//! start, a restart may be delayed, and the supervisor answers meanwhile. A stop request takes
//! precedence. A supervisor that gives up ends abnormally. One that follows a significant child
//! ends with that child's exit.

use std::collections::VecDeque;
use std::time::Duration;

use sockactors::runtime::{AutoShutdown, NodeState, Restart};

use super::events::{EventKind, ModelExit};
use super::spec::{Body, Rules, Spec};
use super::state::{ChildState, Id, IncarnationState, ModelState, Timer};

/// The state of a supervisor's incarnation.
#[derive(Debug, Default, Clone)]
pub struct SupervisorState {
    /// In start order.
    pub children: Vec<Id>,
    pub notes: VecDeque<ChildEvent>,
    /// Events that arrived while another child was starting.
    pub deferred: VecDeque<ChildEvent>,
    pub starting: Option<Id>,
    pub is_started: bool,
    pub restarts: Vec<Duration>,
    /// Whether a stop was requested, and whether its children are left no time.
    pub is_stopping: bool,
    pub has_no_time: bool,
    /// The event that the supervisor waits for.
    pub stopping: Option<Stopping>,
}

/// An event that a child's incarnation sends to its supervisor.
#[derive(Debug, Clone, Copy)]
pub struct ChildEvent {
    pub of: Id,
    pub incarnation: u32,
    pub is_end: bool,
    pub at: Duration,
}

/// Children to stop, the last first, and what follows.
#[derive(Debug, Clone)]
pub struct Stopping {
    pub left: Vec<Id>,
    pub now: Option<Id>,
    pub then: AfterStop,
}

#[derive(Debug, Clone)]
pub enum AfterStop {
    /// Restart the group of a child, now or after a delay; whether it is another attempt.
    Restart(Id, bool),
    /// The delay is over.
    Begin(Id),
    Answer(Id, usize),
    ModelExit(ModelExit),
}

impl ModelState {
    pub fn rules(&self, id: Id) -> &Rules {
        match &self.nodes[id].plan.body {
            Body::Supervisor(rules) => rules,
            _ => panic!("{} is no supervisor", self.nodes[id].path),
        }
    }

    pub fn supervisor_state(&mut self, id: Id) -> &mut SupervisorState {
        self.nodes[id].supervisor_state.as_mut().expect("the supervisor lives")
    }

    /// `init`: the specifications are checked before any child starts.
    pub fn open_supervisor_state(&mut self, id: Id) {
        self.nodes[id].supervisor_state = Some(SupervisorState::default());
        self.nodes[id].life = IncarnationState::Starting;
        for child in self.nodes[id].planned.clone() {
            let name = &self.nodes[child].plan.name;
            let is_double = self.child(id, name).is_some();
            if is_double || self.is_bad(id, &self.nodes[child].plan) {
                self.coverage.count("misconfigured");
                return self.close_supervisor_state(id, ModelExit::Misconfigured);
            }
            self.nodes[child].slot = ChildState::Waiting;
            self.supervisor_state(id).children.push(child);
        }
        self.wake(id);
    }

    /// `validSignificant`.
    pub fn is_bad(&self, id: Id, plan: &Spec) -> bool {
        plan.significant
            && (self.rules(id).auto_shutdown == AutoShutdown::Never
                || plan.restart == Restart::Permanent)
    }

    pub fn child(&self, id: Id, name: &str) -> Option<Id> {
        let children = &self.nodes[id].supervisor_state.as_ref()?.children;
        children.iter().copied().find(|child| self.nodes[*child].plan.name == name)
    }

    /// Runs a supervisor until it waits for something.
    pub fn supervise(&mut self, id: Id) {
        while self.nodes[id].supervisor_state.is_some() && self.step(id) {}
    }

    /// The supervisor's loop. `false` if there is nothing to do now.
    fn step(&mut self, id: Id) -> bool {
        let now = self.now;
        let supervisor_state = self.supervisor_state(id);
        if let Some(stopping) = &mut supervisor_state.stopping {
            if stopping.now.is_some() {
                return self.notice(id);
            }
            match stopping.left.pop() {
                Some(child) => self.stop(id, child),
                None => self.all_stopped(id),
            }
            // An actor with a stop request must be polled first.
            let supervisor_state = self.nodes[id].supervisor_state.as_ref();
            let waits_for = supervisor_state
                .and_then(|supervisor_state| supervisor_state.stopping.as_ref()?.now);
            return waits_for.is_none();
        }
        if supervisor_state.is_stopping {
            self.end_with(id, ModelExit::Shutdown);
            return true;
        }
        let (starting, is_started) = (supervisor_state.starting, supervisor_state.is_started);
        let children = supervisor_state.children.clone();
        if starting.is_none() {
            let waiting =
                children.iter().find(|child| self.nodes[**child].slot == ChildState::Waiting);
            if let Some(child) = waiting {
                self.start(id, *child);
                return true;
            }
            if !is_started {
                self.supervisor_state(id).is_started = true;
                self.is_up(id);
                return true;
            }
            if let Some(note) = self.next_event(id, true) {
                self.handle_event(id, note);
                return true;
            }
        }
        // A child that became ready in time, or ended, is not late. Its event is queued.
        let is_late = |child: Id| {
            let node = &self.nodes[child];
            node.life == IncarnationState::Starting && node.until.is_some_and(|until| until <= now)
        };
        match starting {
            Some(child) if is_late(child) => {
                let limit =
                    self.nodes[child].until.take().map_or(Duration::ZERO, |_| self.limit(child));
                self.coverage.count("late start");
                self.nodes[child].slot = ChildState::Idle;
                self.nodes[child].life = IncarnationState::None;
                self.not_started(id, child, ModelExit::NotReady(limit));
                return true;
            }
            _ => {}
        }
        if let Some(note) = self.next_event(id, false) {
            match starting.is_some_and(|starting| starting != note.of) {
                true => {
                    self.coverage.count("put off during a start");
                    self.supervisor_state(id).deferred.push_back(note);
                }
                false => self.handle_event(id, note),
            }
            return true;
        }
        if starting.is_none() {
            let pauses = children.iter().filter_map(|child| match self.nodes[*child].slot {
                ChildState::Restarting(at) if at <= now => Some((at, *child)),
                _ => None,
            });
            if let Some((_, child)) = pauses.min() {
                self.stop_all_of(id, self.group(id, child), AfterStop::Begin(child));
                return true;
            }
        }
        match self.nodes[id].requests.pop_front() {
            Some(request) => {
                self.administer(id, request);
                true
            }
            None => false,
        }
    }

    /// `do_start_child`. Does what the supervisor can do before the child is polled.
    fn start(&mut self, id: Id, child: Id) {
        self.supervisor_state(id).starting = Some(child);
        let now = self.now;
        let node = &mut self.nodes[child];
        node.incarnation += 1;
        (node.slot, node.shown) = (ChildState::Alive(false), NodeState::Starting);
        (node.life, node.until, node.has_no_time) = (IncarnationState::Newborn, None, false);
        match &node.plan.clone().body {
            Body::Pool(_) => self.is_up(child),
            Body::Supervisor(_) => self.wake(child),
            Body::Actor(scripted_actor) => {
                if let Some(limit) = scripted_actor.says.flatten() {
                    node.until = Some(now + limit);
                    self.set_timer(now + limit, Timer::Wake(id));
                }
                self.wake(child);
            }
        }
    }

    fn limit(&self, child: Id) -> Duration {
        match &self.nodes[child].plan.body {
            Body::Actor(scripted_actor) => scripted_actor.says.flatten().unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }

    /// `do_restart`: a child that had started has ended.
    pub fn ended(&mut self, id: Id, child: Id, end: ModelExit) {
        self.rest(child);
        self.tell(child, EventKind::Exited(end.clone()));
        let plan = self.nodes[child].plan.clone();
        let again = match plan.restart {
            Restart::Permanent => true,
            Restart::Transient => end.is_abnormal(),
            Restart::Temporary => false,
        };
        if again {
            return self.restart(id, child, end, false);
        }
        if plan.restart == Restart::Temporary {
            self.leave(id, child);
        }
        let ends = plan.significant
            && match self.rules(id).auto_shutdown {
                AutoShutdown::Never => false,
                AutoShutdown::AnySignificant => true,
                AutoShutdown::AllSignificant => {
                    let lives = |other: &Id| {
                        let other = &self.nodes[*other];
                        other.plan.significant && other.slot != ChildState::Idle
                    };
                    !self.nodes[id]
                        .supervisor_state
                        .iter()
                        .any(|supervisor_state| supervisor_state.children.iter().any(lives))
                }
            };
        if ends {
            self.coverage.count(match self.rules(id).auto_shutdown {
                AutoShutdown::AnySignificant => "auto-shutdown: any",
                _ => "auto-shutdown: all",
            });
            self.end_with(id, if end.is_abnormal() { end } else { ModelExit::Normal });
        } else if plan.significant {
            self.coverage.count("auto-shutdown: not yet");
        }
    }
}
