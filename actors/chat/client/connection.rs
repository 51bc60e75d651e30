//! One connection of a chat client, and the line dialect on it.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::actors::chat::client::nick_claim::NickClaim;
use crate::actors::chat::client::state::{ChatInput, ClientConfig, ClientState, is_quit};
use crate::actors::support::client_error::ClientError;
use crate::actors::support::report::Report;
use crate::net::Stream;
use crate::runtime::{Context, Event};
use crate::time::deadline_after;
use crate::wire::chat::notice::{Notice, parse_notice};
use crate::wire::chat::{ACK_PREFIX, MAX_LINE_LEN};
use crate::wire::lines::{Line, LineBuffer};
use crate::wire::text::{decode_lossy, escape};

/// The command that opens a line connection when the user has typed nothing yet.
pub(crate) const OPENING_COMMAND: &str = "/ack off";

/// Maximum time to drain the server's output after the end.
const LINGER: Duration = Duration::from_millis(100);

/// The longest line of a server that is shown, in bytes. It is longer than the text in it: a
/// receipt has a prefix, a message a nick, and an escaped control character has six bytes.
const MAX_SERVER_LINE_LEN: usize = 8 * MAX_LINE_LEN;

/// Minimum time between two `/who` of the client, however often the server welcomes it.
const WHO_INTERVAL: Duration = Duration::from_secs(1);

/// Idle time after which the kernel probes whether the server is alive.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// A connection to a server.
pub(crate) struct ClientConnection<'a> {
    pub(crate) config: &'a ClientConfig,
    pub(crate) stream: Stream,
    /// The time that connecting took.
    pub(crate) connect_time: Duration,
    pub(crate) input: LineBuffer,
    /// Replies to the client's own commands. They are not shown to the user.
    pub(crate) expected_echoes: Vec<String>,
    /// The user's nick, while another connection still has it.
    nick_claim: Option<NickClaim>,
    /// Whether there was a claim on this connection. A further one needs another connection.
    has_claimed: bool,
    /// Whether a `/who` of the client has no reply yet.
    awaits_member_list: bool,
    /// Whether the current line of the server is too long, and was reported.
    is_cutting: bool,
}

/// The event that ended a wait for I/O.
enum ClientIoEvent {
    Readable,
    Writable,
    TimedOut,
    /// The next attempt to take the user's nick back is due.
    ClaimDue,
}

