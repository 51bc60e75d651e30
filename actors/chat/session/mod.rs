//! The chat session: one connection to a chat server, in either dialect.
//!
//! The first bytes tell the dialect (see [`detect_dialect`]). A lecture client is served by
//! [`lecture`], other clients by [`lines`]. From the bottom up: `outbox`, `delivery`, `io`,
//! `input_rate`, `state`, `commands`, `lines`, `lecture`.

pub(crate) mod commands;
pub(crate) mod delivery;
pub(crate) mod input_rate;
pub(crate) mod io;
pub(crate) mod lecture;
pub(crate) mod lines;
pub(crate) mod outbox;
pub(crate) mod state;

use std::sync::Arc;
use std::time::Duration;

use crate::actors::chat::messages::{Dialect, SessionMessage};
use crate::actors::chat::session::io::{SessionEvent, SessionIo, WaitFor};
use crate::actors::chat::session::state::{LineSession, Session, SessionConfig, check_event};
use crate::actors::support::accepted_connection::Connection;
use crate::actors::support::report::Report;
use crate::runtime::{Actor, Context, Outcome};
use crate::time::deadline_after;
use crate::wire::chat::{DETECT_TIMEOUT, DetectedDialect, MAX_LINE_LEN, detect_dialect};

/// Maximum time to drain a peer's input when its session is closed.
const LINGER: Duration = Duration::from_secs(1);

/// Idle time after which the kernel probes whether the peer is alive.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// The actor that serves one connection to a chat server.
#[derive(Debug)]
pub struct ChatSession {
    connection: Connection,
    config: Arc<SessionConfig>,
}

impl ChatSession {
    /// Creates the session of a connection.
    pub fn new(connection: Connection, config: Arc<SessionConfig>) -> ChatSession {
        ChatSession { connection, config }
    }
}

impl Session {
    /// Serves the peer until it leaves. Returns the reason why the session ends.
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    fn serve(&mut self) -> impl Future<Output = String> + Send {
        async move {
            let mut started = Box::pin(self.start()).await;
            match &mut started {
                Ok(line_session) => self.run_lines(line_session).await,
                Err(reason) => std::mem::take(reason),
            }
        }
    }

    /// Detects the dialect. Starts a line session, or serves a lecture client until it leaves. The
    /// error is the reason why the session ends.
    async fn start(&mut self) -> Result<LineSession, String> {
        let (peer, conn) = (self.peer().clone(), self.conn);
        self.config.reporter.send(|| Report::Connected { peer, conn }).await;
        // Without keepalive a dead peer is noticed later, at the next write.
        let _ = self.io.stream.set_keepalive(KEEPALIVE);
        // The outbox writes what waits with one call, so delaying small packets gains nothing.
        let _ = self.io.stream.set_nodelay(true);
        if let Some(ready_at) = self.input_ready_at() {
            self.pause(None, ready_at).await?;
        }
        match self.detect_dialect().await? {
            (DetectedDialect::Line, first_bytes) => self.start_line_session(&first_bytes).await,
            (_, first_bytes) => Err(self.run_lecture(first_bytes).await),
        }
    }

    /// Writes the outbox as far as the peer takes it, closes the connection and reports that.
    async fn close(&mut self, reason: String) {
        self.io.flush_outbox(&mut self.ctx).await;
        // Fails if the peer is gone.
        let _ = self.io.stream.linger_close(LINGER).await;
        self.end_reported = true;
        let (peer, conn) = (self.peer().clone(), self.conn);
        self.config.reporter.send(|| Report::Disconnected { peer, conn, reason }).await;
    }

    /// Reads until the dialect is known. Returns it with the bytes read. The error is the reason
    /// why the session ends.
    async fn detect_dialect(&mut self) -> Result<(DetectedDialect, Vec<u8>), String> {
        let mut bytes = Vec::new();
        let limits = &self.config.limits;
        let first_timeout = limits.first_timeout.or(limits.idle_timeout);
        loop {
            let timeout = match limits.dialect {
                _ if bytes.is_empty() => first_timeout,
                // The rest of the first line may take as long as any line.
                Some(Dialect::Line) => limits.idle_timeout,
                _ => Some(DETECT_TIMEOUT),
            };
            let wait_for = WaitFor {
                subscription: None,
                verbatim: true,
                input: true,
                flushed: false,
                deadline: timeout.map(|timeout| deadline_after(self.last_input, timeout)),
            };
            let on_input = |input: &[u8]| bytes.extend_from_slice(input);
            let event = self.io.next(&mut self.ctx, wait_for, on_input).await;
            let input_closed = matches!(event, SessionEvent::Input(0));
            let silent = match event {
                SessionEvent::Input(0) if bytes.is_empty() => return Err("closed by peer".into()),
                SessionEvent::TimedOut if bytes.is_empty() => {
                    return Err("silent since connecting".into());
                }
                SessionEvent::TimedOut if limits.dialect == Some(Dialect::Line) => {
                    return Err(self.idle_reason());
                }
                SessionEvent::Input(0) | SessionEvent::TimedOut => DETECT_TIMEOUT,
                SessionEvent::Input(_) => Duration::ZERO,
                event => {
                    check_event(event)?;
                    continue;
                }
            };
            self.last_input = self.ctx.now();
            match self.classify_input(&bytes, silent, input_closed) {
                DetectedDialect::Pending => {}
                detected => return Ok((detected, bytes)),
            }
        }
    }

    /// Returns the dialect of the first bytes, or the configured one.
    fn classify_input(
        &self,
        bytes: &[u8],
        silent: Duration,
        input_closed: bool,
    ) -> DetectedDialect {
        match self.config.limits.dialect {
            None => detect_dialect(bytes, silent),
            Some(Dialect::Lecture) => DetectedDialect::Lecture,
            // A first line without a newline ends with the input, or when it is over the limit.
            Some(Dialect::Line) => {
                match input_closed || bytes.contains(&b'\n') || bytes.len() > MAX_LINE_LEN {
                    true => DetectedDialect::Line,
                    false => DetectedDialect::Pending,
                }
            }
        }
    }
}

impl Actor for ChatSession {
    type Message = SessionMessage;

    fn run(self, ctx: Context<SessionMessage>) -> impl Future<Output = Outcome> + Send {
        let ChatSession { connection, config } = self;
        let Connection { stream, number: conn, ip_permit, memory } = connection;
        let mut session = Session {
            last_input: ctx.now(),
            ctx,
            io: SessionIo::new(stream, memory),
            config,
            conn,
            _ip_permit: ip_permit,
            input_rate: None,
            end_reported: false,
        };
        session.limit_input();
        async move {
            let reason = session.serve().await;
            Box::pin(session.close(reason)).await;
            Ok(())
        }
    }
}
