//! What stands below a node of the tree.
//!
//! An actor has nothing below it, and has a mailbox in its place; the others are few, so what they have is elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use slab::Slab;
use smol::Task;

use crate::runtime::Exit;
use crate::runtime::mailbox::ErasedMailbox;
use crate::runtime::tree::node::Node;

/// What stands below a node.
pub(crate) enum NodeBody {
    /// Nothing: it is an actor, with a mailbox.
    Actor(Weak<dyn ErasedMailbox>),
    /// Other nodes.
    Parent(Box<ChildList>),
}

/// The nodes below a node.
pub(crate) enum ChildList {
    /// A supervisor's children, by the order of their start.
    Supervisor(Mutex<BTreeMap<u64, Arc<Node>>>),
    /// A pool's live children.
    Pool(Mutex<Slab<PoolChild>>),
}

impl NodeBody {
    pub(crate) fn supervisor() -> NodeBody {
        NodeBody::Parent(Box::new(ChildList::Supervisor(Mutex::default())))
    }

    pub(crate) fn pool() -> NodeBody {
        NodeBody::Parent(Box::new(ChildList::Pool(Mutex::default())))
    }

    pub(crate) fn child_list(&self) -> Option<&ChildList> {
        match self {
            NodeBody::Actor(_) => None,
            NodeBody::Parent(nodes) => Some(nodes),
        }
    }
}

/// A child in its pool's node, with the task that runs it.
pub(crate) struct PoolChild {
    pub(crate) node: Arc<Node>,
    pub(crate) task: Task<Exit>,
}
