//! Whether an actor lives, how it last ended, and who wants to know: watches and links.
//!
//! As Erlang's monitors, a [`Watch`] tells of one exit of another actor, and tells it at once when that actor
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

use crate::runtime::tree::control::Blow;
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
    pub fn link<N: Send + 'static>(&self, other: &Address<N>) -> Result<(), NotAlive> {
        match other.node() {
            Some(other) => link(&self.node, other),
            None => Err(NotAlive { last: None }),
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
pub struct NotAlive {
    /// How its last incarnation ended; none if it never lived.
    pub last: Option<Exit>,
}

/// What is known of one child's life.
#[derive(Default)]
pub(crate) struct Vitals {
    incarnation: u32,
    alive: bool,
    /// Whether no incarnation is to come.
    over: bool,
    since: Option<Instant>,
    /// Whether its last incarnation ended normally, and nobody will ask when.
    ended_well: bool,
    /// Made when there is first something of it.
    rare: Option<Box<Rare>>,
}

/// What most children have nothing of: a bad end, and those who want to know of an exit.
#[derive(Default)]
struct Rare {
    /// How and when the last incarnation ended, if not [well](Vitals::ended_well).
    last: Option<(Exit, Option<Instant>)>,
    seats: Slab<Seat>,
    links: Vec<Link>,
    /// What a link brought and the actor has not died of yet.
    struck: Option<Exit>,
}

/// The place of one watch.
#[derive(Default)]
struct Seat {
    waker: Option<Waker>,
    /// What the watch will tell, once there is something.
    told: Option<Option<Exit>>,
}

/// One direction of a link: whom an exit strikes.
struct Link {
    node: Weak<Node>,
    incarnation: u32,
}

/// Whom to tell of an exit, once nothing is locked any more.
pub(crate) struct ToTell {
    wakers: Vec<Waker>,
    links: Vec<Link>,
}

impl Vitals {
    /// Makes what is known of a child whose first incarnation begins.
    pub(crate) fn begun(now: Instant) -> Vitals {
        Vitals { incarnation: 1, alive: true, since: Some(now), ..Vitals::default() }
    }

    pub(crate) fn begin(&mut self, now: Instant) -> u32 {
        self.incarnation += 1;
        (self.alive, self.ended_well, self.since) = (true, false, Some(now));
        self.take_struck();
        self.incarnation
    }

    /// Returns how long the incarnation has lived, or the last one did.
    pub(crate) fn uptime(&self, now: Instant) -> Duration {
        let ended =
            self.rare.as_ref().filter(|_| !self.alive).and_then(|rare| rare.last.as_ref()?.1);
        let until = ended.unwrap_or(now);
        self.since.map_or(Duration::ZERO, |since| until.saturating_duration_since(since))
    }

    pub(crate) fn incarnation(&self) -> u32 {
        self.incarnation
    }

    /// Takes what a link brought.
    pub(crate) fn take_struck(&mut self) -> Option<Exit> {
        self.rare.as_mut()?.struck.take()
    }

    /// Notes the end of an incarnation, when that was, where it may be asked, and whether it was the last.
    pub(crate) fn end(
        &mut self,
        exit: &Exit,
        now: Option<Instant>,
        is_over: bool,
    ) -> Option<ToTell> {
        (self.alive, self.over) = (false, self.over || is_over);
        self.ended_well = now.is_none() && matches!(exit, Exit::Normal);
        if !self.ended_well {
            self.rare.get_or_insert_default().last = Some((exit.clone(), now));
        }
        self.tell(Some(exit))
    }

    /// Notes that no incarnation is to come: whoever waits for the first one waits in vain.
    pub(crate) fn over(&mut self) -> Option<ToTell> {
        self.over = true;
        if self.alive { None } else { self.tell(None) }
    }

    fn tell(&mut self, exit: Option<&Exit>) -> Option<ToTell> {
        let rare = self.rare.as_mut()?;
        let mut to_tell = ToTell { wakers: Vec::new(), links: std::mem::take(&mut rare.links) };
        for (_, seat) in rare.seats.iter_mut().filter(|(_, seat)| seat.told.is_none()) {
            seat.told = Some(exit.cloned());
            to_tell.wakers.extend(seat.waker.take());
        }
        Some(to_tell)
    }

    fn last(&self) -> Option<Exit> {
        if self.ended_well {
            return Some(Exit::Normal);
        }
        Some(self.rare.as_ref()?.last.as_ref()?.0.clone())
    }

    fn watch(&mut self) -> usize {
        let late = !self.alive && (self.last().is_some() || self.over);
        let told = late.then(|| self.last());
        let rare = self.rare.get_or_insert_default();
        rare.seats.insert(Seat { waker: None, told })
    }

    fn unlink(&mut self, other: &Node) {
        if let Some(rare) = &mut self.rare {
            rare.links.retain(|link| !std::ptr::eq(link.node.as_ptr(), other));
        }
    }
}

impl ToTell {
    /// Tells whoever watched `node`, and strikes those that are linked to it.
    pub(crate) fn tell(self, node: &Node, exit: &Exit) {
        for link in &self.links {
            let Some(other) = link.node.upgrade() else { continue };
            other.vitals().unlink(node);
            if !matches!(exit, Exit::Normal) {
                let exit = Exit::Linked(Arc::new((node.path(), exit.clone())));
                strike(&other, link.incarnation, exit);
            }
        }
        self.wakers.into_iter().for_each(Waker::wake);
    }
}

/// Ends an incarnation with the exit of an actor that it is linked to.
fn strike(node: &Node, incarnation: u32, exit: Exit) {
    let mut vitals = node.vitals();
    if vitals.alive && vitals.incarnation == incarnation {
        vitals.rare.get_or_insert_default().struck = Some(exit);
        drop(vitals);
        node.control.deal(Blow::Struck);
    }
}

/// Links two actors in both directions. The lock of one is let go before that of the other is taken.
pub(crate) fn link(own: &Arc<Node>, other: &Arc<Node>) -> Result<(), NotAlive> {
    if Arc::ptr_eq(own, other) {
        return Ok(());
    }
    unlink(own, other);
    let back = Link { node: Arc::downgrade(own), incarnation: own.vitals().incarnation };
    let mut vitals = other.vitals();
    if !vitals.alive {
        return Err(NotAlive { last: vitals.last() });
    }
    let there = Link { node: Arc::downgrade(other), incarnation: vitals.incarnation };
    vitals.rare.get_or_insert_default().links.push(back);
    drop(vitals);
    own.vitals().rare.get_or_insert_default().links.push(there);
    Ok(())
}

/// Takes a link away again, in both directions.
pub(crate) fn unlink(own: &Node, other: &Node) {
    own.vitals().unlink(other);
    other.vitals().unlink(own);
}

/// A future that is ready with the exit of another actor; made by [`Address::watch`](crate::runtime::Address::watch).
///
/// It tells `None` when the actor never lived and never will. Cancel-safe: `&mut watch` may be raced again and
/// again.
#[must_use = "a watch tells nothing unless it is awaited"]
pub struct Watch(Option<(Arc<Node>, usize)>);

impl Watch {
    pub(crate) fn new(node: Option<&Arc<Node>>) -> Watch {
        Watch(node.map(|node| (node.clone(), node.vitals().watch())))
    }

    /// Returns where the watched actor stands in its tree; none if it stands in none.
    pub fn path(&self) -> Option<Path> {
        self.0.as_ref().map(|(node, _)| node.path())
    }
}

impl Future for Watch {
    type Output = Option<Exit>;

    fn poll(self: Pin<&mut Self>, cx: &mut Waking<'_>) -> Poll<Option<Exit>> {
        let Some((node, key)) = &self.0 else { return Poll::Ready(None) };
        let mut vitals = node.vitals();
        let seat = vitals.rare.as_mut().and_then(|rare| rare.seats.get_mut(*key));
        match seat {
            Some(Seat { told: None, waker }) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(Seat { told: Some(told), .. }) => Poll::Ready(told.clone()),
            None => Poll::Ready(None),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some((node, key)) = &self.0 {
            let mut vitals = node.vitals();
            let seat = vitals.rare.as_mut().and_then(|rare| rare.seats.try_remove(*key));
            drop(vitals);
            // Outside of the lock: a waker may hold the last handle of a task.
            drop(seat);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path() {
            Some(path) => write!(f, "Watch({path})"),
            None => f.write_str("Watch(nobody)"),
        }
    }
}
