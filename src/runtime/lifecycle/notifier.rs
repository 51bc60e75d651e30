//! Notifications from a child's task to its supervisor.

use async_channel::Sender;

use crate::runtime::lifecycle::event::Lifecycle;
use crate::runtime::lifecycle::observer::Observer;
use crate::runtime::tree::node::Node;
use crate::runtime::tree::snapshot::NodeState;

/// A notification about one incarnation of one child: the child's key and the incarnation's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChildEvent {
    /// The incarnation has started.
    Ready(u64, u32),
    /// The incarnation has ended.
    Exited(u64, u32),
}

/// The sender of one incarnation's notifications to its supervisor.
#[derive(Debug, Clone)]
pub(crate) struct ParentNotifier {
    pub(crate) child: u64,
    pub(crate) incarnation: u32,
    pub(crate) events: Sender<ChildEvent>,
    pub(crate) observer: Observer,
}

impl ParentNotifier {
    /// Reports that the incarnation has started, to the observers and to the supervisor.
    pub(crate) fn ready(&self, node: &Node) {
        node.set_state(NodeState::Running);
        let incarnation = self.incarnation;
        self.observer.emit(|| Lifecycle::Started { path: node.path(), incarnation });
        self.send(ChildEvent::Ready(self.child, self.incarnation));
    }

    /// Reports to the supervisor that the incarnation has ended.
    pub(crate) fn exited(&self) {
        self.send(ChildEvent::Exited(self.child, self.incarnation));
    }

    fn send(&self, event: ChildEvent) {
        // A supervisor that is gone needs no notification.
        let _ = self.events.try_send(event);
    }
}
