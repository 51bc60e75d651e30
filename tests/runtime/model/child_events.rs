//! The model's rules for events of children.

use sockactors::runtime::Restart;

use super::events::{EventKind, ModelExit};
use super::rules::ChildEvent;
use super::state::{ChildState, Id, IncarnationState, ModelState};

impl ModelState {
    /// Takes the next event. Of exits at the same moment, it takes the one that was observed first.
    pub fn next_event(&mut self, id: Id, is_deferred: bool) -> Option<ChildEvent> {
        let supervisor_state = self.nodes[id].supervisor_state.as_ref()?;
        let notes = if is_deferred { &supervisor_state.deferred } else { &supervisor_state.notes };
        let front = *notes.front()?;
        let rivals: Vec<_> = (0..notes.len())
            .filter(|at| notes[*at].is_end && front.is_end && notes[*at].at == front.at)
            .collect();
        let seen = self.to_come().iter().filter(|told| matches!(told.what, EventKind::Exited(_)));
        let first = seen
            .filter_map(|told| {
                rivals.iter().find(|at| self.nodes[notes[**at].of].path == told.path)
            })
            .next();
        let at = first.copied().unwrap_or(0);
        let supervisor_state = self.supervisor_state(id);
        if is_deferred {
            supervisor_state.deferred.remove(at)
        } else {
            supervisor_state.notes.remove(at)
        }
    }

    /// Handles an event. An event of an incarnation that was stopped in between is outdated.
    pub fn handle_event(&mut self, id: Id, note: ChildEvent) {
        let child = note.of;
        let ChildState::Alive(has_started) = self.nodes[child].slot else { return };
        if self.nodes[child].incarnation != note.incarnation {
            return;
        }
        if !note.is_end {
            self.nodes[child].slot = ChildState::Alive(true);
            self.nodes[child].until = None;
            self.supervisor_state(id).starting = None;
            if let Some((request, _)) = self.nodes[child].asked.take() {
                self.answer(request, "ok");
            }
            return;
        }
        self.nodes[child].slot = ChildState::Idle;
        let IncarnationState::Dead(end, _) =
            std::mem::replace(&mut self.nodes[child].life, IncarnationState::None)
        else {
            panic!("{} has not ended", self.nodes[child].path);
        };
        match has_started {
            true => self.ended(id, child, end),
            false => self.not_started(id, child, end),
        }
    }

    /// `start_children`, `handle_start_child` and `restart_child`, if the start was not `{ok,
    /// Pid}`.
    pub fn not_started(&mut self, id: Id, child: Id, end: ModelExit) {
        self.supervisor_state(id).starting = None;
        self.rest(child);
        let asked = self.nodes[child].asked.take();
        if !end.is_abnormal() {
            self.coverage.count("ignored");
            self.tell(child, EventKind::Ignored);
            if self.nodes[child].plan.restart == Restart::Temporary {
                self.leave(id, child);
            }
            if let Some((request, _)) = asked {
                self.answer(request, "ok");
            }
            return;
        }
        self.tell(child, EventKind::StartFailed(end.clone()));
        let supervisor_state = self.supervisor_state(id);
        let is_started = supervisor_state.is_started;
        match asked {
            Some((request, is_new)) => {
                if is_new {
                    self.leave(id, child);
                }
                self.answer(request, format!("start failed: {end:?}"));
            }
            None if !is_started => {
                self.coverage.count("first start failed");
                let path = self.nodes[child].path.clone();
                self.end_with(id, ModelExit::StartFailed(path, Box::new(end)));
            }
            None => {
                let is_in_group = self
                    .group(id, child)
                    .iter()
                    .any(|other| *other != child && self.nodes[*other].slot != ChildState::Idle);
                self.coverage.count("restart failed");
                if is_in_group {
                    self.coverage.count("restart failed in the middle of a group");
                }
                self.restart(id, child, end, true);
            }
        }
    }
}
