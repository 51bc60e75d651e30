//! The chat session: one connection to a chat server, whatever its dialect.
//!
//! The first bytes tell who is there (see [`crate::wire::chat::opening`]). A lecture client is served here:
//! chunk by chunk, with the receipt and nothing else, so that its lock-step is not broken; what it says is
//! heard in the room too. A client that sends lines is served by [`chat_line`](super::chat_line).

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::talk::{Happened, Talk, Wants};
use super::{Coming, Connection, Joined, Membership, Report, Reporter, ToRoom};
use crate::net::Peer;
use crate::runtime::{Actor, Address, AskError, Context, Outcome, Reply};
use crate::wire::chat::{Opening, RECEIPT, SETTLE, Utf8Chunks, opening};

/// How long the room may take to answer.
const ROOM_WITHIN: Duration = Duration::from_secs(10);

/// How long a peer may go on talking after its session has ended.
const LINGER: Duration = Duration::from_secs(1);

/// After so long a silence the kernel asks whether the peer still lives.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// What a session lets its peer do.
#[derive(Debug, Clone)]
pub struct SessionLimits {
    /// How long the first byte may take.
    pub first_timeout: Option<Duration>,
    /// How long the peer may be silent.
    pub idle_timeout: Option<Duration>,
    /// How many lines `/history` shows at most.
    pub history: usize,
    /// How many lines a peer may say, within which time; it waits when it says more.
    pub rate: (u32, Duration),
    /// Whether the rate binds those on this machine, too.
    pub rate_on_loopback: bool,
}

impl Default for SessionLimits {
    fn default() -> SessionLimits {
        SessionLimits {
            first_timeout: None,
            idle_timeout: None,
            history: 100,
            rate: (100, Duration::from_secs(10)),
            rate_on_loopback: false,
        }
    }
}

/// What a session is told, besides what is said in its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToSession {
    /// Something for its peer alone, with its newline.
    Line(String),
    /// The session is over, and why.
    End(String),
}

/// One connection to a chat server.
#[derive(Debug)]
pub struct ChatSession {
    connection: Connection,
    with: Arc<SessionWith>,
}

/// What all sessions of a server have in common.
#[derive(Debug, Clone)]
pub struct SessionWith {
    /// What they let their peers do.
    pub limits: SessionLimits,
    /// Who keeps the rooms.
    pub room: Address<ToRoom>,
    /// Who hears of what is said.
    pub reporter: Reporter,
}

/// A session at work.
pub(super) struct Session {
    pub(super) talk: Talk,
    pub(super) peer: Peer,
    pub(super) with: Arc<SessionWith>,
    /// When the peer last said something.
    pub(super) heard_at: Instant,
}

impl ChatSession {
    /// Makes the session of a connection.
    pub fn new(connection: Connection, with: Arc<SessionWith>) -> ChatSession {
        ChatSession { connection, with }
    }
}

impl Session {
    /// Reads until the dialect is settled; the bytes come back.
    async fn open(&mut self, ctx: &mut Context<ToSession>) -> Result<(Opening, Vec<u8>), String> {
        let mut bytes = Vec::new();
        let limits = &self.with.limits;
        let first = limits.first_timeout.or(limits.idle_timeout);
        loop {
            let limit = if bytes.is_empty() { first } else { Some(SETTLE) };
            let until = limit.and_then(|limit| self.heard_at.checked_add(limit));
            let wants = Wants { ear: None, plain: true, input: true, written: false, until };
            let happened = self.talk.next(ctx, wants, |more| bytes.extend_from_slice(more)).await;
            let silent = match happened {
                Happened::Stop => return Err("the server stops".into()),
                Happened::Mail(_) | Happened::Heard | Happened::Written => continue,
                Happened::Broken(error) => return Err(error.to_string()),
                Happened::Input(0) if bytes.is_empty() => return Err("closed by peer".into()),
                Happened::Late if bytes.is_empty() => return Err("silent since it came".into()),
                Happened::Input(0) | Happened::Late => SETTLE,
                Happened::Input(_) => Duration::ZERO,
            };
            self.heard_at = ctx.now();
            match opening(&bytes, silent) {
                Opening::Wait => {}
                settled => return Ok((settled, bytes)),
            }
        }
    }

