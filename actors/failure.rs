//! How a client role fails, as a type that its caller can act on.

use std::time::Duration;

use thiserror::Error;

use crate::net::{ConnectError, Endpoint};
use crate::wire::offer::FrameError;

/// Why a client role ended with an error.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Failure {
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
    Lost {
        /// Requests sent.
        sent: u64,
        /// Those without an answer.
        lost: u64,
        /// The limit for each.
        limit: Duration,
    },
    /// The server closed the connection before the work was done.
    #[error("{server} closed the connection {when}")]
    Closed {
        /// The server, as it was named.
        server: String,
        /// What was not done yet.
        when: &'static str,
    },
    /// The connection broke.
    #[error("the connection to {server} broke: {source}")]
    Broken {
        /// The server, as it was named.
        server: String,
        /// How.
        source: std::io::Error,
    },
    /// The server did not answer to the file protocol.
    #[error("{server} said nothing within {limit:?}; a plain server takes files with --raw")]
    Plain {
        /// The server, as it was named.
        server: String,
        /// The limit.
        limit: Duration,
    },
    /// What the server said made no sense.
    #[error("{server}: {source}")]
    Protocol {
        /// The server, as it was named.
        server: String,
        /// What was wrong.
        source: FrameError,
    },
    /// A file arrived otherwise than it was sent.
    #[error("what arrived is not what was sent: {why}")]
    Mismatch {
        /// The server's sentence.
        why: String,
    },
    /// The server's disk has no room.
    #[error("the server has no room: {why}")]
    Full {
        /// The server's sentence.
        why: String,
    },
    /// The server does not take a file now.
    #[error("the server does not take it now: {why}")]
    Refused {
        /// The server's sentence.
        why: String,
    },
    /// Some lines were typed while there was no server, and none came back in time.
    #[error("{server} did not come back; {count} of the lines typed meanwhile were not said")]
    Unsaid {
        /// The server, as it was named.
        server: String,
        /// How many lines.
        count: usize,
    },
    /// Some files could not be sent; each was reported by name.
    #[error("{count} of the files could not be sent")]
    NotSent {
        /// How many.
        count: usize,
    },
}

impl Failure {
    /// Makes a failure of a code of the file protocol, where it is one of the whole run.
    pub(super) fn of_code(code: u16, why: &str) -> Option<Failure> {
        match code {
            1 | 7 => Some(Failure::Mismatch { why: why.into() }),
            5 => Some(Failure::Full { why: why.into() }),
            _ => None,
        }
    }

    /// Names the server in what went wrong on a connection to it.
    pub(super) fn of_io(source: std::io::Error, server: &Endpoint, limit: Duration) -> Failure {
        let server = server.to_string();
        match source.kind() {
            std::io::ErrorKind::TimedOut => Failure::TimedOut { server, limit },
            _ => Failure::Broken { server, source },
        }
    }
}
