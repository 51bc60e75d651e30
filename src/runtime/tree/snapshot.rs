//! What can be seen of a tree.
//!
//! Snapshots are read from the nodes, never asked of the actors, so they are answered when an actor hangs.
//! How they are shown is in `render`.

use std::time::Duration;

use crate::runtime::Path;

/// What a node of the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// An actor.
    Actor,
    /// A supervisor.
    Supervisor,
    /// A pool.
    Pool,
}

/// What a node of the tree is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum NodeState {
    /// Not started yet, or over and kept as a specification.
    Idle,
    /// An incarnation lives.
    Running,
    /// Between two incarnations: it is started again when its pause is over.
    Restarting,
    /// It was asked to stop and has not ended yet.
    Stopping,
    /// An incarnation lives that has not said that it is ready.
    Starting,
}

/// The tree at one moment. Prints as an aligned table with box lines.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Snapshot {
    /// Where it stands.
    pub path: Path,
    /// What it is.
    pub kind: NodeKind,
    /// What it is doing.
    pub state: NodeState,
    /// How often it was started again.
    pub restarts: u32,
    /// How long the present incarnation has lived, or the last one did.
    pub uptime: Duration,
    /// Messages that wait in its mailbox, and how many fit; none for supervisors and pools.
    pub mailbox: Option<(usize, usize)>,
    /// Messages that a full mailbox dropped, by its [`Overflow`](crate::runtime::Overflow).
    pub dropped: u64,
    /// Messages that were handed to it, over all incarnations.
    pub handled: u64,
    /// Its children, in the order of their start.
    pub children: Vec<Snapshot>,
}
