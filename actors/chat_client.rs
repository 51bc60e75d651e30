//! The chat client: one person's side of a chat, with a server of any dialect.
//!
//! Neither side of a chat connection introduces itself, and a lecture's server takes every chunk for a
//! message, so the client has to find out without saying anything that a person did not. It says its first
//! text without a newline: a lecture's server answers that at once, ours waits for the rest of the line. So
//! an answer within a moment means the lecture's dialect, in which each text is one chunk and each chunk
//! waits for its answer; otherwise the newline follows, and the talk goes on in lines. A client that has
//! nothing to say yet opens with `/ack off`, which puts it into the room.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_lite::future;

use super::{Failure, Report, Reporter, output};
use crate::net::{Endpoint, Stream};
use crate::runtime::{Actor, Clock, Context, Event, Outcome};
use crate::wire::chat::{ACK_OFF, LINE_MAX, RECEIPT};
use crate::wire::command::{Command, parse};
use crate::wire::lines::{Line, LineBuffer};
use crate::wire::text::{escape, lossy};

/// How long the first text may take before the client opens without one.
const FIRST_TEXT: Duration = Duration::from_millis(200);

/// How long a lecture's server may take to answer the opening, beside the way there and back. With it,
/// at most `ANSWERS_MOST`: well below the time in which our own server takes a chunk without a newline for
/// a lecture client's.
const ANSWERS: Duration = Duration::from_millis(30);
const ANSWERS_MOST: Duration = Duration::from_millis(60);

/// The opening of a client that has nothing to say yet.
const HELLO: &str = "/ack off";

/// What a chat client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatInput {
    /// The person typed this line.
    Line(String),
    /// There is no more input.
    End,
}

/// One person's side of a chat.
#[derive(Debug)]
pub struct ChatClient {
    endpoint: Endpoint,
    nick: Option<String>,
    timeout: Duration,
    reporter: Reporter,
}

/// A connection whose dialect is being found out, or is settled.
struct Talk {
    stream: Stream,
    /// How long a lecture's server may take to answer the opening.
    answers: Duration,
    heard: LineBuffer,
    /// A line that is the client's own business and is not shown once it is heard.
    hidden: Vec<String>,
    /// Whether the person has said the last word.
    over: bool,
}

/// What a client opens its talk with.
enum First {
    Text(String),
    /// The input ended before there was any.
    Nothing,
}

impl ChatClient {
    /// Makes a client of the server at `endpoint`, under a name or as a guest.
    ///
    /// The server may take `timeout` to accept the connection, and each time to take or to answer a text.
    pub fn new(
        endpoint: Endpoint,
        nick: Option<String>,
        timeout: Duration,
        reporter: Reporter,
    ) -> ChatClient {
        ChatClient { endpoint, nick, timeout, reporter }
    }

    fn broken(&self, source: io::Error) -> Failure {
        Failure::of_io(source, &self.endpoint, self.timeout)
    }

    async fn write(&self, clock: &Clock, stream: &Stream, text: &str) -> Result<(), Failure> {
        let written = output::write_all(clock, stream, self.timeout, text.as_bytes()).await;
        written.map_err(|error| self.broken(error))
    }

    fn timed_out(&self) -> Failure {
        Failure::TimedOut { server: self.endpoint.to_string(), limit: self.timeout }
    }

    /// Waits a moment for the first text; an empty line is none.
    async fn first_text(&self, ctx: &mut Context<ChatInput>) -> First {
        let clock = ctx.clock().clone();
        loop {
            match ctx.next(clock.sleep(FIRST_TEXT)).await {
                Event::Message(ChatInput::Line(text)) if text.is_empty() => {}
                Event::Message(ChatInput::Line(text)) => return First::Text(text),
                Event::Io(()) => return First::Text(HELLO.into()),
                Event::Message(ChatInput::End) | Event::Stop => return First::Nothing,
            }
        }
    }

    /// Says the first text and finds out the dialect by it; `true` is the lecture's.
    async fn open(&self, clock: &Clock, talk: &mut Talk, text: &str) -> Result<bool, Failure> {
        let asked = clock.now();
        self.write(clock, &talk.stream, text).await?;
        let mut buf = [0; LINE_MAX];
        let answer = clock.within(talk.answers, talk.stream.read(&mut buf)).await;
        match answer {
            Some(Ok(0)) => return Err(self.closed("at once")),
            // Servers that speak in lines end each of them, at this point too.
            Some(Ok(n)) if !buf[..n].ends_with(b"\n") => {
                if text != HELLO {
                    self.reply(&buf[..n], clock.now() - asked).await;
                }
                return Ok(true);
            }
            Some(Ok(n)) => talk.heard.push(&buf[..n]),
            Some(Err(source)) => return Err(self.broken(source)),
            None => {}
        }
        talk.hidden.push(format!("{RECEIPT}{}", escape(text)));
        self.write(clock, &talk.stream, "\n").await?;
        talk.over = is_quit(text);
        if text != HELLO && !talk.over {
            self.write(clock, &talk.stream, &format!("{HELLO}\n")).await?;
        }
        talk.hidden.push(ACK_OFF.into());
        Ok(false)
    }

    fn closed(&self, when: &'static str) -> Failure {
        Failure::Closed { server: self.endpoint.to_string(), when }
    }

    async fn reply(&self, answer: &[u8], rtt: Duration) {
        let (text, bytes) = (lossy(answer).into_owned(), answer.len());
        self.reporter.tell(|| Report::Reply { text, bytes, rtt }).await;
    }

