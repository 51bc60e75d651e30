//! A chat session with a client that sends lines: netcat, telnet, our own.
//!
//! One loop: lines are done in their order, what others say is handed on, and both wait for a peer that does not
//! take what it is sent. It holds up nobody but itself, and learns how many lines it missed.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::allowance::Allowance;
use super::chat_session::Session;
use super::ear::{Ear, Heard};
use super::ring::Said;
use super::talk::{Happened, Wants, as_it_is};
use super::{Coming, Joined, Membership, ToRoom, ToSession};
use crate::runtime::{Clock, Context};
use crate::wire::chat::{ACK_OFF, ACK_ON, LINE_MAX, RECEIPT};
use crate::wire::command::{Command, HELP, parse};
use crate::wire::lines::{Line, LineBuffer};
use crate::wire::text::{escape, lossy};

/// How many lines `/history` shows unless it is told.
const HISTORY: usize = 20;

/// How many bytes `/history` shows at most.
const HISTORY_BYTES: usize = 32 << 10;

/// A member who sends lines.
struct Speaker {
    member: Membership,
    /// What it hears; nothing where it is in no room.
    ear: Option<Ear>,
    receipts: bool,
    times: bool,
    allowance: Option<Allowance>,
    /// What was told to it alone and found too much waiting for it.
    untold: u64,
}

impl Session {
    /// Serves a client that sends lines until it leaves; returns why it ended.
    pub(super) async fn lines(&mut self, ctx: &mut Context<ToSession>, first: Vec<u8>) -> String {
        let mut lines = LineBuffer::new(LINE_MAX);
        lines.push(&first);
        drop(first);
        let mut speaker = match Box::pin(self.enter(ctx, &mut lines)).await {
            Ok(speaker) => speaker,
            Err(why) => return why,
        };
        let mut is_over = false;
        loop {
            let mut wait = None;
            if is_over || lines.has_line() {
                let taken = self.take_lines(&mut speaker, &mut lines, is_over, ctx.clock());
                match Box::pin(taken).await {
                    Ok(until) => wait = until,
                    Err(why) => return why,
                }
            }
            if is_over && wait.is_none() && !self.talk.is_full() {
                return "closed by peer".into();
            }
            if speaker.untold > 0 && self.talk.outbox.is_empty() {
                let untold = std::mem::take(&mut speaker.untold);
                self.talk.outbox.push(format!("* you missed {untold} messages for you alone\n"));
            }
            if let (Some(ear), true) = (&mut speaker.ear, speaker.times) {
                self.talk.hear(ear, |heard, outbox| match heard {
                    Heard::Said(said) => outbox.push(timed(&said)),
                    missed => as_it_is(missed, outbox),
                });
            }
            let until = wait.or_else(|| self.idle_until());
            let input = !is_over && wait.is_none();
            // What was missed is told, and the last lines are taken, when there is room again.
            let written = speaker.untold > 0 || (is_over && wait.is_none());
            let (ear, plain) = (speaker.ear.as_mut(), !speaker.times);
            let wants = Wants { ear, plain, input, written, until };
            match self.talk.next(ctx, wants, |more| lines.push(more)).await {
                Happened::Stop => {
                    self.talk.outbox.push("* the server stops; good bye\n");
                    return "the server stops".into();
                }
                // A peer that does not read is no place to pile up what others tell it.
                Happened::Mail(ToSession::Line(_)) if self.talk.is_full() => speaker.untold += 1,
                Happened::Mail(ToSession::Line(line)) => self.talk.outbox.push(line),
                Happened::Mail(ToSession::End(why)) => return why,
                Happened::Heard | Happened::Written => {}
                Happened::Late if wait.is_some() => {}
                Happened::Late => {
                    let why = self.idle();
                    self.talk.outbox.push(format!("* you were {why}; good bye\n"));
                    return why;
                }
                Happened::Broken(error) => return error.to_string(),
                Happened::Input(0) => is_over = true,
                Happened::Input(_) => self.heard_at = ctx.now(),
            }
        }
    }

    /// Comes into the first room. The first line comes before that, and may choose the name.
    async fn enter(
        &mut self,
        ctx: &Context<ToSession>,
        lines: &mut LineBuffer,
    ) -> Result<Speaker, String> {
        let first = lines.next_line();
        let wish = match &first {
            Some(Line::Whole(line)) => match parse(&lossy(line)) {
                Command::Nick(nick) => Some(nick.to_string()),
                _ => None,
            },
            _ => None,
        };
        let coming = |nick| Coming { nick, quiet: false, session: Some(ctx.address()) };
        let (member, joined) = match self.come(coming(wish.clone())).await {
            Err(why) if wish.is_some() => {
                self.talk.outbox.push(format!("* {why}\n"));
                self.come(coming(None)).await?
            }
            come => come?,
        };
        let limits = &self.with.limits;
        let is_bound = limits.rate_on_loopback || !self.peer.is_loopback();
        let allowance = is_bound.then(|| Allowance::new(limits.rate, ctx.now()));
        let mut speaker =
            Speaker { member, ear: None, receipts: true, times: false, allowance, untold: 0 };
        self.welcome(&mut speaker, joined);
        if let (Some(line), None) = (first, wish) {
            self.take(&mut speaker, line).await?;
        }
        Ok(speaker)
    }

    fn welcome(&mut self, speaker: &mut Speaker, joined: Joined) {
        let others = match joined.others {
            1 => "1 other".into(),
            others => format!("{others} others"),
        };
        let (nick, _) = speaker.member.name_and_room();
        self.talk.outbox.push(format!(
            "* you are {nick} in {}, with {others}; /help lists the commands\n",
            joined.room
        ));
        if let Some(topic) = joined.topic {
            self.talk.outbox.push(format!("* {} is about: {topic}\n", joined.room));
        }
        speaker.ear = Some(joined.ear);
    }

