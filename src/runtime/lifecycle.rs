//! What happens to actors, as typed events.
//!
//! Each turn in an actor's life is one [`Lifecycle`] event, handed to the system's observer as it happens.
//! The log lines, the program's JSON lines and the tests' oracle are all made from these and nothing else.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Exit, Path};

/// One turn in the life of an actor, a pool or a supervisor.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Lifecycle {
    /// An incarnation began.
    Started {
        /// Who.
        path: Path,
        /// 1 for the first one.
        incarnation: u32,
    },
    /// An incarnation ended that nobody had asked to end.
    Exited {
        /// Who.
        path: Path,
        /// How it ended.
        exit: Exit,
    },
    /// Its supervisor is going to start it again.
    Restarting {
        /// Who.
        path: Path,
        /// How often it has been restarted, this time included.
        restarts: u32,
        /// When: after this pause.
        after: Duration,
    },
    /// A supervisor saw more restarts than its intensity allows, and ends.
    GaveUp {
        /// The supervisor.
        path: Path,
        /// Its exit, which names the child that was the last straw.
        exit: Exit,
    },
    /// An incarnation was dropped, because it did not stop in time or was to end at once.
    Killed {
        /// Who.
        path: Path,
    },
    /// An incarnation ended after it was asked to.
    Stopped {
        /// Who.
        path: Path,
        /// How it ended: as asked, or otherwise on the way.
        exit: Exit,
    },
}

impl Lifecycle {
    /// Returns whom it happened to.
    pub fn path(&self) -> &Path {
        match self {
            Lifecycle::Started { path, .. }
            | Lifecycle::Exited { path, .. }
            | Lifecycle::Restarting { path, .. }
            | Lifecycle::GaveUp { path, .. }
            | Lifecycle::Killed { path }
            | Lifecycle::Stopped { path, .. } => path,
        }
    }
}

impl fmt::Display for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lifecycle::Started { path, incarnation: 1 } => write!(f, "{path} started"),
            Lifecycle::Started { path, incarnation } => {
                write!(f, "{path} started, incarnation {incarnation}")
            }
            Lifecycle::Exited { path, exit } | Lifecycle::Stopped { path, exit } => {
                write!(f, "{path} {exit}")
            }
            Lifecycle::Restarting { path, restarts, after } if after.is_zero() => {
                write!(f, "{path} is restarted, for the {restarts}. time")
            }
            Lifecycle::Restarting { path, restarts, after } => {
                write!(f, "{path} is restarted in {after:?}, for the {restarts}. time")
            }
            Lifecycle::GaveUp { path, exit } => write!(f, "{path} {exit}"),
            Lifecycle::Killed { path } => write!(f, "{path} killed"),
        }
    }
}

/// Whoever watches the lives of a system's actors; called where the event happens, so it must be quick.
#[derive(Clone, Default)]
pub(crate) struct Observer(Option<Watch>);

type Watch = Arc<dyn Fn(&Lifecycle) + Send + Sync>;

impl Observer {
    /// Adds `watch` behind those that are there already.
    pub(crate) fn and(self, watch: impl Fn(&Lifecycle) + Send + Sync + 'static) -> Observer {
        Observer(Some(match self.0 {
            None => Arc::new(watch),
            Some(first) => Arc::new(move |event| {
                first(event);
                watch(event);
            }),
        }))
    }

    /// Tells an event, made only if somebody watches.
    pub(crate) fn tell(&self, event: impl FnOnce() -> Lifecycle) {
        if let Some(watch) = &self.0 {
            watch(&event());
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Observer(..)" } else { "Observer(nobody)" })
    }
}
