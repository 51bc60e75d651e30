//! A system, as it is reached from other threads, and from its own actors.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU8, Ordering, fence};
use std::sync::{Arc, OnceLock};

use crate::runtime::executor::Scheduler;
use crate::runtime::lifecycle::observer::{EventBroadcaster, Events};
use crate::runtime::tree::control::Interrupt;
use crate::runtime::tree::node::Node;
use crate::runtime::{NodeKind, Path, Snapshot};

/// A cheap, cloneable handle to a system, from before it runs until after it has ended.
#[derive(Debug, Clone, Default)]
pub struct Handle(pub(crate) Arc<SystemShared>);

/// What a system and its handles share.
#[derive(Debug, Default)]
pub(crate) struct SystemShared {
    /// Set when the tree starts.
    pub(crate) node: OnceLock<(Arc<Node>, Scheduler)>,
    pub(crate) broadcaster: Arc<EventBroadcaster>,
    /// The signal that asked for the stop, or 0.
    pub(crate) signal: AtomicI32,
    /// Whether a second signal came.
    pub(crate) second_signal: AtomicBool,
    /// A stop or a kill that came before the tree was there.
    early_request: AtomicU8,
}

const STOP: u8 = 1;
const KILL: u8 = 2;

impl SystemShared {
    /// Takes up the tree, and does to it what was asked for before it was there.
    pub(crate) fn attach_tree(&self, node: &Arc<Node>, scheduler: &Scheduler) {
        // Each system runs one tree, so nothing was set before.
        drop(self.node.set((node.clone(), scheduler.clone())));
        // With those of `Handle::stop` and `Handle::kill`: either they see the tree, or this sees them.
        fence(Ordering::SeqCst);
        match self.early_request.load(Ordering::SeqCst) {
            KILL => node.control.kill(),
            STOP => node.control.stop(),
            _ => {}
        }
    }
}

impl Handle {
    /// Asks the tree to stop in order; a tree that does not run yet stops as soon as it does.
    pub fn stop(&self) {
        self.0.early_request.fetch_max(STOP, Ordering::SeqCst);
        // With the one of the launch: either it sees this, or the tree is seen here.
        fence(Ordering::SeqCst);
        if let Some((root, _)) = self.0.node.get() {
            root.control.stop();
        }
    }

    /// Drops every actor at once; a tree that does not run yet ends as soon as it does.
    pub fn kill(&self) {
        self.0.early_request.fetch_max(KILL, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if let Some((root, _)) = self.0.node.get() {
            root.control.kill();
        }
    }

    /// Returns the tree as it is now; none before it runs.
    pub fn tree(&self) -> Option<Snapshot> {
        self.0.node.get().map(|(root, scheduler)| root.snapshot(scheduler.now()))
    }

    /// Returns a stream of the lifecycle events from now on, which ends with the system. It holds `capacity`
    /// events (at least 1); when it is full, the oldest is dropped for the newest, and counted.
    ///
    /// # Examples
    ///
    /// This example shows a supervisor that is told of what happens to others.
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
    /// let told: Vec<_> = smol::block_on(events.map(|event| event.to_string()).collect());
    /// assert_eq!(
    ///     told,
    ///     ["shop/clerk started", "shop started", "shop/clerk failed: tired", "shop failed: tired"]
    /// );
    /// ```
    pub fn events(&self, capacity: usize) -> Events {
        self.0.broadcaster.subscribe(capacity)
    }

    /// Makes the actor at `path` panic at its next turn: a drill, to see its supervisor at work.
    ///
    /// Returns whether there is such an actor.
    pub fn crash(&self, path: &str) -> bool {
        let node = self.0.node.get().and_then(|(root, _)| root.find(path));
        let actor = node.filter(|node| node.kind() == NodeKind::Actor);
        actor.is_some_and(|actor| {
            actor.control.interrupt(Interrupt::Panic);
            true
        })
    }

    /// Returns the actor whose turn it is on a thread.
    pub(crate) fn find_running_on(&self, thread: usize) -> Option<Path> {
        self.0.node.get().and_then(|(root, _)| root.find_running_on(thread))
    }
}
