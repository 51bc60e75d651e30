//! The line dialect: a session with netcat, telnet or our own client.
//!
//! One loop handles the lines in order and delivers the room's messages. Both stop while the peer
//! does not read. A slow peer delays only its own session, and is told how many lines it has
//! missed.

use std::time::Instant;

use crate::actors::chat::broadcast::subscription::Delivery;
use crate::actors::chat::manager::request::JoinRequest;
use crate::actors::chat::messages::SessionMessage;
use crate::actors::chat::session::delivery::{push_verbatim, with_timestamp};
use crate::actors::chat::session::io::{SessionEvent, WaitFor};
use crate::actors::chat::session::state::{LineSession, Session, check_event};
use crate::wire::chat::command::{Command, parse};
use crate::wire::chat::{MAX_LINE_LEN, notice, validate_room};
use crate::wire::lines::{Line, LineBuffer};
use crate::wire::text::decode_lossy;

/// The nick and the room that a client asks for with its first lines.
///
/// A client that reconnects sends `/nick` and `/join` first. They are handled before it is
/// admitted, so no room sees a guest come and go.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    pub(crate) nick: Option<String>,
    pub(crate) room: Option<String>,
    /// The first line after the handshake.
    pub(crate) first_line: Option<Line>,
}

impl Handshake {
    /// Takes the handshake from the input, and the line after it.
    pub(crate) fn parse(input: &mut LineBuffer) -> Handshake {
        let mut handshake = Handshake { nick: None, room: None, first_line: None };
        while let Some(line) = input.next_line() {
            let text = match &line {
                Line::Complete(line) => decode_lossy(line),
                Line::TooLong(_) => "".into(),
            };
            match parse(&text) {
                Command::Nick(nick) if handshake.nick.is_none() => {
                    handshake.nick = Some(nick.into());
                }
                Command::Join(room) if handshake.room.is_none() && validate_room(room).is_ok() => {
                    handshake.room = Some(room.into());
                }
                _ => {
                    handshake.first_line = Some(line);
                    break;
                }
            }
        }
        handshake
    }
}

fn make_line_buffer() -> Box<LineBuffer> {
    Box::new(LineBuffer::new(MAX_LINE_LEN))
}

impl Session {
    /// Admits a client that sends lines, and handles the lines that it has sent already. The error
    /// is the reason why the session ends.
    pub(crate) async fn start_line_session(
        &mut self,
        first_bytes: &[u8],
    ) -> Result<LineSession, String> {
        let mut input = make_line_buffer();
        input.push(first_bytes);
        let Handshake { nick, room, first_line } = Handshake::parse(&mut input);
        [&nick, &room].into_iter().flatten().for_each(|name| self.record_input(name));
        let (ip, session) = (self.peer_ip(), self.ctx.address());
        let request = |nick| {
            let (room, session) = (room.clone(), Some(session.clone()));
            JoinRequest { nick, room, quiet: false, ip, session }
        };
        let has_nick = nick.is_some();
        let (member, joined) = match self.join(request(nick)).await {
            Err(reason) if has_nick => {
                self.io.outbox.push(format!("* {reason}\n"));
                self.join(request(None)).await?
            }
            admitted => admitted?,
        };
        let mut line_session = LineSession {
            member,
            input: Some(input),
            subscription: None,
            acks_enabled: true,
            show_times: false,
            dropped_private: 0,
            is_operator: false,
            failed_logins: 0,
            input_closed: false,
        };
        self.send_welcome(&mut line_session, joined);
        if let Some(line) = first_line {
            self.handle_line(&mut line_session, line).await?;
        }
        line_session.release_buffer();
        Ok(line_session)
    }

    /// Serves a client that sends lines until it leaves. Returns the reason why the session ends.
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    pub(crate) fn run_lines(
        &mut self,
        line_session: &mut LineSession,
    ) -> impl Future<Output = String> + Send {
        async move {
            loop {
                if line_session.input_closed || line_session.has_line() {
                    if let Err(reason) = Box::pin(self.handle_lines(line_session)).await {
                        return reason;
                    }
                }
                if line_session.input_closed && !self.io.is_full() {
                    return "closed by peer".into();
                }
                self.flush_deferred(line_session);
                let LineSession { subscription, input, input_closed, show_times, .. } =
                    line_session;
                let wait_for = WaitFor {
                    subscription: subscription.as_mut(),
                    verbatim: !*show_times,
                    input: !*input_closed,
                    flushed: false,
                    deadline: self.idle_deadline(),
                };
                let on_input =
                    |bytes: &[u8]| input.get_or_insert_with(make_line_buffer).push(bytes);
                match self.io.next(&mut self.ctx, wait_for, on_input).await {
                    SessionEvent::RoomActivity | SessionEvent::Drained => {}
                    SessionEvent::Input(0) => line_session.input_closed = true,
                    SessionEvent::Input(_) => self.last_input = self.ctx.now(),
                    event => {
                        if let Err(reason) = self.handle_event(line_session, event) {
                            return reason;
                        }
                    }
                }
            }
        }
    }

