//! A child's place in the tree.
//!
//! Each child has one [`Node`] for as long as it is in the tree: its path, its state, its control signal, how
//! its last incarnation ended and who watches it. The node outlives incarnations, as the mailbox does, and
//! belongs to none: whoever holds it can look, and ask for an end, but keeps nothing of an actor alive.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use slab::Slab;

use crate::runtime::executor::{Clock, Scheduler};
use crate::runtime::lifecycle::Lost;
use crate::runtime::lifecycle::actor_future;
use crate::runtime::mailbox::Gauge;
use crate::runtime::tree::below::{Below, Member, Nodes};
use crate::runtime::tree::control::Control;
use crate::runtime::tree::late::Late;
use crate::runtime::tree::liveness::Vitals;
use crate::runtime::tree::path::Name;
use crate::runtime::tree::place::Place;
use crate::runtime::tree::snapshot::{Kind, Snapshot, State};
use crate::runtime::{Exit, Lifecycle, Path};

/// A child as long as it is in the tree.
pub(crate) struct Node {
    name: Name,
    /// Set when the tree starts.
    place: Late<Arc<Place>>,
    pub(crate) control: Control,
    pub(crate) below: Below,
    state: AtomicU8,
    /// The thread whose turn is this actor's, counted from 1, or 0. See `stall`.
    turn: AtomicU16,
    /// Twice the messages that were handed out, less one while the last of them is in hand.
    taken: AtomicU64,
    vitals: Mutex<Vitals>,
}

impl Node {
    pub(crate) fn new(name: Name, below: Below) -> Arc<Node> {
        Arc::new(Node {
            name,
            place: Late::comes(),
            control: Control::default(),
            below,
            state: AtomicU8::new(State::Idle as u8),
            turn: AtomicU16::new(0),
            taken: AtomicU64::new(0),
            vitals: Mutex::default(),
        })
    }

    /// Makes the node of a child that has its place, and whose first incarnation begins.
    pub(crate) fn begun(name: Name, below: Below, place: &Arc<Place>, now: Instant) -> Arc<Node> {
        Arc::new(Node {
            name,
            place: Late::There(place.taken()),
            control: Control::default(),
            below,
            state: AtomicU8::new(State::Running as u8),
            turn: AtomicU16::new(0),
            taken: AtomicU64::new(0),
            vitals: Mutex::new(Vitals::begun(now)),
        })
    }

    /// Gives the node its place, once.
    pub(crate) fn attach(&self, place: &Arc<Place>) {
        self.place.set(|| place.taken());
    }

    pub(crate) fn path(&self) -> Path {
        let name = self.name.clone();
        match self.place.get() {
            Some(place) => place.path(name),
            None => Path::root(name),
        }
    }

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn scheduler(&self) -> Option<&Scheduler> {
        self.place.get().map(|place| &place.clock.0)
    }

    /// Returns the clock of the tree that the node is in.
    pub(crate) fn clock(&self) -> &Clock {
        match self.place.get() {
            Some(place) => &place.clock,
            None => unreachable!("only an incarnation asks, whose node has its place"),
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self.below.nodes() {
            None => Kind::Actor,
            Some(Nodes::Children(_)) => Kind::Supervisor,
            Some(Nodes::Members(_)) => Kind::Pool,
        }
    }

    /// Returns an actor's mailbox, if there is one still.
    fn gauge(&self) -> Option<Arc<dyn Gauge>> {
        match &self.below {
            Below::Nothing(gauge) => gauge.upgrade(),
            Below::Nodes(_) => None,
        }
    }

    /// Returns a pool's children. Nothing else has members.
    pub(crate) fn members(&self) -> MutexGuard<'_, Slab<Member>> {
        match self.below.nodes() {
            Some(Nodes::Members(members)) => members.lock().unwrap_or_else(PoisonError::into_inner),
            _ => unreachable!("only a pool asks for its members"),
        }
    }

