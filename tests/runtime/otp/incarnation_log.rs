//! Incarnations and their exits, from lifecycle events alone.
//!
//! Erlang identifies incarnations by their pid. Here each start has a number.

use std::collections::HashMap;

use sockactors::runtime::{Exit, Lifecycle};

/// The number of an incarnation.
pub type Pid = usize;

/// A start or an end, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogEntry {
    Began(Pid),
    Ended(Pid),
}

/// The record of all events so far.
#[derive(Default)]
pub struct IncarnationLog {
    /// The path and exit of each incarnation, by its number.
    lives: Vec<(String, Option<Exit>)>,
    alive: HashMap<String, Pid>,
    pub turns: Vec<LogEntry>,
    /// All events as text.
    pub told: Vec<String>,
}

impl IncarnationLog {
    pub fn note(&mut self, event: &Lifecycle) {
        let path = event.path().to_string();
        self.told.push(event.to_string());
        match event {
            Lifecycle::Started { .. } => {
                let pid = self.lives.len();
                self.lives.push((path.clone(), None));
                assert_eq!(self.alive.insert(path, pid), None, "two incarnations: {event}");
                self.turns.push(LogEntry::Began(pid));
            }
            Lifecycle::Exited { exit, .. } | Lifecycle::Stopped { exit, .. } => {
                self.end(&path, exit.clone());
            }
            Lifecycle::Killed { .. } => self.end(&path, Exit::Killed),
            _ => {}
        }
    }

    /// Records an exit. A child that is stopped during its start has no number yet.
    fn end(&mut self, path: &str, exit: Exit) {
        if let Some(pid) = self.alive.remove(path) {
            self.lives[pid].1 = Some(exit);
            self.turns.push(LogEntry::Ended(pid));
        }
    }

    pub fn alive(&self, path: &str) -> Option<Pid> {
        self.alive.get(path).copied()
    }

    pub fn exit(&self, pid: Pid) -> Option<&Exit> {
        self.lives[pid].1.as_ref()
    }

    pub fn path(&self, pid: Pid) -> &str {
        &self.lives[pid].0
    }
}
