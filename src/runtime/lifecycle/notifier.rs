//! Notifications of an incarnation to its supervisor.

use async_channel::Sender;

use crate::runtime::lifecycle::event::Lifecycle;
use crate::runtime::lifecycle::observer::Observer;
use crate::runtime::tree::node::Node;
use crate::runtime::tree::snapshot::NodeState;

/// What a child's task tells its supervisor: of which child, and of which incarnation of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChildEvent {
    /// It has started.
    Ready(u64, u32),
    /// It has ended.
    Exited(u64, u32),
}

/// How a child's task reaches its supervisor.
#[derive(Debug, Clone)]
pub(crate) struct ParentNotifier {
    pub(crate) child: u64,
    pub(crate) incarnation: u32,
    pub(crate) events: Sender<ChildEvent>,
    pub(crate) observer: Observer,
}

impl ParentNotifier {
    /// Tells that the incarnation has started.
    pub(crate) fn ready(&self, node: &Node) {
        node.set_state(NodeState::Running);
        let incarnation = self.incarnation;
        self.observer.emit(|| Lifecycle::Started { path: node.path(), incarnation });
        self.send(ChildEvent::Ready(self.child, self.incarnation));
    }

    pub(crate) fn send(&self, note: ChildEvent) {
        // A supervisor that is gone takes no notice, and needs none.
        let _ = self.events.try_send(note);
    }
}
