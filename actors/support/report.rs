//! Reports: the output of a role.
//!
//! A role prints nothing. Everything that a person or a program may want to know (a connection was
//! accepted, a message was received, a file was stored) is a [`Report`], sent through a
//! [`Reporter`]. In the program the reports go to an actor that prints lines or JSON, in a test to
//! a channel. A library user may disable them. Text from a peer is raw in a report. The consumer
//! that prints it must escape it.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::actors::support::progress::{Progress, TransferSummary};
use crate::actors::support::stats::Stats;
use crate::net::{Endpoint, Peer};
use crate::runtime::{Address, SendError};

/// An event in the work of a role.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Report {
    /// A server is bound and accepts connections or datagrams.
    Listening {
        /// The endpoint, with the actual port.
        endpoint: Endpoint,
    },
    /// A server accepted a connection, or a client made one.
    Connected {
        /// The other side.
        peer: Peer,
        /// The number of the connection, counted from 0 by each listener.
        conn: u64,
    },
    /// A connection has ended.
    Disconnected {
        /// The other side.
        peer: Peer,
        /// The number of the connection, as in [`Report::Connected`].
        conn: u64,
        /// The reason, in a few words: `closed by peer`, `idle for 15m`, ...
        reason: String,
    },
    /// A server received a datagram, or a line of chat.
    Message {
        /// The sender.
        peer: Peer,
        /// The sender's nick, if it has one.
        nick: Option<String>,
        /// The room to which the line was published, if there is one.
        room: Option<String>,
        /// The text, as received (not escaped).
        text: String,
    },
    /// A complete file was stored.
    FileStored {
        /// The final name, relative to the directory of the file store.
        name: String,
        /// The size in bytes.
        bytes: u64,
        /// The BLAKE3 hash in lower-case hexadecimal digits, if it is known.
        blake3: Option<String>,
        /// The time from the first byte until the file was stored.
        elapsed: Duration,
        /// The sender, if the file was received over a connection.
        peer: Option<Peer>,
    },
    /// A client sent a complete file.
    FileSent {
        /// The name, as given on the command line.
        name: String,
        /// The size in bytes.
        bytes: u64,
        /// The time from the first byte until the last one was written to the socket, or until the
        /// server had stored the file.
        elapsed: Duration,
        /// The BLAKE3 hash in lower-case hexadecimal digits, if the server verified it.
        blake3: Option<String>,
        /// The name under which the server stored the file, if the server reports it.
        stored_name: Option<String>,
        /// The number of bytes that the server had from an earlier run, and that were not sent
        /// again.
        resumed_bytes: u64,
    },
    /// A client received a reply.
    Reply {
        /// The reply, as received (not escaped).
        text: String,
        /// The size in bytes.
        bytes: usize,
        /// The time from the request, or from the attempt to connect, until the reply.
        rtt: Duration,
    },
    /// A measuring client received a reply to a numbered request.
    ProbeReply {
        /// The number of the request, from 1.
        number: u64,
        /// The size of the reply in bytes.
        bytes: usize,
        /// The time from the request until the reply.
        rtt: Duration,
        /// Whether an earlier reply had answered the request.
        duplicate: bool,
    },
    /// The progress of a client that sends many requests. Sent once per second.
    LoadProgress {
        /// Requests sent so far.
        sent: u64,
        /// Replies received so far.
        received: u64,
    },
    /// The results of a measuring client. Sent at its end.
    Stats(Box<Stats>),
    /// The role rejected something that a peer requested, and continues.
    Rejected {
        /// The peer, if it is known.
        peer: Option<Peer>,
        /// The reason and the remedy, in one sentence.
        reason: String,
    },
    /// An operator of a chat ran a command, or logged in.
    OperatorAction {
        /// The operator's address. `None` stands for the server's own terminal.
        peer: Option<Peer>,
        /// The operator's nick, if it is a member.
        nick: Option<String>,
        /// The command, as received (not escaped).
        action: String,
        /// Whether the command had its effect.
        succeeded: bool,
    },
    /// Some of the role's own work failed or has to be retried, and the role continues.
    Warning {
        /// The failure and the remedy, in one sentence.
        reason: String,
    },
    /// A datagram was longer than the buffer. Only its beginning was read.
    Truncated {
        /// The sender.
        peer: Peer,
        /// The length of the datagram in bytes.
        bytes: usize,
        /// The number of bytes that were read.
        kept: usize,
    },
    /// The summary of a client that does not measure. Sent at its end.
    RequestSummary {
        /// Requests sent.
        sent: u64,
        /// Replies received in time.
        received: u64,
        /// The shortest, the mean and the longest time from a request to its reply.
        rtt: Option<[Duration; 3]>,
    },
    /// The progress of a file. Sent repeatedly during the transfer.
    Progress(Progress),
    /// The summary of a client that sent files. Sent at its end.
    TransferSummary(TransferSummary),
    /// A client is ready for the next line of input.
    Ready,
    /// A line of chat, from another member or from the server, for the user of a chat client.
    ChatLine(String),
}

/// A destination of reports: the address of an actor, or none.
#[derive(Debug, Clone, Default)]
pub struct Reporter(Option<Address<Report>>);

impl Reporter {
    /// Creates a reporter that sends to `address`.
    pub fn new(address: Address<Report>) -> Reporter {
        Reporter(Some(address))
    }

    /// Creates a reporter that drops every report.
    pub fn disabled() -> Reporter {
        Reporter(None)
    }

    /// Returns whether reports are sent to an actor.
    pub fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Sends a report, which is built only if the reporter is enabled. The returned future waits
    /// while the receiver's mailbox is full.
    ///
    /// If the receiver has ended, the report is dropped: a role never fails because its reports are
    /// not read.
    pub fn send(&self, report: impl FnOnce() -> Report) -> SendReport {
        let Some(address) = &self.0 else { return SendReport::ready() };
        match address.try_send(report()) {
            // A report that is returned because the receiver has ended is dropped.
            Err(SendError::Full(report)) => {
                let address = address.clone();
                SendReport(Some(Box::pin(async move { drop(address.send(report).await) })))
            }
            Ok(()) | Err(SendError::Closed(_)) => SendReport::ready(),
        }
    }

    /// Sends reports one after another, waiting while the receiver's mailbox is full.
    pub(crate) async fn send_all(&self, reports: Vec<Report>) {
        for report in reports {
            self.send(|| report).await;
        }
    }

    /// Sends a report if the receiver's mailbox has room, and drops it otherwise. For code that
    /// cannot wait.
    pub fn try_send(&self, report: impl FnOnce() -> Report) {
        if let Some(address) = &self.0 {
            drop(address.try_send(report()));
        }
    }
}

/// A future that waits until a report is in the receiver's mailbox. Returned by [`Reporter::send`].
///
/// The slow path is boxed to keep the callers' futures small.
#[must_use = "a report is lost if the mailbox is full and this is not awaited"]
pub struct SendReport(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl SendReport {
    /// Creates a future that is ready at once.
    pub(crate) fn ready() -> SendReport {
        SendReport(None)
    }
}

impl Future for SendReport {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Some(pending) => pending.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl fmt::Debug for SendReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "SendReport(pending)" } else { "SendReport(ready)" })
    }
}

#[cfg(test)]
mod tests;
