//! The model of OTP's `start_child`, `delete_child`, `terminate_child`, `restart_child`, `which_children`,
//! `get_childspec` and `count_children`.

use std::fmt;
use std::sync::Arc;

use sockactors::runtime::{NodeKind, NodeState};

use super::rules::Then;
use super::spec::{Body, Plan};
use super::state::{Id, Slot, World};

#[derive(Debug, Clone)]
pub struct Request {
    pub number: usize,
    pub what: Ask,
}

#[derive(Debug, Clone)]
pub enum Ask {
    Add(Arc<Plan>),
    Remove(String),
    Terminate(String),
    Restart(String),
    List,
    One(String),
    Count,
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Add(plan) => write!(f, "add {}", plan.to_string().trim_end()),
            other => write!(f, "{other:?}"),
        }
    }
}

impl World {
    /// Sends a request to a supervisor. One that waits to be started again answers later.
    pub fn ask(&mut self, id: Id, request: Request) {
        let node = &mut self.nodes[id];
        let is_gone = node.incarnation > 0 && node.shown == NodeState::Idle;
        if is_gone || node.is_retired {
            return self.answer(request.number, "gone");
        }
        node.requests.push_back(request);
        self.wake(id);
    }

    pub fn administer(&mut self, id: Id, request: Request) {
        let number = request.number;
        if self.desk(id).starting.is_some() {
            self.tally.count("asked during a start");
        }
        match request.what {
            Ask::Add(plan) => self.add(id, number, &plan),
            Ask::Remove(name) => match self.at_rest(id, &name) {
                Ok(child) => {
                    self.leave(id, child);
                    self.answer(number, "ok");
                }
                Err(refused) => self.answer(number, refused),
            },
            Ask::Terminate(name) => match self.child(id, &name) {
                Some(child) => {
                    let desk = self.desk(id);
                    if desk.is_started && desk.starting == Some(child) {
                        self.call_off_restart(id, child);
                    }
                    self.stop_all_of(id, vec![child], Then::Answer(child, number));
                }
                None => self.answer(number, "not found"),
            },
            Ask::Restart(name) => match self.at_rest(id, &name) {
                Ok(child) => {
                    self.nodes[child].slot = Slot::Waiting;
                    self.nodes[child].asked = Some((number, false));
                }
                Err(refused) => self.answer(number, refused),
            },
            Ask::List => {
                let lines: Vec<_> =
                    self.desk(id).children.clone().iter().map(|child| self.line(*child)).collect();
                self.answer(number, format!("list of {lines:?}"));
            }
            Ask::One(name) => match self.child(id, &name) {
                Some(child) => self.answer(number, format!("child {}", self.line(child))),
                None => self.answer(number, "not found"),
            },
            Ask::Count => {
                let children = self.desk(id).children.clone();
                let is_active = |id: &&Id| self.nodes[**id].slot == Slot::Alive(true);
                let is_worker = |id: &&Id| matches!(self.nodes[**id].plan.body, Body::Actor(_));
                let (active, workers) = (
                    children.iter().filter(is_active).count(),
                    children.iter().filter(is_worker).count(),
                );
                let specs = children.len();
                self.answer(number, count(specs, active, specs - workers, workers));
            }
        }
    }

    /// `handle_start_child`: the specification is looked at before the name.
    fn add(&mut self, id: Id, number: usize, plan: &Arc<Plan>) {
        if self.is_bad(id, plan) {
            return self.answer(number, "misconfigured");
        }
        if let Some(child) = self.child(id, &plan.name) {
            return self.answer(
                number,
                match self.nodes[child].slot {
                    Slot::Alive(true) => "already started",
                    _ => "already present",
                },
            );
        }
        let child = self.place(plan, Some(id));
        let node = &mut self.nodes[child];
        (node.is_added, node.slot, node.asked) = (true, Slot::Waiting, Some((number, true)));
        self.desk(id).children.push(child);
    }

    /// A child whose restart is being tried is not to be: those of its group who wait for their turn are left
    /// as they are, as OTP leaves them `undefined`.
    fn call_off_restart(&mut self, id: Id, child: Id) {
        if self.nodes[child].asked.is_some() {
            return;
        }
        for member in self.group(id, child) {
            let node = &mut self.nodes[member];
            if node.slot == Slot::Waiting && node.asked.is_none() {
                (node.slot, node.shown) = (Slot::Idle, NodeState::Idle);
            }
        }
    }

    fn at_rest(&self, id: Id, name: &str) -> Result<Id, &'static str> {
        let child = self.child(id, name).ok_or("not found")?;
        match self.nodes[child].slot {
            Slot::Idle => Ok(child),
            Slot::Alive(true) => Err("running"),
            Slot::Alive(false) | Slot::Waiting | Slot::Restarting(_) => Err("restarting"),
        }
    }

    fn line(&self, child: Id) -> String {
        let node = &self.nodes[child];
        let kind = match node.plan.body {
            Body::Actor(_) => NodeKind::Actor,
            Body::Pool(_) => NodeKind::Pool,
            Body::Supervisor(_) => NodeKind::Supervisor,
        };
        let state = match node.slot {
            Slot::Idle => NodeState::Idle,
            Slot::Waiting | Slot::Restarting(_) => NodeState::Restarting,
            Slot::Alive(false) => NodeState::Starting,
            Slot::Alive(true) => NodeState::Running,
        };
        let (plan, restarts) = (&node.plan, node.incarnation.saturating_sub(1));
        format!(
            "{} {kind:?} {state:?} {restarts} {:?} {:?} {}",
            plan.name, plan.restart, plan.shutdown, plan.significant
        )
    }
}

pub fn count(specs: usize, active: usize, supervisors: usize, workers: usize) -> String {
    format!("count {specs} {active} {supervisors} {workers}")
}
