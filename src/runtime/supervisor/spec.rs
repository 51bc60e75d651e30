//! Children of whatever kind, as their supervisor uses them.
//!
//! An actor, a supervisor and a pool are alike to the supervisor above: each has a node and a mode of restart
//! and shutdown, is launched as a task, and gives notice when it has started and when it has ended.

use std::future::Future;
use std::sync::Arc;

use smol::Task;

use crate::runtime::executor::Scheduler;
use crate::runtime::executor::futures::Inspect;
use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::lifecycle::notifier::{ChildEvent, ParentNotifier};
use crate::runtime::lifecycle::observer::Observer;
use crate::runtime::supervisor::options::ChildOptions;
use crate::runtime::tree::node::Node;
use crate::runtime::tree::place::ParentRef;
use crate::runtime::tree::snapshot::NodeState;

/// The clock and the observer that one system's actors share.
#[derive(Debug, Clone)]
pub(crate) struct SystemEnv {
    pub(crate) scheduler: Scheduler,
    pub(crate) observer: Observer,
}

/// A child of whatever kind, as its supervisor uses it.
pub(crate) trait ChildSpec: Send + Sync {
    fn node(&self) -> &Arc<Node>;
    fn options(&self) -> &ChildOptions;
    /// Tells what there is against starting it, whoever supervises it.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }
    /// Gives the child its place in the tree, before it is first started.
    fn attach(&self, place: &Arc<ParentRef>, env: &SystemEnv);
    /// Starts an incarnation. The task ends once nothing of the incarnation is left.
    fn launch(&self, env: &SystemEnv, notice: ParentNotifier) -> Task<Exit>;
    /// Notes that no incarnation lives, and refuses what waits for one.
    fn set_idle(&self) {
        self.node().set_state(NodeState::Idle);
    }
    /// Closes what outlives incarnations: the child is over for good.
    fn close(&self);
}

/// Spawns an incarnation's task, which gives notice to its supervisor at its end.
pub(crate) fn spawn(
    env: &SystemEnv,
    life: impl Future<Output = Exit> + Send + 'static,
    notice: ParentNotifier,
) -> Task<Exit> {
    env.scheduler.spawn(Inspect::new(life, move |_: &Exit| {
        notice.send(ChildEvent::Exited(notice.child, notice.incarnation));
    }))
}