    /// Serves a lecture client until it closes; returns why it ended.
    async fn lecture(&mut self, ctx: &mut Context<ToSession>, first: Vec<u8>) -> String {
        // It is never sent what others say, so it does not listen either.
        let coming = Coming { nick: None, quiet: true, session: None };
        let member = match self.come(coming).await {
            Ok((member, _)) => member,
            Err(why) => return why,
        };
        let mut chunks = Utf8Chunks::default();
        let mut chunk = first;
        let mut is_first = true;
        loop {
            let text = chunks.push(&chunk);
            if let Err(why) = self.say(&member, None, &text).await {
                return why;
            }
            self.talk.outbox.push(format!("{RECEIPT}{text}"));
            chunk = match self.next_chunk(ctx).await {
                Ok(chunk) => chunk,
                Err(why) => return why,
            };
            if std::mem::take(&mut is_first) && chunk.starts_with(b"\n") {
                // No lecture client sends this: it is the end of a line that was late on its way.
                drop(member);
                self.talk.outbox.push("\n");
                return Box::pin(self.lines(ctx, chunk[1..].to_vec())).await;
            }
        }
    }

    async fn next_chunk(&mut self, ctx: &mut Context<ToSession>) -> Result<Vec<u8>, String> {
        loop {
            let mut chunk = Vec::new();
            let wants = Wants {
                ear: None,
                plain: true,
                input: true,
                written: false,
                until: self.idle_until(),
            };
            match self.talk.next(ctx, wants, |more| chunk.extend_from_slice(more)).await {
                Happened::Stop => return Err("the server stops".into()),
                // Answers are for sessions in lines; a lecture client gets its receipts alone.
                Happened::Mail(ToSession::Line(_)) | Happened::Heard | Happened::Written => {}
                Happened::Mail(ToSession::End(why)) => return Err(why),
                Happened::Broken(error) => return Err(error.to_string()),
                Happened::Late => return Err(self.idle()),
                Happened::Input(0) => return Err("closed by peer".into()),
                Happened::Input(_) => {
                    self.heard_at = ctx.now();
                    return Ok(chunk);
                }
            }
        }
    }

    pub(super) fn idle_until(&self) -> Option<Instant> {
        self.heard_at.checked_add(self.with.limits.idle_timeout?)
    }

    pub(super) fn idle(&self) -> String {
        format!("silent for {:?}", self.with.limits.idle_timeout.unwrap_or_default())
    }

    /// Asks the room something.
    pub(super) async fn ask<R: Send>(
        &self,
        question: impl FnOnce(Reply<Result<R, String>>) -> ToRoom,
    ) -> Result<R, String> {
        let answer = self.with.room.ask(ROOM_WITHIN, question).await;
        answer.unwrap_or_else(|error| Err(room_gone(error)))
    }

    pub(super) async fn come(&self, coming: Coming) -> Result<(Membership, Joined), String> {
        self.ask(|reply| ToRoom::Come(coming, reply)).await
    }

    /// Says something to the room, and tells that it was said.
    pub(super) async fn say(
        &self,
        member: &Membership,
        nick: Option<String>,
        text: &str,
    ) -> Result<(), String> {
        self.report(member, nick, text).await;
        let text = text.trim_end_matches(['\r', '\n']).to_string();
        if text.is_empty() {
            return Ok(());
        }
        self.tell_room(ToRoom::Say(member.id(), text)).await
    }

    pub(super) async fn report(&self, member: &Membership, nick: Option<String>, text: &str) {
        let report = || Report::Message {
            peer: self.peer.clone(),
            nick,
            room: member.name_and_room().1.map(|room| room.to_string()),
            text: text.into(),
        };
        self.with.reporter.tell(report).await;
    }

    pub(super) async fn tell_room(&self, message: ToRoom) -> Result<(), String> {
        self.with.room.send(message).await.map_err(|_| room_gone(AskError::Closed))
    }
}

fn room_gone(error: AskError) -> String {
    format!("the room does not answer: {error}")
}

impl Actor for ChatSession {
    type Message = ToSession;

    async fn run(self, mut ctx: Context<ToSession>) -> Outcome {
        // Thousands of sessions wait for their next line: what they need only now and then is in boxes.
        let presence = Box::pin(self.connection.announce(&self.with.reporter)).await;
        let Connection { stream, .. } = self.connection;
        // A peer whose kernel does not do this is merely noticed later.
        let _ = stream.keepalive(KEEPALIVE);
        // What waits is written in one call already: a line must not wait for the answer to the last one.
        let _ = stream.nodelay(true);
        let (peer, talk) = (stream.peer().clone(), Talk::new(stream, ctx.clock().clone()));
        let mut session = Session { talk, peer, with: self.with, heard_at: ctx.now() };
        let why = match Box::pin(session.open(&mut ctx)).await {
            Ok((Opening::Line, first)) => session.lines(&mut ctx, first).await,
            Ok((_, first)) => Box::pin(session.lecture(&mut ctx, first)).await,
            Err(why) => why,
        };
        let end = async {
            // What the peer was told until now it still gets, if it takes it; it may be gone already.
            session.talk.finish(&mut ctx).await;
            let _ = session.talk.stream.close(LINGER).await;
            presence.end(why).await;
        };
        Box::pin(end).await;
        Ok(())
    }
}
