//! Who lived and how they ended, from the lifecycle events alone.
//!
//! Erlang tells incarnations apart by their pid. Here each start is given a number, whoever starts.

use std::collections::HashMap;

use sockactors::runtime::{Exit, Lifecycle};

/// One incarnation of whoever it was.
pub type Pid = usize;

/// A start or an end, in the order in which they happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Began(Pid),
    Ended(Pid),
}

/// What the events have told so far.
#[derive(Default)]
pub struct Book {
    /// By its pid, the path of an incarnation and how it ended.
    lives: Vec<(String, Option<Exit>)>,
    alive: HashMap<String, Pid>,
    pub turns: Vec<Turn>,
    /// Everything as text.
    pub told: Vec<String>,
}

impl Book {
    pub fn note(&mut self, event: &Lifecycle) {
        let path = event.path().to_string();
        self.told.push(event.to_string());
        match event {
            Lifecycle::Started { .. } => {
                let pid = self.lives.len();
                self.lives.push((path.clone(), None));
                assert_eq!(self.alive.insert(path, pid), None, "two incarnations: {event}");
                self.turns.push(Turn::Began(pid));
            }
            Lifecycle::Exited { exit, .. } | Lifecycle::Stopped { exit, .. } => {
                self.end(&path, exit.clone());
            }
            Lifecycle::Killed { .. } => self.end(&path, Exit::Killed),
            _ => {}
        }
    }

    /// Notes an end. Who is stopped while it starts has no pid yet.
    fn end(&mut self, path: &str, exit: Exit) {
        if let Some(pid) = self.alive.remove(path) {
            self.lives[pid].1 = Some(exit);
            self.turns.push(Turn::Ended(pid));
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
