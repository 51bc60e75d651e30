//! A child's place in the tree.
//!
//! Each child has one [`Node`] for as long as it is in the tree: its path, its state, its control signal, how
//! its last incarnation ended and who watches it. The node outlives incarnations, as the mailbox does, and
//! belongs to none: whoever holds it can look, and ask for an end, but keeps nothing of an actor alive.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use slab::Slab;

use crate::runtime::executor::{Clock, Scheduler};
use crate::runtime::lifecycle::event::LostMessage;
use crate::runtime::lifecycle::panic;
use crate::runtime::mailbox::ErasedMailbox;
use crate::runtime::tree::below::{ChildList, NodeBody, PoolChild};
use crate::runtime::tree::control::Control;
use crate::runtime::tree::late::PresetOnce;
use crate::runtime::tree::liveness::Liveness;
use crate::runtime::tree::path::Name;
use crate::runtime::tree::place::ParentRef;
use crate::runtime::tree::snapshot::{NodeKind, NodeState, Snapshot};
use crate::runtime::{Exit, Lifecycle, Path};
use crate::sync::lock;

/// A child as long as it is in the tree.
pub(crate) struct Node {
    name: Name,
    /// Set when the tree starts.
    parent: PresetOnce<Arc<ParentRef>>,
    pub(crate) control: Control,
    pub(crate) body: NodeBody,
    state: AtomicU8,
    /// The thread whose turn is this actor's, counted from 1, or 0. See `stall`.
    running_on: AtomicU16,
    /// Twice the messages that were handed out, less one while the last of them is in hand.
    message_counter: AtomicU64,
    liveness: Mutex<Liveness>,
}

impl Node {
    pub(crate) fn new(name: Name, below: NodeBody) -> Arc<Node> {
        Arc::new(Node {
            name,
            parent: PresetOnce::unset(),
            control: Control::default(),
            body: below,
            state: AtomicU8::new(NodeState::Idle as u8),
            running_on: AtomicU16::new(0),
            message_counter: AtomicU64::new(0),
            liveness: Mutex::default(),
        })
    }

    /// Makes the node of a child that has its place, and whose first incarnation begins.
    pub(crate) fn started(
        name: Name,
        below: NodeBody,
        place: &Arc<ParentRef>,
        now: Instant,
    ) -> Arc<Node> {
        Arc::new(Node {
            name,
            parent: PresetOnce::Set(place.for_child()),
            control: Control::default(),
            body: below,
            state: AtomicU8::new(NodeState::Running as u8),
            running_on: AtomicU16::new(0),
            message_counter: AtomicU64::new(0),
            liveness: Mutex::new(Liveness::started(now)),
        })
    }

    /// Gives the node its place, once.
    pub(crate) fn attach(&self, place: &Arc<ParentRef>) {
        self.parent.init(|| place.for_child());
    }

    pub(crate) fn path(&self) -> Path {
        let name = self.name.clone();
        match self.parent.get() {
            Some(place) => place.child_path(name),
            None => Path::root(name),
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn scheduler(&self) -> Option<&Scheduler> {
        self.parent.get().map(|place| &place.clock.0)
    }

    /// Returns the clock of the tree that the node is in.
    pub(crate) fn clock(&self) -> &Clock {
        match self.parent.get() {
            Some(place) => &place.clock,
            None => unreachable!("only an incarnation asks, whose node has its place"),
        }
    }

    pub(crate) fn kind(&self) -> NodeKind {
        match self.body.child_list() {
            None => NodeKind::Actor,
            Some(ChildList::Supervisor(_)) => NodeKind::Supervisor,
            Some(ChildList::Pool(_)) => NodeKind::Pool,
        }
    }

    /// Returns an actor's mailbox, if there is one still.
    fn mailbox(&self) -> Option<Arc<dyn ErasedMailbox>> {
        match &self.body {
            NodeBody::Actor(gauge) => gauge.upgrade(),
            NodeBody::Parent(_) => None,
        }
    }

    /// Returns a pool's children. Nothing else has members.
    pub(crate) fn pool_children(&self) -> MutexGuard<'_, Slab<PoolChild>> {
        match self.body.child_list() {
            Some(ChildList::Pool(members)) => lock(members),
            _ => unreachable!("only a pool asks for its members"),
        }
    }

    /// Changes the list of a supervisor's children.
    pub(crate) fn update_children(&self, change: impl FnOnce(&mut BTreeMap<u64, Arc<Node>>)) {
        if let Some(ChildList::Supervisor(children)) = self.body.child_list() {
            change(&mut lock(children));
        }
    }

    pub(crate) fn liveness(&self) -> MutexGuard<'_, Liveness> {
        lock(&self.liveness)
    }

