//! One call of a chat client: a connection, from its opening to its end.
//!
//! Whoever wants a name or a room wants a server that has them, so the talk is in lines from its beginning.
//! Otherwise the dialect is [found out](crate::actors::chat::client::lecture) first.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::actors::chat::client::{ChatClient, ChatInput, ClientState, Dialect};
use crate::actors::{ClientError, Report};
use crate::net::Stream;
use crate::runtime::{Context, Event};
use crate::wire::chat::command::{Command, parse};
use crate::wire::chat::notice::{Notice, parse_notice};
use crate::wire::chat::{ACK_OFF, ACK_PREFIX, MAX_LINE_LEN};
use crate::wire::lines::{Line, LineBuffer};
use crate::wire::text::{decode_lossy, escape};

/// The opening of a client that has nothing to say yet.
pub(crate) const OPENING_COMMAND: &str = "/ack off";

/// How long the server may go on talking after the talk is over.
const LINGER: Duration = Duration::from_millis(100);

/// After so long a silence the kernel asks whether the server still lives.
const KEEPALIVE: Duration = Duration::from_secs(120);

/// A connection to a server.
pub(crate) struct ClientConnection<'a> {
    pub(crate) client: &'a ChatClient,
    pub(crate) stream: Stream,
    /// How long it took to connect.
    pub(crate) connect_time: Duration,
    pub(crate) input: LineBuffer,
    /// Lines that are the client's own business and are not shown once they are heard.
    pub(crate) expected_echoes: Vec<String>,
}

/// What brought a wait to its end.
enum ClientIoEvent {
    Readable,
    Writable,
    TimedOut,
}

