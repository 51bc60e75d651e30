//! Detection of the server's dialect, and the lecture dialect on the client's side.
//!
//! Neither side of a chat connection introduces itself, and a lecture server takes every chunk for
//! a message. So the client should detect the dialect without sending anything that the user did
//! not type. It sends the user's first text without a newline:
//!
//! ```text
//!     lecture server:  "hello"  <-  "Server received your message: hello"   at once
//!     line server:     "hello"  <-  nothing: it waits for the rest of the line
//! ```
//!
//! A reply within [`REPLY_TIMEOUT`] means the lecture dialect: each text is one chunk, and each
//! chunk waits for its reply. Otherwise the newline follows, and the connection uses the line
//! dialect. A client whose user has typed nothing opens with `/ack off`, which enters the room.

use std::time::Duration;

use crate::actors::chat::client::connection::{ClientConnection, OPENING_COMMAND};
use crate::actors::chat::client::state::{ChatInput, ClientState, is_quit};
use crate::actors::chat::messages::Dialect;
use crate::actors::support::client_error::ClientError;
use crate::actors::support::report::Report;
use crate::actors::support::write;
use crate::runtime::{Context, Event};
use crate::time::deadline_after;
use crate::wire::chat::{ACK_OFF, ACK_PREFIX, MAX_LINE_LEN};
use crate::wire::text::{decode_lossy, escape};

/// Maximum time to wait for the user's first text before the client opens without it.
const FIRST_LINE_TIMEOUT: Duration = Duration::from_millis(200);

/// Time that a lecture server has to reply to the opening, in addition to the round trip.
const REPLY_TIMEOUT: Duration = Duration::from_millis(30);

/// Maximum of [`REPLY_TIMEOUT`] with the round trip. Well below the time after which our own
/// server takes a chunk without a newline for a lecture client's.
const MAX_REPLY_TIMEOUT: Duration = Duration::from_millis(60);

impl ClientConnection<'_> {
    async fn write_text(&self, ctx: &Context<ChatInput>, text: &str) -> Result<(), ClientError> {
        let bytes = text.as_bytes();
        let written =
            write::write_all_with_timeout(ctx.clock(), &self.stream, self.config.timeout, bytes);
        written.await.map_err(|error| self.io_error(error))
    }

    /// Waits briefly for the user's first text, and returns it or [`OPENING_COMMAND`]. Returns
    /// `None` if the input has ended or a stop is requested.
    async fn first_line(
        &self,
        ctx: &mut Context<ChatInput>,
        state: &mut ClientState,
    ) -> Option<String> {
        let deadline = deadline_after(ctx.now(), FIRST_LINE_TIMEOUT);
        loop {
            if let Some(text) = state.send_queue.pop() {
                return Some(text);
            }
            if state.input_closed {
                return None;
            }
            let sleep = ctx.clock().sleep(deadline.saturating_duration_since(ctx.now()));
            match ctx.next(sleep).await {
                Event::Message(ChatInput::Line(text)) => state.queue_line(&text),
                Event::Message(ChatInput::End) => state.input_closed = true,
                Event::Io(()) => return Some(OPENING_COMMAND.into()),
                Event::Stop => return None,
            }
        }
    }

    /// Sends the first text and detects the dialect from the reply. Returns `None` if there is
    /// nothing to send.
    ///
    /// # Errors
    ///
    /// The connection was lost.
    pub(crate) async fn detect_dialect(
        &mut self,
        ctx: &mut Context<ChatInput>,
        state: &mut ClientState,
    ) -> Result<Option<Dialect>, ClientError> {
        let Some(text) = self.first_line(ctx, state).await else { return Ok(None) };
        let sent_at = ctx.now();
        let timeout = (REPLY_TIMEOUT + self.connect_time).min(MAX_REPLY_TIMEOUT);
        self.write_text(ctx, &text).await?;
        let mut buf = [0; MAX_LINE_LEN];
        match ctx.clock().timeout(timeout, self.stream.read(&mut buf)).await {
            Some(Ok(0)) => return Err(self.closed_error(Some("at once"))),
            // A line server ends each line with a newline, here too.
            Some(Ok(n)) if !buf[..n].ends_with(b"\n") => {
                if text != OPENING_COMMAND {
                    self.report_reply(&buf[..n], ctx.now() - sent_at).await;
                }
                return Ok(Some(Dialect::Lecture));
            }
            Some(Ok(n)) => self.input.push(&buf[..n]),
            Some(Err(source)) => return Err(self.io_error(source)),
            None => {}
        }
        self.expected_echoes.push(format!("{ACK_PREFIX}{}", escape(&text)));
        self.write_text(ctx, "\n").await?;
        state.input_closed |= is_quit(&text);
        if text != OPENING_COMMAND && !state.input_closed {
            state.send_queue.prepend(&[OPENING_COMMAND.into()]);
        }
        self.expected_echoes.push(ACK_OFF.into());
        Ok(Some(Dialect::Line))
    }

    async fn report_reply(&self, reply: &[u8], rtt: Duration) {
        let (text, bytes) = (decode_lossy(reply).into_owned(), reply.len());
        self.config.reporter.send(|| Report::Reply { text, bytes, rtt }).await;
    }

    /// Runs the lecture dialect: one chunk, one reply.
    ///
    /// # Errors
    ///
    /// The connection was lost, or the server did not reply within the timeout. The unanswered
    /// text is back in the queue.
    pub(crate) async fn run_lecture(
        &self,
        ctx: &mut Context<ChatInput>,
        state: &mut ClientState,
    ) -> Result<(), ClientError> {
        state.joined_before = true;
        state.joined_at.get_or_insert(ctx.now());
        let clock = ctx.clock().clone();
        let mut buf = [0; MAX_LINE_LEN];
        let mut sent_at = clock.now();
        loop {
            if let Some(text) = state.send_queue.pop() {
                sent_at = clock.now();
                let exchange = async {
                    self.write_text(ctx, &text).await?;
                    let reply = clock.timeout(self.config.timeout, self.stream.read(&mut buf));
                    let Some(reply) = ctx.unless_stopped(reply).await else { return Ok(None) };
                    match reply {
                        None => Err(self.timeout_error()),
                        Some(Err(source)) => Err(self.io_error(source)),
                        Some(Ok(0)) => Err(self.closed_error(Some("without an answer"))),
                        Some(Ok(n)) => Ok(Some(n)),
                    }
                };
                match exchange.await {
                    Ok(Some(n)) => self.report_reply(&buf[..n], clock.now() - sent_at).await,
                    Ok(None) => return Ok(()),
                    Err(error) => {
                        // Sent again on the next connection, if there is one.
                        state.send_queue.requeue(&text);
                        return Err(error);
                    }
                }
                continue;
            }
            if state.input_closed {
                return Ok(());
            }
            match ctx.next(self.stream.read(&mut buf)).await {
                Event::Message(ChatInput::Line(text)) => state.queue_line(&text),
                Event::Message(ChatInput::End) => state.input_closed = true,
                Event::Stop => return Ok(()),
                Event::Io(Ok(0)) => return Err(self.closed_error(None)),
                Event::Io(Ok(n)) => self.report_reply(&buf[..n], clock.now() - sent_at).await,
                Event::Io(Err(source)) => return Err(self.io_error(source)),
            }
        }
    }
}
