//! A member of a chat who sends lines: netcat, telnet, our own client.
//!
//! One loop: lines are done in their order, what others say is handed on, and both wait for a peer that does not
//! take what it is sent. It holds up nobody but itself, and learns how many lines it missed.

use crate::actors::chat::broadcast::subscription::{Delivery, Subscription};
use crate::actors::chat::session::Session;
use crate::actors::chat::session::commands::with_timestamp;
use crate::actors::chat::session::delivery::push_verbatim;
use crate::actors::chat::session::io::{SessionEvent, WaitFor};
use crate::actors::chat::session::wish::Handshake;
use crate::actors::support::rate_limit::RateLimiter;
use crate::actors::{JoinRequest, JoinedRoom, Membership, SessionMessage};
use crate::wire::chat::MAX_LINE_LEN;
use crate::wire::chat::notice;
use crate::wire::lines::LineBuffer;

/// A member who sends lines.
pub(crate) struct LineSession {
    pub(crate) member: Membership,
    /// What came of its next lines; nothing while it waits between two.
    pub(crate) input: Option<Box<LineBuffer>>,
    /// What it hears; nothing where it is in no room.
    pub(crate) subscription: Option<Subscription>,
    pub(crate) acks_enabled: bool,
    pub(crate) show_times: bool,
    pub(crate) rate_limiter: Option<Box<RateLimiter>>,
    /// What was told to it alone and found too much waiting for it.
    dropped_private: u64,
    /// Whether it may give orders.
    pub(crate) is_operator: bool,
    /// How many wrong passwords it gave.
    pub(crate) failed_logins: u8,
    /// Whether it has ended its side.
    pub(crate) input_closed: bool,
}

impl LineSession {
    fn has_line(&mut self) -> bool {
        self.input.as_mut().is_some_and(|lines| lines.has_line())
    }

    /// Lets go of a buffer that nothing is in.
    pub(crate) fn release_buffer(&mut self) {
        self.input.take_if(|lines| lines.is_empty());
    }
}

fn make_line_buffer() -> Box<LineBuffer> {
    Box::new(LineBuffer::new(MAX_LINE_LEN))
}

impl Session {
    /// Serves a client that sends lines until it leaves; returns why it ended.
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    pub(crate) fn run_lines(
        &mut self,
        speaker: &mut LineSession,
    ) -> impl Future<Output = String> + Send {
        async move {
            loop {
                let mut wait = None;
                if speaker.input_closed || speaker.has_line() {
                    match Box::pin(self.handle_lines(speaker)).await {
                        Ok(until) => wait = until,
                        Err(why) => return why,
                    }
                }
                let (waits, until) = match wait {
                    Some(until) => (true, Some(until)),
                    None => (false, self.idle_deadline()),
                };
                if speaker.input_closed && !waits && !self.io.is_full() {
                    return "closed by peer".into();
                }
                self.flush_deferred(speaker);
                let LineSession {
                    subscription: ear,
                    input: lines,
                    dropped_private: untold,
                    input_closed: is_over,
                    show_times: times,
                    ..
                } = speaker;
                let wants = WaitFor {
                    subscription: ear.as_mut(),
                    verbatim: !*times,
                    input: !*is_over && !waits,
                    // What was missed is told, and the last lines are taken, when there is room again.
                    flushed: *untold > 0 || (*is_over && !waits),
                    deadline: until,
                };
                let take = |more: &[u8]| lines.get_or_insert_with(make_line_buffer).push(more);
                match self.io.next(&mut self.ctx, wants, take).await {
                    SessionEvent::RoomActivity | SessionEvent::Flushed => {}
                    SessionEvent::TimedOut if waits => {}
                    SessionEvent::Input(0) => speaker.input_closed = true,
                    SessionEvent::Input(_) => self.last_input = self.ctx.now(),
                    happened => {
                        if let Err(why) = self.handle_event(speaker, happened) {
                            return why;
                        }
                    }
                }
            }
        }
    }

