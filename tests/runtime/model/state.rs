//! The model's state: the nodes of a tree, a clock, and the events.
//!
//! It is one plain data structure that is advanced from one moment to the next. The rules are in
//! `rules` and `exits`. Where the library is free (which of two simultaneous exits is handled
//! first; how a delay is shortened) the model reads the observation and accepts only what is
//! allowed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sockactors::runtime::NodeState;

use super::coverage::Coverage;
use super::events::{EventKind, ModelEvent, ModelExit};
use super::requests::Request;
use super::rules::SupervisorState;
use super::scripted_actor::{Directive, StartBehaviour};
use super::spec::{Body, Spec};

pub type Id = usize;

/// The state of a child in its supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChildState {
    Idle,
    /// Queued for its start.
    Waiting,
    /// It has an incarnation, and whether the supervisor knows that it has started.
    Alive(bool),
    /// Waiting for a restart, until this time.
    Restarting(Duration),
}

/// The state of an incarnation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IncarnationState {
    None,
    /// Spawned, but not polled yet.
    Newborn,
    Starting,
    Up,
    /// Asked to stop.
    Stopping,
    /// It has ended, and its supervisor does not know yet.
    Dead(ModelExit, Duration),
    /// It was stopped or dropped, and its supervisor does not know yet.
    Over(Option<ModelExit>),
}

#[derive(Debug, Clone)]
pub struct Node {
    pub plan: Arc<Spec>,
    pub path: String,
    pub parent: Option<Id>,
    pub incarnation: u32,
    pub slot: ChildState,
    pub life: IncarnationState,
    pub shown: NodeState,
    /// Whether it was added at run time, and is lost with its supervisor's incarnation.
    pub is_added: bool,
    /// Whether it can never run again.
    pub is_retired: bool,
    /// Its directive for the next poll.
    pub ordered: Option<Directive>,
    /// Whether it was asked to stop and has not been polled since.
    pub is_to_stop: bool,
    /// Whether a pool leaves its children no more time.
    pub has_no_time: bool,
    /// The request that waits for its start, and whether that request added it.
    pub asked: Option<(usize, bool)>,
    /// The deadline for becoming ready.
    pub until: Option<Duration>,
    pub behaviours: VecDeque<StartBehaviour>,
    /// How a slow start ends.
    pub fails_slowly: bool,
    /// The children of the specification.
    pub planned: Vec<Id>,
    /// A supervisor's incarnation.
    pub supervisor_state: Option<SupervisorState>,
    pub requests: VecDeque<Request>,
    /// A pool's running children, and the number of the next.
    pub members: Vec<Id>,
    pub next_member: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// A slow start has finished.
    Start(Id, u32),
    /// A slow stop has finished.
    Stop(Id, u32),
    /// The shutdown timeout has expired.
    Limit(Id, u32),
    /// A supervisor has something to handle.
    Wake(Id),
}

#[derive(Debug, Default, Clone)]
pub struct ModelState {
    pub now: Duration,
    pub nodes: Vec<Node>,
    timers: BTreeMap<(Duration, usize), Timer>,
    set: usize,
    /// The runnable nodes.
    pub ready: VecDeque<Id>,
    /// The model's events since the last step.
    pub told: Vec<ModelEvent>,
    pub answers: Vec<(usize, String)>,
    /// The observed events since the last step.
    pub seen: Vec<ModelEvent>,
    pub coverage: Coverage,
    /// Observations that are not allowed.
    pub faults: Vec<String>,
}

impl ModelState {
    /// Inserts a specification with everything below it.
    pub fn place(&mut self, plan: &Arc<Spec>, parent: Option<Id>) -> Id {
        let path = match parent {
            Some(parent) => format!("{}/{}", self.nodes[parent].path, plan.name),
            None => plan.name.clone(),
        };
        let id = self.nodes.len();
        self.nodes.push(Node {
            plan: plan.clone(),
            path,
            parent,
            incarnation: 0,
            slot: ChildState::Idle,
            life: IncarnationState::None,
            shown: NodeState::Idle,
            is_added: false,
            is_retired: false,
            ordered: None,
            is_to_stop: false,
            has_no_time: false,
            asked: None,
            until: None,
            behaviours: VecDeque::new(),
            fails_slowly: false,
            planned: Vec::new(),
            supervisor_state: None,
            requests: VecDeque::new(),
            members: Vec::new(),
            next_member: 0,
        });
        if let Body::Actor(scripted_actor) = &plan.body {
            self.nodes[id].behaviours.extend(&scripted_actor.behaviours);
        }
        if let Body::Supervisor(rules) = &plan.body {
            for child in &rules.children {
                let child = self.place(child, Some(id));
                self.nodes[id].planned.push(child);
            }
        }
        id
    }

