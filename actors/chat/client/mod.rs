//! The chat client: one person's side of a chat, with a server of any dialect.
//!
//! One connection is a [call](connection). A person's place in a chat outlives it: where the server goes
//! away, the client calls again, with longer and longer pauses, asks for its name, goes to the room where it
//! was, and says what was typed meanwhile. So much of that is kept as a person types in a day; beyond, whoever
//! types has to wait.

pub(crate) mod connection;
pub(crate) mod lecture;
pub(crate) mod send_queue;

use std::pin::pin;
use std::time::{Duration, Instant};

use crate::actors::support::backoff::Backoff;
use crate::actors::{ClientError, Report, Reporter};
use crate::net::{Endpoint, Peer, Stream};
use crate::runtime::{Actor, Context, Event, Outcome};
use crate::wire::chat::command::{Command, parse};
use connection::ClientConnection;
use send_queue::SendQueue;

/// What a chat client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatInput {
    /// The person typed this line.
    Line(String),
    /// There is no more input.
    End,
}

/// Whether a chat client calls again when its connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// Never: the loss is its end.
    Never,
    /// Once it has been in the chat; to find no server at first is its end.
    AfterJoin,
    /// Always, from the start.
    Always,
}

/// Which dialect a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Lines, with commands.
    Line,
    /// Chunks, each of which waits for its answer.
    Lecture,
}

/// One person's side of a chat.
#[derive(Debug)]
pub struct ChatClient {
    pub(crate) endpoint: Endpoint,
    nick_and_room: (Option<String>, Option<String>),
    pub(crate) timeout: Duration,
    pub(crate) reporter: Reporter,
    reconnect: Reconnect,
    dialect: Option<Dialect>,
    pub(crate) who_on_join: bool,
}

/// What a person has in a chat, whichever connection carries it.
#[derive(Debug)]
pub(crate) struct ClientState {
    /// The name that the person wants.
    pub(crate) nick: Option<String>,
    /// The room that the person was in last, or wants.
    pub(crate) room: Option<String>,
    /// The dialect, once it is known.
    pub(crate) dialect: Option<Dialect>,
    pub(crate) send_queue: SendQueue,
    /// How many connections there were.
    connections: u64,
    /// Who is at the other end, while there is one.
    peer: Option<Peer>,
    /// Whether the person has said the last word.
    pub(crate) input_closed: bool,
    /// Whether the server took the person in, on any connection.
    pub(crate) joined_before: bool,
    /// Whether it did on this one.
    pub(crate) joined: bool,
    /// Whether the server wants the person no more.
    pub(crate) reconnect_forbidden: bool,
}

impl ChatClient {
    /// Makes a client of the server at `endpoint`, under a name or as a guest.
    ///
    /// The server may take `timeout` to accept the connection, and each time to take or to answer a text.
    pub fn new(
        endpoint: Endpoint,
        nick: Option<String>,
        timeout: Duration,
        reporter: Reporter,
    ) -> ChatClient {
        let (place, reconnect) = ((nick, None), Reconnect::Never);
        ChatClient {
            endpoint,
            nick_and_room: place,
            timeout,
            reporter,
            reconnect,
            dialect: None,
            who_on_join: false,
        }
    }

    /// Has it go to a room of this name.
    pub fn room(mut self, room: Option<String>) -> ChatClient {
        self.nick_and_room.1 = room;
        self
    }

    /// Sets whether it calls again when the connection is lost; otherwise it never does.
    pub fn reconnect(mut self, reconnect: Reconnect) -> ChatClient {
        self.reconnect = reconnect;
        self
    }

    /// Sets the dialect; otherwise it finds out what the server speaks.
    pub fn dialect(mut self, dialect: Option<Dialect>) -> ChatClient {
        self.dialect = dialect;
        self
    }

    /// Has it ask who is there whenever it comes into a room where somebody is.
    pub fn who_on_join(mut self, asks: bool) -> ChatClient {
        self.who_on_join = asks;
        self
    }

    /// Does what is to be done until `io` is, and keeps what is typed meanwhile. Nothing comes back if the client
    /// is asked to stop, or the person leaves.
    async fn buffer_input_during<T>(
        &self,
        ctx: &mut Context<ChatInput>,
        part: &mut ClientState,
        io: impl Future<Output = T>,
    ) -> Option<T> {
        let mut io = pin!(io);
        while !part.input_closed && !part.send_queue.is_full() {
            match ctx.next(io.as_mut()).await {
                Event::Message(ChatInput::Line(text)) => {
                    if matches!(parse(&text), Command::Quit) && part.joined_before {
                        return None;
                    }
                    part.queue_line(&text);
                }
                Event::Message(ChatInput::End) => part.input_closed = true,
                Event::Io(done) => return Some(done),
                Event::Stop => return None,
            }
        }
        ctx.unless_stopped(io).await
    }

