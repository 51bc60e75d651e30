//! The interface between a supervisor and its children of every kind.
//!
//! An actor, a supervisor and a pool look alike to the supervisor above. Each has a node and
//! options, is launched as a task, and notifies its supervisor when it has started and when it has
//! ended.

use std::future::Future;
use std::sync::Arc;

use smol::Task;

use crate::runtime::executor::Scheduler;
use crate::runtime::executor::futures::Inspect;
use crate::runtime::executor::worker::Placement;
use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::lifecycle::notifier::ParentNotifier;
use crate::runtime::lifecycle::observer::Observer;
use crate::runtime::supervisor::options::ChildOptions;
use crate::runtime::tree::node::{Node, ParentRef};
use crate::runtime::tree::snapshot::NodeState;

/// The scheduler and the observer that all actors of a system share.
#[derive(Debug, Clone)]
pub(crate) struct SystemEnv {
    pub(crate) scheduler: Scheduler,
    pub(crate) observer: Observer,
}

impl SystemEnv {
    /// Returns the environment of a child with this placement.
    pub(crate) fn place(&self, placement: Placement) -> SystemEnv {
        SystemEnv { scheduler: self.scheduler.place(placement), observer: self.observer.clone() }
    }
}

/// A child of any kind, as its supervisor uses it.
pub(crate) trait ChildSpec: Send + Sync {
    fn node(&self) -> &Arc<Node>;

    fn options(&self) -> &ChildOptions;

    /// Checks whether the child can be started at all, under any supervisor.
    ///
    /// # Errors
    ///
    /// The text says what is contradictory.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// Attaches the child to its parent in the tree. Called once, before the first launch.
    fn attach(&self, parent: &Arc<ParentRef>, env: &SystemEnv);

    /// Starts an incarnation. The task ends once nothing of the incarnation is left.
    fn launch(&self, env: &SystemEnv, notifier: ParentNotifier) -> Task<Exit>;

    /// Records that there is no live incarnation, and rejects the requests that wait for one.
    fn set_idle(&self) {
        self.node().set_state(NodeState::Idle);
    }

    /// Closes the mailboxes and queues that outlive incarnations. No incarnation follows.
    fn close(&self);
}

/// Spawns the task of an incarnation. At its end the task notifies the supervisor.
pub(crate) fn spawn(
    env: &SystemEnv,
    placement: Placement,
    incarnation: impl Future<Output = Exit> + Send + 'static,
    notifier: ParentNotifier,
) -> Task<Exit> {
    let task = Inspect::new(incarnation, move |_: &Exit| notifier.exited());
    env.scheduler.spawn(placement, task)
}
