//! The errors of the client roles, as a type that the caller can match on.

use std::io;
use std::time::Duration;

use thiserror::Error;

use crate::net::{ConnectError, Endpoint};
use crate::wire::file::FrameError;
use crate::wire::units::format_duration;

/// The error with which a client role ended.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The connection could not be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server accepted the connection, but did not reply in time.
    #[error(
        "no reply from {server} within {}; is it overloaded, or another kind of server?",
        format_duration(*limit)
    )]
    TimedOut {
        /// The server's endpoint.
        server: String,
        /// The time limit.
        limit: Duration,
    },
    /// The server announced its reply again and again, but did not send it.
    #[error("{server} still works on the file after {limit:?}; giving up")]
    NoResult {
        /// The server's endpoint.
        server: String,
        /// The time limit.
        limit: Duration,
    },
    /// More requests than allowed were not answered in time.
    #[error("{lost} of {sent} requests got no answer within {}", format_duration(*limit))]
    LostReplies {
        /// Requests sent.
        sent: u64,
        /// Requests without a reply.
        lost: u64,
        /// The time limit for each reply.
        limit: Duration,
    },
    /// The server closed the connection too early.
    #[error("{server} closed the connection{}", format_phase(*phase))]
    Closed {
        /// The server's endpoint.
        server: String,
        /// The phase of the protocol, such as `before it replied`, if it matters.
        phase: Option<&'static str>,
    },
    /// The connection failed.
    #[error("connection to {server} failed: {source}")]
    Io {
        /// The server's endpoint.
        server: String,
        /// The error of the stream or the socket.
        source: io::Error,
    },
    /// The server does not speak the framed file protocol.
    #[error("{server} {}; send files to a plain server with --raw", format_mismatch(*timeout))]
    NotFileProtocol {
        /// The server's endpoint.
        server: String,
        /// The time without a reply, or `None` if the server closed the connection or sent
        /// something else.
        timeout: Option<Duration>,
    },
    /// The server sent an invalid frame.
    #[error("{server}: {source}")]
    Protocol {
        /// The server's endpoint.
        server: String,
        /// The error in the frame.
        source: FrameError,
    },
    /// The server sent a valid frame that is not a reply to the last request.
    #[error("{server} sent an unexpected reply")]
    UnexpectedReply {
        /// The server's endpoint.
        server: String,
    },
    /// The server received other bytes than the file's.
    #[error("{name}: the stored file differs from the sent one: {reason}")]
    Mismatch {
        /// The file's name.
        name: String,
        /// The server's message, as received (not escaped), or our own.
        reason: String,
    },
    /// The server reported that the client violated the protocol, or that a frame was damaged.
    #[error("{name}: the server reported a protocol error: {reason}")]
    ProtocolRejected {
        /// The file's name.
        name: String,
        /// The server's message, as received (not escaped).
        reason: String,
    },
    /// The server's disk is full.
    #[error("{name}: the server has no space for it: {reason}")]
    ServerDiskFull {
        /// The file's name.
        name: String,
        /// The server's message, as received (not escaped).
        reason: String,
    },
    /// The server cannot receive the file now, but may later.
    #[error("{name}: the server cannot receive it now: {reason}")]
    ServerBusy {
        /// The file's name.
        name: String,
        /// The server's message, as received (not escaped).
        reason: String,
    },
    /// The connection failed after a part of stdin was sent, and stdin cannot be read again.
    #[error("{source}; stdin cannot be sent again (a FILE can be resumed)")]
    StdinNotResumable {
        /// The error of the connection.
        source: Box<ClientError>,
    },
    /// Lines were typed while the client was disconnected, and the server did not return in time.
    #[error("{server} did not come back; lines not sent: {count}")]
    UndeliveredLines {
        /// The server's endpoint.
        server: String,
        /// The number of lines.
        count: usize,
    },
    /// Some files could not be sent. Each was reported by name.
    #[error("files not sent: {count}")]
    FilesFailed {
        /// The number of files.
        count: usize,
    },
}

impl ClientError {
    /// Converts an error of the connection to `server`, which had `limit` to reply.
    pub(crate) fn from_io(source: io::Error, server: &Endpoint, limit: Duration) -> ClientError {
        let server = server.to_string();
        match source.kind() {
            io::ErrorKind::TimedOut => ClientError::TimedOut { server, limit },
            _ => ClientError::Io { server, source },
        }
    }
}

fn format_phase(phase: Option<&str>) -> String {
    phase.map(|phase| format!(" {phase}")).unwrap_or_default()
}

fn format_mismatch(timeout: Option<Duration>) -> String {
    match timeout {
        Some(limit) => {
            format!("did not reply to the file protocol within {}", format_duration(limit))
        }
        None => "does not speak the file protocol".into(),
    }
}