impl ClientConnection<'_> {
    /// Makes a call of a connection that took `connect_time` to be made.
    pub(crate) fn new(client: &ChatClient, stream: Stream, took: Duration) -> ClientConnection<'_> {
        // A line must not wait until the server has acknowledged the last one.
        let _ = stream.set_nodelay(true);
        // Else a server that is gone without a word is never noticed by one who only listens.
        let _ = stream.set_keepalive(KEEPALIVE);
        // A receipt has its text behind it, and a member's line a name before it.
        let heard = LineBuffer::new(2 * MAX_LINE_LEN);
        ClientConnection {
            client,
            stream,
            connect_time: took,
            input: heard,
            expected_echoes: Vec::new(),
        }
    }

    /// Talks until the person or the server has had enough.
    ///
    /// # Errors
    ///
    /// The connection is lost.
    pub(crate) async fn run(
        &mut self,
        ctx: &mut Context<ChatInput>,
        part: &mut ClientState,
    ) -> Result<(), ClientError> {
        let opening = part.handshake();
        match part.dialect {
            None if opening.is_empty() => {
                let Some(dialect) = self.detect_dialect(ctx, part).await? else { return Ok(()) };
                part.dialect = Some(dialect);
            }
            Some(Dialect::Lecture) => {}
            _ => {
                let hello = opening.into_iter().chain([OPENING_COMMAND.into()]);
                part.send_queue.prepend(&hello.collect::<Vec<_>>());
                self.expected_echoes.push(ACK_OFF.into());
                part.dialect = Some(Dialect::Line);
            }
        }
        if part.dialect == Some(Dialect::Line) && self.run_lines(ctx, part).await? {
            part.dialect = Some(Dialect::Lecture);
        }
        match part.dialect {
            Some(Dialect::Lecture) => self.run_lecture(ctx, part).await,
            _ => Ok(()),
        }
    }

    /// Ends the connection; how makes no difference to anybody.
    pub(crate) async fn close(self) {
        let _ = self.stream.close(LINGER).await;
    }

    pub(crate) fn io_error(&self, source: io::Error) -> ClientError {
        ClientError::from_io(source, &self.client.endpoint, self.client.timeout)
    }

    pub(crate) fn closed_error(&self, phase: Option<&'static str>) -> ClientError {
        ClientError::Closed { server: self.client.endpoint.to_string(), phase }
    }

    pub(crate) fn timeout_error(&self) -> ClientError {
        ClientError::TimedOut {
            server: self.client.endpoint.to_string(),
            limit: self.client.timeout,
        }
    }

    /// Talks in lines: what is typed goes out and what is heard comes in, neither waiting for the other.
    /// Returns `true` if it turns out that the server is a lecture's after all.
    async fn run_lines(
        &mut self,
        ctx: &mut Context<ChatInput>,
        part: &mut ClientState,
    ) -> Result<bool, ClientError> {
        // When the server last took something, or the talk was over: it is not waited for longer than the limit.
        let mut since: Option<Instant> = None;
        let mut is_shut = false;
        loop {
            while let Some(line) = self.input.next_line() {
                if self.handle_line(line, part).await {
                    return Ok(true);
                }
            }
            let any =
                part.send_queue.flush(&self.stream).map_err(|source| self.io_error(source))?;
            if part.input_closed && part.send_queue.is_empty() && !is_shut {
                // What was said is still being answered: the server closes when it is done.
                self.stream.shutdown_write().map_err(|source| self.io_error(source))?;
                (is_shut, since) = (true, None);
            }
            let is_waiting = is_shut || !part.send_queue.is_empty();
            since = is_waiting.then(|| since.filter(|_| !any).unwrap_or(ctx.now()));
            match self.next_event(ctx, part, since).await? {
                None => return Ok(false),
                Some(ClientIoEvent::TimedOut) if is_shut => return Ok(false),
                Some(ClientIoEvent::TimedOut) => return Err(self.timeout_error()),
                Some(ClientIoEvent::Writable) => {}
                Some(ClientIoEvent::Readable) => {
                    let heard = &mut self.input;
                    match self.stream.try_read_with(|bytes| heard.push(bytes)) {
                        Ok(0) if is_shut => return Ok(false),
                        Ok(0) => return Err(self.closed_error(None)),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(source) => return Err(self.io_error(source)),
                        Ok(_) => {}
                    }
                }
            }
        }
    }

    /// Waits until there is something to do; nothing comes back for a stop.
    async fn next_event(
        &self,
        ctx: &mut Context<ChatInput>,
        part: &mut ClientState,
        since: Option<Instant>,
    ) -> Result<Option<ClientIoEvent>, ClientError> {
        let ClientConnection { stream, .. } = self;
        let writes = !part.send_queue.is_empty();
        let ready = poll_fn(|cx| {
            if let Poll::Ready(ready) = stream.poll_readable(cx) {
                return Poll::Ready(ready.map(|()| ClientIoEvent::Readable));
            }
            match writes {
                true => {
                    stream.poll_writable(cx).map(|ready| ready.map(|()| ClientIoEvent::Writable))
                }
                false => Poll::Pending,
            }
        });
        let (clock, limit) = (ctx.clock().clone(), self.client.timeout);
        let io = async {
            let Some(since) = since else { return ready.await };
            let left = (since + limit).saturating_duration_since(clock.now());
            clock.timeout(left, ready).await.unwrap_or(Ok(ClientIoEvent::TimedOut))
        };
        let io = match part.input_closed || part.send_queue.is_full() {
            true => ctx.unless_stopped(io).await,
            false => match ctx.next(io).await {
                Event::Io(io) => Some(io),
                Event::Stop => None,
                Event::Message(input) => {
                    match input {
                        ChatInput::Line(text) => {
                            part.input_closed = is_quit(&text);
                            part.queue_line(&text);
                        }
                        ChatInput::End => part.input_closed = true,
                    }
                    return Ok(Some(ClientIoEvent::Writable));
                }
            },
        };
        io.transpose().map_err(|source| self.io_error(source))
    }

    /// Shows a line unless it is the client's own business; `true` if only a lecture's server says such.
    async fn handle_line(&mut self, line: Line, part: &mut ClientState) -> bool {
        let text = match &line {
            Line::Complete(line) => decode_lossy(line).into_owned(),
            Line::TooLong(len) => format!("* a line of {len} bytes was too long to show"),
        };
        if text.strip_prefix(ACK_PREFIX) == Some(OPENING_COMMAND) {
            return true;
        }
        self.update_state(&text, part);
        // A receipt has the text as the client said it, or escaped for lines.
        match self.expected_echoes.iter().position(|own| *own == escape(&text)) {
            Some(own) => drop(self.expected_echoes.remove(own)),
            None => self.client.reporter.send(|| Report::ChatLine(text)).await,
        }
        false
    }

    /// Keeps in mind what a line says of the person's own place.
    fn update_state(&self, line: &str, part: &mut ClientState) {
        match parse_notice(line) {
            Notice::Welcome { nick, room, is_alone } => {
                (part.joined_before, part.joined) = (true, true);
                // Somebody whose name was taken for the moment still wants it.
                part.nick.get_or_insert_with(|| nick.into());
                part.room = Some(room.into());
                if self.client.who_on_join && !is_alone {
                    part.send_queue.push_control("/who");
                }
            }
            Notice::SelfRenamed(nick) => part.nick = Some(nick.into()),
            Notice::SelfLeft => part.room = None,
            Notice::Disconnected => part.reconnect_forbidden = true,
            _ => {}
        }
    }
}

pub(crate) fn is_quit(text: &str) -> bool {
    matches!(parse(text), Command::Quit)
}
