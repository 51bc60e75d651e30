//! What an incarnation has beside its mailbox, its stop signal and the clock.
//!
//! Most have nothing of it for most of the time, and there may be a hundred thousand of them, so it is elsewhere.

use std::sync::Mutex;

use crate::runtime::context::timers::{Timers, mutex_mut};
use crate::runtime::lifecycle::notifier::ParentNotifier;

/// What few incarnations have.
pub(crate) struct ContextExtras<M> {
    /// In a mutex that nobody locks: it lets a context be shared whose messages cannot be.
    pub(crate) timers: Option<Mutex<Timers<M>>>,
    /// Taken when it is said that the incarnation is ready.
    pub(crate) notifier: Option<ParentNotifier>,
}

// By hand, since a derived one asks the same of the messages.
impl<M> Default for ContextExtras<M> {
    fn default() -> ContextExtras<M> {
        ContextExtras { timers: None, notifier: None }
    }
}

impl<M> ContextExtras<M> {
    pub(crate) fn with_notifier(notice: ParentNotifier) -> Box<ContextExtras<M>> {
        Box::new(ContextExtras { timers: None, notifier: Some(notice) })
    }
}

/// Returns an incarnation's timers, if it has any.
pub(crate) fn timers_mut<M>(extra: &mut Option<Box<ContextExtras<M>>>) -> Option<&mut Timers<M>> {
    extra.as_mut()?.timers.as_mut().map(mutex_mut)
}
