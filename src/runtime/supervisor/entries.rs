//! Whom a supervisor has: children enter behind the others, and leave.
//!
//! Each child has a key, given in the order of its start and never given again, and a name, which no two have.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::runtime::supervisor::request::PendingStart;
use crate::runtime::supervisor::run::{ChildEntry, ChildState, SupervisorRun};
use crate::runtime::supervisor::spec::ChildSpec;

impl SupervisorRun {
    /// Takes up the children of the plan, and nobody else: who was added to an incarnation is lost with it.
    pub(crate) fn add_all(&mut self) -> Result<(), String> {
        self.config.node.update_children(BTreeMap::clear);
        let plan = self.config.clone();
        if plan.intensity.1.is_zero() {
            return Err("an intensity within no time at all counts no restarts".into());
        }
        for spec in &plan.children {
            plan.validate(spec.as_ref())?;
            let name = spec.node().name();
            if self.find(&name.to_string()).is_some() {
                return Err(format!("there are two children named {name}"));
            }
            self.add_child(spec.clone(), false, None);
        }
        Ok(())
    }

    /// Adds a child behind the others and has it started.
    pub(crate) fn add_child(
        &mut self,
        spec: Arc<dyn ChildSpec>,
        is_added: bool,
        asked: Option<PendingStart>,
    ) {
        let key = self.next_key;
        self.next_key += 1;
        if is_added {
            spec.attach(&self.as_parent, &self.env);
        }
        self.config.node.update_children(|below| drop(below.insert(key, spec.node().clone())));
        self.keys_by_name.insert(spec.node().name().to_string(), key);
        self.children.insert(
            key,
            ChildEntry { spec, state: ChildState::Queued, is_added, pending_start: asked },
        );
        self.start_queue.insert(key);
    }

    /// Forgets a child.
    pub(crate) fn remove_child(&mut self, key: u64) {
        let Some(entry) = self.children.remove(&key) else { return };
        self.start_queue.remove(&key);
        self.keys_by_name.remove(&entry.spec.node().name().to_string());
        self.config.node.update_children(|below| drop(below.remove(&key)));
        // Below a nested supervisor, a child of the plan is back when that is restarted.
        if entry.is_added || self.config.node.path().is_root() {
            entry.spec.close();
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<u64> {
        self.keys_by_name.get(name).copied()
    }
}
