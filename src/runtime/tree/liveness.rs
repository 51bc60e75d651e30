//! The life of one child: its current incarnation, its last exit, and the monitors and links that
//! wait for the next exit.
//!
//! Monitors and links belong to an incarnation, not to the child: they end with its exit. What they
//! do is in `runtime::monitor`. This file is generic over the node that a link points to, because
//! the node contains the value.

use std::mem;
use std::sync::Weak;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use slab::Slab;

use crate::runtime::lifecycle::exit::Exit;

/// The life of one child, over all its incarnations.
pub(crate) struct Liveness<N> {
    incarnation: u32,
    is_alive: bool,
    /// True once no incarnation follows.
    is_closed: bool,
    started_at: Option<Instant>,
    /// True if the last incarnation ended normally and its end time is not needed.
    ended_normally: bool,
    /// Allocated on first use: a tree may have 100,000 children, and most need none of it.
    extras: Option<Box<LivenessExtras<N>>>,
}

/// The state that most children never need.
struct LivenessExtras<N> {
    /// The last exit and its time, unless [`Liveness::ended_normally`] is set.
    last_exit: Option<(Exit, Option<Instant>)>,
    monitors: Slab<MonitorSlot>,
    links: Vec<Link<N>>,
    /// The exit of a linked actor, from its delivery until this actor has ended with it.
    link_exit: Option<Exit>,
}

/// One monitor: its waker, and then the exit it is notified of.
pub(crate) struct MonitorSlot {
    waker: Option<Waker>,
    notification: Option<Option<Exit>>,
}

/// One direction of a link: the incarnation that ends with this one.
pub(crate) struct Link<N> {
    pub(crate) node: Weak<N>,
    pub(crate) incarnation: u32,
}

/// The monitors and links to notify of an exit, after the lock is released.
pub(crate) struct ExitSignals<N> {
    pub(crate) wakers: Vec<Waker>,
    pub(crate) links: Vec<Link<N>>,
}

impl<N> Liveness<N> {
    /// Makes the state of a child that has not started.
    pub(crate) fn new() -> Liveness<N> {
        Liveness {
            incarnation: 0,
            is_alive: false,
            is_closed: false,
            started_at: None,
            ended_normally: false,
            extras: None,
        }
    }

    /// Makes the state of a child whose first incarnation starts `now`.
    pub(crate) fn started(now: Instant) -> Liveness<N> {
        Liveness { incarnation: 1, is_alive: true, started_at: Some(now), ..Liveness::new() }
    }

    /// Records the start of the next incarnation and returns its number, from 1.
    pub(crate) fn start_incarnation(&mut self, now: Instant) -> u32 {
        self.incarnation += 1;
        (self.is_alive, self.ended_normally, self.started_at) = (true, false, Some(now));
        self.take_link_exit();
        self.incarnation
    }

    /// Records the end of an incarnation.
    ///
    /// `now` is none if the end time is not needed. `is_last` means that no incarnation follows.
    pub(crate) fn end_incarnation(
        &mut self,
        exit: &Exit,
        now: Option<Instant>,
        is_last: bool,
    ) -> Option<ExitSignals<N>> {
        (self.is_alive, self.is_closed) = (false, self.is_closed || is_last);
        self.ended_normally = now.is_none() && matches!(exit, Exit::Normal);
        if !self.ended_normally {
            self.extras_mut().last_exit = Some((exit.clone(), now));
        }
        self.take_exit_signals(Some(exit))
    }

    /// Records that no incarnation follows. Notifies the monitors of a child that never started.
    pub(crate) fn close(&mut self) -> Option<ExitSignals<N>> {
        self.is_closed = true;
        if self.is_alive { None } else { self.take_exit_signals(None) }
    }

    fn take_exit_signals(&mut self, exit: Option<&Exit>) -> Option<ExitSignals<N>> {
        let extras = self.extras.as_mut()?;
        let mut signals = ExitSignals { wakers: Vec::new(), links: mem::take(&mut extras.links) };
        let monitors = extras.monitors.iter_mut().map(|(_, slot)| slot);
        for slot in monitors.filter(|slot| slot.notification.is_none()) {
            slot.notification = Some(exit.cloned());
            signals.wakers.extend(slot.waker.take());
        }
        Some(signals)
    }

    pub(crate) fn incarnation(&self) -> u32 {
        self.incarnation
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.is_alive
    }

    /// Returns how long the current incarnation has lived, or how long the last one did.
    pub(crate) fn uptime(&self, now: Instant) -> Duration {
        let extras = self.extras.as_ref().filter(|_| !self.is_alive);
        let ended_at = extras.and_then(|extras| extras.last_exit.as_ref()?.1);
        let until = ended_at.unwrap_or(now);
        self.started_at.map_or(Duration::ZERO, |start| until.saturating_duration_since(start))
    }

    pub(crate) fn last_exit(&self) -> Option<Exit> {
        if self.ended_normally {
            return Some(Exit::Normal);
        }
        Some(self.extras.as_ref()?.last_exit.as_ref()?.0.clone())
    }

    /// Adds a monitor and returns its key. A child that has already ended notifies it at once.
    pub(crate) fn add_monitor(&mut self) -> usize {
        let is_late = !self.is_alive && (self.last_exit().is_some() || self.is_closed);
        let notification = is_late.then(|| self.last_exit());
        self.extras_mut().monitors.insert(MonitorSlot { waker: None, notification })
    }

    /// Polls a monitor. Returns a stale waker, which the caller drops after the lock is released.
    pub(crate) fn poll_monitor(
        &mut self,
        key: usize,
        cx: &Context<'_>,
    ) -> (Poll<Option<Exit>>, Option<Waker>) {
        let slot = self.extras.as_mut().and_then(|extras| extras.monitors.get_mut(key));
        match slot {
            Some(MonitorSlot { notification: None, waker }) => {
                (Poll::Pending, waker.replace(cx.waker().clone()))
            }
            Some(MonitorSlot { notification: Some(exit), .. }) => (Poll::Ready(exit.clone()), None),
            None => (Poll::Ready(None), None),
        }
    }

    /// Removes a monitor. The caller drops the returned slot after the lock is released.
    pub(crate) fn remove_monitor(&mut self, key: usize) -> Option<MonitorSlot> {
        self.extras.as_mut()?.monitors.try_remove(key)
    }

    pub(crate) fn add_link(&mut self, link: Link<N>) {
        self.extras_mut().links.push(link);
    }

    pub(crate) fn remove_link(&mut self, other: &N) {
        if let Some(extras) = &mut self.extras {
            extras.links.retain(|link| !std::ptr::eq(link.node.as_ptr(), other));
        }
    }

    /// Stores the exit of a linked actor, if the linked incarnation is the one that lives now.
    pub(crate) fn set_link_exit(&mut self, incarnation: u32, exit: Exit) -> bool {
        let is_current = self.is_alive && self.incarnation == incarnation;
        if is_current {
            self.extras_mut().link_exit = Some(exit);
        }
        is_current
    }

    /// Takes the exit that a linked actor has delivered.
    pub(crate) fn take_link_exit(&mut self) -> Option<Exit> {
        self.extras.as_mut()?.link_exit.take()
    }

    fn extras_mut(&mut self) -> &mut LivenessExtras<N> {
        self.extras.get_or_insert_with(|| {
            Box::new(LivenessExtras {
                last_exit: None,
                monitors: Slab::new(),
                links: Vec::new(),
                link_exit: None,
            })
        })
    }
}
