//! How a client role fails, as a type that its caller can act on.

use std::time::Duration;

use thiserror::Error;

use crate::net::{ConnectError, Endpoint};

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
    /// Names the server in what went wrong on a connection to it.
    pub(super) fn of_io(source: std::io::Error, server: &Endpoint, limit: Duration) -> Failure {
        let server = server.to_string();
        match source.kind() {
            std::io::ErrorKind::TimedOut => Failure::TimedOut { server, limit },
            _ => Failure::Broken { server, source },
        }
    }
}
