//! How an incarnation ended.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::runtime::tree::path::Path;

/// The way an incarnation ended, as its supervisor sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Exit {
    /// The actor returned `Ok` without being asked to stop.
    Normal,
    /// The actor returned `Ok` after a stop was requested.
    Shutdown,
    /// The actor returned an error.
    Failed(Arc<dyn Error + Send + Sync>),
    /// The actor panicked.
    Panicked {
        /// The panic's message.
        text: Arc<str>,
        /// `file:line:column` of the panic, and its backtrace if
        /// [`record_backtraces`](crate::runtime::record_backtraces) is on.
        location: Arc<str>,
    },
    /// The incarnation was dropped: it did not stop in time, or its shutdown is a kill.
    Killed,
    /// A linked actor ended: that actor's path and exit.
    Linked(Arc<(Path, Exit)>),
    /// A supervisor did not start because a child did not: that child's path and exit.
    StartFailed(Arc<(Path, Exit)>),
    /// A supervisor did not start because its specification is contradictory.
    Misconfigured(Arc<str>),
    /// The actor did not call [`Context::ready`](crate::runtime::Context::ready) within this time.
    NotReady(Duration),
    /// A supervisor had more restarts than its intensity allows. Always abnormal.
    GaveUp {
        /// The number of restarts that the intensity allows within `window`.
        max_restarts: u32,
        /// The length of the sliding window.
        window: Duration,
        /// The path and exit of the child whose restart exceeded the limit.
        last: Arc<(Path, Exit)>,
    },
}

impl Exit {
    /// Returns whether the exit is normal. A transient child is not restarted after a normal exit.
    pub fn is_normal(&self) -> bool {
        match self {
            Exit::Normal | Exit::Shutdown => true,
            Exit::Linked(other) => other.1.is_normal(),
            _ => false,
        }
    }

    /// Returns the actor's error that caused this exit, for a caller to downcast.
    pub fn error(&self) -> Option<&(dyn Error + Send + Sync + 'static)> {
        match self {
            Exit::Failed(error) => Some(error.as_ref()),
            Exit::GaveUp { last: child, .. } | Exit::StartFailed(child) | Exit::Linked(child) => {
                child.1.error()
            }
            _ => None,
        }
    }

    /// Returns the backtrace of a panic, if it was recorded.
    pub fn backtrace(&self) -> Option<&str> {
        match self {
            Exit::Panicked { location, .. } => Some(location.split_once('\n')?.1),
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
            Exit::Panicked { text, location } => {
                let location = location.lines().next().unwrap_or_default();
                write!(f, "panicked at {location}: {text}")
            }
            Exit::Killed => f.write_str("killed"),
            Exit::Linked(other) => write!(f, "ended with {}, which {}", other.0, other.1),
            Exit::StartFailed(child) => write!(f, "could not start: {} {}", child.0, child.1),
            Exit::Misconfigured(text) => write!(f, "could not start: {text}"),
            Exit::NotReady(limit) => write!(f, "was not ready within {limit:?}"),
            Exit::GaveUp { max_restarts, window, last } => write!(
                f,
                "gave up: more than {max_restarts} restarts within {window:?}; last exit: {} {}",
                last.0, last.1
            ),
        }
    }
}

impl Error for Exit {}
