//! What happens to actors, as typed events.
//!
//! Each turn in an actor's life is one [`Lifecycle`] event, handed to the system's observers as it happens.
//! The log lines, the program's JSON lines and the tests' oracle are all made from these and nothing else.

use std::fmt;
use std::time::Duration;

use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::tree::path::Path;

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
    /// An incarnation ended before it was ready, other than by choosing not to run.
    StartFailed {
        /// Who.
        path: Path,
        /// How it ended.
        exit: Exit,
        /// The message that was lost with it.
        lost: Option<LostMessage>,
    },
    /// An incarnation chose not to run: it ended normally before it was ready.
    Ignored {
        /// Who.
        path: Path,
    },
    /// An incarnation ended that nobody had asked to end.
    Exited {
        /// Who.
        path: Path,
        /// How it ended.
        exit: Exit,
        /// The message that was lost with it.
        lost: Option<LostMessage>,
    },
    /// Its supervisor is going to start it again.
    Restarting {
        /// Who.
        path: Path,
        /// How often it has been restarted, this time included.
        restarts: u32,
        /// When: after this pause.
        delay: Duration,
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
        /// The message that was lost with it.
        lost: Option<LostMessage>,
    },
    /// An incarnation ended after it was asked to.
    Stopped {
        /// Who.
        path: Path,
        /// How it ended: as asked, or otherwise on the way.
        exit: Exit,
        /// The message that was lost with it, if it did not end as asked.
        lost: Option<LostMessage>,
    },
    /// An actor has kept its thread for longer than [`System::stall_limit`](crate::runtime::System::stall_limit).
    Stalled {
        /// Who.
        path: Path,
        /// The limit.
        limit: Duration,
    },
}

/// A message that an actor had in hand when it crashed. The mailbox had given it out, so it is gone.
///
/// A message counts as handled once its actor asks for the next one, or ends well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostMessage {
    /// Which of the messages that the actor was given, over all incarnations; the first is 1.
    pub number: u64,
    /// The name of its type.
    pub message_type: &'static str,
}

impl Lifecycle {
    /// Returns whom it happened to.
    pub fn path(&self) -> &Path {
        match self {
            Lifecycle::Started { path, .. }
            | Lifecycle::StartFailed { path, .. }
            | Lifecycle::Ignored { path }
            | Lifecycle::Exited { path, .. }
            | Lifecycle::Restarting { path, .. }
            | Lifecycle::GaveUp { path, .. }
            | Lifecycle::Killed { path, .. }
            | Lifecycle::Stopped { path, .. }
            | Lifecycle::Stalled { path, .. } => path,
        }
    }

    /// Returns the message that was lost with an incarnation.
    pub fn lost(&self) -> Option<LostMessage> {
        match self {
            Lifecycle::Exited { lost, .. }
            | Lifecycle::StartFailed { lost, .. }
            | Lifecycle::Killed { lost, .. }
            | Lifecycle::Stopped { lost, .. } => *lost,
            _ => None,
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
            Lifecycle::StartFailed { path, exit, .. } => write!(f, "{path} did not start: {exit}"),
            Lifecycle::Ignored { path } => write!(f, "{path} chose not to run"),
            Lifecycle::Exited { path, exit, .. } | Lifecycle::Stopped { path, exit, .. } => {
                write!(f, "{path} {exit}")
            }
            Lifecycle::Restarting { path, restarts, delay: after } if after.is_zero() => {
                write!(f, "{path} is restarted, for the {restarts}. time")
            }
            Lifecycle::Restarting { path, restarts, delay: after } => {
                write!(f, "{path} is restarted in {after:?}, for the {restarts}. time")
            }
            Lifecycle::GaveUp { path, exit } => write!(f, "{path} {exit}"),
            Lifecycle::Killed { path, .. } => write!(f, "{path} killed"),
            Lifecycle::Stalled { path, limit } => {
                write!(f, "{path} has kept its thread for more than {limit:?}")
            }
        }?;
        match self.lost() {
            Some(lost) => write!(f, ", {lost}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for LostMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "with its message {} in hand, a {}", self.number, self.message_type)
    }
}
