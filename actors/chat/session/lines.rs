//! A member of a chat who sends lines: netcat, telnet, our own client.
//!
//! One loop: lines are done in their order, what others say is handed on, and both wait for a peer that does not
//! take what it is sent. It holds up nobody but itself, and learns how many lines it missed.

use crate::actors::chat::broadcast::subscription::{Ear, Heard};
use crate::actors::chat::session::Session;
use crate::actors::chat::session::commands::timed;
use crate::actors::chat::session::delivery::as_it_is;
use crate::actors::chat::session::io::{Happened, Wants};
use crate::actors::chat::session::wish::Wish;
use crate::actors::support::allowance::RateLimiter;
use crate::actors::{Coming, Joined, Membership, ToSession};
use crate::wire::chat::MAX_LINE_LEN;
use crate::wire::chat::notice;
use crate::wire::lines::LineBuffer;

/// A member who sends lines.
pub(crate) struct Speaker {
    pub(crate) member: Membership,
    /// What came of its next lines; nothing while it waits between two.
    pub(crate) lines: Option<Box<LineBuffer>>,
    /// What it hears; nothing where it is in no room.
    pub(crate) ear: Option<Ear>,
    pub(crate) receipts: bool,
    pub(crate) times: bool,
    pub(crate) allowance: Option<Box<RateLimiter>>,
    /// What was told to it alone and found too much waiting for it.
    untold: u64,
    /// Whether it may give orders.
    pub(crate) is_operator: bool,
    /// How many wrong passwords it gave.
    pub(crate) wrong: u8,
    /// Whether it has ended its side.
    pub(crate) is_over: bool,
}

impl Speaker {
    fn has_line(&mut self) -> bool {
        self.lines.as_mut().is_some_and(|lines| lines.has_line())
    }

    /// Lets go of a buffer that nothing is in.
    pub(crate) fn tidy(&mut self) {
        self.lines.take_if(|lines| lines.is_empty());
    }
}

fn line_buffer() -> Box<LineBuffer> {
    Box::new(LineBuffer::new(MAX_LINE_LEN))
}

impl Session {
    /// Serves a client that sends lines until it leaves; returns why it ended.
    #[expect(clippy::manual_async_fn, reason = "an async fn holds its arguments twice")]
    pub(crate) fn lines(&mut self, speaker: &mut Speaker) -> impl Future<Output = String> + Send {
        async move {
            loop {
                let mut wait = None;
                if speaker.is_over || speaker.has_line() {
                    match Box::pin(self.take_lines(speaker)).await {
                        Ok(until) => wait = until,
                        Err(why) => return why,
                    }
                }
                let (waits, until) = match wait {
                    Some(until) => (true, Some(until)),
                    None => (false, self.idle_until()),
                };
                if speaker.is_over && !waits && !self.talk.is_full() {
                    return "closed by peer".into();
                }
                self.tell_what_waits(speaker);
                let Speaker { ear, lines, untold, is_over, times, .. } = speaker;
                let wants = Wants {
                    ear: ear.as_mut(),
                    plain: !*times,
                    input: !*is_over && !waits,
                    // What was missed is told, and the last lines are taken, when there is room again.
                    written: *untold > 0 || (*is_over && !waits),
                    until,
                };
                let take = |more: &[u8]| lines.get_or_insert_with(line_buffer).push(more);
                match self.talk.next(&mut self.ctx, wants, take).await {
                    Happened::Heard | Happened::Written => {}
                    Happened::Late if waits => {}
                    Happened::Input(0) => speaker.is_over = true,
                    Happened::Input(_) => self.heard_at = self.ctx.now(),
                    happened => {
                        if let Err(why) = self.heed(speaker, happened) {
                            return why;
                        }
                    }
                }
            }
        }
    }

    /// Puts what is not sent as it is heard into the outbox, if the peer took what was there before.
    fn tell_what_waits(&mut self, speaker: &mut Speaker) {
        if speaker.untold > 0 && self.talk.outbox.is_empty() {
            let untold = std::mem::take(&mut speaker.untold);
            self.talk.outbox.push(format!("* you missed {untold} messages for you alone\n"));
        }
        if let (Some(ear), true) = (&mut speaker.ear, speaker.times) {
            let now = self.ctx.clock().system_time();
            self.talk.hear(ear, |heard, outbox| match heard {
                Heard::Said(said) => {
                    said.lines().for_each(|line| outbox.push(timed(line, said.at, now)));
                }
                missed @ Heard::Missed(_) => as_it_is(missed, outbox),
            });
        }
    }

    /// Does what happens now and then; an error ends the session and tells why.
    fn heed(&mut self, speaker: &mut Speaker, happened: Happened) -> Result<(), String> {
        match happened {
            // A peer that does not read is no place to pile up what others tell it.
            Happened::Mail(ToSession::Line(_)) if self.talk.is_full() => speaker.untold += 1,
            Happened::Mail(ToSession::Line(line)) => self.talk.outbox.push(line),
            Happened::Mail(ToSession::End(why)) => {
                self.talk.outbox.push(format!("* {}\n", notice::format_disconnected(&why)));
                return Err(why);
            }
            Happened::Stop => {
                self.talk.outbox.push("* the server stops; good bye\n");
                return Err("the server stops".into());
            }
            Happened::Late => {
                let why = self.idle();
                self.talk.outbox.push(format!("* {}\n", notice::format_disconnected(&why)));
                return Err(why);
            }
            Happened::Broken(error) => return Err(error.to_string()),
            Happened::Heard | Happened::Written | Happened::Input(_) => {}
        }
        Ok(())
    }

    /// Comes into a room, as the first lines may wish.
    pub(crate) async fn enter(&mut self, first: &[u8]) -> Result<Speaker, String> {
        let mut lines = line_buffer();
        lines.push(first);
        let Wish { nick, room, rest } = Wish::of(&mut lines);
        let (address, session) = (self.address(), self.ctx.address());
        let coming = |nick| {
            let (room, session) = (room.clone(), Some(session.clone()));
            Coming { nick, room, quiet: false, address, session }
        };
        let has_wish = nick.is_some();
        let (member, joined) = match self.come(coming(nick)).await {
            Err(why) if has_wish => {
                self.talk.outbox.push(format!("* {why}\n"));
                self.come(coming(None)).await?
            }
            come => come?,
        };
        let limits = &self.with.limits;
        let is_bound = limits.rate_on_loopback || !self.peer().is_loopback();
        let allowance = is_bound.then(|| Box::new(RateLimiter::new(limits.rate, self.ctx.now())));
        let mut speaker = Speaker {
            member,
            lines: Some(lines),
            ear: None,
            receipts: true,
            times: false,
            allowance,
            untold: 0,
            is_operator: false,
            wrong: 0,
            is_over: false,
        };
        self.welcome(&mut speaker, joined);
        if let Some(line) = rest {
            self.take(&mut speaker, line).await?;
        }
        speaker.tidy();
        Ok(speaker)
    }

    pub(crate) fn welcome(&mut self, speaker: &mut Speaker, joined: Joined) {
        let (nick, _) = speaker.member.name_and_room();
        let seated = notice::format_welcome(&nick, &joined.room, joined.others);
        self.talk.outbox.push(format!("* {seated}\n"));
        if let Some(topic) = joined.topic {
            self.talk.outbox.push(format!("* {} is about: {topic}\n", joined.room));
        }
        speaker.ear = Some(joined.ear);
    }
}
