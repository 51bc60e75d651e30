//! A child's position in the supervision tree.
//!
//! Each child has one [`Node`] for as long as it is in the tree. The node holds the child's path,
//! state and control signal, its last exit, its monitors and its links. Like the mailbox, it
//! outlives incarnations and belongs to none of them. A handle to a node can read the child's state
//! and request a stop, but it keeps no part of an actor alive.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::task::Waker;
use std::time::Instant;

use slab::Slab;
use smol::Task;

use crate::runtime::executor::{Clock, Scheduler};
use crate::runtime::lifecycle::event::{Lifecycle, LostMessage};
use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::lifecycle::panic;
use crate::runtime::mailbox::erased::ErasedMailbox;
use crate::runtime::tree::control::{Control, Interrupt};
use crate::runtime::tree::liveness::{ExitSignals, Liveness};
use crate::runtime::tree::path::{Name, Path};
use crate::runtime::tree::snapshot::{NodeKind, NodeState, Snapshot};
use crate::sync::lock;

/// A value that is set when its cell is made, or once later.
///
/// Pool children know their parent from the start, and millions of them are started. Setting a
/// [`OnceLock`] takes as many instructions as making the rest of a node, so the cell that is set
/// from the start has no lock.
pub(crate) enum PresetOnce<T> {
    Set(T),
    Unset(Box<OnceLock<T>>),
}

impl<T> PresetOnce<T> {
    /// Makes a cell whose value is set later.
    pub(crate) fn unset() -> PresetOnce<T> {
        PresetOnce::Unset(Box::default())
    }

    pub(crate) fn get(&self) -> Option<&T> {
        match self {
            PresetOnce::Set(value) => Some(value),
            PresetOnce::Unset(cell) => cell.get(),
        }
    }

    /// Sets the value of `make`, unless the cell has a value already.
    pub(crate) fn init(&self, make: impl FnOnce() -> T) {
        if let PresetOnce::Unset(cell) = self {
            cell.get_or_init(make);
        }
    }
}

/// The parent of a node: its path, and the system's clock. Siblings share one.
#[derive(Debug)]
pub(crate) struct ParentRef {
    /// None above the root.
    path: Option<Arc<Path>>,
    clock: Clock,
}

impl ParentRef {
    /// Makes the parent of the root.
    pub(crate) fn root(scheduler: &Scheduler) -> Arc<ParentRef> {
        Arc::new(ParentRef { path: None, clock: Clock(scheduler.clone()) })
    }

    /// Makes the parent of the nodes below `path`.
    pub(crate) fn new(path: Path, scheduler: &Scheduler) -> Arc<ParentRef> {
        Arc::new(ParentRef { path: Some(Arc::new(path)), clock: Clock(scheduler.clone()) })
    }

    /// Returns the parent for one more node. A simulation counts its nodes here.
    fn for_child(self: &Arc<ParentRef>) -> Arc<ParentRef> {
        #[cfg(feature = "testing")]
        if let Scheduler::Simulated(executor) = &self.clock.0 {
            executor.children.increment();
        }
        self.clone()
    }

    fn child_path(&self, name: Name) -> Path {
        match &self.path {
            Some(path) => Path::with_parent(path, name),
            None => Path::root(name),
        }
    }
}

/// The part of a node that depends on its kind.
///
/// Actors store their mailbox here. Supervisors and pools are rare, so their child list is boxed.
pub(crate) enum NodeBody {
    Actor(Weak<dyn ErasedMailbox>),
    Parent(Box<ChildList>),
}

/// The children of a node.
pub(crate) enum ChildList {
    /// A supervisor's children, in the order of their start.
    Supervisor(Mutex<BTreeMap<u64, Arc<Node>>>),
    /// A pool's live children.
    Pool(Mutex<Slab<PoolChild>>),
}

/// A live child of a pool, with the task that runs it.
pub(crate) struct PoolChild {
    pub(crate) node: Arc<Node>,
    pub(crate) task: Task<Exit>,
}

impl NodeBody {
    pub(crate) fn supervisor() -> NodeBody {
        NodeBody::Parent(Box::new(ChildList::Supervisor(Mutex::default())))
    }

