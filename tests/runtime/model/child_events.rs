//! The model of OTP's rules: what a supervisor makes of what its children tell it.

use sockactors::runtime::Restart;

use super::events::{End, What};
use super::rules::Note;
use super::state::{Id, Life, Slot, World};

impl World {
    /// Takes the next note. Of ends at the same moment, the one that was seen to be noticed first.
    pub fn take_note(&mut self, id: Id, is_deferred: bool) -> Option<Note> {
        let desk = self.nodes[id].desk.as_ref()?;
        let notes = if is_deferred { &desk.deferred } else { &desk.notes };
        let front = *notes.front()?;
        let rivals: Vec<_> = (0..notes.len())
            .filter(|at| notes[*at].is_end && front.is_end && notes[*at].at == front.at)
            .collect();
        let seen = self.to_come().iter().filter(|told| matches!(told.what, What::Exited(_)));
        let first = seen
            .filter_map(|told| {
                rivals.iter().find(|at| self.nodes[notes[**at].of].path == told.path)
            })
            .next();
        let at = first.copied().unwrap_or(0);
        let desk = self.desk(id);
        if is_deferred { desk.deferred.remove(at) } else { desk.notes.remove(at) }
    }

    /// Does what follows a note. One of an incarnation that was stopped in between is out of date.
    pub fn heed(&mut self, id: Id, note: Note) {
        let child = note.of;
        let Slot::Alive(has_started) = self.nodes[child].slot else { return };
        if self.nodes[child].incarnation != note.incarnation {
            return;
        }
        if !note.is_end {
            self.nodes[child].slot = Slot::Alive(true);
            self.nodes[child].until = None;
            self.desk(id).starting = None;
            if let Some((request, _)) = self.nodes[child].asked.take() {
                self.answer(request, "ok");
            }
            return;
        }
        self.nodes[child].slot = Slot::Idle;
        let Life::Dead(end, _) = std::mem::replace(&mut self.nodes[child].life, Life::None) else {
            panic!("{} has not ended", self.nodes[child].path);
        };
        match has_started {
            true => self.ended(id, child, end),
            false => self.not_started(id, child, end),
        }
    }

    /// `start_children`, `handle_start_child` and `restart_child`, where the start was not `{ok, Pid}`.
    pub fn not_started(&mut self, id: Id, child: Id, end: End) {
        self.desk(id).starting = None;
        self.rest(child);
        let asked = self.nodes[child].asked.take();
        if !end.is_abnormal() {
            self.tally.count("ignored");
            self.tell(child, What::Ignored);
            if self.nodes[child].plan.restart == Restart::Temporary {
                self.leave(id, child);
            }
            if let Some((request, _)) = asked {
                self.answer(request, "ok");
            }
            return;
        }
        self.tell(child, What::StartFailed(end.clone()));
        let desk = self.desk(id);
        let is_started = desk.is_started;
        match asked {
            Some((request, is_new)) => {
                if is_new {
                    self.leave(id, child);
                }
                self.answer(request, format!("start failed: {end:?}"));
            }
            None if !is_started => {
                self.tally.count("first start failed");
                let path = self.nodes[child].path.clone();
                self.end_with(id, End::StartFailed(path, Box::new(end)));
            }
            None => {
                let is_in_group = self
                    .group(id, child)
                    .iter()
                    .any(|other| *other != child && self.nodes[*other].slot != Slot::Idle);
                self.tally.count("restart failed");
                if is_in_group {
                    self.tally.count("restart failed in the middle of a group");
                }
                self.restart(id, child, end, true);
            }
        }
    }
}
