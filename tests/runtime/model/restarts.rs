//! The model's rules for restarts: which children, how often, and after which delay.

use std::time::Duration;

use sockactors::runtime::{NodeState, Strategy};

use super::events::{EventKind, ModelExit};
use super::rules::AfterStop;
use super::state::{ChildState, Id, ModelState, Timer};

impl ModelState {
    /// `restart`, preceded by `add_restart`.
    pub fn restart(&mut self, id: Id, child: Id, end: ModelExit, is_retry: bool) {
        let (now, rules) = (self.now, self.rules(id));
        let (intensity, within) = (rules.intensity, rules.within);
        let restarts = &mut self.supervisor_state(id).restarts;
        let before = restarts.len();
        restarts.retain(|then| now - *then <= within);
        let has_slid = restarts.len() < before;
        restarts.push(now);
        if restarts.len() > intensity as usize {
            let path = self.nodes[child].path.clone();
            let gave_up = ModelExit::GaveUp(intensity, within, path, Box::new(end));
            self.coverage.count("gave up");
            self.tell(id, EventKind::GaveUp(gave_up.clone()));
            return self.end_with(id, gave_up);
        }
        if has_slid {
            self.coverage.count("the window has slid");
        }
        self.stop_all_of(id, self.group(id, child), AfterStop::Restart(child, is_retry));
    }

    /// `split_child`: the children that are restarted with a child, in start order.
    pub fn group(&self, id: Id, child: Id) -> Vec<Id> {
        let children = self.nodes[id]
            .supervisor_state
            .iter()
            .flat_map(|supervisor_state| supervisor_state.children.iter().copied());
        match self.rules(id).strategy {
            Strategy::OneForOne => vec![child],
            Strategy::OneForAll => children.collect(),
            Strategy::RestForOne => children.skip_while(|other| *other != child).collect(),
        }
    }

    /// `restart_multiple_children`, after the others have been stopped. Another attempt is a
    /// message that the supervisor sends to itself, `try_again_restart`. Earlier messages are
    /// handled first.
    pub fn restart_group(&mut self, id: Id, child: Id, is_retry: bool) {
        let group = self.group(id, child);
        self.coverage.count(if group.len() > 1 { "group restart" } else { "restart" });
        let after = self.pause(id, child);
        if after.is_zero() && !is_retry {
            self.wait_for_start(id, child);
        } else {
            let at = self.now + after;
            self.nodes[child].slot = ChildState::Restarting(at);
            self.nodes[child].shown = NodeState::Restarting;
            self.set_timer(at, Timer::Wake(id));
            for member in group.clone() {
                // A child whose start was requested does not wait for the others.
                if self.nodes[member].asked.is_some() && !after.is_zero() {
                    self.nodes[member].slot = ChildState::Waiting;
                    self.nodes[member].shown = NodeState::Restarting;
                }
            }
        }
        for member in group {
            let incarnation = self.nodes[member].incarnation;
            if incarnation > 0 {
                self.tell(member, EventKind::Restarting(incarnation, after));
            }
        }
    }

    pub fn wait_for_start(&mut self, id: Id, child: Id) {
        for member in self.group(id, child) {
            self.nodes[member].slot = ChildState::Waiting;
            self.nodes[member].shown = NodeState::Restarting;
        }
    }

    /// The delay of a restart, as observed, if it is between half and all of the backoff.
    fn pause(&mut self, id: Id, child: Id) -> Duration {
        let Some((first, most)) = self.rules(id).backoff else { return Duration::ZERO };
        let restarts = self.supervisor_state(id).restarts.len() as u32;
        let whole = (first * 2_u32.pow(restarts - 1)).min(most);
        let path = &self.nodes[child].path;
        let seen = self.to_come().iter().find_map(|told| match told.what {
            EventKind::Restarting(_, after) if told.path == *path => Some(after),
            _ => None,
        });
        let after = seen.unwrap_or(whole);
        let one = Duration::from_nanos(1);
        if after + one < whole / 2 || after > whole + one {
            let fault = format!("{path} pauses for {after:?}, with {whole:?} at most");
            self.faults.push(fault);
        }
        self.coverage.count("a pause");
        after
    }
}
