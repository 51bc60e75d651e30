//! How an incarnation ended.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::tree::path::Path;

/// How an incarnation ended, as its supervisor sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Exit {
    /// Its loop returned `Ok` on its own.
    Normal,
    /// Its loop returned `Ok` after a stop was asked for.
    Shutdown,
    /// Its loop returned an error.
    Failed(Arc<dyn Error + Send + Sync>),
    /// It panicked.
    Panicked {
        /// What the panic said.
        text: Arc<str>,
        /// `file:line:column`, where the panic hook could tell.
        location: Arc<str>,
    },
    /// It was dropped: it did not end in time, or was to end at once.
    Killed,
    /// An actor that it is linked to ended: where that one stands, and how it ended.
    Linked(Arc<(Path, Exit)>),
    /// A supervisor did not start, because a child of its did not: which one, and how that ended.
    StartFailed(Arc<(Path, Exit)>),
    /// A supervisor did not start, because its specification contradicts itself.
    Misconfigured(Arc<str>),
    /// It did not say that it is ready within its time.
    NotReady(Duration),
    /// A supervisor saw more restarts than its intensity allows. Always abnormal.
    GaveUp {
        /// How many restarts are allowed ...
        max_restarts: u32,
        /// ... within this time.
        window: Duration,
        /// The child whose exit was one too many, and that exit.
        last: Arc<(Path, Exit)>,
    },
}

impl Exit {
    /// Tells whether this is an end that a transient child is not restarted after.
    pub fn is_normal(&self) -> bool {
        match self {
            Exit::Normal | Exit::Shutdown => true,
            Exit::Linked(other) => other.1.is_normal(),
            _ => false,
        }
    }

    /// Returns the error of the actor that is at the root of this exit, for a caller to downcast.
    pub fn error(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match self {
            Exit::Failed(error) => Some(error.as_ref()),
            Exit::GaveUp { last: child, .. } | Exit::StartFailed(child) | Exit::Linked(child) => {
                child.1.error()
            }
            _ => None,
        }
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Normal => f.write_str("ended normally"),
            Exit::Shutdown => f.write_str("stopped as asked"),
            Exit::Failed(error) => write!(f, "failed: {error}"),
            Exit::Panicked { text, location: place } => write!(f, "panicked at {place}: {text}"),
            Exit::Killed => f.write_str("killed"),
            Exit::Linked(other) => write!(f, "ended with {}, which {}", other.0, other.1),
            Exit::StartFailed(child) => write!(f, "could not start: {} {}", child.0, child.1),
            Exit::Misconfigured(text) => write!(f, "could not start: {text}"),
            Exit::NotReady(within) => write!(f, "was not ready within {within:?}"),
            Exit::GaveUp { max_restarts: restarts, window: within, last } => write!(
                f,
                "gave up: more than {restarts} restarts within {within:?}; at last, {} {}",
                last.0, last.1
            ),
        }
    }
}

impl Error for Exit {}