    /// Connects, and talks until it is over.
    async fn connect_once(
        &self,
        ctx: &mut Context<ChatInput>,
        part: &mut ClientState,
    ) -> Result<(), ClientError> {
        let asked = ctx.now();
        let connect = Stream::connect(&self.endpoint, self.timeout);
        // The first words of somebody who never was there wait: they tell the dialect.
        let stream = match part.joined_before {
            true => self.buffer_input_during(ctx, part, connect).await,
            false => ctx.unless_stopped(connect).await,
        };
        let Some(stream) = stream else { return Ok(()) };
        let stream = stream?;
        let (peer, conn) = (stream.peer().clone(), part.connections);
        part.connections += 1;
        part.peer = Some(peer.clone());
        self.reporter.send(|| Report::Connected { peer, conn }).await;
        let mut call = ClientConnection::new(self, stream, ctx.now() - asked);
        let done = call.run(ctx, part).await;
        call.close().await;
        done
    }

    /// Tells that the connection is lost, and waits; returns `false` if the talk is over.
    async fn wait_to_reconnect(
        &self,
        ctx: &mut Context<ChatInput>,
        part: &mut ClientState,
        failure: &ClientError,
        pause: Duration,
    ) -> bool {
        part.send_queue.reset_connection();
        part.joined = false;
        if let Some(peer) = part.peer.take() {
            let (conn, why) = (part.connections - 1, failure.to_string());
            self.reporter.send(|| Report::Disconnected { peer, conn, reason: why }).await;
        }
        let pause = ctx.clock().sleep_jittered(pause);
        self.buffer_input_during(ctx, part, pause).await.is_some()
    }
}

impl ClientState {
    /// Takes what was typed; an empty line is nothing.
    pub(crate) fn queue_line(&mut self, text: &str) {
        if !text.is_empty() {
            self.send_queue.push_line(text);
        }
    }

    /// What a call in lines begins with; nothing where the dialect is to be found out.
    pub(crate) fn handshake(&self) -> Vec<String> {
        let nick = self.nick.iter().map(|nick| format!("/nick {nick}"));
        let room = self.room.iter().map(|room| format!("/join {room}"));
        nick.chain(room).collect()
    }
}

impl Actor for ChatClient {
    type Message = ChatInput;

    async fn run(self, mut ctx: Context<ChatInput>) -> Outcome {
        let (nick, room) = self.nick_and_room.clone();
        let mut part = ClientState {
            nick,
            room,
            dialect: self.dialect,
            send_queue: SendQueue::default(),
            connections: 0,
            peer: None,
            input_closed: false,
            joined_before: false,
            joined: false,
            reconnect_forbidden: false,
        };
        let mut backoff = Backoff::new();
        let mut over_since: Option<Instant> = None;
        loop {
            let Err(failure) = self.connect_once(&mut ctx, &mut part).await else { return Ok(()) };
            let goes_on = match self.reconnect {
                Reconnect::Never => false,
                Reconnect::AfterJoin => part.joined_before,
                Reconnect::Always => true,
            };
            if !goes_on || part.reconnect_forbidden {
                return Err(failure.into());
            }
            if part.joined {
                backoff.reset();
            }
            let pause = backoff.next_delay();
            if !self.wait_to_reconnect(&mut ctx, &mut part, &failure, pause).await {
                return self.report_undelivered(&part, None).await;
            }
            if part.input_closed {
                // Nobody is there any more: what is left to say is tried for as long as an answer may take.
                let since = *over_since.get_or_insert(ctx.now());
                if part.send_queue.pending_lines() == 0 || ctx.now() - since >= self.timeout {
                    return self.report_undelivered(&part, Some(failure)).await;
                }
            }
        }
    }
}

impl ChatClient {
    /// Ends without a server, and tells what was never said.
    async fn report_undelivered(
        &self,
        part: &ClientState,
        failure: Option<ClientError>,
    ) -> Outcome {
        let (count, server) = (part.send_queue.pending_lines(), self.endpoint.to_string());
        match (count, failure) {
            (0, _) => Ok(()),
            (count, Some(_)) => Err(ClientError::UndeliveredLines { server, count }.into()),
            (count, None) => {
                let why = ClientError::UndeliveredLines { server, count }.to_string();
                self.reporter.send(|| Report::Warning { reason: why }).await;
                Ok(())
            }
        }
    }
}
