//! Snapshots: the state of a tree at one moment.
//!
//! A snapshot is read from the nodes, without a message to any actor, so it works while an actor
//! hangs. `render` formats it.

use std::time::Duration;

use crate::runtime::tree::path::Path;

/// The kind of a node of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// An actor.
    Actor,
    /// A supervisor.
    Supervisor,
    /// A pool.
    Pool,
}

/// The state of a node of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum NodeState {
    /// Not started yet, or ended and kept as a specification.
    Idle,
    /// An incarnation is running.
    Running,
    /// Between two incarnations: it restarts when its backoff has passed.
    Restarting,
    /// A stop was requested, and it has not ended yet.
    Stopping,
    /// An incarnation is running that has not reported that it is ready.
    Starting,
}

/// A node and its descendants at one moment. Displayed as an aligned table.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// The path of the node.
    pub path: Path,
    /// The kind of the node.
    pub kind: NodeKind,
    /// The state of the node.
    pub state: NodeState,
    /// The number of restarts.
    pub restarts: u32,
    /// The age of the current incarnation, or the lifetime of the last one.
    pub uptime: Duration,
    /// The number of queued messages and the capacity; none for supervisors and pools.
    pub mailbox: Option<(usize, usize)>,
    /// The number of messages that the full mailbox dropped, by its
    /// [`Overflow`](crate::runtime::Overflow) rule.
    pub dropped: u64,
    /// The number of messages received over all incarnations, with the one being handled, and of
    /// items that the actor reported with
    /// [`Context::record_handled`](crate::runtime::Context::record_handled).
    pub handled: u64,
    /// The children, in the order of their start.
    pub children: Vec<Snapshot>,
}