    /// Waits until a time without reading input. A line session receives messages meanwhile. The
    /// error is the reason why the session ends.
    pub(crate) async fn pause(
        &mut self,
        mut line_session: Option<&mut LineSession>,
        until: Instant,
    ) -> Result<(), String> {
        loop {
            let (mut subscription, mut verbatim) = (None, true);
            if let Some(line_session) = &mut line_session {
                self.flush_deferred(line_session);
                verbatim = !line_session.show_times;
                subscription = line_session.subscription.as_mut();
            }
            let deadline = Some(until);
            let wait_for =
                WaitFor { subscription, verbatim, input: false, flushed: false, deadline };
            let event = self.io.next(&mut self.ctx, wait_for, |_| {}).await;
            if matches!(event, SessionEvent::TimedOut) {
                return Ok(());
            }
            match &mut line_session {
                Some(line_session) => self.handle_event(line_session, event)?,
                None => check_event(event)?,
            }
        }
    }

    /// Adds what is not written verbatim to the outbox, as far as it has space: the number of
    /// dropped private notices, and messages with their times.
    fn flush_deferred(&mut self, line_session: &mut LineSession) {
        if line_session.dropped_private > 0 && !self.io.is_full() {
            let dropped = std::mem::take(&mut line_session.dropped_private);
            self.io.outbox.push(format!("* you missed {dropped} private messages\n"));
        }
        if let (Some(subscription), true) =
            (&mut line_session.subscription, line_session.show_times)
        {
            let now = self.ctx.clock().system_time();
            self.io.fill_outbox_if_empty(subscription, |delivery, outbox| match delivery {
                Delivery::Message(message) => {
                    message
                        .lines()
                        .for_each(|line| outbox.push(with_timestamp(line, message.sent_at, now)));
                }
                lagged @ Delivery::Lagged(_) => push_verbatim(lagged, outbox),
            });
        }
    }

    /// Handles a rare event. The error is the reason why the session ends.
    fn handle_event(
        &mut self,
        line_session: &mut LineSession,
        event: SessionEvent,
    ) -> Result<(), String> {
        match event {
            // The outbox of a peer that does not read must not grow with others' messages.
            SessionEvent::Message(SessionMessage::Notice(_)) if self.io.is_full() => {
                line_session.dropped_private += 1
            }
            SessionEvent::Message(SessionMessage::Notice(line)) => self.io.outbox.push(line),
            SessionEvent::Message(SessionMessage::Close(reason)) => {
                self.io.outbox.push(format!("* {}\n", notice::format_disconnected(&reason)));
                return Err(reason);
            }
            SessionEvent::Stop => {
                self.io.outbox.push("* the server is shutting down; good bye\n");
                return Err("the server is shutting down".into());
            }
            SessionEvent::TimedOut => {
                let reason = self.idle_reason();
                self.io.outbox.push(format!("* {}\n", notice::format_disconnected(&reason)));
                return Err(reason);
            }
            SessionEvent::IoError(error) => return Err(error.to_string()),
            SessionEvent::RoomActivity | SessionEvent::Drained | SessionEvent::Input(_) => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_handshake(bytes: &str) -> Handshake {
        let mut input = LineBuffer::new(100);
        input.push(bytes.as_bytes());
        Handshake::parse(&mut input)
    }

    fn handshake(nick: Option<&str>, room: Option<&str>, first_line: Option<&str>) -> Handshake {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let first_line = first_line.map(|line| Line::Complete(line.into()));
        Handshake { nick: owned(nick), room: owned(room), first_line }
    }

    #[test]
    fn handshake_ends_at_first_other_line() {
        assert_eq!(parse_handshake("hello\n/nick ada\n"), handshake(None, None, Some("hello")));
        assert_eq!(parse_handshake("/nick ada\n"), handshake(Some("ada"), None, None));
        let both = handshake(Some("ada"), Some("den"), Some("/ack off"));
        assert_eq!(parse_handshake("/nick ada\n/join den\n/ack off\n"), both);
        assert_eq!(parse_handshake("/join den\n/nick ada\n/ack off\n"), both);
    }

    #[test]
    fn handshake_ends_at_second_nick_or_invalid_room() {
        assert_eq!(
            parse_handshake("/nick a\n/nick b\n"),
            handshake(Some("a"), None, Some("/nick b"))
        );
        assert_eq!(parse_handshake("/join a b\n"), handshake(None, None, Some("/join a b")));
    }
}