impl ClientConnection<'_> {
    /// Creates a connection from a stream that took `connect_time` to connect.
    pub(crate) fn new(
        config: &ClientConfig,
        stream: Stream,
        connect_time: Duration,
    ) -> ClientConnection<'_> {
        // A line must not wait for the acknowledgement of the previous one.
        let _ = stream.set_nodelay(true);
        // Without keepalive a client that only reads never notices a dead server.
        let _ = stream.set_keepalive(KEEPALIVE);
        ClientConnection {
            config,
            stream,
            connect_time,
            input: LineBuffer::new(MAX_SERVER_LINE_LEN),
            expected_echoes: Vec::new(),
            nick_claim: None,
            has_claimed: false,
            awaits_member_list: false,
            is_cutting: false,
        }
    }

    /// Closes the connection. Errors are ignored: everything was sent or reported before.
    pub(crate) async fn close(self) {
        let _ = self.stream.close(LINGER).await;
    }

    pub(crate) fn io_error(&self, source: io::Error) -> ClientError {
        ClientError::from_io(source, &self.config.endpoint, self.config.timeout)
    }

    pub(crate) fn closed_error(&self, phase: Option<&'static str>) -> ClientError {
        ClientError::Closed { server: self.config.endpoint.to_string(), phase }
    }

    pub(crate) fn timeout_error(&self) -> ClientError {
        ClientError::TimedOut {
            server: self.config.endpoint.to_string(),
            limit: self.config.timeout,
        }
    }

    /// Runs the line dialect: sends the user's lines and shows the server's, neither waiting for
    /// the other. Returns `true` if the server turns out to speak the lecture dialect.
    ///
    /// # Errors
    ///
    /// The connection was lost, or the server took nothing within the timeout.
    pub(crate) async fn run_lines(
        &mut self,
        ctx: &mut Context<ChatInput>,
        state: &mut ClientState,
    ) -> Result<bool, ClientError> {
        // Start of the current timeout: when the server last took bytes while some wait, or when
        // the write side was shut down.
        let mut waiting_since: Option<Instant> = None;
        let mut is_shut_down = false;
        loop {
            while let Some(line) = self.input.next_line() {
                if self.handle_line(line, state, ctx.now()).await {
                    return Ok(true);
                }
            }
            if self.input.is_cutting() && !self.is_cutting {
                // Its end may never come.
                self.is_cutting = true;
                self.report_cut_line().await;
            }
            self.claim_nick(state, ctx.now());
            let any =
                state.send_queue.flush(&self.stream).map_err(|source| self.io_error(source))?;
            if state.input_closed && state.send_queue.is_empty() && !is_shut_down {
                // The server replies to the last lines before it closes.
                self.stream.shutdown_write().map_err(|source| self.io_error(source))?;
                (is_shut_down, waiting_since) = (true, None);
            }
            let is_waiting = is_shut_down || !state.send_queue.is_empty();
            waiting_since = is_waiting.then(|| waiting_since.filter(|_| !any).unwrap_or(ctx.now()));
            match self.next_event(ctx, state, waiting_since).await? {
                None => return Ok(false),
                Some(ClientIoEvent::TimedOut) if is_shut_down => return Ok(false),
                Some(ClientIoEvent::TimedOut) => return Err(self.timeout_error()),
                Some(ClientIoEvent::ClaimDue) => {}
                Some(ClientIoEvent::Writable) => {}
                Some(ClientIoEvent::Readable) => {
                    let input = &mut self.input;
                    match self.stream.try_read_with(|bytes| input.push(bytes)) {
                        Ok(0) if is_shut_down => return Ok(false),
                        Ok(0) => return Err(self.closed_error(None)),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(source) => return Err(self.io_error(source)),
                        Ok(_) => {}
                    }
                }
            }
        }
    }

    /// Waits for I/O or input, and queues the input. Returns `None` for a stop request.
    async fn next_event(
        &self,
        ctx: &mut Context<ChatInput>,
        state: &mut ClientState,
        waiting_since: Option<Instant>,
    ) -> Result<Option<ClientIoEvent>, ClientError> {
        let ClientConnection { stream, .. } = self;
        let has_output = !state.send_queue.is_empty();
        let ready = poll_fn(|cx| {
            if let Poll::Ready(ready) = stream.poll_readable(cx) {
                return Poll::Ready(ready.map(|()| ClientIoEvent::Readable));
            }
            match has_output {
                true => {
                    stream.poll_writable(cx).map(|ready| ready.map(|()| ClientIoEvent::Writable))
                }
                false => Poll::Pending,
            }
        });
        let (clock, timeout) = (ctx.clock().clone(), self.config.timeout);
        let time_limit =
            waiting_since.map(|since| (deadline_after(since, timeout), ClientIoEvent::TimedOut));
        let claim_at = self.nick_claim.as_ref().and_then(NickClaim::next_at);
        let claim_at = claim_at.map(|claim_at| (claim_at, ClientIoEvent::ClaimDue));
        let first = time_limit.into_iter().chain(claim_at).min_by_key(|(deadline, _)| *deadline);
        let io = async {
            let Some((deadline, event)) = first else { return ready.await };
            let left = deadline.saturating_duration_since(clock.now());
            if left.is_zero() {
                // A server that sends without end is always readable.
                return Ok(event);
            }
            clock.timeout(left, ready).await.unwrap_or(Ok(event))
        };
        let event = match state.input_closed || state.send_queue.is_full() {
            true => ctx.unless_stopped(io).await,
            false => match ctx.next(io).await {
                Event::Io(event) => Some(event),
                Event::Stop => None,
                Event::Message(input) => {
                    match input {
                        ChatInput::Line(text) => {
                            state.input_closed = is_quit(&text);
                            state.queue_line(&text);
                        }
                        ChatInput::End => state.input_closed = true,
                    }
                    // The new line can be written at once.
                    return Ok(Some(ClientIoEvent::Writable));
                }
            },
        };
        event.transpose().map_err(|source| self.io_error(source))
    }

    /// Handles a line of the server and shows it unless it is an expected echo. Returns `true` if
    /// the server speaks the lecture dialect.
    async fn handle_line(&mut self, line: Line, state: &mut ClientState, now: Instant) -> bool {
        let text = match &line {
            Line::Complete(line) => decode_lossy(line).into_owned(),
            Line::TooLong(_) => {
                if !std::mem::take(&mut self.is_cutting) {
                    self.report_cut_line().await;
                }
                return false;
            }
        };
        // Only a lecture server acknowledges a command as if it were a text.
        if text.strip_prefix(ACK_PREFIX) == Some(OPENING_COMMAND) {
            return true;
        }
        self.update_state(&text, state, now);
        // Receipts have the text as the client sent it, or escaped for the line dialect.
        match self.expected_echoes.iter().position(|echo| *echo == escape(&text)) {
            Some(index) => drop(self.expected_echoes.remove(index)),
            None => self.config.reporter.send(|| Report::ChatLine(text)).await,
        }
        false
    }

    async fn report_cut_line(&self) {
        let text = format!("* a line of more than {MAX_SERVER_LINE_LEN} bytes is not shown");
        self.config.reporter.send(|| Report::ChatLine(text)).await;
    }

    /// Asks for the user's nick if an attempt is due. The user does not see a refusal.
    fn claim_nick(&mut self, state: &mut ClientState, now: Instant) {
        let Some(claim) = &mut self.nick_claim else { return };
        if state.input_closed {
            self.nick_claim = None;
        } else if let Some(command) = claim.poll(now) {
            state.send_queue.push_control(&command);
            self.expected_echoes.push(claim.refusal());
        }
    }

    /// Updates the user's nick, room and status from a line of the server.
    fn update_state(&mut self, line: &str, state: &mut ClientState, now: Instant) {
        match parse_notice(line) {
            Notice::Welcome { nick, room, is_alone } => {
                state.joined_before = true;
                state.joined_at.get_or_insert(now);
                // A user whose nick was taken for the moment still wants that nick.
                let wanted = state.nick.get_or_insert_with(|| nick.into());
                // Only after a reconnect it may be the user's own former connection that has it.
                let is_own = state.connections > 1 && !wanted.eq_ignore_ascii_case(nick);
                if !is_own {
                    self.nick_claim = None;
                } else if !std::mem::replace(&mut self.has_claimed, true) {
                    self.nick_claim = Some(NickClaim::new(wanted, now));
                }
                state.room = Some(room.into());
                if self.config.who_on_join && !is_alone {
                    self.request_member_list(state, now);
                }
            }
            Notice::SelfRenamed(nick) => {
                state.nick = Some(nick.into());
                if let Some(claim) = self.nick_claim.take() {
                    let refusal = claim.refusal();
                    self.expected_echoes.retain(|echo| *echo != refusal);
                }
            }
            Notice::MembersLeft(nicks) => {
                if let Some(claim) = &mut self.nick_claim {
                    nicks.iter().for_each(|nick| claim.on_nick_free(nick, now));
                }
            }
            Notice::SelfLeft => state.room = None,
            Notice::Disconnected => state.reconnect_forbidden = true,
            Notice::MemberList(_) => self.awaits_member_list = false,
            _ => {}
        }
    }

    /// Sends `/who`, unless the last one has no reply yet or was sent a moment ago. So a server
    /// cannot make the client send more than it reads.
    fn request_member_list(&mut self, state: &mut ClientState, now: Instant) {
        let is_too_early = state
            .who_sent_at
            .is_some_and(|sent_at| now.saturating_duration_since(sent_at) < WHO_INTERVAL);
        if self.awaits_member_list || is_too_early || !state.send_queue.is_empty() {
            return;
        }
        self.awaits_member_list = true;
        state.who_sent_at = Some(now);
        state.send_queue.push_control("/who");
    }
}
