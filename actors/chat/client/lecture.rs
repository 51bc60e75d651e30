//! The lecture's dialect, from the client's side: how it is found out, and how it is spoken.
//!
//! Neither side of a chat connection introduces itself, and a lecture's server takes every chunk for a
//! message, so the client has to find out without saying anything that a person did not. It says its first
//! text without a newline: a lecture's server answers that at once, ours waits for the rest of the line. So
//! an answer within a moment means the lecture's dialect, in which each text is one chunk and each chunk
//! waits for its answer; otherwise the newline follows, and the talk goes on in lines. A client that has
//! nothing to say yet opens with `/ack off`, which puts it into the room.

use std::time::Duration;

use crate::actors::chat::client::connection::{Call, HELLO, is_quit};
use crate::actors::chat::client::{ChatInput, Part, Speaks};
use crate::actors::support::write;
use crate::actors::{ClientError, Report};
use crate::runtime::{Context, Event};
use crate::wire::chat::{ACK_OFF, ACK_PREFIX, MAX_LINE_LEN};
use crate::wire::text::{decode_lossy, escape};

/// How long the first text may take before the client opens without one.
const FIRST_TEXT: Duration = Duration::from_millis(200);

/// How long a lecture's server may take to answer the opening, beside the way there and back. With it,
/// at most `ANSWERS_MOST`: well below the time in which our own server takes a chunk without a newline for
/// a lecture client's.
const ANSWERS: Duration = Duration::from_millis(30);
const ANSWERS_MOST: Duration = Duration::from_millis(60);

impl Call<'_> {
    async fn write(&self, ctx: &Context<ChatInput>, text: &str) -> Result<(), ClientError> {
        let bytes = text.as_bytes();
        let written =
            write::write_all_with_timeout(ctx.clock(), &self.stream, self.client.timeout, bytes);
        written.await.map_err(|error| self.broken(error))
    }

    /// Waits a moment for the first text; nothing comes back where there is none and never will be.
    async fn first_text(&self, ctx: &mut Context<ChatInput>, part: &mut Part) -> Option<String> {
        let moment = ctx.now() + FIRST_TEXT;
        loop {
            if let Some(text) = part.outgoing.take() {
                return Some(text);
            }
            if part.is_over {
                return None;
            }
            let left = ctx.clock().sleep(moment.saturating_duration_since(ctx.now()));
            match ctx.next(left).await {
                Event::Message(ChatInput::Line(text)) => part.say(&text),
                Event::Message(ChatInput::End) => part.is_over = true,
                Event::Io(()) => return Some(HELLO.into()),
                Event::Stop => return None,
            }
        }
    }

    /// Says the first text and finds out the dialect by it; nothing comes back where there is nothing to say.
    pub(crate) async fn find_out(
        &mut self,
        ctx: &mut Context<ChatInput>,
        part: &mut Part,
    ) -> Result<Option<Speaks>, ClientError> {
        let Some(text) = self.first_text(ctx, part).await else { return Ok(None) };
        let (asked, answers) = (ctx.now(), (ANSWERS + self.took).min(ANSWERS_MOST));
        self.write(ctx, &text).await?;
        let mut buf = [0; MAX_LINE_LEN];
        match ctx.clock().timeout(answers, self.stream.read(&mut buf)).await {
            Some(Ok(0)) => return Err(self.closed("at once")),
            // Servers that speak in lines end each of them, at this point too.
            Some(Ok(n)) if !buf[..n].ends_with(b"\n") => {
                if text != HELLO {
                    self.reply(&buf[..n], ctx.now() - asked).await;
                }
                return Ok(Some(Speaks::Lecture));
            }
            Some(Ok(n)) => self.heard.push(&buf[..n]),
            Some(Err(source)) => return Err(self.broken(source)),
            None => {}
        }
        self.hidden.push(format!("{ACK_PREFIX}{}", escape(&text)));
        self.write(ctx, "\n").await?;
        part.is_over |= is_quit(&text);
        if text != HELLO && !part.is_over {
            part.outgoing.open_with(&[HELLO.into()]);
        }
        self.hidden.push(ACK_OFF.into());
        Ok(Some(Speaks::Lines))
    }

    async fn reply(&self, answer: &[u8], rtt: Duration) {
        let (text, bytes) = (decode_lossy(answer).into_owned(), answer.len());
        self.client.reporter.send(|| Report::Reply { text, bytes, rtt }).await;
    }

    /// Talks with a lecture's server: one chunk, one answer.
    pub(crate) async fn lecture(
        &self,
        ctx: &mut Context<ChatInput>,
        part: &mut Part,
    ) -> Result<(), ClientError> {
        (part.was_in, part.is_in) = (true, true);
        let clock = ctx.clock().clone();
        let mut buf = [0; MAX_LINE_LEN];
        let mut asked = clock.now();
        loop {
            if let Some(text) = part.outgoing.take() {
                asked = clock.now();
                let answered = async {
                    self.write(ctx, &text).await?;
                    let answer = clock.timeout(self.client.timeout, self.stream.read(&mut buf));
                    let Some(answer) = ctx.unless_stopped(answer).await else { return Ok(None) };
                    match answer {
                        None => Err(self.timed_out()),
                        Some(Err(source)) => Err(self.broken(source)),
                        Some(Ok(0)) => Err(self.closed("without an answer")),
                        Some(Ok(n)) => Ok(Some(n)),
                    }
                };
                match answered.await {
                    Ok(Some(n)) => self.reply(&buf[..n], clock.now() - asked).await,
                    Ok(None) => return Ok(()),
                    Err(failure) => {
                        // It has no answer, so it is said again where there is a next time.
                        part.outgoing.put_back(&text);
                        return Err(failure);
                    }
                }
                continue;
            }
            if part.is_over {
                return Ok(());
            }
            match ctx.next(self.stream.read(&mut buf)).await {
                Event::Message(ChatInput::Line(text)) => part.say(&text),
                Event::Message(ChatInput::End) => part.is_over = true,
                Event::Stop => return Ok(()),
                Event::Io(Ok(0)) => return Err(self.closed("before the talk was over")),
                Event::Io(Ok(n)) => self.reply(&buf[..n], clock.now() - asked).await,
                Event::Io(Err(source)) => return Err(self.broken(source)),
            }
        }
    }
}
