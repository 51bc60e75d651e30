//! The codes that the program ends with.
//!
//! A script asks why a run ended without reading its messages. The codes are few and stay what they are:
//! [`ExitStatus`] lists them, and [`ExitStatus::from_error`] finds the one for an error that came up from a tree.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use crate::actors::ClientError;
use crate::net::{BindError, ConnectError};

/// Why the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// All went well; a server that was asked to stop and drained, too.
    Success = 0,
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

impl ExitStatus {
    /// Finds the code for an error that came up from a tree, by the first of its causes that tells one.
    ///
    /// An attempt to connect that took too long is [`ExitStatus::Unreachable`], too; [`ExitStatus::TimedOut`] is for an
    /// answer that did not come.
    pub fn from_error(error: &(dyn Error + 'static)) -> ExitStatus {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<BindError>() || error.is::<ConnectError>() {
                return ExitStatus::Unreachable;
            }
            match error.downcast_ref::<ClientError>() {
                Some(ClientError::Connect(_)) => return ExitStatus::Unreachable,
                Some(ClientError::TimedOut { .. } | ClientError::LostReplies { .. }) => {
                    return ExitStatus::TimedOut;
                }
                Some(ClientError::NotFileProtocol { timeout: Some(_), .. }) => {
                    return ExitStatus::TimedOut;
                }
                Some(ClientError::Protocol { source, .. }) if !source.is_foreign_protocol() => {
                    return ExitStatus::Integrity;
                }
                Some(ClientError::Mismatch { .. }) => return ExitStatus::Integrity,
                Some(ClientError::ServerDiskFull { .. }) => return ExitStatus::DiskFull,
                _ => {}
            }
            if let Some(error) = error.downcast_ref::<io::Error>() {
                return ExitStatus::from_io_kind(error.kind());
            }
            cause = error.source();
        }
        ExitStatus::Failed
    }

    fn from_io_kind(kind: io::ErrorKind) -> ExitStatus {
        match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ExitStatus::DiskFull,
            io::ErrorKind::TimedOut => ExitStatus::TimedOut,
            io::ErrorKind::ConnectionRefused | io::ErrorKind::AddrInUse => ExitStatus::Unreachable,
            _ => ExitStatus::Failed,
        }
    }
}

impl From<ExitStatus> for ExitCode {
    fn from(code: ExitStatus) -> ExitCode {
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
        assert_eq!(ExitStatus::from_error(&full), ExitStatus::DiskFull);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(ExitStatus::from_error(&refused), ExitStatus::Unreachable);
    }

    #[test]
    fn a_failed_connection_is_told_from_an_answer_that_is_late() {
        let (endpoint, within) = ("h:1".parse().expect("an endpoint"), Duration::from_secs(1));
        let refused = ConnectError::TimedOut { endpoint, timeout: within };
        assert_eq!(ExitStatus::from_error(&refused), ExitStatus::Unreachable);
        assert_eq!(ExitStatus::from_error(&ClientError::Connect(refused)), ExitStatus::Unreachable);
        let late = ClientError::LostReplies { sent: 2, lost: 1, limit: within };
        assert_eq!(ExitStatus::from_error(&late), ExitStatus::TimedOut);
        assert_eq!(
            ExitStatus::from_error(&io::Error::from(io::ErrorKind::TimedOut)),
            ExitStatus::TimedOut
        );
    }

    #[test]
    fn anything_else_is_a_failure() {
        assert_eq!(ExitStatus::from_error(&std::fmt::Error), ExitStatus::Failed);
        assert_eq!(
            ExitStatus::from_error(&Wrapped(io::ErrorKind::BrokenPipe.into())),
            ExitStatus::Failed
        );
    }
}
