//! The state of a chat session, and its requests to the room manager.
//!
//! The dialects work on this state: [`lines`](super::lines), [`commands`](super::commands) and
//! [`lecture`](super::lecture).

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::actors::chat::broadcast::subscription::Subscription;
use crate::actors::chat::manager::request::{JoinRequest, JoinedRoom, RoomRequest};
use crate::actors::chat::messages::{Dialect, SessionMessage};
use crate::actors::chat::operator_auth::OperatorAuth;
use crate::actors::chat::registry::Membership;
use crate::actors::chat::session::input_rate::{InputRate, new_source_limiter};
use crate::actors::chat::session::io::{SessionEvent, SessionIo};
use crate::actors::support::ip_limit::{PerIpPermit, ip_key};
use crate::actors::support::report::{Report, Reporter};
use crate::actors::support::source_rate_limit::SourceRateLimiter;
use crate::net::Peer;
use crate::runtime::{Address, Context, Reply};
use crate::time::deadline_after;
use crate::wire::chat::notice;
use crate::wire::lines::LineBuffer;
use crate::wire::units::format_duration;

/// Timeout of a request to the room manager.
const MANAGER_TIMEOUT: Duration = Duration::from_secs(10);

/// The limits of a session.
#[derive(Debug, Clone)]
pub struct SessionLimits {
    /// Maximum time until the first byte. `None` stands for `idle_timeout`.
    pub first_timeout: Option<Duration>,
    /// Maximum time between two inputs. `None` for no limit.
    pub idle_timeout: Option<Duration>,
    /// Maximum number of lines that `/history` shows.
    pub max_history_lines: usize,
    /// Number of lines that a session may send per duration. All sessions of an address together
    /// may send ten times as many. A client over its limit is delayed, not disconnected.
    pub rate: (u32, Duration),
    /// Whether the rate limit applies to loopback and Unix clients too.
    pub rate_on_loopback: bool,
    /// The dialect of all clients. `None` detects it from the first bytes.
    pub dialect: Option<Dialect>,
    /// The operator password. `None` rejects operator commands.
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

/// The configuration that all sessions of a server share, and the rate limits of their sources.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    pub(crate) limits: SessionLimits,
    pub(crate) manager: Address<RoomRequest>,
    pub(crate) reporter: Reporter,
    pub(crate) sources: Arc<SourceRateLimiter>,
}

impl SessionConfig {
    /// Creates the configuration: the limits of each session, the room manager, and the receiver of
    /// connections, disconnections and messages.
    pub fn new(
        limits: SessionLimits,
        manager: Address<RoomRequest>,
        reporter: Reporter,
    ) -> SessionConfig {
        let sources = new_source_limiter(limits.rate);
        SessionConfig { limits, manager, reporter, sources }
    }
}

/// A running session. Thousands of them wait for their next line, so this holds each thing once,
/// and the futures that run rarely (start, commands, close) are boxed.
pub(crate) struct Session {
    pub(crate) ctx: Context<SessionMessage>,
    pub(crate) io: SessionIo,
    pub(crate) config: Arc<SessionConfig>,
    /// When the peer last sent something.
    pub(crate) last_input: Instant,
    /// The connection's number.
    pub(crate) conn: u64,
    pub(crate) _ip_permit: PerIpPermit,
    /// The rate limits of the input. `None` for a client that is not limited.
    pub(crate) input_rate: Option<Box<InputRate>>,
    /// Whether the report of the disconnection was sent, or is being sent.
    pub(crate) end_reported: bool,
}

/// The state of a member who sends lines.
pub(crate) struct LineSession {
    pub(crate) member: Membership,
    /// The input that was not handled yet. `None` while there is none.
    pub(crate) input: Option<Box<LineBuffer>>,
    /// The subscription to the member's room. `None` outside of a room.
    pub(crate) subscription: Option<Subscription>,
    pub(crate) acks_enabled: bool,
    pub(crate) show_times: bool,
    /// Number of private notices that were dropped because the outbox was full.
    pub(crate) dropped_private: u64,
    pub(crate) is_operator: bool,
    /// Number of wrong operator passwords.
    pub(crate) failed_logins: u8,
    /// Whether the peer has closed its side.
    pub(crate) input_closed: bool,
}

impl LineSession {
    /// Returns whether the input has a whole line.
    pub(crate) fn has_line(&mut self) -> bool {
        self.input.as_mut().is_some_and(|input| input.has_line())
    }

