//! What stands below a node of the tree.
//!
//! An actor has nothing below it, and has a mailbox in its place; the others are few, so what they have is elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use slab::Slab;
use smol::Task;

use crate::runtime::Exit;
use crate::runtime::mailbox::Gauge;
use crate::runtime::tree::node::Node;

/// What stands below a node.
pub(crate) enum Below {
    /// Nothing: it is an actor, with a mailbox.
    Nothing(Weak<dyn Gauge>),
    /// Other nodes.
    Nodes(Box<Nodes>),
}

/// The nodes below a node.
pub(crate) enum Nodes {
    /// A supervisor's children, by the order of their start.
    Children(Mutex<BTreeMap<u64, Arc<Node>>>),
    /// A pool's live children.
    Members(Mutex<Slab<Member>>),
}

impl Below {
    pub(crate) fn children() -> Below {
        Below::Nodes(Box::new(Nodes::Children(Mutex::default())))
    }

    pub(crate) fn members() -> Below {
        Below::Nodes(Box::new(Nodes::Members(Mutex::default())))
    }

    pub(crate) fn nodes(&self) -> Option<&Nodes> {
        match self {
            Below::Nothing(_) => None,
            Below::Nodes(nodes) => Some(nodes),
        }
    }
}

/// A child in its pool's node, with the task that runs it.
pub(crate) struct Member {
    pub(crate) node: Arc<Node>,
    pub(crate) task: Task<Exit>,
}
