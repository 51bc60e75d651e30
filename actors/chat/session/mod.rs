//! The chat session: one connection to a chat server, whatever its dialect.
//!
//! The first bytes tell who is there (see [`crate::wire::chat::opening`]): a lecture client, which is served by
//! [`chat_lecture`](lecture), or a [`speaker`](lines), who sends lines.

pub(crate) mod commands;
pub(crate) mod delivery;
pub(crate) mod io;
pub(crate) mod lecture;
pub(crate) mod lines;
pub(crate) mod outbox;
pub(crate) mod wish;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::actors::{
    Coming, Connection, Joined, Membership, Operators, PerIpPermit, Report, Reporter, Speaks,
    ToRoom,
};
use crate::net::Peer;
use crate::runtime::{Actor, Address, AskError, Context, Outcome, Reply};
use crate::wire::chat::{DETECT_TIMEOUT, DetectedDialect, MAX_LINE_LEN, detect_dialect};
use io::{Happened, Talk, Wants};
use lines::Speaker;

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
    /// The dialect that all peers speak; without it, the first bytes of each tell.
    pub dialect: Option<Speaks>,
    /// Who may give orders; without it, no peer may.
    pub operators: Option<Operators>,
}

impl Default for SessionLimits {
    fn default() -> SessionLimits {
        SessionLimits {
            first_timeout: None,
            idle_timeout: None,
            history: 100,
            rate: (100, Duration::from_secs(10)),
            rate_on_loopback: false,
            dialect: None,
            operators: None,
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

/// A session at work. Thousands of them wait for their next line, so everything is in it once, and what it does
/// only now and then (to begin, to take a line, to end) is in boxes of its own.
pub(crate) struct Session {
    pub(crate) ctx: Context<ToSession>,
    pub(crate) talk: Talk,
    pub(crate) with: Arc<SessionWith>,
    /// When the peer last said something.
    pub(crate) heard_at: Instant,
    /// The connection's number.
    conn: u64,
    _visit: Option<PerIpPermit>,
    /// Whether its end was told, or is being told.
    is_over: bool,
}

impl ChatSession {
    /// Makes the session of a connection.
    pub fn new(connection: Connection, with: Arc<SessionWith>) -> ChatSession {
        ChatSession { connection, with }
    }
}

impl Session {
    pub(crate) fn peer(&self) -> &Peer {
        self.talk.stream.peer()
    }

    /// Serves the peer until it leaves; returns why it ended.
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    fn serve(&mut self) -> impl Future<Output = String> + Send {
        async move {
            let mut begun = Box::pin(self.begin()).await;
            match &mut begun {
                Ok(speaker) => self.lines(speaker).await,
                Err(why) => std::mem::take(why),
            }
        }
    }

    /// Begins a session in lines, and serves any other; an error tells why the session ended.
    async fn begin(&mut self) -> Result<Speaker, String> {
        let (peer, conn) = (self.peer().clone(), self.conn);
        self.with.reporter.send(|| Report::Connected { peer, conn }).await;
        // A peer whose kernel does not do this is merely noticed later.
        let _ = self.talk.stream.set_keepalive(KEEPALIVE);
        // What waits is written in one call already: a line must not wait for the answer to the last one.
        let _ = self.talk.stream.set_nodelay(true);
        match self.open().await? {
            (DetectedDialect::Line, first) => self.enter(&first).await,
            (_, first) => Err(self.lecture(first).await),
        }
    }

    /// Gives the peer what it was told until now, if it takes it, and tells that the session is over.
    async fn end(&mut self, why: String) {
        self.talk.finish(&mut self.ctx).await;
        // The peer may be gone already.
        let _ = self.talk.stream.linger_close(LINGER).await;
        self.is_over = true;
        let (peer, conn) = (self.peer().clone(), self.conn);
        self.with.reporter.send(|| Report::Disconnected { peer, conn, reason: why }).await;
    }

    /// Reads until the dialect is settled; the bytes come back.
    async fn open(&mut self) -> Result<(DetectedDialect, Vec<u8>), String> {
        let mut bytes = Vec::new();
        let limits = &self.with.limits;
        let first = limits.first_timeout.or(limits.idle_timeout);
        loop {
            let limit = match limits.dialect {
                _ if bytes.is_empty() => first,
                // The end of its first line may take as long as its next line.
                Some(Speaks::Lines) => limits.idle_timeout,
                _ => Some(DETECT_TIMEOUT),
            };
            let until = limit.and_then(|limit| self.heard_at.checked_add(limit));
            let wants = Wants { ear: None, plain: true, input: true, written: false, until };
            let take = |more: &[u8]| bytes.extend_from_slice(more);
            let happened = self.talk.next(&mut self.ctx, wants, take).await;
            let is_over = matches!(happened, Happened::Input(0));
            let silent = match happened {
                Happened::Stop => return Err("the server stops".into()),
                Happened::Mail(_) | Happened::Heard | Happened::Written => continue,
                Happened::Broken(error) => return Err(error.to_string()),
                Happened::Input(0) if bytes.is_empty() => return Err("closed by peer".into()),
                Happened::Late if bytes.is_empty() => return Err("silent since it came".into()),
                Happened::Late if limits.dialect == Some(Speaks::Lines) => return Err(self.idle()),
                Happened::Input(0) | Happened::Late => DETECT_TIMEOUT,
                Happened::Input(_) => Duration::ZERO,
            };
            self.heard_at = self.ctx.now();
            match self.opening(&bytes, silent, is_over) {
                DetectedDialect::Pending => {}
                settled => return Ok((settled, bytes)),
            }
        }
    }

    /// Judges the first bytes, where it is not settled what all peers speak.
    fn opening(&self, bytes: &[u8], silent: Duration, is_over: bool) -> DetectedDialect {
        match self.with.limits.dialect {
            None => detect_dialect(bytes, silent),
            Some(Speaks::Lecture) => DetectedDialect::Lecture,
            // A line without an end is one once it is longer than any may be, or the peer ended its side.
            Some(Speaks::Lines) => {
                match is_over || bytes.contains(&b'\n') || bytes.len() > MAX_LINE_LEN {
                    true => DetectedDialect::Line,
                    false => DetectedDialect::Pending,
                }
            }
        }
    }

    /// Returns the address that the peer comes from, if it has one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self.peer() {
            Peer::Inet(address) => Some(address.ip()),
            Peer::Unix(_) => None,
        }
    }

    pub(crate) fn idle_until(&self) -> Option<Instant> {
        self.heard_at.checked_add(self.with.limits.idle_timeout?)
    }

    pub(crate) fn idle(&self) -> String {
        format!("silent for {:?}", self.with.limits.idle_timeout.unwrap_or_default())
    }

    /// Asks the room something.
    pub(crate) async fn ask<R: Send>(
        &self,
        question: impl FnOnce(Reply<Result<R, String>>) -> ToRoom,
    ) -> Result<R, String> {
        let answer = self.with.room.ask(ROOM_WITHIN, question).await;
        answer.unwrap_or_else(|error| Err(room_gone(error)))
    }

    pub(crate) async fn come(&self, coming: Coming) -> Result<(Membership, Joined), String> {
        self.ask(|reply| ToRoom::Come(coming, reply)).await
    }

    /// Says something in the member's room, and tells that it was said; an error tells why nobody hears it.
    pub(crate) async fn say(
        &self,
        member: &Membership,
        nick: Option<String>,
        text: &str,
    ) -> Result<(), &'static str> {
        self.report(member, nick, text).await;
        match text.trim_end_matches(['\r', '\n']) {
            "" => Ok(()),
            text => member.say(text, self.ctx.clock().system_time()),
        }
    }

    pub(crate) async fn report(&self, member: &Membership, nick: Option<String>, text: &str) {
        let report = || Report::Message {
            peer: self.peer().clone(),
            nick,
            room: member.name_and_room().1.map(|room| room.to_string()),
            text: text.into(),
        };
        self.with.reporter.send(report).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_over {
            let (peer, conn) = (self.peer().clone(), self.conn);
            let why = "its actor was ended".into();
            self.with.reporter.try_send(|| Report::Disconnected { peer, conn, reason: why });
        }
    }
}

fn room_gone(error: AskError) -> String {
    format!("the room does not answer: {error}")
}

impl Actor for ChatSession {
    type Message = ToSession;

    fn run(self, ctx: Context<ToSession>) -> impl Future<Output = Outcome> + Send {
        let ChatSession {
            connection: Connection { stream, number: conn, ip_permit: _visit },
            with,
        } = self;
        let (talk, heard_at) = (Talk::new(stream), ctx.now());
        let mut session = Session { ctx, talk, with, heard_at, conn, _visit, is_over: false };
        async move {
            let why = session.serve().await;
            Box::pin(session.end(why)).await;
            Ok(())
        }
    }
}