    /// Lets time pass until `then`.
    pub fn pass(&mut self, then: Duration) {
        loop {
            while let Some(id) = self.ready.pop_front() {
                self.turn(id);
            }
            if !self.jump(then) {
                return;
            }
        }
    }

    pub fn turn(&mut self, id: Id) {
        if let Some(order) = self.nodes[id].ordered.take() {
            return self.execute(id, order);
        }
        match (&self.nodes[id].plan.body, self.nodes[id].parent) {
            _ if self.nodes[id].life == IncarnationState::Newborn => self.begin_or_stop(id),
            (Body::Supervisor(_), _) => self.supervise(id),
            (Body::Pool(_), _) => self.pool_goes_on(id),
            (Body::Actor(_), Some(pool)) if self.is_member(id) => self.member_goes_on(pool, id),
            (Body::Actor(_), _) => {}
        }
    }

    /// Advances the clock to the next timer. Without a timer before `then`, advances to `then` and
    /// returns false.
    pub fn jump(&mut self, then: Duration) -> bool {
        match self.timers.first_entry() {
            Some(entry) if entry.key().0 <= then => {
                let ((at, _), timer) = entry.remove_entry();
                self.now = at;
                self.fire(timer);
                true
            }
            _ => {
                self.now = then;
                false
            }
        }
    }

    /// Makes an idle node runnable.
    pub fn wake(&mut self, id: Id) {
        if !self.ready.contains(&id) {
            self.ready.push_back(id);
        }
    }

    pub fn next_timer(&self) -> Option<Duration> {
        self.timers.keys().next().map(|(at, _)| *at)
    }

    pub fn set_timer(&mut self, at: Duration, timer: Timer) {
        self.set += 1;
        self.timers.insert((at, self.set), timer);
    }

    fn fire(&mut self, timer: Timer) {
        match timer {
            Timer::Wake(supervisor) => self.wake(supervisor),
            Timer::Start(id, of) => {
                let node = &self.nodes[id];
                if node.incarnation == of && node.life == IncarnationState::Starting {
                    match node.fails_slowly {
                        true => self.die(id, ModelExit::Failed("no behaviour".into())),
                        false => self.is_up(id),
                    }
                }
            }
            Timer::Stop(id, of) if self.is_stopping(id, of) => {
                self.stopped(id, ModelExit::Shutdown)
            }
            Timer::Limit(id, of) if self.is_stopping(id, of) => self.leave_no_time(id),
            Timer::Stop(..) | Timer::Limit(..) => {}
        }
    }

    fn is_stopping(&self, id: Id, of: u32) -> bool {
        self.nodes[id].incarnation == of && self.nodes[id].life == IncarnationState::Stopping
    }

    pub fn tell(&mut self, id: Id, what: EventKind) {
        let path = self.nodes[id].path.clone();
        self.told.push(ModelEvent { path, what });
    }

    pub fn answer(&mut self, request: usize, answer: impl Into<String>) {
        let answer = answer.into();
        let kind = answer.split([':', ' ']).next().unwrap_or_default();
        self.coverage.count(match kind {
            "ok" => "answer: ok",
            "gone" => "answer: gone",
            "running" => "answer: running",
            "restarting" => "answer: restarting",
            "misconfigured" => "answer: misconfigured",
            "start" => "answer: start failed",
            "not" => "answer: not found",
            "already" if answer.ends_with("started") => "answer: already started",
            "already" => "answer: already present",
            _ => "answer: list",
        });
        self.answers.push((request, answer));
    }

    /// Returns the observed events from here on.
    pub fn to_come(&self) -> &[ModelEvent] {
        self.seen.get(self.told.len()..).unwrap_or_default()
    }

    /// Lists the visible state of a node and of those below: path, state and restarts.
    pub fn show(&self, id: Id, lines: &mut Vec<String>) {
        let node = &self.nodes[id];
        lines.push(show(&node.path, node.shown, node.incarnation.saturating_sub(1)));
        let below = match (&node.supervisor_state, &node.plan.body) {
            (Some(supervisor_state), _) => &supervisor_state.children,
            (None, Body::Pool(_)) => &node.members,
            (None, _) => return,
        };
        let mut below = below.clone();
        if let Body::Pool(_) = node.plan.body {
            below.sort_by_key(|id| self.nodes[*id].path.clone());
        }
        below.iter().for_each(|child| self.show(*child, lines));
    }
}

pub fn show(path: &str, state: NodeState, restarts: u32) -> String {
    format!("{path} {state:?} {restarts}")
}
