//! The model of OTP's `start_child`, `delete_child`, `terminate_child`, `restart_child`,
//! `which_children`, `get_childspec` and `count_children`.

use std::fmt;
use std::sync::Arc;

use sockactors::runtime::{NodeKind, NodeState};

use super::rules::AfterStop;
use super::spec::{Body, Spec};
use super::state::{ChildState, Id, ModelState};

#[derive(Debug, Clone)]
pub struct Request {
    pub number: usize,
    pub what: RequestKind,
}

#[derive(Debug, Clone)]
pub enum RequestKind {
    Add(Arc<Spec>),
    Remove(String),
    Terminate(String),
    Restart(String),
    List,
    One(String),
    Count,
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestKind::Add(plan) => write!(f, "add {}", plan.to_string().trim_end()),
            other => write!(f, "{other:?}"),
        }
    }
}

impl ModelState {
    /// Sends a request to a supervisor. A supervisor that waits for its restart answers later.
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
        if self.supervisor_state(id).starting.is_some() {
            self.coverage.count("asked during a start");
        }
        match request.what {
            RequestKind::Add(plan) => self.add(id, number, &plan),
            RequestKind::Remove(name) => match self.at_rest(id, &name) {
                Ok(child) => {
                    self.leave(id, child);
                    self.answer(number, "ok");
                }
                Err(refused) => self.answer(number, refused),
            },
            RequestKind::Terminate(name) => match self.child(id, &name) {
                Some(child) => {
                    let supervisor_state = self.supervisor_state(id);
                    if supervisor_state.is_started && supervisor_state.starting == Some(child) {
                        self.cancel_restart(id, child);
                    }
                    self.stop_all_of(id, vec![child], AfterStop::Answer(child, number));
                }
                None => self.answer(number, "not found"),
            },
            RequestKind::Restart(name) => match self.at_rest(id, &name) {
                Ok(child) => {
                    self.nodes[child].slot = ChildState::Waiting;
                    self.nodes[child].asked = Some((number, false));
                }
                Err(refused) => self.answer(number, refused),
            },
            RequestKind::List => {
                let lines: Vec<_> = self
                    .supervisor_state(id)
                    .children
                    .clone()
                    .iter()
                    .map(|child| self.line(*child))
                    .collect();
                self.answer(number, format!("list of {lines:?}"));
            }
            RequestKind::One(name) => match self.child(id, &name) {
                Some(child) => self.answer(number, format!("child {}", self.line(child))),
                None => self.answer(number, "not found"),
            },
            RequestKind::Count => {
                let children = self.supervisor_state(id).children.clone();
                let is_active = |id: &&Id| self.nodes[**id].slot == ChildState::Alive(true);
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

    /// `handle_start_child`: the specification is checked before the name.
    fn add(&mut self, id: Id, number: usize, plan: &Arc<Spec>) {
        if self.is_bad(id, plan) {
            return self.answer(number, "misconfigured");
        }
        if let Some(child) = self.child(id, &plan.name) {
            return self.answer(
                number,
                match self.nodes[child].slot {
                    ChildState::Alive(true) => "already started",
                    _ => "already present",
                },
            );
        }
        let child = self.place(plan, Some(id));
        let node = &mut self.nodes[child];
        (node.is_added, node.slot, node.asked) = (true, ChildState::Waiting, Some((number, true)));
        self.supervisor_state(id).children.push(child);
    }

    /// Cancels a child's restart. The queued members of its group stay as they are, as OTP leaves
    /// them `undefined`.
    fn cancel_restart(&mut self, id: Id, child: Id) {
        if self.nodes[child].asked.is_some() {
            return;
        }
        for member in self.group(id, child) {
            let node = &mut self.nodes[member];
            if node.slot == ChildState::Waiting && node.asked.is_none() {
                (node.slot, node.shown) = (ChildState::Idle, NodeState::Idle);
            }
        }
    }

    fn at_rest(&self, id: Id, name: &str) -> Result<Id, &'static str> {
        let child = self.child(id, name).ok_or("not found")?;
        match self.nodes[child].slot {
            ChildState::Idle => Ok(child),
            ChildState::Alive(true) => Err("running"),
            ChildState::Alive(false) | ChildState::Waiting | ChildState::Restarting(_) => {
                Err("restarting")
            }
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
            ChildState::Idle => NodeState::Idle,
            ChildState::Waiting | ChildState::Restarting(_) => NodeState::Restarting,
            ChildState::Alive(false) => NodeState::Starting,
            ChildState::Alive(true) => NodeState::Running,
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
