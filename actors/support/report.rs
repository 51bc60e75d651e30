//! What the roles tell of their work.
//!
//! A role prints nothing. Whatever a person or a program might want to know of it (a connection came, a
//! message was read, a file is stored) is one [`Report`], sent through a [`Reporter`] to whoever narrates:
//! in the program an actor that writes lines or JSON, in a test a channel, in a library user's process
//! often nobody. Text from a peer is raw in a report; the one who shows it escapes it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::actors::Stats;
use crate::net::{Endpoint, Peer};
use crate::runtime::{Address, SendError};

/// One thing that a role did or saw.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Report {
    /// A server is bound and takes connections or datagrams.
    Listening {
        /// Where, with the real port.
        endpoint: Endpoint,
    },
    /// A connection was accepted by a server, or made by a client.
    Connected {
        /// The other side.
        peer: Peer,
        /// The number of the connection, counted from 0 by each listener.
        conn: u64,
    },
    /// A connection is over.
    Disconnected {
        /// The other side.
        peer: Peer,
        /// The number that [`Report::Connected`] gave.
        conn: u64,
        /// Why, in a few words: `closed by peer`, `idle for 15m`, ...
        reason: String,
    },
    /// A peer said something: a datagram, or a line of chat.
    Message {
        /// The other side.
        peer: Peer,
        /// The name it goes by, where it has one.
        nick: Option<String>,
        /// The room it was said to, where there is one.
        room: Option<String>,
        /// What was said, as received (not escaped).
        text: String,
    },
    /// A file is stored whole.
    FileStored {
        /// Its final name, beneath the directory that files are stored in.
        name: String,
        /// Its size in bytes.
        bytes: u64,
        /// The BLAKE3 hash of its bytes, in lower-case hexadecimal digits, where it is known.
        blake3: Option<String>,
        /// From its first byte until it was stored.
        elapsed: Duration,
        /// Who sent it, if it came over a connection.
        peer: Option<Peer>,
    },
    /// A file was sent whole by a client.
    FileSent {
        /// The name, as it was given.
        name: String,
        /// Its size in bytes.
        bytes: u64,
        /// From its first byte until the last was handed to the kernel, or until it was stored.
        elapsed: Duration,
        /// The BLAKE3 hash of its bytes in hexadecimal digits, where the server checked it.
        blake3: Option<String>,
        /// The name that the server gave it, where it tells.
        stored_name: Option<String>,
    },
    /// A client got an answer.
    Reply {
        /// The answer, as received (not escaped).
        text: String,
        /// Its size in bytes.
        bytes: usize,
        /// From the request, or from the attempt to connect, until the answer.
        rtt: Duration,
    },
    /// A measuring client got an answer.
    ProbeReply {
        /// The number of the request that it answers, from 1 on.
        number: u64,
        /// Its size in bytes.
        bytes: usize,
        /// From the request until the answer.
        rtt: Duration,
        /// Whether the request had been answered already.
        duplicate: bool,
    },
    /// How far a client is that sends many requests at once; told once a second.
    LoadProgress {
        /// Requests sent so far.
        sent: u64,
        /// Answers received so far.
        received: u64,
    },
    /// What a measuring client measured, at its end.
    Stats(Box<Stats>),
    /// Something a peer wanted was refused, or a piece of work could not be done; the role goes on.
    Rejected {
        /// The other side, where there is one.
        peer: Option<Peer>,
        /// Why, and what helps, in one sentence.
        reason: String,
    },
    /// A datagram was longer than the buffer, which took only its beginning.
    Truncated {
        /// The other side.
        peer: Peer,
        /// How long it was, in bytes.
        bytes: usize,
        /// How many of them were read.
        kept: usize,
    },
    /// A client's figures at its end.
    RequestSummary {
        /// Requests sent.
        sent: u64,
        /// Answers received in time.
        received: u64,
        /// The shortest, the mean and the longest time from a request to its answer.
        rtt: Option<[Duration; 3]>,
    },
    /// A file is on its way; told now and then.
    Progress(Progress),
    /// What a client sent in all, at its end.
    TransferSummary(TransferSummary),
    /// A client is ready for the next piece of input.
    Ready,
    /// A line of a chat for the person at a client: what another member or the server said.
    ChatLine(String),
}