    pub(crate) fn pool() -> NodeBody {
        NodeBody::Parent(Box::new(ChildList::Pool(Mutex::default())))
    }

    fn child_list(&self) -> Option<&ChildList> {
        match self {
            NodeBody::Actor(_) => None,
            NodeBody::Parent(children) => Some(children),
        }
    }
}

/// A child in the tree: an actor, a supervisor or a pool.
pub(crate) struct Node {
    name: Name,
    /// Set when the tree starts.
    parent: PresetOnce<Arc<ParentRef>>,
    pub(crate) control: Control,
    body: NodeBody,
    state: AtomicU8,
    /// The worker thread that polls the actor now, counted from 1, or 0. See `lifecycle::watchdog`.
    running_on: AtomicU16,
    /// The number of messages received plus the number handled: odd while the actor handles one.
    message_counter: AtomicU64,
    /// The number of other items handled, such as datagrams.
    item_counter: AtomicU64,
    liveness: Mutex<Liveness<Node>>,
}

impl Node {
    /// Makes the node of a child that is not in a running tree yet.
    pub(crate) fn new(name: Name, body: NodeBody) -> Arc<Node> {
        Arc::new(Node {
            name,
            parent: PresetOnce::unset(),
            control: Control::default(),
            body,
            state: AtomicU8::new(NodeState::Idle as u8),
            running_on: AtomicU16::new(0),
            message_counter: AtomicU64::new(0),
            item_counter: AtomicU64::new(0),
            liveness: Mutex::new(Liveness::new()),
        })
    }

    /// Makes the node of a child below `parent` whose first incarnation starts at once.
    pub(crate) fn started(
        name: Name,
        body: NodeBody,
        parent: &Arc<ParentRef>,
        now: Instant,
    ) -> Arc<Node> {
        Arc::new(Node {
            name,
            parent: PresetOnce::Set(parent.for_child()),
            control: Control::default(),
            body,
            state: AtomicU8::new(NodeState::Running as u8),
            running_on: AtomicU16::new(0),
            message_counter: AtomicU64::new(0),
            item_counter: AtomicU64::new(0),
            liveness: Mutex::new(Liveness::started(now)),
        })
    }

    /// Puts the node below `parent`. Later calls change nothing.
    pub(crate) fn attach(&self, parent: &Arc<ParentRef>) {
        self.parent.init(|| parent.for_child());
    }

    pub(crate) fn path(&self) -> Path {
        let name = self.name.clone();
        match self.parent.get() {
            Some(parent) => parent.child_path(name),
            None => Path::root(name),
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// Returns the scheduler of the tree; none before the tree starts.
    pub(crate) fn scheduler(&self) -> Option<&Scheduler> {
        self.parent.get().map(|parent| &parent.clock.0)
    }

    /// Returns the clock of the tree.
    ///
    /// # Panics
    ///
    /// Panics before the tree starts. Only incarnations ask for the clock, and none lives then.
    pub(crate) fn clock(&self) -> &Clock {
        match self.parent.get() {
            Some(parent) => &parent.clock,
            None => unreachable!("a node has a clock once its tree has started"),
        }
    }

    pub(crate) fn kind(&self) -> NodeKind {
        match self.body.child_list() {
            None => NodeKind::Actor,
            Some(ChildList::Supervisor(_)) => NodeKind::Supervisor,
            Some(ChildList::Pool(_)) => NodeKind::Pool,
        }
    }

    /// Returns an actor's mailbox, unless it has been dropped.
    fn mailbox(&self) -> Option<Arc<dyn ErasedMailbox>> {
        match &self.body {
            NodeBody::Actor(mailbox) => mailbox.upgrade(),
            NodeBody::Parent(_) => None,
        }
    }

    /// Locks a pool's list of children.
    ///
    /// # Panics
    ///
    /// Panics if the node is not a pool.
    pub(crate) fn pool_children(&self) -> MutexGuard<'_, Slab<PoolChild>> {
        match self.body.child_list() {
            Some(ChildList::Pool(children)) => lock(children),
            _ => unreachable!("only a pool has pool children"),
        }
    }

    /// Changes a supervisor's list of children. Does nothing on other nodes.
    pub(crate) fn update_children(&self, change: impl FnOnce(&mut BTreeMap<u64, Arc<Node>>)) {
        if let Some(ChildList::Supervisor(children)) = self.body.child_list() {
            change(&mut lock(children));
        }
    }

    /// Locks the state of the child's incarnations.
    ///
    /// # Lock order
    ///
    /// The locks of two nodes are never held at the same time.
    pub(crate) fn liveness(&self) -> MutexGuard<'_, Liveness<Node>> {
        lock(&self.liveness)
    }