    /// Frees the input buffer if it is empty.
    pub(crate) fn release_buffer(&mut self) {
        self.input.take_if(|input| input.is_empty());
    }
}

/// Handles an event of a session that receives no messages. The error is the reason why the session
/// ends.
pub(crate) fn check_event(event: SessionEvent) -> Result<(), String> {
    match event {
        SessionEvent::Stop => Err("the server is shutting down".into()),
        SessionEvent::Message(SessionMessage::Close(reason)) => Err(reason),
        SessionEvent::IoError(error) => Err(error.to_string()),
        SessionEvent::Message(SessionMessage::Notice(_))
        | SessionEvent::RoomActivity
        | SessionEvent::Input(_)
        | SessionEvent::Drained
        | SessionEvent::TimedOut => Ok(()),
    }
}

impl Session {
    /// Returns the peer's address.
    pub(crate) fn peer(&self) -> &Peer {
        self.io.stream.peer()
    }

    /// Returns the peer's IP address, if it has one.
    pub(crate) fn peer_ip(&self) -> Option<IpAddr> {
        match self.peer() {
            Peer::Inet(address) => Some(address.ip()),
            Peer::Unix(_) => None,
        }
    }

    /// Returns what the sessions of a source have in common: the address, or `None` for all Unix
    /// sockets.
    pub(crate) fn source(&self) -> Option<IpAddr> {
        self.peer_ip().map(ip_key)
    }

    /// Applies the rate limits to the input, unless the peer is exempt.
    pub(crate) fn limit_input(&mut self) {
        let SessionConfig { limits, sources, .. } = &*self.config;
        if limits.rate_on_loopback || !self.peer().is_loopback() {
            let (source, now) = (self.source(), self.ctx.now());
            let input_rate = InputRate::new(limits.rate, sources.clone(), source, now);
            self.input_rate = Some(Box::new(input_rate));
        }
    }

    /// Counts a line or a chunk for the rate limits.
    pub(crate) fn record_input(&mut self, text: &str) {
        if let Some(input_rate) = &mut self.input_rate {
            input_rate.record(text, self.ctx.now());
        }
    }

    /// Returns when the next input may be handled, or `None` if it may be handled now.
    pub(crate) fn input_ready_at(&self) -> Option<Instant> {
        self.input_rate.as_ref()?.ready_at(self.ctx.now())
    }

    /// Returns when the session times out for lack of input.
    pub(crate) fn idle_deadline(&self) -> Option<Instant> {
        Some(deadline_after(self.last_input, self.config.limits.idle_timeout?))
    }

    /// Returns the reason for closing an idle session.
    pub(crate) fn idle_reason(&self) -> String {
        format!(
            "silent for {}",
            format_duration(self.config.limits.idle_timeout.unwrap_or_default())
        )
    }

    /// Sends a request to the room manager and waits for the reply. The error is a sentence for
    /// the member.
    pub(crate) async fn ask<R: Send>(
        &self,
        request: impl FnOnce(Reply<Result<R, String>>) -> RoomRequest,
    ) -> Result<R, String> {
        let reply = self.config.manager.ask(MANAGER_TIMEOUT, request).await;
        reply.unwrap_or_else(|error| Err(format!("no reply from the room manager: {error}")))
    }

    /// Asks the room manager to admit this member.
    pub(crate) async fn join(
        &self,
        request: JoinRequest,
    ) -> Result<(Membership, JoinedRoom), String> {
        self.ask(|reply| RoomRequest::Admit(request, reply)).await
    }

    /// Sends a message to the member's room and reports it. The error is a sentence for the
    /// member.
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

    /// Reports a message of the member.
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

    /// Subscribes a member to the room that it has joined, and greets it.
    pub(crate) fn send_welcome(&mut self, line_session: &mut LineSession, joined: JoinedRoom) {
        let (nick, _) = line_session.member.nick_and_room();
        let welcome = notice::format_welcome(&nick, &joined.room, joined.other_count);
        self.io.outbox.push(format!("* {welcome}\n"));
        if let Some(topic) = joined.topic {
            self.io.outbox.push(format!("* topic of {}: {topic}\n", joined.room));
        }
        line_session.subscription = Some(joined.subscription);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.end_reported {
            let (peer, conn) = (self.peer().clone(), self.conn);
            let reason = "the session was stopped".into();
            self.config.reporter.try_send(|| Report::Disconnected { peer, conn, reason });
        }
    }
}
