//! The chat session: one connection to a chat server, whatever its dialect.
//!
//! The first bytes tell who is there (see [`crate::wire::chat::opening`]). A lecture client is served here:
//! chunk by chunk, with the receipt and nothing else, so that its lock-step is not broken; what it says is
//! heard in the room too. A client that sends lines is served by [`chat_line`](super::chat_line).

use std::sync::Arc;
use std::time::Duration;

use super::{Connection, Joined, Report, Reporter, ToRoom, output};
use crate::net::Peer;
use crate::runtime::{Actor, Address, AskError, Clock, Context, Event, Outcome};
use crate::wire::chat::{LINE_MAX, Opening, RECEIPT, SETTLE, Utf8Chunks, opening};

/// How long the room may take to answer.
pub(super) const ROOM_WITHIN: Duration = Duration::from_secs(10);

/// How long a peer may take what is written to it before it is cut.
pub(super) const WRITE_WITHIN: Duration = Duration::from_secs(30);

/// How long a peer may go on talking after its session has ended.
const LINGER: Duration = Duration::from_secs(1);

/// After so long a silence the kernel asks whether the peer still lives.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// What a session lets its peer do.
#[derive(Debug, Clone, Default)]
pub struct SessionLimits {
    /// How long the first byte may take.
    pub first_timeout: Option<Duration>,
    /// How long the peer may be silent.
    pub idle_timeout: Option<Duration>,
}

/// One connection to a chat server. Its mailbox takes lines for its peer.
#[derive(Debug)]
pub struct ChatSession {
    pub(super) connection: Connection,
    pub(super) peer: Peer,
    pub(super) limits: SessionLimits,
    pub(super) room: Address<ToRoom>,
    pub(super) room_name: Arc<str>,
    pub(super) reporter: Reporter,
}

impl ChatSession {
    /// Makes the session of a connection, whose words go to `room`.
    pub fn new(
        connection: Connection,
        limits: SessionLimits,
        room: Address<ToRoom>,
        room_name: Arc<str>,
        reporter: Reporter,
    ) -> ChatSession {
        ChatSession {
            peer: connection.stream.peer().clone(),
            connection,
            limits,
            room,
            room_name,
            reporter,
        }
    }

    /// Reads until the dialect is settled; the bytes come back, and whether more can come.
    async fn open(&self, ctx: &mut Context<String>) -> Result<(Opening, Vec<u8>), String> {
        let clock = ctx.clock().clone();
        let mut bytes = Vec::new();
        let mut buf = [0; LINE_MAX];
        loop {
            let limit = match bytes.is_empty() {
                true => self.limits.first_timeout.or(self.limits.idle_timeout),
                false => Some(SETTLE),
            };
            let (silent, n) =
                match ctx.next(clock.within(limit, self.connection.stream.read(&mut buf))).await {
                    Event::Stop => return Err("the server stops".into()),
                    Event::Message(_) => continue,
                    Event::Io(Some(Ok(n))) => (if n == 0 { SETTLE } else { Duration::ZERO }, n),
                    Event::Io(Some(Err(error))) => return Err(error.to_string()),
                    Event::Io(None) => (SETTLE, 0),
                };
            bytes.extend_from_slice(&buf[..n]);
            if bytes.is_empty() {
                return Err(match silent.is_zero() {
                    true => "silent since it came".into(),
                    false => "closed by peer".into(),
                });
            }
            match opening(&bytes, silent) {
                Opening::Wait => {}
                settled => return Ok((settled, bytes)),
            }
        }
    }

