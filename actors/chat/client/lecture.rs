//! The lecture's dialect, from the client's side: how it is found out, and how it is spoken.
//!
//! Neither side of a chat connection introduces itself, and a lecture's server takes every chunk for a
//! message, so the client has to find out without saying anything that a person did not. It says its first
//! text without a newline: a lecture's server answers that at once, ours waits for the rest of the line. So
//! an answer within a moment means the lecture's dialect, in which each text is one chunk and each chunk
//! waits for its answer; otherwise the newline follows, and the talk goes on in lines. A client that has
//! nothing to say yet opens with `/ack off`, which puts it into the room.

use std::time::Duration;

use crate::actors::chat::client::connection::{ClientConnection, OPENING_COMMAND, is_quit};
use crate::actors::chat::client::{ChatInput, ClientState, Dialect};
use crate::actors::support::write;
use crate::actors::{ClientError, Report};
use crate::runtime::{Context, Event};
use crate::wire::chat::{ACK_OFF, ACK_PREFIX, MAX_LINE_LEN};
use crate::wire::text::{decode_lossy, escape};

/// How long the first text may take before the client opens without one.
const FIRST_LINE_TIMEOUT: Duration = Duration::from_millis(200);

/// How long a lecture's server may take to answer the opening, beside the way there and back. With it,
/// at most `MAX_ANSWER_TIMEOUT`: well below the time in which our own server takes a chunk without a newline for
/// a lecture client's.
const ANSWER_TIMEOUT: Duration = Duration::from_millis(30);
const MAX_ANSWER_TIMEOUT: Duration = Duration::from_millis(60);

impl ClientConnection<'_> {
    async fn write_text(&self, ctx: &Context<ChatInput>, text: &str) -> Result<(), ClientError> {
        let bytes = text.as_bytes();
        let written =
            write::write_all_with_timeout(ctx.clock(), &self.stream, self.client.timeout, bytes);
        written.await.map_err(|error| self.io_error(error))
    }

    /// Waits a moment for the first text; nothing comes back where there is none and never will be.
    async fn first_line(
        &self,
        ctx: &mut Context<ChatInput>,
        part: &mut ClientState,
    ) -> Option<String> {
        let moment = ctx.now() + FIRST_LINE_TIMEOUT;
        loop {
            if let Some(text) = part.send_queue.pop() {
                return Some(text);
            }
            if part.input_closed {
                return None;
            }
            let left = ctx.clock().sleep(moment.saturating_duration_since(ctx.now()));
            match ctx.next(left).await {
                Event::Message(ChatInput::Line(text)) => part.queue_line(&text),
                Event::Message(ChatInput::End) => part.input_closed = true,
                Event::Io(()) => return Some(OPENING_COMMAND.into()),
                Event::Stop => return None,
            }
        }
    }

    /// Says the first text and finds out the dialect by it; nothing comes back where there is nothing to say.
    pub(crate) async fn detect_dialect(
        &mut self,
        ctx: &mut Context<ChatInput>,
        part: &mut ClientState,
    ) -> Result<Option<Dialect>, ClientError> {
        let Some(text) = self.first_line(ctx, part).await else { return Ok(None) };
        let (asked, answers) =
            (ctx.now(), (ANSWER_TIMEOUT + self.connect_time).min(MAX_ANSWER_TIMEOUT));
        self.write_text(ctx, &text).await?;
        let mut buf = [0; MAX_LINE_LEN];
        match ctx.clock().timeout(answers, self.stream.read(&mut buf)).await {
            Some(Ok(0)) => return Err(self.closed_error(Some("at once"))),
            // Servers that speak in lines end each of them, at this point too.
            Some(Ok(n)) if !buf[..n].ends_with(b"\n") => {
                if text != OPENING_COMMAND {
                    self.report_reply(&buf[..n], ctx.now() - asked).await;
                }
                return Ok(Some(Dialect::Lecture));
            }
            Some(Ok(n)) => self.input.push(&buf[..n]),
            Some(Err(source)) => return Err(self.io_error(source)),
            None => {}
        }
        self.expected_echoes.push(format!("{ACK_PREFIX}{}", escape(&text)));
        self.write_text(ctx, "\n").await?;
        part.input_closed |= is_quit(&text);
        if text != OPENING_COMMAND && !part.input_closed {
            part.send_queue.prepend(&[OPENING_COMMAND.into()]);
        }
        self.expected_echoes.push(ACK_OFF.into());
        Ok(Some(Dialect::Line))
    }

    async fn report_reply(&self, answer: &[u8], rtt: Duration) {
        let (text, bytes) = (decode_lossy(answer).into_owned(), answer.len());
        self.client.reporter.send(|| Report::Reply { text, bytes, rtt }).await;
    }

    /// Talks with a lecture's server: one chunk, one answer.
    pub(crate) async fn run_lecture(
        &self,
        ctx: &mut Context<ChatInput>,
        part: &mut ClientState,
    ) -> Result<(), ClientError> {
        (part.joined_before, part.joined) = (true, true);
        let clock = ctx.clock().clone();
        let mut buf = [0; MAX_LINE_LEN];
        let mut asked = clock.now();
        loop {
            if let Some(text) = part.send_queue.pop() {
                asked = clock.now();
                let answered = async {
                    self.write_text(ctx, &text).await?;
                    let answer = clock.timeout(self.client.timeout, self.stream.read(&mut buf));
                    let Some(answer) = ctx.unless_stopped(answer).await else { return Ok(None) };
                    match answer {
                        None => Err(self.timeout_error()),
                        Some(Err(source)) => Err(self.io_error(source)),
                        Some(Ok(0)) => Err(self.closed_error(Some("without a reply"))),
                        Some(Ok(n)) => Ok(Some(n)),
                    }
                };
                match answered.await {
                    Ok(Some(n)) => self.report_reply(&buf[..n], clock.now() - asked).await,
                    Ok(None) => return Ok(()),
                    Err(failure) => {
                        // It has no answer, so it is said again where there is a next time.
                        part.send_queue.requeue(&text);
                        return Err(failure);
                    }
                }
                continue;
            }
            if part.input_closed {
                return Ok(());
            }
            match ctx.next(self.stream.read(&mut buf)).await {
                Event::Message(ChatInput::Line(text)) => part.queue_line(&text),
                Event::Message(ChatInput::End) => part.input_closed = true,
                Event::Stop => return Ok(()),
                Event::Io(Ok(0)) => return Err(self.closed_error(None)),
                Event::Io(Ok(n)) => self.report_reply(&buf[..n], clock.now() - asked).await,
                Event::Io(Err(source)) => return Err(self.io_error(source)),
            }
        }
    }
}