    /// Records the start of a new incarnation and returns its number, from 1.
    pub(crate) fn start_incarnation(&self, now: Instant, state: NodeState) -> u32 {
        self.message_done();
        self.set_state(state);
        let mut liveness = self.liveness();
        // Under the lock, so that a link to the last incarnation cannot interrupt the next one.
        self.control.reset();
        liveness.start_incarnation(now)
    }

    /// Records the end of an incarnation, and notifies its monitors and links.
    ///
    /// A pool child never restarts, so its mailbox closes with it.
    pub(crate) fn end_incarnation(&self, exit: &Exit) {
        let is_pool_child = matches!(self.name, Name::Number(_));
        // A pool child leaves the tree with its exit, so nothing asks for its uptime afterwards.
        let now = if is_pool_child { None } else { self.scheduler().map(Scheduler::now) };
        let signals = self.liveness().end_incarnation(exit, now, is_pool_child);
        if let Some(signals) = signals {
            self.deliver_exit(signals, exit);
        }
        if is_pool_child {
            if let Some(mailbox) = self.mailbox() {
                panic::catch_and_log("a message in a closed mailbox", || mailbox.close());
            }
        }
    }

    /// Records that no incarnation follows.
    pub(crate) fn close(&self) {
        let signals = self.liveness().close();
        if let Some(signals) = signals {
            self.deliver_exit(signals, &Exit::Normal);
        }
    }

