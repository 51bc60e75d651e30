//! The handle that controls a system from other threads and from its own actors.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering, fence};
use std::sync::{Arc, OnceLock};

use crate::runtime::executor::Scheduler;
use crate::runtime::lifecycle::observer::{EventBroadcaster, Events};
use crate::runtime::tree::control::Interrupt;
use crate::runtime::tree::node::Node;
use crate::runtime::tree::path::Path;
use crate::runtime::tree::snapshot::{NodeKind, Snapshot};

/// A cheap, cloneable handle to a system. It is valid before, while and after the system runs.
#[derive(Debug, Clone, Default)]
pub struct Handle(pub(super) Arc<SystemShared>);

/// The state that a system and its handles share.
#[derive(Debug, Default)]
pub(super) struct SystemShared {
    /// The root's node; set when the tree starts.
    pub(super) root: OnceLock<(Arc<Node>, Scheduler)>,
    pub(super) broadcaster: Arc<EventBroadcaster>,
    /// The number of the signal that requested the stop, or 0.
    pub(super) signal: AtomicI32,
    /// Whether a second signal arrived.
    pub(super) second_signal: AtomicBool,
    /// A stop or kill that was requested before the tree started.
    early_request: AtomicU8,
}

const STOP: u8 = 1;
const KILL: u8 = 2;

impl SystemShared {
    /// Attaches the tree, and applies a stop or kill that was requested before.
    pub(super) fn attach_tree(&self, root: &Arc<Node>, scheduler: &Scheduler) {
        // Each system runs one tree, so nothing was set before.
        drop(self.root.set((root.clone(), scheduler.clone())));
        // Pairs with the fences of `Handle::stop` and `Handle::kill`: either they see the tree, or
        // this thread sees the request.
        fence(Ordering::SeqCst);
        match self.early_request.load(Ordering::SeqCst) {
            KILL => root.control.kill(),
            STOP => root.control.stop(),
            _ => {}
        }
    }
}

impl Handle {
    /// Requests an orderly stop of the tree. A tree that has not started stops as soon as it does.
    pub fn stop(&self) {
        self.0.early_request.fetch_max(STOP, Ordering::SeqCst);
        // Pairs with the fence of `attach_tree`: either it sees the request, or the tree is seen
        // here.
        fence(Ordering::SeqCst);
        if let Some((root, _)) = self.0.root.get() {
            root.control.stop();
        }
    }

    /// Drops every actor at once. A tree that has not started ends as soon as it does.
    pub fn kill(&self) {
        self.0.early_request.fetch_max(KILL, Ordering::SeqCst);
        // As in `stop`.
        fence(Ordering::SeqCst);
        if let Some((root, _)) = self.0.root.get() {
            root.control.kill();
        }
    }

    /// Returns a snapshot of the tree; none before the tree starts.
    pub fn tree(&self) -> Option<Snapshot> {
        self.0.root.get().map(|(root, scheduler)| root.snapshot(scheduler.now()))
    }

    /// Returns a stream of the lifecycle events from now on. The stream ends with the system.
    ///
    /// It holds up to `capacity` events (at least 1). When it is full, the oldest event is dropped
    /// for the newest, and counted by [`Events::missed`].
    ///
    /// # Examples
    ///
    /// This example shows the events of an actor that fails.
    ///
    /// ```
    /// use futures_lite::StreamExt;
    /// use sockactors::runtime::{Child, Context, Lifecycle, Outcome, Strategy, Supervisor, System};
    ///
    /// let system = System::new();
    /// let events = system.handle().events(16);
    /// let mut tree = Supervisor::new("shop", Strategy::OneForOne);
    /// tree.child(Child::new("clerk", || async |_: Context<()>| -> Outcome {
    ///     Err("tired".into())
    /// }).temporary().significant());
    /// assert!(system.run(tree).is_err());
    /// let events: Vec<_> = smol::block_on(events.map(|event| event.to_string()).collect());
    /// assert_eq!(
    ///     events,
    ///     ["shop/clerk started", "shop started", "shop/clerk failed: tired", "shop failed: tired"]
    /// );
    /// ```
    pub fn events(&self, capacity: usize) -> Events {
        self.0.broadcaster.subscribe(capacity)
    }

    /// Makes the actor at `path` panic at its next poll, to test its supervision.
    ///
    /// Returns whether there is such an actor.
    pub fn crash(&self, path: &str) -> bool {
        let node = self.0.root.get().and_then(|(root, _)| root.find(path));
        let actor = node.filter(|node| node.kind() == NodeKind::Actor);
        actor.is_some_and(|actor| {
            actor.control.interrupt(Interrupt::Panic);
            true
        })
    }

    /// Returns the path of the actor that a thread is polling.
    pub(super) fn find_running_on(&self, thread: usize) -> Option<Path> {
        self.0.root.get().and_then(|(root, _)| root.find_running_on(thread))
    }
}
