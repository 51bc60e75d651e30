//! Monitors and links, as in Erlang.
//!
//! A [`Monitor`] reports one exit of another actor, at once if that actor has already ended. A link
//! ends each of two actors with the other, unless the other ended normally. Both belong to an
//! incarnation, not to the child: the next incarnation has neither.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use thiserror::Error;

use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::tree::liveness::Link;
use crate::runtime::tree::node::Node;
use crate::runtime::tree::path::Path;

/// The error of linking to an actor that is not running.
#[derive(Error, Debug, Clone)]
#[error("the actor is not running")]
pub struct NotRunning {
    /// The exit of its last incarnation; none if it never ran.
    pub last_exit: Option<Exit>,
}

/// Links the incarnations of two actors that live now, in both directions.
///
/// # Errors
///
/// Fails if `other` is not running.
///
/// # Lock order
///
/// The lock of one node is released before that of the other is taken.
pub(crate) fn link(own: &Arc<Node>, other: &Arc<Node>) -> Result<(), NotRunning> {
    if Arc::ptr_eq(own, other) {
        return Ok(());
    }
    unlink(own, other);
    let back = Link { node: Arc::downgrade(own), incarnation: own.incarnation() };
    let mut liveness = other.liveness();
    if !liveness.is_alive() {
        return Err(NotRunning { last_exit: liveness.last_exit() });
    }
    let forward = Link { node: Arc::downgrade(other), incarnation: liveness.incarnation() };
    liveness.add_link(back);
    drop(liveness);
    own.liveness().add_link(forward);
    Ok(())
}

/// Removes the link between two actors, in both directions.
pub(crate) fn unlink(own: &Node, other: &Node) {
    own.liveness().remove_link(other);
    other.liveness().remove_link(own);
}

/// A future that is ready with the exit of another actor. [`Address::monitor`] makes it.
///
/// Its output is `None` if the actor never ran and never will.
///
/// # Cancel safety
///
/// Cancel-safe: `&mut monitor` can be raced any number of times.
///
/// [`Address::monitor`]: crate::runtime::Address::monitor
#[must_use = "a monitor reports nothing unless it is awaited"]
pub struct Monitor(Option<(Arc<Node>, usize)>);

impl Monitor {
    /// Monitors the actor of `node`. Without a node, the monitor is ready with `None` at once.
    pub(crate) fn new(node: Option<&Arc<Node>>) -> Monitor {
        Monitor(node.map(|node| (node.clone(), node.liveness().add_monitor())))
    }

    /// Returns the path of the monitored actor; none if it is not in a tree.
    pub fn path(&self) -> Option<Path> {
        self.0.as_ref().map(|(node, _)| node.path())
    }
}

impl Future for Monitor {
    type Output = Option<Exit>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Exit>> {
        let Some((node, key)) = &self.0 else { return Poll::Ready(None) };
        // The stale waker is dropped after the lock: it may hold the last handle of a task.
        let (polled, _stale) = node.liveness().poll_monitor(*key, cx);
        polled
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if let Some((node, key)) = &self.0 {
            let slot = node.liveness().remove_monitor(*key);
            // After the lock: a waker may hold the last handle of a task.
            drop(slot);
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            Some(path) => write!(f, "Monitor({path})"),
            None => f.write_str("Monitor(none)"),
        }
    }
}