    /// Ends the actors that are linked to this one, and wakes its monitors.
    fn deliver_exit(&self, signals: ExitSignals<Node>, exit: &Exit) {
        for link in &signals.links {
            let Some(other) = link.node.upgrade() else { continue };
            other.liveness().remove_link(self);
            if !matches!(exit, Exit::Normal) {
                let exit = Exit::Linked(Arc::new((self.path(), exit.clone())));
                other.deliver_link_exit(link.incarnation, exit);
            }
        }
        signals.wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends one incarnation with the exit of an actor that it is linked to.
    fn deliver_link_exit(&self, incarnation: u32, exit: Exit) {
        let is_delivered = self.liveness().set_link_exit(incarnation, exit);
        if is_delivered {
            self.control.interrupt(Interrupt::LinkExit);
        }
    }

    pub(crate) fn set_state(&self, state: NodeState) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub(crate) fn incarnation(&self) -> u32 {
        self.liveness().incarnation()
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.incarnation().saturating_sub(1)
    }

    pub(crate) fn state(&self) -> NodeState {
        match self.state.load(Ordering::Relaxed) {
            1 | 4 if self.control.is_stop_requested() => NodeState::Stopping,
            1 => NodeState::Running,
            2 => NodeState::Restarting,
            4 => NodeState::Starting,
            _ => NodeState::Idle,
        }
    }

    /// Records the worker thread that polls the actor now, or none.
    pub(crate) fn set_running_on(&self, thread: Option<usize>) {
        self.running_on.store(thread.map_or(0, thread_tag), Ordering::Relaxed);
    }

    /// Finds the actor at or below this node that a worker thread polls now.
    pub(crate) fn find_running_on(&self, thread: usize) -> Option<Path> {
        if self.running_on.load(Ordering::Relaxed) == thread_tag(thread) {
            return Some(self.path());
        }
        self.child_nodes().iter().find_map(|child| child.find_running_on(thread))
    }

    /// Records that the actor received a message. Only the actor's own task calls it.
    pub(crate) fn message_started(&self) {
        self.message_counter
            .store(self.message_counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Records that the actor has handled the last message it received, if any.
    pub(crate) fn message_done(&self) {
        let counter = self.message_counter.load(Ordering::Relaxed);
        if counter % 2 == 1 {
            self.message_counter.store(counter + 1, Ordering::Relaxed);
        }
    }

    /// Adds items that are no messages. Only the actor's own task calls it.
    pub(crate) fn record_items(&self, count: u64) {
        let items = self.item_counter.load(Ordering::Relaxed).saturating_add(count);
        self.item_counter.store(items, Ordering::Relaxed);
    }

    /// Returns the number of messages received and other items handled.
    fn handled(&self) -> u64 {
        let messages = self.message_counter.load(Ordering::Relaxed).div_ceil(2);
        messages.saturating_add(self.item_counter.load(Ordering::Relaxed))
    }

    /// Returns the message that an incarnation was handling when it ended abnormally.
    pub(crate) fn lost_message(&self, exit: &Exit) -> Option<LostMessage> {
        let counter = self.message_counter.load(Ordering::Relaxed);
        if counter % 2 == 0 || exit.is_normal() {
            return None;
        }
        Some(LostMessage {
            number: counter.div_ceil(2),
            message_type: self.mailbox()?.message_type(),
        })
    }

    /// Makes the event of a requested stop. Without an exit, the incarnation was dropped.
    pub(crate) fn stop_event(&self, exit: Option<Exit>) -> Lifecycle {
        let path = self.path();
        match exit {
            Some(exit) => Lifecycle::Stopped { path, lost: self.lost_message(&exit), exit },
            None => Lifecycle::Killed { path, lost: self.lost_message(&Exit::Killed) },
        }
    }

    pub(crate) fn snapshot(&self, now: Instant) -> Snapshot {
        let mailbox = self.mailbox();
        Snapshot {
            path: self.path(),
            kind: self.kind(),
            state: self.state(),
            restarts: self.restarts(),
            uptime: self.liveness().uptime(now),
            mailbox: mailbox.as_ref().map(|mailbox| mailbox.len_and_capacity()),
            dropped: mailbox.map_or(0, |mailbox| mailbox.dropped()),
            handled: self.handled(),
            children: self.child_nodes().iter().map(|child| child.snapshot(now)).collect(),
        }
    }

    /// Finds the node that `text` names, by [`Path::matches`].
    pub(crate) fn find(self: &Arc<Node>, text: &str) -> Option<Arc<Node>> {
        if self.path().matches(text) {
            return Some(self.clone());
        }
        self.child_nodes().iter().find_map(|child| child.find(text))
    }

    /// Returns the children.
    ///
    /// It returns a copy of the list, so that callers hold no lock while they read the children.
    pub(crate) fn child_nodes(&self) -> Vec<Arc<Node>> {
        match self.body.child_list() {
            None => Vec::new(),
            Some(ChildList::Supervisor(children)) => lock(children).values().cloned().collect(),
            Some(ChildList::Pool(children)) => {
                lock(children).iter().map(|(_, child)| child.node.clone()).collect()
            }
        }
    }
}

/// Returns the value of [`Node::running_on`] for a thread. Systems have fewer than 65,535 threads.
fn thread_tag(thread: usize) -> u16 {
    u16::try_from(thread + 1).unwrap_or(u16::MAX)
}

#[cfg(feature = "testing")]
impl Drop for Node {
    fn drop(&mut self) {
        if let Some(Scheduler::Simulated(executor)) = self.scheduler() {
            executor.children.decrement();
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}, {:?})", self.path(), self.state())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preset_once_keeps_first_value() {
        let cell = PresetOnce::unset();
        assert_eq!(cell.get(), None);
        cell.init(|| 1);
        cell.init(|| unreachable!("the cell has a value"));
        assert_eq!(cell.get(), Some(&1));

        let cell = PresetOnce::Set(2);
        cell.init(|| unreachable!("the cell has a value"));
        assert_eq!(cell.get(), Some(&2));
    }
}
