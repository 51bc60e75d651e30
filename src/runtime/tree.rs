//! The live tree, and what can be seen of it.
//!
//! Each child has one [`Node`] for as long as it is in the tree: its path, its state, its control signal.
//! Snapshots are read from the nodes, never asked of the actors, so they are answered when an actor hangs.

use std::fmt;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use slab::Slab;
use smol::Task;

use super::control::Control;
use super::mailbox::Gauge;
use super::path::Name;
use super::{Exit, Path};

/// What a node of the tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
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
pub enum State {
    /// Not started yet, or over and kept as a specification.
    Idle,
    /// An incarnation lives.
    Running,
    /// Between two incarnations.
    Restarting,
    /// It was asked to stop and has not ended yet.
    Stopping,
}

/// A child as long as it is in the tree.
pub(crate) struct Node {
    name: Name,
    path: OnceLock<Path>,
    pub(crate) kind: Kind,
    pub(crate) control: Control,
    gauge: Option<Arc<dyn Gauge>>,
    state: AtomicU8,
    incarnation: AtomicU32,
    since: Mutex<Option<Instant>>,
    /// A supervisor's children in their order, or a pool's live ones.
    pub(crate) members: Mutex<Slab<Member>>,
}

/// A child in its parent's node; a pool keeps the child's task here too.
pub(crate) struct Member {
    pub(crate) node: Arc<Node>,
    pub(crate) task: Option<Task<Exit>>,
}

impl Node {
    pub(crate) fn new(name: Name, kind: Kind, gauge: Option<Arc<dyn Gauge>>) -> Arc<Node> {
        Arc::new(Node {
            name,
            path: OnceLock::new(),
            kind,
            control: Control::default(),
            gauge,
            state: AtomicU8::new(State::Idle as u8),
            incarnation: AtomicU32::new(0),
            since: Mutex::new(None),
            members: Mutex::new(Slab::new()),
        })
    }

    /// Gives the node its place, once. The root has no parent.
    pub(crate) fn attach(&self, parent: Option<&Arc<Path>>) {
        self.path.get_or_init(|| match parent {
            Some(parent) => Path::below(parent, self.name.clone()),
            None => Path::root(self.name.clone()),
        });
    }

    pub(crate) fn path(&self) -> Path {
        self.path.get().cloned().unwrap_or_else(|| Path::root(self.name.clone()))
    }

    pub(crate) fn members(&self) -> MutexGuard<'_, Slab<Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the begin of a new incarnation and returns its number, from 1.
    pub(crate) fn begin(&self, now: Instant) -> u32 {
        self.control.lower();
        self.set(State::Running);
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        self.incarnation.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn set(&self, state: State) {
        self.state.store(state as u8, Ordering::Relaxed);
    }

    pub(crate) fn restarts(&self) -> u32 {
        self.incarnation.load(Ordering::Relaxed).saturating_sub(1)
    }

    fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            1 if self.control.is_stop() => State::Stopping,
            1 => State::Running,
            2 => State::Restarting,
            3 => State::Stopping,
            _ => State::Idle,
        }
    }

    pub(crate) fn snapshot(&self, now: Instant) -> Snapshot {
        let since = *self.since.lock().unwrap_or_else(PoisonError::into_inner);
        // The lock is not held while the children are read, so no two locks are ever held at once.
        let children: Vec<_> = self.members().iter().map(|(_, m)| m.node.clone()).collect();
        Snapshot {
            path: self.path(),
            kind: self.kind,
            state: self.state(),
            restarts: self.restarts(),
            uptime: since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
            mailbox: self.gauge.as_ref().map(|gauge| gauge.depth()),
            children: children.iter().map(|child| child.snapshot(now)).collect(),
        }
    }

    /// Finds the node that `text` names, by [`Path::is`].
    pub(crate) fn find(self: &Arc<Node>, text: &str) -> Option<Arc<Node>> {
        if self.path().is(text) {
            return Some(self.clone());
        }
        let children: Vec<_> = self.members().iter().map(|(_, m)| m.node.clone()).collect();
        children.iter().find_map(|child| child.find(text))
    }
}

#[cfg(feature = "testing")]
impl Node {
    /// Collects the running actors below this node, in the order of the tree.
    pub(crate) fn actors(self: &Arc<Node>, actors: &mut Vec<Arc<Node>>) {
        if self.kind == Kind::Actor && self.state() == State::Running {
            actors.push(self.clone());
        }
        let children: Vec<_> = self.members().iter().map(|(_, m)| m.node.clone()).collect();
        children.iter().for_each(|child| child.actors(actors));
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Node({}, {:?})", self.path(), self.state())
    }
}

/// The tree at one moment. Prints as an aligned table with box lines.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Where it stands.
    pub path: Path,
    /// What it is.
    pub kind: Kind,
    /// What it is doing.
    pub state: State,
    /// How often it was started again.
    pub restarts: u32,
    /// How long the present incarnation has lived.
    pub uptime: Duration,
    /// Messages that wait in its mailbox, and how many fit; none for supervisors and pools.
    pub mailbox: Option<(usize, usize)>,
    /// Its children, in the order of their start.
    pub children: Vec<Snapshot>,
}

impl Snapshot {
    fn rows(&self, lead: &str, below: &str, rows: &mut Vec<[String; 5]>) {
        rows.push([
            format!("{lead}{}", self.path.name()),
            format!("{:?}", self.state).to_lowercase(),
            self.restarts.to_string(),
            format!("{:.1}s", self.uptime.as_secs_f64()),
            self.mailbox.map_or_else(|| "-".into(), |(len, cap)| format!("{len}/{cap}")),
        ]);
        let last = self.children.len().saturating_sub(1);
        for (i, child) in self.children.iter().enumerate() {
            let (lead, next) = if i == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            child.rows(&format!("{below}{lead}"), &format!("{below}{next}"), rows);
        }
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["actor", "state", "restarts", "uptime", "mailbox"].map(String::from);
        let mut rows = vec![head];
        self.rows("", "", &mut rows);
        let width = |column: usize| {
            rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
        };
        let widths: [usize; 5] = std::array::from_fn(width);
        for row in &rows {
            let [name, state, restarts, uptime, mailbox] = row;
            let [n, s, r, u, m] = widths;
            writeln!(f, "{name:n$}  {state:s$}  {restarts:>r$}  {uptime:>u$}  {mailbox:>m$}")?;
        }
        Ok(())
    }
}
