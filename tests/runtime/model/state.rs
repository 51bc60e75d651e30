//! The model's world: the nodes of a tree, a clock, and what is told.
//!
//! It is one plain data structure that is stepped from one moment to the next. Who supervises does so in
//! `rules` and `ends`; this file only knows what there is. Where the library is free (whose end is noticed first, of two
//! at the same moment; how a pause is shortened) the model reads what was seen and accepts only what may be.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use sockactors::runtime::NodeState;

use super::coverage::Tally;
use super::events::{End, Told, What};
use super::requests::Request;
use super::rules::Desk;
use super::scripted_actor::{Mood, Order};
use super::spec::{Body, Plan};

pub type Id = usize;

/// A child as its supervisor has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    Idle,
    /// To be started.
    Waiting,
    /// Its incarnation is there, and whether its supervisor knows that it has started.
    Alive(bool),
    /// Between two incarnations, until then.
    Restarting(Duration),
}

/// An incarnation as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    None,
    /// Spawned, but nothing of it has run yet.
    Newborn,
    Starting,
    Up,
    /// Asked to stop.
    Stopping,
    /// It has ended, and its supervisor does not know yet.
    Dead(End, Duration),
    /// It was stopped, or else dropped, and its supervisor does not know yet.
    Over(Option<End>),
}

#[derive(Debug, Clone)]
pub struct Node {
    pub plan: Arc<Plan>,
    pub path: String,
    pub parent: Option<Id>,
    pub incarnation: u32,
    pub slot: Slot,
    pub life: Life,
    pub shown: NodeState,
    /// Whether it was added at run time, and is lost with its supervisor's incarnation.
    pub is_added: bool,
    /// Whether it can never live again.
    pub is_retired: bool,
    /// What it is to do at its next turn.
    pub ordered: Option<Order>,
    /// Whether it was asked to stop and had no turn since.
    pub is_to_stop: bool,
    /// Whether a pool leaves its children no more time.
    pub is_struck: bool,
    /// Who waits for its start: which request, and whether that added it.
    pub asked: Option<(usize, bool)>,
    /// When it must be ready.
    pub until: Option<Duration>,
    pub moods: VecDeque<Mood>,
    /// How a slow start ends.
    pub fails_slowly: bool,
    /// The children of the plan.
    pub planned: Vec<Id>,
    /// A supervisor's incarnation.
    pub desk: Option<Desk>,
    pub requests: VecDeque<Request>,
    /// A pool's children that live, and the number of the next.
    pub members: Vec<Id>,
    pub next_member: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timer {
    /// A slow start is over.
    Start(Id, u32),
    /// A slow stop is over.
    Stop(Id, u32),
    /// Whoever stops it has waited long enough.
    Limit(Id, u32),
    /// A supervisor has something to look at.
    Wake(Id),
}

#[derive(Debug, Default, Clone)]
pub struct World {
    pub now: Duration,
    pub nodes: Vec<Node>,
    timers: BTreeMap<(Duration, usize), Timer>,
    set: usize,
    /// Who can go on.
    pub ready: VecDeque<Id>,
    /// What is told since the last step.
    pub told: Vec<Told>,
    pub answers: Vec<(usize, String)>,
    /// What was seen since the last step.
    pub seen: Vec<Told>,
    pub tally: Tally,
    /// What was seen and may not be.
    pub faults: Vec<String>,
}

impl World {
    /// Puts a plan in its place, with what is below it.
    pub fn place(&mut self, plan: &Arc<Plan>, parent: Option<Id>) -> Id {
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
            slot: Slot::Idle,
            life: Life::None,
            shown: NodeState::Idle,
            is_added: false,
            is_retired: false,
            ordered: None,
            is_to_stop: false,
            is_struck: false,
            asked: None,
            until: None,
            moods: VecDeque::new(),
            fails_slowly: false,
            planned: Vec::new(),
            desk: None,
            requests: VecDeque::new(),
            members: Vec::new(),
            next_member: 0,
        });
        if let Body::Actor(puppet) = &plan.body {
            self.nodes[id].moods.extend(&puppet.moods);
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
            return self.obey(id, order);
        }
        match (&self.nodes[id].plan.body, self.nodes[id].parent) {
            _ if self.nodes[id].life == Life::Newborn => self.begin_or_stop(id),
            (Body::Supervisor(_), _) => self.supervise(id),
            (Body::Pool(_), _) => self.pool_goes_on(id),
            (Body::Actor(_), Some(pool)) if self.is_member(id) => self.member_goes_on(pool, id),
            (Body::Actor(_), _) => {}
        }
    }

    /// Has the clock jump to the next timer, or to `then` and tell that there is none before.
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

    /// Has a node go on, which had nothing to do.
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
                if node.incarnation == of && node.life == Life::Starting {
                    match node.fails_slowly {
                        true => self.die(id, End::Failed("no mood".into())),
                        false => self.is_up(id),
                    }
                }
            }
            Timer::Stop(id, of) if self.is_stopping(id, of) => self.stopped(id, End::Shutdown),
            Timer::Limit(id, of) if self.is_stopping(id, of) => self.strike(id),
            Timer::Stop(..) | Timer::Limit(..) => {}
        }
    }

    fn is_stopping(&self, id: Id, of: u32) -> bool {
        self.nodes[id].incarnation == of && self.nodes[id].life == Life::Stopping
    }

    pub fn tell(&mut self, id: Id, what: What) {
        let path = self.nodes[id].path.clone();
        self.told.push(Told { path, what });
    }

    pub fn answer(&mut self, request: usize, answer: impl Into<String>) {
        let answer = answer.into();
        let kind = answer.split([':', ' ']).next().unwrap_or_default();
        self.tally.count(match kind {
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

    /// Returns what was seen from here on.
    pub fn to_come(&self) -> &[Told] {
        self.seen.get(self.told.len()..).unwrap_or_default()
    }

    /// Lists what can be seen of a node and of those below: path, state and restarts.
    pub fn show(&self, id: Id, lines: &mut Vec<String>) {
        let node = &self.nodes[id];
        lines.push(show(&node.path, node.shown, node.incarnation.saturating_sub(1)));
        let below = match (&node.desk, &node.plan.body) {
            (Some(desk), _) => &desk.children,
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
