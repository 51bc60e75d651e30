//! What an incarnation has beside its mailbox, its stop signal and the clock.
//!
//! Most have nothing of it for most of the time, and there may be a hundred thousand of them, so it is elsewhere.

use std::sync::Mutex;

use crate::runtime::context::timers::{Timers, unlocked};
use crate::runtime::supervisor::spec::Notice;

/// What few incarnations have.
pub(crate) struct Extra<M> {
    /// In a mutex that nobody locks: it lets a context be shared whose messages cannot be.
    pub(crate) timers: Option<Mutex<Timers<M>>>,
    /// Taken when it is said that the incarnation is ready.
    pub(crate) notice: Option<Notice>,
}

// By hand, since a derived one asks the same of the messages.
impl<M> Default for Extra<M> {
    fn default() -> Extra<M> {
        Extra { timers: None, notice: None }
    }
}

impl<M> Extra<M> {
    pub(crate) fn of(notice: Notice) -> Box<Extra<M>> {
        Box::new(Extra { timers: None, notice: Some(notice) })
    }
}

/// Returns an incarnation's timers, if it has any.
pub(crate) fn timers_of<M>(extra: &mut Option<Box<Extra<M>>>) -> Option<&mut Timers<M>> {
    extra.as_mut()?.timers.as_mut().map(unlocked)
}
