//! The chat client: one user's side of a chat, with a server of either dialect.
//!
//! A user's [state](state) outlives the [connection]. When the server goes away, the client
//! reconnects with backoff, asks for its nick and its last room, and sends what was typed
//! meanwhile. The queue of typed lines is bounded. When it is full, no more input is taken.

pub(crate) mod connection;
pub(crate) mod lecture;
pub(crate) mod nick_claim;
pub(crate) mod send_queue;
pub(crate) mod state;

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use crate::actors::chat::client::connection::{ClientConnection, OPENING_COMMAND};
use crate::actors::chat::client::send_queue::SendQueue;
use crate::actors::chat::client::state::{ChatInput, ClientConfig, ClientState, is_quit};
use crate::actors::chat::messages::Dialect;
use crate::actors::support::backoff::Backoff;
use crate::actors::support::client_error::ClientError;
use crate::actors::support::report::{Report, Reporter};
use crate::net::{Endpoint, Stream};
use crate::runtime::{Actor, Context, Event, Outcome};
use crate::wire::chat::ACK_OFF;

/// Time for which a server must have kept the user, so that the backoff begins anew. A server that
/// welcomes and closes at once is retried ever more slowly.
const MIN_STABLE_TIME: Duration = Duration::from_secs(10);

/// When a chat client reconnects after it has lost its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reconnect {
    /// Never. The client fails.
    Never,
    /// Once it has been admitted to the chat. It fails if the first connection does.
    AfterJoin,
    /// Always, from the first connection on.
    Always,
}

/// The actor that runs one user's side of a chat.
#[derive(Debug)]
pub struct ChatClient {
    config: ClientConfig,
    nick: Option<String>,
    room: Option<String>,
    reconnect: Reconnect,
    dialect: Option<Dialect>,
    streams: Option<VecDeque<Stream>>,
}

impl ChatClient {
    /// Creates a client of the server at `endpoint`, with a nick or as a guest.
    ///
    /// `timeout` limits connecting, and each time the server needs to take or answer a text.
    pub fn new(
        endpoint: Endpoint,
        nick: Option<String>,
        timeout: Duration,
        reporter: Reporter,
    ) -> ChatClient {
        ChatClient {
            config: ClientConfig { endpoint, timeout, reporter, who_on_join: false },
            nick,
            room: None,
            reconnect: Reconnect::Never,
            dialect: None,
            streams: None,
        }
    }

    /// Sets connected streams that the client uses, one after the other, instead of connecting to
    /// the endpoint.
    pub fn streams(mut self, streams: impl IntoIterator<Item = Stream>) -> ChatClient {
        self.streams = Some(streams.into_iter().collect());
        self
    }

    /// Sets the room to enter. The default is the server's default room.
    pub fn room(mut self, room: Option<String>) -> ChatClient {
        self.room = room;
        self
    }

    /// Sets when the client reconnects. The default is never.
    pub fn reconnect(mut self, reconnect: Reconnect) -> ChatClient {
        self.reconnect = reconnect;
        self
    }

    /// Sets the dialect. The default detects it.
    pub fn dialect(mut self, dialect: Option<Dialect>) -> ChatClient {
        self.dialect = dialect;
        self
    }

    /// Sets whether to send `/who` after entering a room with other members. The default is not
    /// to.
    pub fn who_on_join(mut self, enabled: bool) -> ChatClient {
        self.config.who_on_join = enabled;
        self
    }

    /// Awaits `io` and queues the input meanwhile. Returns `None` if a stop is requested or the
    /// user quits.
    async fn buffer_input_during<T>(
        &self,
        ctx: &mut Context<ChatInput>,
        state: &mut ClientState,
        io: impl Future<Output = T>,
    ) -> Option<T> {
        let mut io = pin!(io);
        while !state.input_closed && !state.send_queue.is_full() {
            match ctx.next(io.as_mut()).await {
                Event::Message(ChatInput::Line(text)) => {
                    if is_quit(&text) && state.joined_before {
                        return None;
                    }
                    state.queue_line(&text);
                }
                Event::Message(ChatInput::End) => state.input_closed = true,
                Event::Io(output) => return Some(output),
                Event::Stop => return None,
            }
        }
        ctx.unless_stopped(io).await
    }

    /// Connects, and runs the connection to its end.
    ///
    /// # Errors
    ///
    /// There is no connection, or it was lost.
    async fn connect_once(
        &self,
        ctx: &mut Context<ChatInput>,
        state: &mut ClientState,
    ) -> Result<(), ClientError> {
        let started_at = ctx.now();
        let given = state.streams.as_mut().map(VecDeque::pop_front);
        let connect = async {
            let ClientConfig { endpoint, timeout, .. } = &self.config;
            match given {
                Some(Some(stream)) => Ok(stream),
                Some(None) => {
                    let source = io::ErrorKind::ConnectionRefused.into();
                    Err(ClientError::from_io(source, endpoint, *timeout))
                }
                None => Ok(Stream::connect(endpoint, *timeout).await?),
            }
        };
        // Before the first connection the input stays in the mailbox: the first line of it is
        // needed to detect the dialect.
        let stream = match state.joined_before {
            true => self.buffer_input_during(ctx, state, connect).await,
            false => ctx.unless_stopped(connect).await,
        };
        let Some(stream) = stream else { return Ok(()) };
        let stream = stream?;
        let (peer, conn) = (stream.peer().clone(), state.connections);
        state.connections += 1;
        state.peer = Some(peer.clone());
        self.config.reporter.send(|| Report::Connected { peer, conn }).await;
        let mut connection = ClientConnection::new(&self.config, stream, ctx.now() - started_at);
        let result = self.run_connection(&mut connection, ctx, state).await;
        connection.close().await;
        result
    }

