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
    Connection, Dialect, JoinRequest, JoinedRoom, Membership, OperatorAuth, PerIpPermit, Report,
    Reporter, RoomRequest,
};
use crate::net::Peer;
use crate::runtime::{Actor, Address, AskError, Context, Outcome, Reply};
use crate::wire::chat::{DETECT_TIMEOUT, DetectedDialect, MAX_LINE_LEN, detect_dialect};
use io::{SessionEvent, SessionIo, WaitFor};
use lines::LineSession;

/// How long the room may take to answer.
const MANAGER_TIMEOUT: Duration = Duration::from_secs(10);

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
    pub max_history_lines: usize,
    /// How many lines a peer may say, within which time; it waits when it says more.
    pub rate: (u32, Duration),
    /// Whether the rate binds those on this machine, too.
    pub rate_on_loopback: bool,
    /// The dialect that all peers speak; without it, the first bytes of each tell.
    pub dialect: Option<Dialect>,
    /// Who may give orders; without it, no peer may.
    pub operators: Option<OperatorAuth>,
}

impl Default for SessionLimits {
    fn default() -> SessionLimits {
        SessionLimits {
            first_timeout: None,
            idle_timeout: None,
            max_history_lines: 100,
            rate: (100, Duration::from_secs(10)),
            rate_on_loopback: false,
            dialect: None,
            operators: None,
        }
    }
}

/// What a session is told, besides what is said in its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SessionMessage {
    /// Something for its peer alone, with its newline.
    Notice(String),
    /// The session is over, and why.
    Close(String),
}

/// One connection to a chat server.
#[derive(Debug)]
pub struct ChatSession {
    connection: Connection,
    config: Arc<SessionConfig>,
}

/// What all sessions of a server have in common.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// What they let their peers do.
    pub limits: SessionLimits,
    /// Who keeps the rooms.
    pub manager: Address<RoomRequest>,
    /// Who hears of what is said.
    pub reporter: Reporter,
}

/// A session at work. Thousands of them wait for their next line, so everything is in it once, and what it does
/// only now and then (to begin, to take a line, to end) is in boxes of its own.
pub(crate) struct Session {
    pub(crate) ctx: Context<SessionMessage>,
    pub(crate) io: SessionIo,
    pub(crate) config: Arc<SessionConfig>,
    /// When the peer last said something.
    pub(crate) last_input: Instant,
    /// The connection's number.
    conn: u64,
    _ip_permit: Option<PerIpPermit>,
    /// Whether its end was told, or is being told.
    end_reported: bool,
}

impl ChatSession {
    /// Makes the session of a connection.
    pub fn new(connection: Connection, with: Arc<SessionConfig>) -> ChatSession {
        ChatSession { connection, config: with }
    }
}

impl Session {
    pub(crate) fn peer(&self) -> &Peer {
        self.io.stream.peer()
    }

    /// Serves the peer until it leaves; returns why it ended.
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    fn serve(&mut self) -> impl Future<Output = String> + Send {
        async move {
            let mut begun = Box::pin(self.start()).await;
            match &mut begun {
                Ok(speaker) => self.run_lines(speaker).await,
                Err(why) => std::mem::take(why),
            }
        }
    }

    /// Begins a session in lines, and serves any other; an error tells why the session ended.
    async fn start(&mut self) -> Result<LineSession, String> {
        let (peer, conn) = (self.peer().clone(), self.conn);
        self.config.reporter.send(|| Report::Connected { peer, conn }).await;
        // A peer whose kernel does not do this is merely noticed later.
        let _ = self.io.stream.set_keepalive(KEEPALIVE);
        // What waits is written in one call already: a line must not wait for the answer to the last one.
        let _ = self.io.stream.set_nodelay(true);
        match self.detect_dialect().await? {
            (DetectedDialect::Line, first) => self.start_line_session(&first).await,
            (_, first) => Err(self.run_lecture(first).await),
        }
    }

    /// Gives the peer what it was told until now, if it takes it, and tells that the session is over.
    async fn close(&mut self, why: String) {
        self.io.flush_outbox(&mut self.ctx).await;
        // The peer may be gone already.
        let _ = self.io.stream.linger_close(LINGER).await;
        self.end_reported = true;
        let (peer, conn) = (self.peer().clone(), self.conn);
        self.config.reporter.send(|| Report::Disconnected { peer, conn, reason: why }).await;
    }

