//! Whether an actor lives, how it last ended, and who wants to know: watches and links.
//!
//! As Erlang's monitors, a [`Monitor`] tells of one exit of another actor, and tells it at once when that actor
//! is not alive. As Erlang's links, a link ends either actor with the other, unless that ended normally. Both
//! are with an incarnation and not with the child: the next incarnation is somebody else.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context as Waking, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;
use thiserror::Error;

use crate::runtime::tree::control::Interrupt;
use crate::runtime::tree::node::Node;
use crate::runtime::{Address, Context, Exit, Path};

impl<M: Send + 'static> Context<M> {
    /// Links the actor with another: when either incarnation ends, so does the other, with
    /// [`Exit::Linked`](crate::runtime::Exit::Linked), which is as normal or not as what it came from. Only when the
    /// loop of either returns `Ok` by itself does nothing but the link end. As Erlang's `link`.
    ///
    /// # Errors
    ///
    /// The other actor is not alive.
    pub fn link<N: Send + 'static>(&self, other: &Address<N>) -> Result<(), NotRunning> {
        match other.node() {
            Some(other) => link(&self.node, other),
            None => Err(NotRunning { last_exit: None }),
        }
    }

    /// Takes a link away again.
    pub fn unlink<N: Send + 'static>(&self, other: &Address<N>) {
        if let Some(other) = other.node() {
            unlink(&self.node, other);
        }
    }
}

/// The other actor is not alive, so nothing can be linked to it.
#[derive(Error, Debug, Clone)]
#[error("the actor is not alive")]
pub struct NotRunning {
    /// How its last incarnation ended; none if it never lived.
    pub last_exit: Option<Exit>,
}

/// What is known of one child's life.
#[derive(Default)]
pub(crate) struct Liveness {
    incarnation: u32,
    is_alive: bool,
    /// Whether no incarnation is to come.
    is_closed: bool,
    started_at: Option<Instant>,
    /// Whether its last incarnation ended normally, and nobody will ask when.
    ended_normally: bool,
    /// Made when there is first something of it.
    extras: Option<Box<LivenessExtras>>,
}

/// What most children have nothing of: a bad end, and those who want to know of an exit.
#[derive(Default)]
struct LivenessExtras {
    /// How and when the last incarnation ended, if not [well](Liveness::ended_normally).
    last_exit: Option<(Exit, Option<Instant>)>,
    monitors: Slab<MonitorSlot>,
    links: Vec<Link>,
    /// What a link brought and the actor has not died of yet.
    link_exit: Option<Exit>,
}

/// The place of one watch.
#[derive(Default)]
struct MonitorSlot {
    waker: Option<Waker>,
    /// What the watch will tell, once there is something.
    notification: Option<Option<Exit>>,
}

/// One direction of a link: whom an exit strikes.
struct Link {
    node: Weak<Node>,
    incarnation: u32,
}

/// Whom to tell of an exit, once nothing is locked any more.
pub(crate) struct ExitSignals {
    wakers: Vec<Waker>,
    links: Vec<Link>,
}

impl Liveness {
    /// Makes what is known of a child whose first incarnation begins.
    pub(crate) fn started(now: Instant) -> Liveness {
        Liveness { incarnation: 1, is_alive: true, started_at: Some(now), ..Liveness::default() }
    }

    pub(crate) fn start_incarnation(&mut self, now: Instant) -> u32 {
        self.incarnation += 1;
        (self.is_alive, self.ended_normally, self.started_at) = (true, false, Some(now));
        self.take_link_exit();
        self.incarnation
    }

    /// Returns how long the incarnation has lived, or the last one did.
    pub(crate) fn uptime(&self, now: Instant) -> Duration {
        let ended = self
            .extras
            .as_ref()
            .filter(|_| !self.is_alive)
            .and_then(|rare| rare.last_exit.as_ref()?.1);
        let until = ended.unwrap_or(now);
        self.started_at.map_or(Duration::ZERO, |since| until.saturating_duration_since(since))
    }

    pub(crate) fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// Takes what a link brought.
    pub(crate) fn take_link_exit(&mut self) -> Option<Exit> {
        self.extras.as_mut()?.link_exit.take()
    }

    /// Notes the end of an incarnation, when that was, where it may be asked, and whether it was the last.
    pub(crate) fn end_incarnation(
        &mut self,
        exit: &Exit,
        now: Option<Instant>,
        is_over: bool,
    ) -> Option<ExitSignals> {
        (self.is_alive, self.is_closed) = (false, self.is_closed || is_over);
        self.ended_normally = now.is_none() && matches!(exit, Exit::Normal);
        if !self.ended_normally {
            self.extras.get_or_insert_default().last_exit = Some((exit.clone(), now));
        }
        self.take_exit_signals(Some(exit))
    }

    /// Notes that no incarnation is to come: whoever waits for the first one waits in vain.
    pub(crate) fn close(&mut self) -> Option<ExitSignals> {
        self.is_closed = true;
        if self.is_alive { None } else { self.take_exit_signals(None) }
    }