    /// Runs a connection until the input has ended or the server closes it. A client with a nick
    /// or a room uses the line dialect, because only that one has commands.
    ///
    /// # Errors
    ///
    /// The connection was lost.
    async fn run_connection(
        &self,
        connection: &mut ClientConnection<'_>,
        ctx: &mut Context<ChatInput>,
        state: &mut ClientState,
    ) -> Result<(), ClientError> {
        let handshake = state.handshake();
        match state.dialect {
            None if handshake.is_empty() => {
                let Some(dialect) = connection.detect_dialect(ctx, state).await? else {
                    return Ok(());
                };
                state.dialect = Some(dialect);
            }
            Some(Dialect::Lecture) => {}
            _ => {
                let opening = handshake.into_iter().chain([OPENING_COMMAND.into()]);
                state.send_queue.prepend(&opening.collect::<Vec<_>>());
                connection.expected_echoes.push(ACK_OFF.into());
                state.dialect = Some(Dialect::Line);
            }
        }
        if state.dialect == Some(Dialect::Line) && connection.run_lines(ctx, state).await? {
            state.dialect = Some(Dialect::Lecture);
        }
        match state.dialect {
            Some(Dialect::Lecture) => connection.run_lecture(ctx, state).await,
            _ => Ok(()),
        }
    }

    /// Reports the lost connection and waits for `delay`, with jitter. Returns `false` if a stop
    /// is requested or the user quits.
    async fn wait_to_reconnect(
        &self,
        ctx: &mut Context<ChatInput>,
        state: &mut ClientState,
        error: &ClientError,
        delay: Duration,
    ) -> bool {
        state.send_queue.reset_connection();
        state.joined_at = None;
        if let Some(peer) = state.peer.take() {
            let (conn, reason) = (state.connections - 1, error.to_string());
            self.config.reporter.send(|| Report::Disconnected { peer, conn, reason }).await;
        }
        let sleep = ctx.clock().sleep_jittered(delay);
        self.buffer_input_during(ctx, state, sleep).await.is_some()
    }

    /// Ends the client without a connection. Lines that were not sent are an error if the
    /// connection `error` ended it, and a warning otherwise.
    async fn report_undelivered(&self, state: &ClientState, error: Option<ClientError>) -> Outcome {
        let (count, server) = (state.send_queue.pending_lines(), self.config.endpoint.to_string());
        match (count, error) {
            (0, _) => Ok(()),
            (count, Some(_)) => Err(ClientError::UndeliveredLines { server, count }.into()),
            (count, None) => {
                let reason = ClientError::UndeliveredLines { server, count }.to_string();
                self.config.reporter.send(|| Report::Warning { reason }).await;
                Ok(())
            }
        }
    }
}

impl Actor for ChatClient {
    type Message = ChatInput;

    async fn run(mut self, mut ctx: Context<ChatInput>) -> Outcome {
        let mut state = ClientState {
            nick: self.nick.clone(),
            room: self.room.clone(),
            dialect: self.dialect,
            send_queue: SendQueue::default(),
            connections: 0,
            peer: None,
            input_closed: false,
            joined_before: false,
            joined_at: None,
            who_sent_at: None,
            streams: self.streams.take(),
            reconnect_forbidden: false,
        };
        let mut backoff = Backoff::new();
        let mut input_closed_at: Option<Instant> = None;
        loop {
            let Err(error) = self.connect_once(&mut ctx, &mut state).await else { return Ok(()) };
            let reconnects = match self.reconnect {
                Reconnect::Never => false,
                Reconnect::AfterJoin => state.joined_before,
                Reconnect::Always => true,
            };
            if !reconnects || state.reconnect_forbidden {
                return Err(error.into());
            }
            let stable_for = state.joined_at.map(|at| ctx.now().saturating_duration_since(at));
            if stable_for.is_some_and(|time| time >= MIN_STABLE_TIME) {
                backoff.reset();
            }
            let delay = backoff.next_delay();
            if !self.wait_to_reconnect(&mut ctx, &mut state, &error, delay).await {
                return self.report_undelivered(&state, None).await;
            }
            if state.input_closed {
                // After the end of the input, queued lines are retried for one timeout.
                let closed_at = *input_closed_at.get_or_insert(ctx.now());
                if state.send_queue.pending_lines() == 0
                    || ctx.now() - closed_at >= self.config.timeout
                {
                    return self.report_undelivered(&state, Some(error)).await;
                }
            }
        }
    }
}
