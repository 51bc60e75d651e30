//! The exit codes of the program.
//!
//! The exit code gives a script the reason of a failed run, without parsing messages. The
//! codes are few and never change.

use std::error::Error;
use std::io;
use std::process::ExitCode;

use crate::actors::ClientError;
use crate::net::{BindError, ConnectError};

/// An exit code of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitStatus {
    /// Success, also for a server that drained after a stop request.
    Success = 0,
    /// Failed while running.
    Failed = 1,
    /// A flag or an argument was wrong.
    Usage = 2,
    /// Could not connect or bind.
    Unreachable = 3,
    /// Timed out, or lost more replies than allowed.
    TimedOut = 4,
    /// The received data differs from the data sent.
    Integrity = 5,
    /// The disk is full, or a quota is used up.
    DiskFull = 6,
    /// A client was interrupted by Ctrl-C. A shell uses 128 and the number of SIGINT too.
    Interrupted = 130,
}

impl ExitStatus {
    /// Returns the code of the first error in the chain of causes that has a code of its own.
    ///
    /// A connect that timed out is [`ExitStatus::Unreachable`]. [`ExitStatus::TimedOut`] is for a
    /// missing reply.
    pub fn from_error(error: &(dyn Error + 'static)) -> ExitStatus {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<BindError>() || error.is::<ConnectError>() {
                return ExitStatus::Unreachable;
            }
            match error.downcast_ref::<ClientError>() {
                Some(ClientError::Connect(_)) => return ExitStatus::Unreachable,
                Some(
                    ClientError::TimedOut { .. }
                    | ClientError::NoResult { .. }
                    | ClientError::LostReplies { .. },
                ) => {
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

    /// Returns the code with which a server ends instead of this one. The codes of a server
    /// describe its own process, so those of a transfer become [`ExitStatus::Failed`].
    pub fn of_server(self) -> ExitStatus {
        match self {
            ExitStatus::TimedOut | ExitStatus::Integrity | ExitStatus::DiskFull => {
                ExitStatus::Failed
            }
            status => status,
        }
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
    fn from(status: ExitStatus) -> ExitCode {
        ExitCode::from(status as u8)
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
    fn io_error_among_the_causes_sets_the_code() {
        let full = Wrapped(io::ErrorKind::StorageFull.into());
        assert_eq!(ExitStatus::from_error(&full), ExitStatus::DiskFull);
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(ExitStatus::from_error(&refused), ExitStatus::Unreachable);
    }

    #[test]
    fn server_never_ends_with_code_of_transfer() {
        use ExitStatus::{DiskFull, Failed, Integrity, Success, TimedOut, Unreachable, Usage};
        for status in [TimedOut, Integrity, DiskFull, Failed] {
            assert_eq!(status.of_server(), Failed);
        }
        for status in [Success, Usage, Unreachable] {
            assert_eq!(status.of_server(), status);
        }
    }

    #[test]
    fn failed_connect_differs_from_late_reply() {
        let (endpoint, timeout) = ("h:1".parse().expect("an endpoint"), Duration::from_secs(1));
        let refused = ConnectError::TimedOut { endpoint, timeout };
        assert_eq!(ExitStatus::from_error(&refused), ExitStatus::Unreachable);
        assert_eq!(ExitStatus::from_error(&ClientError::Connect(refused)), ExitStatus::Unreachable);
        let late = ClientError::LostReplies { sent: 2, lost: 1, limit: timeout };
        assert_eq!(ExitStatus::from_error(&late), ExitStatus::TimedOut);
        assert_eq!(
            ExitStatus::from_error(&io::Error::from(io::ErrorKind::TimedOut)),
            ExitStatus::TimedOut
        );
    }

    #[test]
    fn any_other_error_is_a_failure() {
        assert_eq!(ExitStatus::from_error(&std::fmt::Error), ExitStatus::Failed);
        assert_eq!(
            ExitStatus::from_error(&Wrapped(io::ErrorKind::BrokenPipe.into())),
            ExitStatus::Failed
        );
    }
}