/// How far a file is on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Who sends it, where it comes.
    pub peer: Option<Peer>,
    /// Its name, as it was given or as the peer has it (not escaped).
    pub name: String,
    /// How many of its bytes are there, or were handed to the kernel.
    pub bytes: u64,
    /// How many of them were there before, from an earlier attempt.
    pub resumed_bytes: u64,
    /// Its size, where it is known.
    pub size: Option<u64>,
    /// Since when it is on its way.
    pub elapsed: Duration,
    /// How far all files are, where several are sent.
    pub total: Option<TotalProgress>,
}

/// How far all files are that are sent together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TotalProgress {
    /// How many bytes of them are there.
    pub bytes: u64,
    /// How many they have.
    pub size: u64,
    /// Since when they are on their way.
    pub elapsed: Duration,
}

/// What a client sent in all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TransferSummary {
    /// The files that were sent first, at most 1000.
    pub listed_files: Vec<SentFile>,
    /// How many files were sent.
    pub file_count: u64,
    /// How many bytes these have.
    pub bytes: u64,
    /// How many could not be sent.
    pub failed: u64,
    /// From the first one's beginning until the last was stored.
    pub elapsed: Duration,
}

/// One file of a [`TransferSummary`].
#[derive(Debug, Clone, PartialEq)]
pub struct SentFile {
    /// Its name, as it was given.
    pub name: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its BLAKE3 hash, in lower-case hexadecimal digits.
    pub blake3: String,
    /// From its first byte until it was stored.
    pub elapsed: Duration,
}

/// Where a role's reports go: an actor's address, or nowhere.
#[derive(Debug, Clone, Default)]
pub struct Reporter(Option<Address<Report>>);

impl Reporter {
    /// Makes a reporter that sends to `address`.
    pub fn new(address: Address<Report>) -> Reporter {
        Reporter(Some(address))
    }

    /// Makes a reporter that drops every report.
    pub fn disabled() -> Reporter {
        Reporter(None)
    }

    /// Tells whether anybody listens.
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Sends one report, made only if somebody listens; what comes back waits while the narrator's mailbox is full.
    ///
    /// A narrator that is gone loses the report: a role never fails because nobody listens.
    pub fn send(&self, report: impl FnOnce() -> Report) -> SendReport {
        let Some(address) = &self.0 else { return SendReport::ready() };
        match address.try_send(report()) {
            // The refused report has nobody left who could read it.
            Err(SendError::Full(report)) => {
                let address = address.clone();
                SendReport(Some(Box::pin(async move { drop(address.send(report).await) })))
            }
            Ok(()) | Err(SendError::Closed(_)) => SendReport::ready(),
        }
    }

    /// Sends one report if there is room for it now; for where nobody can wait.
    pub fn try_send(&self, report: impl FnOnce() -> Report) {
        if let Some(address) = &self.0 {
            drop(address.try_send(report()));
        }
    }
}

/// A report that waits for room at the narrator's, if it has to; made by [`Reporter::send`].
///
/// What has to wait is elsewhere, since whoever tells something would have it in each of its futures.
#[must_use = "a report that finds no room is lost unless it is awaited"]
pub struct SendReport(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl SendReport {
    /// Makes one that has nothing to wait for.
    pub(crate) fn ready() -> SendReport {
        SendReport(None)
    }
}

impl Future for SendReport {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(waiting) => waiting.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl fmt::Debug for SendReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Telling(..)" } else { "Telling(done)" })
    }
}

#[cfg(test)]
mod tests;