    /// Changes the list of a supervisor's children.
    pub(crate) fn children(&self, change: impl FnOnce(&mut BTreeMap<u64, Arc<Node>>)) {
        if let Some(Nodes::Children(children)) = self.below.nodes() {
            change(&mut children.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    pub(crate) fn vitals(&self) -> MutexGuard<'_, Vitals> {
        self.vitals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the begin of a new incarnation and returns its number, from 1.
    pub(crate) fn begin(&self, now: Instant, state: State) -> u32 {
        self.drop_in_hand();
        self.set(state);
        let mut vitals = self.vitals();
        // Under the lock, so that a link to the last incarnation strikes none that follows.
        self.control.lower();
        vitals.begin(now)
    }

    /// Notes how an incarnation ended, and tells those who watch it.
    pub(crate) fn end(&self, exit: &Exit) {
        // A pool's child has no life after its first, and leaves the tree with it.
        let is_over = matches!(self.name, Name::Number(_));
        let now = if is_over { None } else { self.scheduler().map(Scheduler::now) };
        let to_tell = self.vitals().end(exit, now, is_over);
        if let Some(to_tell) = to_tell {
            to_tell.tell(self, exit);
        }
        if is_over {
            if let Some(gauge) = self.gauge() {
                actor_future::shielded("a message in a mailbox that closes:", || gauge.close());
            }
        }
    }

    /// Notes that no incarnation is to come.
    pub(crate) fn over(&self) {
        let to_tell = self.vitals().over();
        if let Some(to_tell) = to_tell {
            to_tell.tell(self, &Exit::Normal);
        }
    }

    pub(crate) fn set(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub(crate) fn incarnation(&self) -> u32 {
        self.vitals().incarnation()
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.incarnation().saturating_sub(1)
    }

    pub(crate) fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            1 | 4 if self.control.is_stop() => State::Stopping,
            1 => State::Running,
            2 => State::Restarting,
            4 => State::Starting,
            _ => State::Idle,
        }
    }

    /// Notes that it is the actor's turn on a thread, or on none.
    pub(crate) fn set_turn(&self, thread: Option<usize>) {
        self.turn.store(thread.map_or(0, mark), Ordering::Relaxed);
    }

    /// Finds the actor at or below this node whose turn it is on a thread.
    pub(crate) fn in_turn(&self, thread: usize) -> Option<Path> {
        if self.turn.load(Ordering::Relaxed) == mark(thread) {
            return Some(self.path());
        }
        self.nodes_below().iter().find_map(|child| child.in_turn(thread))
    }

    /// Notes that the actor has a message in hand. Only the actor itself does so.
    pub(crate) fn take_in_hand(&self) {
        self.taken.store(self.taken.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// Notes that the actor is done with what it had in hand.
    pub(crate) fn drop_in_hand(&self) {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken % 2 == 1 {
            self.taken.store(taken + 1, Ordering::Relaxed);
        }
    }

    /// Returns what the incarnation that just ended had in hand, unless it ended well.
    pub(crate) fn lost(&self, exit: &Exit) -> Option<Lost> {
        let taken = self.taken.load(Ordering::Relaxed);
        if taken % 2 == 0 || exit.is_normal() {
            return None;
        }
        Some(Lost { number: taken.div_ceil(2), message: self.gauge()?.message() })
    }

    /// Makes the event of an end that was asked for; no exit where the incarnation had to be dropped.
    pub(crate) fn told_of_stop(&self, exit: Option<Exit>) -> Lifecycle {
        let path = self.path();
        match exit {
            Some(exit) => Lifecycle::Stopped { path, lost: self.lost(&exit), exit },
            None => Lifecycle::Killed { path, lost: self.lost(&Exit::Killed) },
        }
    }

    pub(crate) fn snapshot(&self, now: Instant) -> Snapshot {
        let gauge = self.gauge();
        Snapshot {
            path: self.path(),
            kind: self.kind(),
            state: self.state(),
            restarts: self.restarts(),
            uptime: self.vitals().uptime(now),
            mailbox: gauge.as_ref().map(|gauge| gauge.depth()),
            dropped: gauge.map_or(0, |gauge| gauge.dropped()),
            handled: self.taken.load(Ordering::Relaxed).div_ceil(2),
            children: self.nodes_below().iter().map(|child| child.snapshot(now)).collect(),
        }
    }

    /// Finds the node that `text` names, by [`Path::is`].
    pub(crate) fn find(self: &Arc<Node>, text: &str) -> Option<Arc<Node>> {
        if self.path().is(text) {
            return Some(self.clone());
        }
        self.nodes_below().iter().find_map(|child| child.find(text))
    }

    /// Lists the children. No lock is held while they are read, so no two locks are ever held at once.
    pub(crate) fn nodes_below(&self) -> Vec<Arc<Node>> {
        match self.below.nodes() {
            None => Vec::new(),
            Some(Nodes::Children(children)) => {
                children.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
            }
            Some(Nodes::Members(_)) => {
                self.members().iter().map(|(_, member)| member.node.clone()).collect()
            }
        }
    }
}

/// How a node says that it is its turn on a thread. Nobody has as many threads as this has numbers.
fn mark(thread: usize) -> u16 {
    u16::try_from(thread + 1).unwrap_or(u16::MAX)
}

#[cfg(feature = "testing")]
impl Drop for Node {
    fn drop(&mut self) {
        if let Some(Scheduler::Simulated(world)) = self.scheduler() {
            world.children.remove();
        }
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}, {:?})", self.path(), self.state())
    }
}
