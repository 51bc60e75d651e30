//! The state of a chat client that outlives its connections.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::actors::chat::client::send_queue::SendQueue;
use crate::actors::chat::messages::Dialect;
use crate::actors::support::report::Reporter;
use crate::net::{Endpoint, Peer, Stream};
use crate::wire::chat::command::{Command, parse};

/// A message to a chat client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatInput {
    /// A line that the user typed, without its line end.
    Line(String),
    /// The end of the input.
    End,
}

/// The configuration of a client that its connections use.
#[derive(Debug)]
pub(crate) struct ClientConfig {
    pub(crate) endpoint: Endpoint,
    /// Maximum time to connect, and for the server to take or answer a text.
    pub(crate) timeout: Duration,
    pub(crate) reporter: Reporter,
    /// Whether to send `/who` after entering a room with other members.
    pub(crate) who_on_join: bool,
}

/// A user's place in a chat, independent of the connection.
#[derive(Debug)]
pub(crate) struct ClientState {
    /// The nick that the user wants.
    pub(crate) nick: Option<String>,
    /// The room that the user wants or was in last.
    pub(crate) room: Option<String>,
    /// The server's dialect, once it is known.
    pub(crate) dialect: Option<Dialect>,
    pub(crate) send_queue: SendQueue,
    /// Number of connections so far.
    pub(crate) connections: u64,
    /// The server's address, while connected.
    pub(crate) peer: Option<Peer>,
    /// Whether the input has ended, or the user quit.
    pub(crate) input_closed: bool,
    /// Whether the server has admitted the user, on any connection.
    pub(crate) joined_before: bool,
    /// When the server has admitted the user on the current connection.
    pub(crate) joined_at: Option<Instant>,
    /// When the client sent `/who` last, on any connection.
    pub(crate) who_sent_at: Option<Instant>,
    /// The streams to use instead of connecting, if there are any.
    pub(crate) streams: Option<VecDeque<Stream>>,
    /// Whether the server closed the session for a reason that forbids reconnecting.
    pub(crate) reconnect_forbidden: bool,
}

impl ClientState {
    /// Queues a line that the user typed. An empty line is dropped.
    pub(crate) fn queue_line(&mut self, text: &str) {
        if !text.is_empty() {
            self.send_queue.push_line(text);
        }
    }

    /// Returns the commands that ask for the nick and the room on a new connection.
    pub(crate) fn handshake(&self) -> Vec<String> {
        let nick = self.nick.iter().map(|nick| format!("/nick {nick}"));
        let room = self.room.iter().map(|room| format!("/join {room}"));
        nick.chain(room).collect()
    }
}

/// Returns whether a line is the command to quit.
pub(crate) fn is_quit(text: &str) -> bool {
    matches!(parse(text), Command::Quit)
}