    /// Reads until the dialect is settled; the bytes come back.
    async fn detect_dialect(&mut self) -> Result<(DetectedDialect, Vec<u8>), String> {
        let mut bytes = Vec::new();
        let limits = &self.config.limits;
        let first = limits.first_timeout.or(limits.idle_timeout);
        loop {
            let limit = match limits.dialect {
                _ if bytes.is_empty() => first,
                // The end of its first line may take as long as its next line.
                Some(Dialect::Line) => limits.idle_timeout,
                _ => Some(DETECT_TIMEOUT),
            };
            let until = limit.and_then(|limit| self.last_input.checked_add(limit));
            let wants = WaitFor {
                subscription: None,
                verbatim: true,
                input: true,
                flushed: false,
                deadline: until,
            };
            let take = |more: &[u8]| bytes.extend_from_slice(more);
            let happened = self.io.next(&mut self.ctx, wants, take).await;
            let is_over = matches!(happened, SessionEvent::Input(0));
            let silent = match happened {
                SessionEvent::Stop => return Err("the server stops".into()),
                SessionEvent::Message(_) | SessionEvent::RoomActivity | SessionEvent::Flushed => {
                    continue;
                }
                SessionEvent::IoError(error) => return Err(error.to_string()),
                SessionEvent::Input(0) if bytes.is_empty() => return Err("closed by peer".into()),
                SessionEvent::TimedOut if bytes.is_empty() => {
                    return Err("silent since it came".into());
                }
                SessionEvent::TimedOut if limits.dialect == Some(Dialect::Line) => {
                    return Err(self.idle_reason());
                }
                SessionEvent::Input(0) | SessionEvent::TimedOut => DETECT_TIMEOUT,
                SessionEvent::Input(_) => Duration::ZERO,
            };
            self.last_input = self.ctx.now();
            match self.classify_input(&bytes, silent, is_over) {
                DetectedDialect::Pending => {}
                settled => return Ok((settled, bytes)),
            }
        }
    }

    /// Judges the first bytes, where it is not settled what all peers speak.
    fn classify_input(&self, bytes: &[u8], silent: Duration, is_over: bool) -> DetectedDialect {
        match self.config.limits.dialect {
            None => detect_dialect(bytes, silent),
            Some(Dialect::Lecture) => DetectedDialect::Lecture,
            // A line without an end is one once it is longer than any may be, or the peer ended its side.
            Some(Dialect::Line) => {
                match is_over || bytes.contains(&b'\n') || bytes.len() > MAX_LINE_LEN {
                    true => DetectedDialect::Line,
                    false => DetectedDialect::Pending,
                }
            }
        }
    }

    /// Returns the address that the peer comes from, if it has one.
    pub(crate) fn peer_ip(&self) -> Option<IpAddr> {
        match self.peer() {
            Peer::Inet(address) => Some(address.ip()),
            Peer::Unix(_) => None,
        }
    }

    pub(crate) fn idle_deadline(&self) -> Option<Instant> {
        self.last_input.checked_add(self.config.limits.idle_timeout?)
    }

    pub(crate) fn idle_reason(&self) -> String {
        format!("silent for {:?}", self.config.limits.idle_timeout.unwrap_or_default())
    }

    /// Asks the room something.
    pub(crate) async fn ask<R: Send>(
        &self,
        question: impl FnOnce(Reply<Result<R, String>>) -> RoomRequest,
    ) -> Result<R, String> {
        let answer = self.config.manager.ask(MANAGER_TIMEOUT, question).await;
        answer.unwrap_or_else(|error| Err(manager_error(error)))
    }

    pub(crate) async fn join(
        &self,
        coming: JoinRequest,
    ) -> Result<(Membership, JoinedRoom), String> {
        self.ask(|reply| RoomRequest::Admit(coming, reply)).await
    }

    /// Says something in the member's room, and tells that it was said; an error tells why nobody hears it.
    pub(crate) async fn send_message(
        &self,
        member: &Membership,
        nick: Option<String>,
        text: &str,
    ) -> Result<(), &'static str> {
        self.report_message(member, nick, text).await;
        match text.trim_end_matches(['\r', '\n']) {
            "" => Ok(()),
            text => member.send(text, self.ctx.clock().system_time()),
        }
    }

    pub(crate) async fn report_message(
        &self,
        member: &Membership,
        nick: Option<String>,
        text: &str,
    ) {
        let report = || Report::Message {
            peer: self.peer().clone(),
            nick,
            room: member.nick_and_room().1.map(|room| room.to_string()),
            text: text.into(),
        };
        self.config.reporter.send(report).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.end_reported {
            let (peer, conn) = (self.peer().clone(), self.conn);
            let why = "its actor was ended".into();
            self.config.reporter.try_send(|| Report::Disconnected { peer, conn, reason: why });
        }
    }
}

fn manager_error(error: AskError) -> String {
    format!("the room does not answer: {error}")
}

impl Actor for ChatSession {
    type Message = SessionMessage;

    fn run(self, ctx: Context<SessionMessage>) -> impl Future<Output = Outcome> + Send {
        let ChatSession {
            connection: Connection { stream, number: conn, ip_permit: _visit },
            config: with,
        } = self;
        let (talk, heard_at) = (SessionIo::new(stream), ctx.now());
        let mut session = Session {
            ctx,
            io: talk,
            config: with,
            last_input: heard_at,
            conn,
            _ip_permit: _visit,
            end_reported: false,
        };
        async move {
            let why = session.serve().await;
            Box::pin(session.close(why)).await;
            Ok(())
        }
    }
}
