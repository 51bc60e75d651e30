//! Where a node stands: below whom, and on whose clock. Those that stand beside each other share it.

use std::sync::Arc;

use crate::runtime::Path;
use crate::runtime::executor::{Clock, Scheduler};
use crate::runtime::tree::path::Name;

/// The place of all that stand below one node, or of the root.
#[derive(Debug)]
pub(crate) struct Place {
    above: Option<Arc<Path>>,
    pub(crate) clock: Clock,
}

impl Place {
    /// Makes the root's place.
    pub(crate) fn of_root(scheduler: &Scheduler) -> Arc<Place> {
        Arc::new(Place { above: None, clock: Clock(scheduler.clone()) })
    }

    /// Makes the place of what stands below a path.
    pub(crate) fn below(path: Path, scheduler: &Scheduler) -> Arc<Place> {
        Arc::new(Place { above: Some(Arc::new(path)), clock: Clock(scheduler.clone()) })
    }

    /// Returns the place for one more node.
    pub(crate) fn taken(self: &Arc<Place>) -> Arc<Place> {
        #[cfg(feature = "testing")]
        if let Scheduler::Simulated(world) = &self.clock.0 {
            world.children.add();
        }
        self.clone()
    }

    /// Returns the path of what has a name here.
    pub(crate) fn path(&self, name: Name) -> Path {
        match &self.above {
            Some(above) => Path::below(above, name),
            None => Path::root(name),
        }
    }
}
