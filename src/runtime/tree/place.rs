//! Where a node stands: below whom, and on whose clock. Those that stand beside each other share it.

use std::sync::Arc;

use crate::runtime::Path;
use crate::runtime::executor::{Clock, Scheduler};
use crate::runtime::tree::path::Name;

/// The place of all that stand below one node, or of the root.
#[derive(Debug)]
pub(crate) struct ParentRef {
    path: Option<Arc<Path>>,
    pub(crate) clock: Clock,
}

impl ParentRef {
    /// Makes the root's place.
    pub(crate) fn root(scheduler: &Scheduler) -> Arc<ParentRef> {
        Arc::new(ParentRef { path: None, clock: Clock(scheduler.clone()) })
    }

    /// Makes the place of what stands below a path.
    pub(crate) fn new(path: Path, scheduler: &Scheduler) -> Arc<ParentRef> {
        Arc::new(ParentRef { path: Some(Arc::new(path)), clock: Clock(scheduler.clone()) })
    }

    /// Returns the place for one more node.
    pub(crate) fn for_child(self: &Arc<ParentRef>) -> Arc<ParentRef> {
        #[cfg(feature = "testing")]
        if let Scheduler::Simulated(world) = &self.clock.0 {
            world.children.increment();
        }
        self.clone()
    }

    /// Returns the path of what has a name here.
    pub(crate) fn child_path(&self, name: Name) -> Path {
        match &self.path {
            Some(above) => Path::with_parent(above, name),
            None => Path::root(name),
        }
    }
}