    /// Talks with a lecture's server: one chunk, one answer.
    async fn lecture(&self, ctx: &mut Context<ChatInput>, talk: &Talk) -> Result<(), Failure> {
        let clock = ctx.clock().clone();
        let mut buf = [0; LINE_MAX];
        let mut asked = clock.now();
        loop {
            let text = match ctx.next(talk.stream.read(&mut buf)).await {
                Event::Message(ChatInput::Line(text)) if text.is_empty() => continue,
                Event::Message(ChatInput::Line(text)) => text,
                Event::Message(ChatInput::End) | Event::Stop => return Ok(()),
                Event::Io(Ok(0)) => return Err(self.closed("before the talk was over")),
                Event::Io(Ok(n)) => {
                    self.reply(&buf[..n], clock.now() - asked).await;
                    continue;
                }
                Event::Io(Err(source)) => return Err(self.broken(source)),
            };
            asked = clock.now();
            self.write(&clock, &talk.stream, &text).await?;
            let answer = clock.within(self.timeout, talk.stream.read(&mut buf));
            let Some(answer) = ctx.unless_stopped(answer).await else { return Ok(()) };
            match answer {
                None => return Err(self.timed_out()),
                Some(Err(source)) => return Err(self.broken(source)),
                Some(Ok(0)) => return Err(self.closed("without an answer")),
                Some(Ok(n)) => self.reply(&buf[..n], clock.now() - asked).await,
            }
        }
    }

    /// Talks in lines: what is typed goes out and what is heard comes in, neither waiting for the other.
    /// Returns `true` if it turns out that the server is a lecture's after all.
    async fn lines(&self, ctx: &mut Context<ChatInput>, talk: &mut Talk) -> Result<bool, Failure> {
        let clock = ctx.clock().clone();
        let Talk { stream, heard, hidden, over, .. } = talk;
        let over = AtomicBool::new(*over);
        let typing = async {
            while !over.load(Ordering::Relaxed) {
                match ctx.next(future::pending::<()>()).await {
                    Event::Message(ChatInput::Line(text)) => {
                        self.write(&clock, stream, &format!("{text}\n")).await?;
                        over.fetch_or(is_quit(&text), Ordering::Relaxed);
                    }
                    Event::Message(ChatInput::End) => {
                        // What was said is still being answered: the server closes when it is done.
                        stream.shutdown_write().map_err(|source| self.broken(source))?;
                        over.store(true, Ordering::Relaxed);
                    }
                    Event::Stop | Event::Io(()) => return Ok(false),
                }
            }
            // A server that does not mind the end of our side is not waited for longer than this.
            ctx.pause(self.timeout).await;
            Ok(false)
        };
        let hearing = async {
            let mut buf = vec![0; 16 << 10];
            loop {
                while let Some(line) = heard.next_line() {
                    if self.hear(line, hidden).await {
                        return Ok(true);
                    }
                }
                let n = match stream.read(&mut buf).await {
                    Ok(n) => n,
                    Err(source) => return Err(self.broken(source)),
                };
                if n == 0 {
                    return match over.load(Ordering::Relaxed) {
                        true => Ok(false),
                        false => Err(self.closed("before the talk was over")),
                    };
                }
                heard.push(&buf[..n]);
                future::yield_now().await;
            }
        };
        future::or(hearing, typing).await
    }

    /// Shows a line unless it is the client's own business; `true` if only a lecture's server says such.
    async fn hear(&self, line: Line, hidden: &mut Vec<String>) -> bool {
        let text = match &line {
            Line::Whole(line) => lossy(line).into_owned(),
            Line::TooLong(len) => format!("* a line of {len} bytes was too long to show"),
        };
        if text.strip_prefix(RECEIPT) == Some(HELLO) {
            return true;
        }
        // A receipt has the text as the client said it, or escaped for lines.
        match hidden.iter().position(|own| *own == escape(&text)) {
            Some(own) => drop(hidden.remove(own)),
            None => self.reporter.tell(|| Report::Line(text)).await,
        }
        false
    }
}

fn is_quit(text: &str) -> bool {
    matches!(parse(text), Command::Quit)
}

impl Actor for ChatClient {
    type Message = ChatInput;

    async fn run(self, mut ctx: Context<ChatInput>) -> Outcome {
        let clock = ctx.clock().clone();
        let asked = clock.now();
        let connect = Stream::connect(&self.endpoint, self.timeout);
        let Some(stream) = ctx.unless_stopped(connect).await else { return Ok(()) };
        let stream = stream.map_err(Failure::from)?;
        // A line must not wait until the server has acknowledged the last one.
        let _ = stream.nodelay(true);
        let answers = (ANSWERS + (clock.now() - asked)).min(ANSWERS_MOST);
        // A receipt has its text behind it, and a member's line a name before it.
        let heard = LineBuffer::new(2 * LINE_MAX);
        let mut talk = Talk { stream, answers, heard, hidden: Vec::new(), over: false };
        let lecture = match &self.nick {
            Some(nick) => {
                // Whoever wants a name wants a server that has them, so there is nothing to find out.
                self.write(&clock, &talk.stream, &format!("/nick {nick}\n{HELLO}\n")).await?;
                talk.hidden.push(ACK_OFF.into());
                false
            }
            None => match self.first_text(&mut ctx).await {
                First::Nothing => return Ok(()),
                First::Text(text) => self.open(&clock, &mut talk, &text).await?,
            },
        };
        if lecture || self.lines(&mut ctx, &mut talk).await? {
            self.lecture(&mut ctx, &talk).await?;
        }
        // The talk is over; how the connection ends makes no difference to anybody.
        let _ = talk.stream.close(Duration::from_millis(100)).await;
        Ok(())
    }
}
