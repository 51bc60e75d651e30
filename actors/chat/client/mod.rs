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

use crate::actors::{ClientError, Report, Reporter};
use crate::net::{Endpoint, Peer, Stream};
use crate::runtime::{Actor, Context, Event, Outcome};
use crate::wire::chat::command::{Command, parse};
use connection::Call;
use send_queue::Outgoing;

/// The first pause before the client calls again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(10));

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
    OnceIn,
    /// Always, from the start.
    Always,
}

/// Which dialect a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// Lines, with commands.
    Lines,
    /// Chunks, each of which waits for its answer.
    Lecture,
}

/// One person's side of a chat.
#[derive(Debug)]
pub struct ChatClient {
    pub(crate) endpoint: Endpoint,
    place: (Option<String>, Option<String>),
    pub(crate) timeout: Duration,
    pub(crate) reporter: Reporter,
    reconnect: Reconnect,
    speaks: Option<Speaks>,
    pub(crate) asks_who: bool,
}

/// What a person has in a chat, whichever connection carries it.
#[derive(Debug)]
pub(crate) struct Part {
    /// The name that the person wants.
    pub(crate) nick: Option<String>,
    /// The room that the person was in last, or wants.
    pub(crate) room: Option<String>,
    /// The dialect, once it is known.
    pub(crate) speaks: Option<Speaks>,
    pub(crate) outgoing: Outgoing,
    /// How many connections there were.
    calls: u64,
    /// Who is at the other end, while there is one.
    peer: Option<Peer>,
    /// Whether the person has said the last word.
    pub(crate) is_over: bool,
    /// Whether the server took the person in, on any connection.
    pub(crate) was_in: bool,
    /// Whether it did on this one.
    pub(crate) is_in: bool,
    /// Whether the server wants the person no more.
    pub(crate) is_dismissed: bool,
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
        ChatClient { endpoint, place, timeout, reporter, reconnect, speaks: None, asks_who: false }
    }

    /// Has it go to a room of this name.
    pub fn room(mut self, room: Option<String>) -> ChatClient {
        self.place.1 = room;
        self
    }

    /// Sets whether it calls again when the connection is lost; otherwise it never does.
    pub fn reconnect(mut self, reconnect: Reconnect) -> ChatClient {
        self.reconnect = reconnect;
        self
    }

    /// Sets the dialect; otherwise it finds out what the server speaks.
    pub fn speaks(mut self, dialect: Option<Speaks>) -> ChatClient {
        self.speaks = dialect;
        self
    }

    /// Has it ask who is there whenever it comes into a room where somebody is.
    pub fn asks_who(mut self, asks: bool) -> ChatClient {
        self.asks_who = asks;
        self
    }

    /// Does what is to be done until `io` is, and keeps what is typed meanwhile. Nothing comes back if the client
    /// is asked to stop, or the person leaves.
    async fn meanwhile<T>(
        &self,
        ctx: &mut Context<ChatInput>,
        part: &mut Part,
        io: impl Future<Output = T>,
    ) -> Option<T> {
        let mut io = pin!(io);
        while !part.is_over && !part.outgoing.is_full() {
            match ctx.next(io.as_mut()).await {
                Event::Message(ChatInput::Line(text)) => {
                    if matches!(parse(&text), Command::Quit) && part.was_in {
                        return None;
                    }
                    part.say(&text);
                }
                Event::Message(ChatInput::End) => part.is_over = true,
                Event::Io(done) => return Some(done),
                Event::Stop => return None,
            }
        }
        ctx.unless_stopped(io).await
    }

    /// Connects, and talks until it is over.
    async fn call(&self, ctx: &mut Context<ChatInput>, part: &mut Part) -> Result<(), ClientError> {
        let asked = ctx.now();
        let connect = Stream::connect(&self.endpoint, self.timeout);
        // The first words of somebody who never was there wait: they tell the dialect.
        let stream = match part.was_in {
            true => self.meanwhile(ctx, part, connect).await,
            false => ctx.unless_stopped(connect).await,
        };
        let Some(stream) = stream else { return Ok(()) };
        let stream = stream?;
        let (peer, conn) = (stream.peer().clone(), part.calls);
        part.calls += 1;
        part.peer = Some(peer.clone());
        self.reporter.send(|| Report::Connected { peer, conn }).await;
        let mut call = Call::new(self, stream, ctx.now() - asked);
        let done = call.talk(ctx, part).await;
        call.close().await;
        done
    }

    /// Tells that the connection is lost, and waits; returns `false` if the talk is over.
    async fn wait(
        &self,
        ctx: &mut Context<ChatInput>,
        part: &mut Part,
        failure: &ClientError,
        pause: Duration,
    ) -> bool {
        part.outgoing.lose_connection();
        part.is_in = false;
        if let Some(peer) = part.peer.take() {
            let (conn, why) = (part.calls - 1, failure.to_string());
            self.reporter.send(|| Report::Disconnected { peer, conn, reason: why }).await;
        }
        let pause = ctx.clock().sleep_jittered(pause);
        self.meanwhile(ctx, part, pause).await.is_some()
    }
}

impl Part {
    /// Takes what was typed; an empty line is nothing.
    pub(crate) fn say(&mut self, text: &str) {
        if !text.is_empty() {
            self.outgoing.say(text);
        }
    }

    /// What a call in lines begins with; nothing where the dialect is to be found out.
    pub(crate) fn opening(&self) -> Vec<String> {
        let nick = self.nick.iter().map(|nick| format!("/nick {nick}"));
        let room = self.room.iter().map(|room| format!("/join {room}"));
        nick.chain(room).collect()
    }
}

impl Actor for ChatClient {
    type Message = ChatInput;

    async fn run(self, mut ctx: Context<ChatInput>) -> Outcome {
        let (nick, room) = self.place.clone();
        let mut part = Part {
            nick,
            room,
            speaks: self.speaks,
            outgoing: Outgoing::default(),
            calls: 0,
            peer: None,
            is_over: false,
            was_in: false,
            is_in: false,
            is_dismissed: false,
        };
        let mut pause = PAUSES.0;
        let mut over_since: Option<Instant> = None;
        loop {
            let Err(failure) = self.call(&mut ctx, &mut part).await else { return Ok(()) };
            let goes_on = match self.reconnect {
                Reconnect::Never => false,
                Reconnect::OnceIn => part.was_in,
                Reconnect::Always => true,
            };
            if !goes_on || part.is_dismissed {
                return Err(failure.into());
            }
            if part.is_in {
                pause = PAUSES.0;
            }
            if !self.wait(&mut ctx, &mut part, &failure, pause).await {
                return self.unsaid(&part, None).await;
            }
            pause = (2 * pause).min(PAUSES.1);
            if part.is_over {
                // Nobody is there any more: what is left to say is tried for as long as an answer may take.
                let since = *over_since.get_or_insert(ctx.now());
                if part.outgoing.said() == 0 || ctx.now() - since >= self.timeout {
                    return self.unsaid(&part, Some(failure)).await;
                }
            }
        }
    }
}

impl ChatClient {
    /// Ends without a server, and tells what was never said.
    async fn unsaid(&self, part: &Part, failure: Option<ClientError>) -> Outcome {
        let (count, server) = (part.outgoing.said(), self.endpoint.to_string());
        match (count, failure) {
            (0, _) => Ok(()),
            (count, Some(_)) => Err(ClientError::UndeliveredLines { server, count }.into()),
            (count, None) => {
                let why = ClientError::UndeliveredLines { server, count }.to_string();
                self.reporter.send(|| Report::Rejected { peer: None, reason: why }).await;
                Ok(())
            }
        }
    }
}