    fn take_exit_signals(&mut self, exit: Option<&Exit>) -> Option<ExitSignals> {
        let rare = self.extras.as_mut()?;
        let mut to_tell =
            ExitSignals { wakers: Vec::new(), links: std::mem::take(&mut rare.links) };
        for (_, seat) in rare.monitors.iter_mut().filter(|(_, seat)| seat.notification.is_none()) {
            seat.notification = Some(exit.cloned());
            to_tell.wakers.extend(seat.waker.take());
        }
        Some(to_tell)
    }

    fn last_exit(&self) -> Option<Exit> {
        if self.ended_normally {
            return Some(Exit::Normal);
        }
        Some(self.extras.as_ref()?.last_exit.as_ref()?.0.clone())
    }

    fn add_monitor(&mut self) -> usize {
        let late = !self.is_alive && (self.last_exit().is_some() || self.is_closed);
        let told = late.then(|| self.last_exit());
        let rare = self.extras.get_or_insert_default();
        rare.monitors.insert(MonitorSlot { waker: None, notification: told })
    }

    fn remove_link(&mut self, other: &Node) {
        if let Some(rare) = &mut self.extras {
            rare.links.retain(|link| !std::ptr::eq(link.node.as_ptr(), other));
        }
    }
}

impl ExitSignals {
    /// Tells whoever watched `node`, and strikes those that are linked to it.
    pub(crate) fn deliver(self, node: &Node, exit: &Exit) {
        for link in &self.links {
            let Some(other) = link.node.upgrade() else { continue };
            other.liveness().remove_link(node);
            if !matches!(exit, Exit::Normal) {
                let exit = Exit::Linked(Arc::new((node.path(), exit.clone())));
                deliver_link_exit(&other, link.incarnation, exit);
            }
        }
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

/// Ends an incarnation with the exit of an actor that it is linked to.
fn deliver_link_exit(node: &Node, incarnation: u32, exit: Exit) {
    let mut vitals = node.liveness();
    if vitals.is_alive && vitals.incarnation == incarnation {
        vitals.extras.get_or_insert_default().link_exit = Some(exit);
        drop(vitals);
        node.control.interrupt(Interrupt::LinkExit);
    }
}

/// Links two actors in both directions. The lock of one is let go before that of the other is taken.
pub(crate) fn link(own: &Arc<Node>, other: &Arc<Node>) -> Result<(), NotRunning> {
    if Arc::ptr_eq(own, other) {
        return Ok(());
    }
    unlink(own, other);
    let back = Link { node: Arc::downgrade(own), incarnation: own.liveness().incarnation };
    let mut vitals = other.liveness();
    if !vitals.is_alive {
        return Err(NotRunning { last_exit: vitals.last_exit() });
    }
    let there = Link { node: Arc::downgrade(other), incarnation: vitals.incarnation };
    vitals.extras.get_or_insert_default().links.push(back);
    drop(vitals);
    own.liveness().extras.get_or_insert_default().links.push(there);
    Ok(())
}

/// Takes a link away again, in both directions.
pub(crate) fn unlink(own: &Node, other: &Node) {
    own.liveness().remove_link(other);
    other.liveness().remove_link(own);
}

/// A future that is ready with the exit of another actor; made by [`Address::monitor`](crate::runtime::Address::monitor).
///
/// It tells `None` when the actor never lived and never will. Cancel-safe: `&mut watch` may be raced again and
/// again.
#[must_use = "a watch tells nothing unless it is awaited"]
pub struct Monitor(Option<(Arc<Node>, usize)>);

impl Monitor {
    pub(crate) fn new(node: Option<&Arc<Node>>) -> Monitor {
        Monitor(node.map(|node| (node.clone(), node.liveness().add_monitor())))
    }

    /// Returns where the watched actor stands in its tree; none if it stands in none.
    pub fn path(&self) -> Option<Path> {
        self.0.as_ref().map(|(node, _)| node.path())
    }
}

impl Future for Monitor {
    type Output = Option<Exit>;

    fn poll(self: Pin<&mut Self>, cx: &mut Waking<'_>) -> Poll<Option<Exit>> {
        let Some((node, key)) = &self.0 else { return Poll::Ready(None) };
        let mut vitals = node.liveness();
        let seat = vitals.extras.as_mut().and_then(|rare| rare.monitors.get_mut(*key));
        match seat {
            Some(MonitorSlot { notification: None, waker }) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(MonitorSlot { notification: Some(told), .. }) => Poll::Ready(told.clone()),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if let Some((node, key)) = &self.0 {
            let mut vitals = node.liveness();
            let seat = vitals.extras.as_mut().and_then(|rare| rare.monitors.try_remove(*key));
            drop(vitals);
            // Outside of the lock: a waker may hold the last handle of a task.
            drop(seat);
        }
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            Some(path) => write!(f, "Watch({path})"),
            None => f.write_str("Watch(nobody)"),
        }
    }
}
