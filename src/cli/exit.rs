//! The codes that the program ends with.
//!
//! A script asks why a run ended without reading its messages. The codes are few and stay what they are:
//! [`Code`] lists them, and [`Code::of`] finds the one for an error that came up from a tree.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use crate::actors::Failure;
use crate::net::{BindError, ConnectError};

/// Why the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// All went well; a server that was asked to stop and drained, too.
    Well = 0,
    /// It failed while it ran.
    Failed = 1,
    /// A flag or an argument was wrong.
    Usage = 2,
    /// It could not connect or bind.
    Unreachable = 3,
    /// It timed out, or more answers were lost than allowed.
    TimedOut = 4,
    /// What arrived is not what was sent.
    Integrity = 5,
    /// The disk is full, or a quota is used up.
    DiskFull = 6,
    /// A client was ended by Ctrl-C (128 and the number of SIGINT, as a shell counts).
    Interrupted = 130,
}

impl Code {
    /// Finds the code for an error that came up from a tree, by the first of its causes that tells one.
    ///
    /// An attempt to connect that took too long is [`Code::Unreachable`], too; [`Code::TimedOut`] is for an
    /// answer that did not come.
    pub fn of(error: &(dyn Error + 'static)) -> Code {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<BindError>() || error.is::<ConnectError>() {
                return Code::Unreachable;
            }
            match error.downcast_ref::<Failure>() {
                Some(Failure::Connect(_)) => return Code::Unreachable,
                Some(Failure::TimedOut { .. } | Failure::Lost { .. }) => return Code::TimedOut,
                Some(Failure::Plain { silent: Some(_), .. }) => return Code::TimedOut,
                Some(Failure::Protocol { source, .. }) if !source.is_strange() => {
                    return Code::Integrity;
                }
                Some(Failure::Mismatch { .. }) => return Code::Integrity,
                Some(Failure::Full { .. }) => return Code::DiskFull,
                _ => {}
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return Code::of_io(error.kind());
            }
            cause = error.source();
        }
        Code::Failed
    }

    fn of_io(kind: io::ErrorKind) -> Code {
        match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Code::DiskFull,
            io::ErrorKind::TimedOut => Code::TimedOut,
            io::ErrorKind::ConnectionRefused | io::ErrorKind::AddrInUse => Code::Unreachable,
            _ => Code::Failed,
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not store the file")]
    struct Wrapped(#[source] io::Error);

    #[test]
    fn an_io_error_is_found_among_the_causes() {
        let full = Wrapped(io::ErrorKind::StorageFull.into());
        assert_eq!(Code::of(&full), Code::DiskFull);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(Code::of(&refused), Code::Unreachable);
    }

    #[test]
    fn a_failed_connection_is_told_from_an_answer_that_is_late() {
        let (endpoint, within) = ("h:1".parse().expect("an endpoint"), Duration::from_secs(1));
        let refused = ConnectError::TimedOut { endpoint, within };
        assert_eq!(Code::of(&refused), Code::Unreachable);
        assert_eq!(Code::of(&Failure::Connect(refused)), Code::Unreachable);
        let late = Failure::Lost { sent: 2, lost: 1, limit: within };
        assert_eq!(Code::of(&late), Code::TimedOut);
        assert_eq!(Code::of(&io::Error::from(io::ErrorKind::TimedOut)), Code::TimedOut);
    }

    #[test]
    fn anything_else_is_a_failure() {
        assert_eq!(Code::of(&std::fmt::Error), Code::Failed);
        assert_eq!(Code::of(&Wrapped(io::ErrorKind::BrokenPipe.into())), Code::Failed);
    }
}
