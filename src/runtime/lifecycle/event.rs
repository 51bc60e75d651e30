//! Lifecycle events: everything that happens to an actor, as typed values.
//!
//! Each step in an actor's life is one [`Lifecycle`] event, handed to the system's observers as it
//! happens. The log lines, the program's JSON lines and the checks of the tests are all made from
//! these events and nothing else.

use std::fmt;
use std::time::Duration;

use crate::runtime::lifecycle::exit::Exit;
use crate::runtime::tree::path::Path;

/// An event in the life of an actor, a pool or a supervisor.
///
/// In each variant `path` is the path of that actor, pool or supervisor.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Lifecycle {
    /// An incarnation started.
    Started {
        /// The path.
        path: Path,
        /// The number of the incarnation, from 1.
        incarnation: u32,
    },
    /// An incarnation ended abnormally before it was ready.
    StartFailed {
        /// The path.
        path: Path,
        /// How it ended.
        exit: Exit,
        /// The message that was lost with it.
        lost: Option<LostMessage>,
    },
    /// An incarnation chose not to run: it ended normally before it was ready.
    Ignored {
        /// The path.
        path: Path,
    },
    /// An incarnation ended without having been asked to stop.
    Exited {
        /// The path.
        path: Path,
        /// How it ended.
        exit: Exit,
        /// The message that was lost with it.
        lost: Option<LostMessage>,
    },
    /// The supervisor is going to restart the child.
    Restarting {
        /// The path.
        path: Path,
        /// The number of the child's restarts, including this one.
        restarts: u32,
        /// The pause before the restart.
        delay: Duration,
    },
    /// A supervisor had more restarts than its intensity allows, and ends.
    GaveUp {
        /// The supervisor's path.
        path: Path,
        /// The supervisor's exit, which names the child whose restart exceeded the limit.
        exit: Exit,
    },
    /// An incarnation was dropped: it did not stop in time, or its shutdown is a kill.
    Killed {
        /// The path.
        path: Path,
        /// The message that was lost with it.
        lost: Option<LostMessage>,
    },
    /// An incarnation ended after it was asked to stop.
    Stopped {
        /// The path.
        path: Path,
        /// How it ended: usually [`Exit::Shutdown`], or a failure on the way.
        exit: Exit,
        /// The message that was lost with it, if the exit is abnormal.
        lost: Option<LostMessage>,
    },
    /// An actor has blocked its thread for longer than
    /// [`System::stall_limit`](crate::runtime::System::stall_limit).
    Stalled {
        /// The path.
        path: Path,
        /// The limit.
        limit: Duration,
    },
}

/// The message that an actor was handling when it crashed. It had left the mailbox, so it is lost.
///
/// A message counts as handled once its actor asks for the next one, or ends normally.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LostMessage {
    /// The number of the message among all that the actor received, over all incarnations, from 1.
    pub number: u64,
    /// The name of the message's type, with its module path.
    pub message_type: &'static str,
}

impl Lifecycle {
    /// Returns the path of the actor, pool or supervisor that the event is about.
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
            Lifecycle::Restarting { path, restarts, delay } if delay.is_zero() => {
                write!(f, "{path}: restarting (restart {restarts})")
            }
            Lifecycle::Restarting { path, restarts, delay } => {
                write!(f, "{path}: restarting in {} (restart {restarts})", RoundedDelay(*delay))
            }
            Lifecycle::GaveUp { path, exit } => write!(f, "{path} {exit}"),
            Lifecycle::Killed { path, .. } => write!(f, "{path} killed"),
            Lifecycle::Stalled { path, limit } => {
                write!(f, "{path} has blocked its thread for more than {limit:?}")
            }
        }?;
        match self.lost() {
            Some(lost) => write!(f, "; {lost}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for LostMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message_type = without_module_paths(self.message_type);
        write!(f, "message {} ({message_type}) was lost", self.number)
    }
}

/// A delay for people: whole milliseconds below one second, tenths of a second above.
struct RoundedDelay(Duration);

impl fmt::Display for RoundedDelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = (self.0.as_secs_f64() * 1000.0).round().max(1.0);
        match millis < 1000.0 {
            true => write!(f, "{millis} ms"),
            false => write!(f, "{:.1} s", self.0.as_secs_f64()),
        }
    }
}

/// Returns a type's name without module paths: `alloc::vec::Vec<u8>` becomes `Vec<u8>`.
fn without_module_paths(type_name: &str) -> String {
    let mut short = String::with_capacity(type_name.len());
    // The start, in `short`, of the path that is being copied.
    let mut path_start = 0;
    let mut rest = type_name;
    while let Some(char) = rest.chars().next() {
        if let Some(behind) = rest.strip_prefix("::") {
            // A path that follows a bracket, as in `<T as Trait>::Item`, keeps its separator.
            match path_start < short.len() {
                true => short.truncate(path_start),
                false => {
                    short.push_str("::");
                    path_start = short.len();
                }
            }
            rest = behind;
            continue;
        }
        short.push(char);
        if !(char.is_alphanumeric() || char == '_') {
            path_start = short.len();
        }
        rest = &rest[char.len_utf8()..];
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::tree::path::Name;

    #[test]
    fn restart_event_shows_rounded_delay() {
        let event = |micros| Lifecycle::Restarting {
            path: Path::root(Name::Text("tcp".into())),
            restarts: 3,
            delay: Duration::from_micros(micros),
        };
        assert_eq!(event(0).to_string(), "tcp: restarting (restart 3)");
        assert_eq!(event(1).to_string(), "tcp: restarting in 1 ms (restart 3)");
        assert_eq!(event(7_618).to_string(), "tcp: restarting in 8 ms (restart 3)");
        assert_eq!(event(999_900).to_string(), "tcp: restarting in 1.0 s (restart 3)");
        assert_eq!(event(61_500_000).to_string(), "tcp: restarting in 61.5 s (restart 3)");
    }

    #[test]
    fn lost_message_shows_short_type_name() {
        let lost = LostMessage { number: 3, message_type: "alloc::vec::Vec<u8>" };
        assert_eq!(lost.to_string(), "message 3 (Vec<u8>) was lost");
        for (full, short) in [
            ("()", "()"),
            ("&str", "&str"),
            ("(u64, a::b::C)", "(u64, C)"),
            ("core::option::Option<alloc::string::String>", "Option<String>"),
            ("<a::B as c::D>::E", "<B as D>::E"),
            ("dyn a::B<C = d::E> + core::marker::Send", "dyn B<C = E> + Send"),
        ] {
            assert_eq!(without_module_paths(full), short);
        }
    }
}
