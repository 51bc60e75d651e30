//! Counts how often each kind of event happened, so that the generator cannot lose one.

use std::collections::BTreeMap;

#[derive(Debug, Default, Clone)]
pub struct Coverage(pub BTreeMap<&'static str, u64>);

impl Coverage {
    pub fn count(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub fn add(&mut self, other: &Coverage) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }
}

/// The events that must happen among ten thousand trees.
pub const ALL: &[&str] = &[
    "a newborn was stopped",
    "a pause",
    "a pause was called off",
    "a pause was over",
    "a pool was stopped with its children",
    "a start that was asked for was called off",
    "a supervisor was killed",
    "a temporary child left with its group",
    "a waiting request was refused",
    "acted during a pause",
    "acted during a start",
    "acted during a stop",
    "an empty pool was stopped",
    "answer: already present",
    "answer: already started",
    "answer: gone",
    "answer: list",
    "answer: misconfigured",
    "answer: not found",
    "answer: ok",
    "answer: restarting",
    "answer: running",
    "answer: start failed",
    "asked during a start",
    "auto-shutdown: all",
    "auto-shutdown: any",
    "auto-shutdown: not yet",
    "first start failed",
    "gave up",
    "group restart",
    "ignored",
    "joined a pool",
    "killed",
    "late start",
    "misconfigured",
    "on the edge of the window",
    "put off during a start",
    "restart",
    "restart failed",
    "restart failed in the middle of a group",
    "stopped when it had ended already",
    "the tree ended by itself",
    "the window has slid",
    "two at once",
];