    /// Serves a lecture client until it closes; returns why it ended.
    async fn lecture(&self, ctx: &mut Context<String>, first: Vec<u8>) -> String {
        // It is never sent what others say, so it does not listen either.
        let member = match self.join(None, true).await {
            Ok(Joined { member, .. }) => member,
            Err(why) => return why,
        };
        let clock = ctx.clock().clone();
        let mut chunks = Utf8Chunks::default();
        let mut chunk = first;
        let mut is_first = true;
        loop {
            let text = chunks.push(&chunk);
            if let Err(why) = self.say(member.id(), None, &text).await {
                return why;
            }
            if let Err(why) = self.write(&clock, &format!("{RECEIPT}{text}")).await {
                return why;
            }
            chunk = match self.next_chunk(ctx).await {
                Ok(chunk) => chunk,
                Err(why) => return why,
            };
            if std::mem::take(&mut is_first) && chunk.starts_with(b"\n") {
                // No lecture client sends this: it is the end of a line that was late on its way.
                drop(member);
                return match self.write(&clock, "\n").await {
                    Ok(()) => self.lines(ctx, chunk[1..].to_vec()).await,
                    Err(why) => why,
                };
            }
        }
    }

    async fn next_chunk(&self, ctx: &mut Context<String>) -> Result<Vec<u8>, String> {
        let clock = ctx.clock().clone();
        let mut buf = [0; LINE_MAX];
        loop {
            let read =
                clock.within(self.limits.idle_timeout, self.connection.stream.read(&mut buf));
            return match ctx.next(read).await {
                Event::Stop => Err("the server stops".into()),
                // Answers are for sessions in lines; a lecture client gets its receipts alone.
                Event::Message(_) => continue,
                Event::Io(Some(Ok(0))) => Err("closed by peer".into()),
                Event::Io(Some(Ok(n))) => Ok(buf[..n].to_vec()),
                Event::Io(Some(Err(error))) => Err(error.to_string()),
                Event::Io(None) => Err(self.idle()),
            };
        }
    }

    pub(super) fn idle(&self) -> String {
        format!("silent for {:?}", self.limits.idle_timeout.unwrap_or_default())
    }

    pub(super) async fn join(&self, nick: Option<String>, quiet: bool) -> Result<Joined, String> {
        self.room
            .ask(ROOM_WITHIN, |reply| ToRoom::Join { nick, quiet, reply })
            .await
            .unwrap_or_else(|error| Err(room_gone(error)))
    }

    /// Says something to the room, and tells that it was said.
    pub(super) async fn say(
        &self,
        member: u64,
        nick: Option<String>,
        text: &str,
    ) -> Result<(), String> {
        let (peer, room) = (self.peer.clone(), Some(self.room_name.to_string()));
        let report = || Report::Message { peer, nick, room, text: text.into() };
        self.reporter.tell(report).await;
        let text = text.trim_end_matches(['\r', '\n']).to_string();
        if text.is_empty() {
            return Ok(());
        }
        let said = self.room.send(ToRoom::Say { member, text }).await;
        said.map_err(|_| room_gone(AskError::Closed))
    }

    /// Writes to the peer, which is cut if it takes nothing for long.
    async fn write(&self, clock: &Clock, text: &str) -> Result<(), String> {
        let written =
            output::write_all(clock, &self.connection.stream, WRITE_WITHIN, text.as_bytes()).await;
        written.map_err(|error| error.to_string())
    }
}

pub(super) fn room_gone(error: AskError) -> String {
    format!("the room does not answer: {error}")
}

impl Actor for ChatSession {
    type Message = String;

    async fn run(self, mut ctx: Context<String>) -> Outcome {
        let presence = self.connection.announce(&self.reporter).await;
        // A peer whose kernel does not do this is merely noticed later.
        let _ = self.connection.stream.keepalive(KEEPALIVE);
        let why = match self.open(&mut ctx).await {
            Ok((Opening::Line, first)) => self.lines(&mut ctx, first).await,
            Ok((_, first)) => self.lecture(&mut ctx, first).await,
            Err(why) => why,
        };
        // The peer may be gone already.
        let _ = self.connection.stream.close(LINGER).await;
        presence.end(why).await;
        Ok(())
    }
}