    /// Puts what is not sent as it is heard into the outbox, if the peer took what was there before.
    fn flush_deferred(&mut self, speaker: &mut LineSession) {
        if speaker.dropped_private > 0 && self.io.outbox.is_empty() {
            let untold = std::mem::take(&mut speaker.dropped_private);
            self.io.outbox.push(format!("* you missed {untold} messages for you alone\n"));
        }
        if let (Some(ear), true) = (&mut speaker.subscription, speaker.show_times) {
            let now = self.ctx.clock().system_time();
            self.io.fill_outbox_if_empty(ear, |heard, outbox| match heard {
                Delivery::Message(said) => {
                    said.lines()
                        .for_each(|line| outbox.push(with_timestamp(line, said.sent_at, now)));
                }
                missed @ Delivery::Lagged(_) => push_verbatim(missed, outbox),
            });
        }
    }

    /// Does what happens now and then; an error ends the session and tells why.
    fn handle_event(
        &mut self,
        speaker: &mut LineSession,
        happened: SessionEvent,
    ) -> Result<(), String> {
        match happened {
            // A peer that does not read is no place to pile up what others tell it.
            SessionEvent::Message(SessionMessage::Notice(_)) if self.io.is_full() => {
                speaker.dropped_private += 1
            }
            SessionEvent::Message(SessionMessage::Notice(line)) => self.io.outbox.push(line),
            SessionEvent::Message(SessionMessage::Close(why)) => {
                self.io.outbox.push(format!("* {}\n", notice::format_disconnected(&why)));
                return Err(why);
            }
            SessionEvent::Stop => {
                self.io.outbox.push("* the server stops; good bye\n");
                return Err("the server stops".into());
            }
            SessionEvent::TimedOut => {
                let why = self.idle_reason();
                self.io.outbox.push(format!("* {}\n", notice::format_disconnected(&why)));
                return Err(why);
            }
            SessionEvent::IoError(error) => return Err(error.to_string()),
            SessionEvent::RoomActivity | SessionEvent::Flushed | SessionEvent::Input(_) => {}
        }
        Ok(())
    }

    /// Comes into a room, as the first lines may wish.
    pub(crate) async fn start_line_session(&mut self, first: &[u8]) -> Result<LineSession, String> {
        let mut lines = make_line_buffer();
        lines.push(first);
        let Handshake { nick, room, first_line: rest } = Handshake::parse(&mut lines);
        let (address, session) = (self.peer_ip(), self.ctx.address());
        let coming = |nick| {
            let (room, session) = (room.clone(), Some(session.clone()));
            JoinRequest { nick, room, quiet: false, ip: address, session }
        };
        let has_wish = nick.is_some();
        let (member, joined) = match self.join(coming(nick)).await {
            Err(why) if has_wish => {
                self.io.outbox.push(format!("* {why}\n"));
                self.join(coming(None)).await?
            }
            come => come?,
        };
        let limits = &self.config.limits;
        let is_bound = limits.rate_on_loopback || !self.peer().is_loopback();
        let allowance = is_bound.then(|| Box::new(RateLimiter::new(limits.rate, self.ctx.now())));
        let mut speaker = LineSession {
            member,
            input: Some(lines),
            subscription: None,
            acks_enabled: true,
            show_times: false,
            rate_limiter: allowance,
            dropped_private: 0,
            is_operator: false,
            failed_logins: 0,
            input_closed: false,
        };
        self.send_welcome(&mut speaker, joined);
        if let Some(line) = rest {
            self.handle_line(&mut speaker, line).await?;
        }
        speaker.release_buffer();
        Ok(speaker)
    }

    pub(crate) fn send_welcome(&mut self, speaker: &mut LineSession, joined: JoinedRoom) {
        let (nick, _) = speaker.member.nick_and_room();
        let seated = notice::format_welcome(&nick, &joined.room, joined.other_count);
        self.io.outbox.push(format!("* {seated}\n"));
        if let Some(topic) = joined.topic {
            self.io.outbox.push(format!("* {} is about: {topic}\n", joined.room));
        }
        speaker.subscription = Some(joined.subscription);
    }
}
