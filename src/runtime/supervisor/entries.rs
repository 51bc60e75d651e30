//! Whom a supervisor has: children enter behind the others, and leave.
//!
//! Each child has a key, given in the order of its start and never given again, and a name, which no two have.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::runtime::supervisor::request::Asked;
use crate::runtime::supervisor::run::{Entry, Life, Slot};
use crate::runtime::supervisor::spec::Spec;

impl Life {
    /// Takes up the children of the plan, and nobody else: who was added to an incarnation is lost with it.
    pub(crate) fn enter_all(&mut self) -> Result<(), String> {
        self.plan.node.children(BTreeMap::clear);
        let plan = self.plan.clone();
        if plan.intensity.1.is_zero() {
            return Err("an intensity within no time at all counts no restarts".into());
        }
        for spec in &plan.children {
            plan.admits(spec.as_ref())?;
            let name = spec.node().name();
            if self.find(&name.to_string()).is_some() {
                return Err(format!("there are two children named {name}"));
            }
            self.enter(spec.clone(), false, None);
        }
        Ok(())
    }

    /// Adds a child behind the others and has it started.
    pub(crate) fn enter(&mut self, spec: Arc<dyn Spec>, is_added: bool, asked: Option<Asked>) {
        let key = self.next;
        self.next += 1;
        if is_added {
            spec.attach(&self.below, &self.env);
        }
        self.plan.node.children(|below| drop(below.insert(key, spec.node().clone())));
        self.names.insert(spec.node().name().to_string(), key);
        self.entries.insert(key, Entry { spec, slot: Slot::Waiting, is_added, asked });
        self.queue.insert(key);
    }

    /// Forgets a child.
    pub(crate) fn leave(&mut self, key: u64) {
        let Some(entry) = self.entries.remove(&key) else { return };
        self.queue.remove(&key);
        self.names.remove(&entry.spec.node().name().to_string());
        self.plan.node.children(|below| drop(below.remove(&key)));
        // Below a nested supervisor, a child of the plan is back when that is restarted.
        if entry.is_added || self.plan.node.path().is_root() {
            entry.spec.retire();
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<u64> {
        self.names.get(name).copied()
    }
}
