//! The model of OTP's rules: restarts, of whom, how often, and after which pause.

use std::time::Duration;

use sockactors::runtime::{NodeState, Strategy};

use super::events::{End, What};
use super::rules::Then;
use super::state::{Id, Slot, Timer, World};

impl World {
    /// `restart`, with `add_restart` before it.
    pub fn restart(&mut self, id: Id, child: Id, end: End, is_retry: bool) {
        let (now, rules) = (self.now, self.rules(id));
        let (intensity, within) = (rules.intensity, rules.within);
        let restarts = &mut self.desk(id).restarts;
        let before = restarts.len();
        restarts.retain(|then| now - *then <= within);
        let has_slid = restarts.len() < before;
        restarts.push(now);
        if restarts.len() > intensity as usize {
            let path = self.nodes[child].path.clone();
            let gave_up = End::GaveUp(intensity, within, path, Box::new(end));
            self.tally.count("gave up");
            self.tell(id, What::GaveUp(gave_up.clone()));
            return self.end_with(id, gave_up);
        }
        if has_slid {
            self.tally.count("the window has slid");
        }
        self.stop_all_of(id, self.group(id, child), Then::Restart(child, is_retry));
    }

    /// `split_child`: who is restarted with a child, in the order of their start.
    pub fn group(&self, id: Id, child: Id) -> Vec<Id> {
        let children = self.nodes[id].desk.iter().flat_map(|desk| desk.children.iter().copied());
        match self.rules(id).strategy {
            Strategy::OneForOne => vec![child],
            Strategy::OneForAll => children.collect(),
            Strategy::RestForOne => children.skip_while(|other| *other != child).collect(),
        }
    }

    /// `restart_multiple_children`, once the others have been stopped. One more attempt is a message that the
    /// supervisor sends to itself, `try_again_restart`: what came before is looked at first.
    pub fn restart_group(&mut self, id: Id, child: Id, is_retry: bool) {
        let group = self.group(id, child);
        self.tally.count(if group.len() > 1 { "group restart" } else { "restart" });
        let after = self.pause(id, child);
        if after.is_zero() && !is_retry {
            self.wait_for_start(id, child);
        } else {
            let at = self.now + after;
            self.nodes[child].slot = Slot::Restarting(at);
            self.nodes[child].shown = NodeState::Restarting;
            self.set_timer(at, Timer::Wake(id));
            for member in group.clone() {
                // Whose start was asked for does not wait for the others.
                if self.nodes[member].asked.is_some() && !after.is_zero() {
                    self.nodes[member].slot = Slot::Waiting;
                    self.nodes[member].shown = NodeState::Restarting;
                }
            }
        }
        for member in group {
            let incarnation = self.nodes[member].incarnation;
            if incarnation > 0 {
                self.tell(member, What::Restarting(incarnation, after));
            }
        }
    }

    pub fn wait_for_start(&mut self, id: Id, child: Id) {
        for member in self.group(id, child) {
            self.nodes[member].slot = Slot::Waiting;
            self.nodes[member].shown = NodeState::Restarting;
        }
    }

    /// How long a restart pauses: as was seen, if it is between the half and the whole of what is due.
    fn pause(&mut self, id: Id, child: Id) -> Duration {
        let Some((first, most)) = self.rules(id).backoff else { return Duration::ZERO };
        let restarts = self.desk(id).restarts.len() as u32;
        let whole = (first * 2_u32.pow(restarts - 1)).min(most);
        let path = &self.nodes[child].path;
        let seen = self.to_come().iter().find_map(|told| match told.what {
            What::Restarting(_, after) if told.path == *path => Some(after),
            _ => None,
        });
        let after = seen.unwrap_or(whole);
        let one = Duration::from_nanos(1);
        if after + one < whole / 2 || after > whole + one {
            let fault = format!("{path} pauses for {after:?}, with {whole:?} at most");
            self.faults.push(fault);
        }
        self.tally.count("a pause");
        after
    }
}
