//! The places where a simulation interferes with an actor: its polls and its messages.

use std::cell::RefCell;
use std::sync::Arc;

use crate::runtime::executor::{Scheduler, Sleep};
use crate::runtime::sim::fault::{Fault, MessageInfo, PollInfo};
use crate::runtime::tree::node::Node;
use crate::runtime::tree::snapshot::{NodeKind, NodeState};

thread_local! {
    /// The actor that is polled now.
    static CURRENT_ACTOR: RefCell<Option<Arc<Node>>> = const { RefCell::new(None) };
}

/// Makes `node` the current actor until the guard is dropped, and injects the fault of the rules.
///
/// `poll` is the number of the poll within the incarnation, from 1. A delay is stored in `delay`.
/// Outside a simulation it does nothing.
pub(crate) fn enter_simulated_poll(
    node: &Arc<Node>,
    poll: u64,
    delay: &mut Option<Box<Sleep>>,
) -> CurrentActorGuard {
    let Some(scheduler @ Scheduler::Simulated(executor)) = node.scheduler() else {
        return CurrentActorGuard(None);
    };
    let poll = PollInfo { path: node.path(), incarnation: node.incarnation(), number: poll };
    match executor.with_faults(|faults| faults.fault_for(&poll)) {
        Some(Fault::Delay(duration)) => *delay = Some(Box::new(scheduler.sleep(duration))),
        Some(fault) => {
            fault.interrupt().into_iter().for_each(|interrupt| node.control.interrupt(interrupt));
        }
        None => {}
    }
    CurrentActorGuard(Some(CURRENT_ACTOR.replace(Some(node.clone()))))
}

/// A guard of the current actor. Dropping it restores the previous one.
pub(crate) struct CurrentActorGuard(Option<Option<Arc<Node>>>);

impl Drop for CurrentActorGuard {
    fn drop(&mut self) {
        if let Some(last) = self.0.take() {
            CURRENT_ACTOR.set(last);
        }
    }
}

/// Returns whether the rules drop the message that the current actor sends to `node`.
pub(crate) fn drops_message(node: &Node) -> bool {
    let Some(Scheduler::Simulated(executor)) = node.scheduler() else { return false };
    if executor.faults().drop_rules.is_empty() {
        return false;
    }
    let from = CURRENT_ACTOR.with_borrow(|sender| sender.as_ref().map(|node| node.path()));
    let message = MessageInfo { from, to: node.path() };
    executor.with_faults(|faults| faults.drops(&message))
}

/// Collects the running actors at and below `node`, in the order of the tree.
pub(crate) fn collect_actors(node: &Arc<Node>, actors: &mut Vec<Arc<Node>>) {
    if node.kind() == NodeKind::Actor && node.state() == NodeState::Running {
        actors.push(node.clone());
    }
    node.child_nodes().iter().for_each(|child| collect_actors(child, actors));
}
