//! How a client role fails, as a type that its caller can act on.

use std::time::Duration;

use thiserror::Error;

use crate::net::{ConnectError, Endpoint};
use crate::wire::file::FrameError;

/// Why a client role ended with an error.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There was no connection to be had.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The server took the request and did not answer in time.
    #[error(
        "no answer from {server} within {limit:?}; is it overloaded, or another kind of server?"
    )]
    TimedOut {
        /// The server, as it was named.
        server: String,
        /// The limit.
        limit: Duration,
    },
    /// Some requests were not answered in time.
    #[error("{lost} of {sent} requests got no answer within {limit:?}")]
    LostReplies {
        /// Requests sent.
        sent: u64,
        /// Those without an answer.
        lost: u64,
        /// The limit for each.
        limit: Duration,
    },
    /// The server closed the connection before the work was done.
    #[error("{server} closed the connection {phase}")]
    Closed {
        /// The server, as it was named.
        server: String,
        /// What was not done yet.
        phase: &'static str,
    },
    /// The connection broke.
    #[error("the connection to {server} broke: {source}")]
    Io {
        /// The server, as it was named.
        server: String,
        /// How.
        source: std::io::Error,
    },
    /// The server did not answer to the file protocol.
    #[error("{server} {}; a plain server takes files with --raw", format_protocol_mismatch(*timeout))]
    NotFileProtocol {
        /// The server, as it was named.
        server: String,
        /// How long it said nothing; `None` where it closed the connection or said something else.
        timeout: Option<Duration>,
    },
    /// What the server said is not what the protocol says.
    #[error("{server}: {source}")]
    Protocol {
        /// The server, as it was named.
        server: String,
        /// What was wrong.
        source: FrameError,
    },
    /// What the server said makes no sense there.
    #[error("{server} answered what has no place there")]
    UnexpectedReply {
        /// The server, as it was named.
        server: String,
    },
    /// A file arrived otherwise than it was sent.
    #[error("{name}: what arrived is not what was sent: {reason}")]
    Mismatch {
        /// The file.
        name: String,
        /// The server's sentence, as it came (not escaped), or our own.
        reason: String,
    },
    /// The server's disk has no room.
    #[error("{name}: the server has no room for it: {reason}")]
    ServerDiskFull {
        /// The file.
        name: String,
        /// The server's sentence, as it came (not escaped).
        reason: String,
    },
    /// The server does not take a file now, and perhaps later.
    #[error("{name}: the server does not take it now: {reason}")]
    ServerBusy {
        /// The file.
        name: String,
        /// The server's sentence, as it came (not escaped).
        reason: String,
    },
    /// The connection was lost after something of stdin was sent, of which nobody has it any more.
    #[error("{source}; what came through stdin cannot be sent again, a FILE could be resumed")]
    StdinNotResumable {
        /// How the connection was lost.
        source: Box<ClientError>,
    },
    /// Some lines were typed while there was no server, and none came back in time.
    #[error("{server} did not come back; {count} of the lines typed meanwhile were not said")]
    UndeliveredLines {
        /// The server, as it was named.
        server: String,
        /// How many lines.
        count: usize,
    },
    /// Some files could not be sent; each was reported by name.
    #[error("{count} of the files could not be sent")]
    FilesFailed {
        /// How many.
        count: usize,
    },
}

impl ClientError {
    /// Names the server in what went wrong on a connection to it.
    pub(crate) fn from_io(
        source: std::io::Error,
        server: &Endpoint,
        limit: Duration,
    ) -> ClientError {
        let server = server.to_string();
        match source.kind() {
            std::io::ErrorKind::TimedOut => ClientError::TimedOut { server, limit },
            _ => ClientError::Io { server, source },
        }
    }
}

fn format_protocol_mismatch(silent: Option<Duration>) -> String {
    match silent {
        Some(limit) => format!("gave no answer to the file protocol within {limit:?}"),
        None => "does not speak the file protocol".into(),
    }
}