    /// Does what the lines say that are there; returns until when the next one has to wait, if it has to.
    async fn take_lines(
        &mut self,
        speaker: &mut Speaker,
        lines: &mut LineBuffer,
        is_over: bool,
        clock: &Clock,
    ) -> Result<Option<Instant>, String> {
        while !self.talk.is_full() {
            if let Some(allowance) = &mut speaker.allowance {
                if let Some(until) = allowance.wait(clock.now()) {
                    return Ok(Some(until));
                }
            }
            // The last line may lack its newline.
            let next = if is_over { lines.finish() } else { lines.next_line() };
            let Some(line) = next else { break };
            if let Some(allowance) = &mut speaker.allowance {
                allowance.spend();
            }
            self.take(speaker, line).await?;
        }
        Ok(None)
    }

    /// Does what a line says; an error ends the session and tells why.
    async fn take(&mut self, speaker: &mut Speaker, line: Line) -> Result<(), String> {
        let line = match &line {
            Line::Whole(line) => lossy(line),
            Line::TooLong(len) => {
                self.talk.outbox.push(format!(
                    "* a line of {len} bytes is too long and was not said; {LINE_MAX} are allowed\n"
                ));
                return Ok(());
            }
        };
        let id = speaker.member.id();
        let answer = match parse(&line) {
            Command::Say("") => return Ok(()),
            Command::Say(_) | Command::Act(_) if speaker.ear.is_none() => {
                Err("you are in no room, so nobody hears it; /join ROOM goes to one".into())
            }
            Command::Say(text) => {
                let (nick, _) = speaker.member.name_and_room();
                self.say(&speaker.member, Some(nick), text).await?;
                self.receipt(speaker, text);
                return Ok(());
            }
            Command::Act(text) => {
                let (nick, _) = speaker.member.name_and_room();
                self.report(&speaker.member, Some(nick), text).await;
                self.tell_room(ToRoom::Act(id, text.into())).await?;
                self.receipt(speaker, text);
                return Ok(());
            }
            Command::Nick(nick) => {
                let renamed = self.ask(|reply| ToRoom::Rename(id, nick.into(), reply)).await;
                renamed.map(|nick| format!("you are now {nick}"))
            }
            Command::Join(room) => {
                match self.ask(|reply| ToRoom::Join(id, room.into(), reply)).await {
                    Ok(joined) => {
                        self.welcome(speaker, joined);
                        return Ok(());
                    }
                    Err(why) => Err(why),
                }
            }
            Command::Leave => {
                let left = self.ask(|reply| ToRoom::Leave(id, reply)).await;
                left.map(|room| {
                    speaker.ear = None;
                    format!("you left {room}; /join ROOM goes to another one")
                })
            }
            Command::Tell(to, text) => {
                let told = |reply| ToRoom::Tell(id, to.into(), text.into(), reply);
                self.ask(told).await.map(|nick| format!("you tell {nick}: {}", escape(text)))
            }
            Command::Who => self.ask(|reply| ToRoom::Who(id, reply)).await,
            Command::Rooms => self.ask(ToRoom::Rooms).await,
            Command::Topic(text) => {
                self.ask(|reply| ToRoom::Topic(id, text.map(str::to_owned), reply)).await
            }
            Command::History(count) => {
                self.history(speaker, count.unwrap_or(HISTORY));
                return Ok(());
            }
            Command::Time(on) => {
                speaker.times = on;
                Ok(format!("the time of day is {}", if on { "shown, in UTC" } else { "not shown" }))
            }
            Command::Ack(on) => {
                speaker.receipts = on;
                self.talk.outbox.push(format!("{}\n", if on { ACK_ON } else { ACK_OFF }));
                return Ok(());
            }
            Command::Help => {
                let help: String = HELP.lines().map(|line| format!("* {line}\n")).collect();
                self.talk.outbox.push(help);
                return Ok(());
            }
            Command::Quit => return Err("it quit".into()),
            Command::Unknown(word) => {
                Err(format!("there is no {}; /help lists the commands", escape(word)))
            }
            Command::Invalid(usage) => Err(usage.into()),
        };
        let (Ok(words) | Err(words)) = answer;
        self.talk.outbox.push(format!("* {words}\n"));
        Ok(())
    }

    fn receipt(&mut self, speaker: &Speaker, text: &str) {
        if speaker.receipts {
            self.talk.outbox.push(format!("{RECEIPT}{}\n", escape(text)));
        }
    }

    fn history(&mut self, speaker: &Speaker, count: usize) {
        let Some(ear) = &speaker.ear else {
            return self.talk.outbox.push("* you are in no room; /join ROOM goes to one\n");
        };
        let mut lines = ear.last(count.min(self.with.limits.history));
        let mut bytes = 0;
        let fits = |said: &&Arc<Said>| {
            bytes += said.line.len();
            bytes <= HISTORY_BYTES
        };
        let kept = lines.iter().rev().take_while(fits).count();
        lines.drain(..lines.len() - kept);
        self.talk.outbox.push(format!("* the last {} lines:\n", lines.len()));
        lines.iter().for_each(|said| self.talk.outbox.push(timed(said)));
    }
}

/// A line with the time of day before it.
fn timed(said: &Arc<Said>) -> String {
    let since = said.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let minutes = since.as_secs() / 60;
    format!("[{:02}:{:02}] {}", minutes / 60 % 24, minutes % 60, said.line)
}