    /// Notes the begin of a new incarnation and returns its number, from 1.
    pub(crate) fn start_incarnation(&self, now: Instant, state: NodeState) -> u32 {
        self.message_done();
        self.set_state(state);
        let mut vitals = self.liveness();
        // Under the lock, so that a link to the last incarnation strikes none that follows.
        self.control.reset();
        vitals.start_incarnation(now)
    }

    /// Notes how an incarnation ended, and tells those who watch it.
    pub(crate) fn end_incarnation(&self, exit: &Exit) {
        // A pool's child has no life after its first, and leaves the tree with it.
        let is_over = matches!(self.name, Name::Number(_));
        let now = if is_over { None } else { self.scheduler().map(Scheduler::now) };
        let to_tell = self.liveness().end_incarnation(exit, now, is_over);
        if let Some(to_tell) = to_tell {
            to_tell.deliver(self, exit);
        }
        if is_over {
            if let Some(gauge) = self.mailbox() {
                panic::catch_and_log("a message in a mailbox that closes:", || gauge.close());
            }
        }
    }

    /// Notes that no incarnation is to come.
    pub(crate) fn close(&self) {
        let to_tell = self.liveness().close();
        if let Some(to_tell) = to_tell {
            to_tell.deliver(self, &Exit::Normal);
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

    /// Notes that it is the actor's turn on a thread, or on none.
    pub(crate) fn set_running_on(&self, thread: Option<usize>) {
        self.running_on.store(thread.map_or(0, thread_tag), Ordering::Relaxed);
    }

    /// Finds the actor at or below this node whose turn it is on a thread.
    pub(crate) fn find_running_on(&self, thread: usize) -> Option<Path> {
        if self.running_on.load(Ordering::Relaxed) == thread_tag(thread) {
            return Some(self.path());
        }
        self.child_nodes().iter().find_map(|child| child.find_running_on(thread))
    }

    /// Notes that the actor has a message in hand. Only the actor itself does so.
    pub(crate) fn message_started(&self) {
        self.message_counter
            .store(self.message_counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Notes that the actor is done with what it had in hand.
    pub(crate) fn message_done(&self) {
        let taken = self.message_counter.load(Ordering::Relaxed);
        if taken % 2 == 1 {
            self.message_counter.store(taken + 1, Ordering::Relaxed);
        }
    }

    /// Returns what the incarnation that just ended had in hand, unless it ended well.
    pub(crate) fn lost_message(&self, exit: &Exit) -> Option<LostMessage> {
        let taken = self.message_counter.load(Ordering::Relaxed);
        if taken % 2 == 0 || exit.is_normal() {
            return None;
        }
        Some(LostMessage {
            number: taken.div_ceil(2),
            message_type: self.mailbox()?.message_type(),
        })
    }

    /// Makes the event of an end that was asked for; no exit where the incarnation had to be dropped.
    pub(crate) fn stop_event(&self, exit: Option<Exit>) -> Lifecycle {
        let path = self.path();
        match exit {
            Some(exit) => Lifecycle::Stopped { path, lost: self.lost_message(&exit), exit },
            None => Lifecycle::Killed { path, lost: self.lost_message(&Exit::Killed) },
        }
    }

    pub(crate) fn snapshot(&self, now: Instant) -> Snapshot {
        let gauge = self.mailbox();
        Snapshot {
            path: self.path(),
            kind: self.kind(),
            state: self.state(),
            restarts: self.restarts(),
            uptime: self.liveness().uptime(now),
            mailbox: gauge.as_ref().map(|gauge| gauge.len_and_capacity()),
            dropped: gauge.map_or(0, |gauge| gauge.dropped()),
            handled: self.message_counter.load(Ordering::Relaxed).div_ceil(2),
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

    /// Lists the children. No lock is held while they are read, so no two locks are ever held at once.
    pub(crate) fn child_nodes(&self) -> Vec<Arc<Node>> {
        match self.body.child_list() {
            None => Vec::new(),
            Some(ChildList::Supervisor(children)) => lock(children).values().cloned().collect(),
            Some(ChildList::Pool(_)) => {
                self.pool_children().iter().map(|(_, member)| member.node.clone()).collect()
            }
        }
    }
}

/// How a node says that it is its turn on a thread. Nobody has as many threads as this has numbers.
fn thread_tag(thread: usize) -> u16 {
    u16::try_from(thread + 1).unwrap_or(u16::MAX)
}

#[cfg(feature = "testing")]
impl Drop for Node {
    fn drop(&mut self) {
        if let Some(Scheduler::Simulated(world)) = self.scheduler() {
            world.children.decrement();
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}, {:?})", self.path(), self.state())
    }
}
