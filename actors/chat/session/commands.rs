//! What a chat session does with a line: says it in the room, or does what a command asks for.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::actors::chat::broadcast::log::Remembered;
use crate::actors::chat::registry::{MUTED, UNHEARD};
use crate::actors::chat::session::Session;
use crate::actors::chat::session::lines::Speaker;
use crate::actors::{Report, ToRoom};
use crate::wire::chat::command::{Command, HELP, parse};
use crate::wire::chat::{ACK_OFF, ACK_ON, ACK_PREFIX, MAX_LINE_LEN};
use crate::wire::chat::{notice, operator_command};
use crate::wire::date;
use crate::wire::lines::{Line, LineBuffer};
use crate::wire::text::{decode_lossy, escape};

/// How many lines `/history` shows unless it is told.
const HISTORY: usize = 20;

/// How many wrong passwords end a session.
const GUESSES: u8 = 3;

/// How many bytes `/history` shows at most.
const HISTORY_BYTES: usize = 32 << 10;

/// So many bytes are said together, about.
const BLOCK: usize = 16 << 10;

/// Lines of one member that are said together.
#[derive(Debug, Default)]
struct Block {
    nick: Option<Arc<str>>,
    text: String,
    count: u32,
}

impl Block {
    fn add(&mut self, nick: impl FnOnce() -> Arc<str>, text: &str) {
        let nick = self.nick.get_or_insert_with(nick);
        for piece in [&**nick, ": ", text, "\n"] {
            self.text.push_str(piece);
        }
        self.count += 1;
    }
}

impl Session {
    /// Does what the lines say that are there; returns until when the next one has to wait, if it has to.
    pub(crate) async fn take_lines(
        &mut self,
        speaker: &mut Speaker,
    ) -> Result<Option<Instant>, String> {
        let mut block = Block::default();
        while !self.talk.is_full() {
            if let Some(allowance) = &mut speaker.allowance {
                if let Some(until) = allowance.ready_at(self.ctx.now()) {
                    self.say_block(speaker, &mut block);
                    return Ok(Some(until));
                }
            }
            if self.adds(speaker, &mut block) {
                continue;
            }
            self.say_block(speaker, &mut block);
            // The last line may lack its newline.
            let Speaker { lines, is_over, .. } = speaker;
            let next = |lines: &mut Box<LineBuffer>| match *is_over {
                true => lines.finish(),
                false => lines.next_line(),
            };
            let Some(line) = lines.as_mut().and_then(next) else { break };
            if let Some(allowance) = &mut speaker.allowance {
                allowance.record();
            }
            self.take(speaker, line).await?;
        }
        self.say_block(speaker, &mut block);
        speaker.tidy();
        Ok(None)
    }

    /// Adds the next line to those that are said together, if it is one that is simply said; tells whether it was.
    fn adds(&mut self, speaker: &mut Speaker, block: &mut Block) -> bool {
        // Where somebody is told of each line, each is a matter of its own.
        let simply = speaker.ear.is_some() && !self.with.reporter.is_enabled();
        let (true, false, Some(lines)) = (simply, speaker.is_over, &mut speaker.lines) else {
            return false;
        };
        if block.text.len() > BLOCK {
            return false;
        }
        let Speaker { member, receipts, allowance, .. } = speaker;
        let outbox = &mut self.talk.outbox;
        lines.take_line_if(|text| {
            if text.is_empty() || text.starts_with('/') {
                return false;
            }
            let text = escape(text);
            block.add(|| member.nick(), &text);
            if *receipts {
                outbox.push([ACK_PREFIX, &text, "\n"].concat());
            }
            if let Some(allowance) = allowance {
                allowance.record();
            }
            true
        })
    }

    /// Says what is to be said together.
    fn say_block(&mut self, speaker: &Speaker, block: &mut Block) {
        if block.count > 0 {
            let Block { text, count, .. } = std::mem::take(block);
            if let Err(why) = speaker.member.hear(count, self.ctx.clock().system_time(), |_| text) {
                self.talk.outbox.push(format!("* {why}\n"));
            }
        }
    }

    /// Does what a line says; an error ends the session and tells why.
    pub(crate) async fn take(&mut self, speaker: &mut Speaker, line: Line) -> Result<(), String> {
        let line = match &line {
            Line::Complete(line) => decode_lossy(line),
            Line::TooLong(len) => {
                self.talk.outbox.push(format!(
                    "* a line of {len} bytes is too long and was not said; {MAX_LINE_LEN} are allowed\n"
                ));
                return Ok(());
            }
        };
        let id = speaker.member.id();
        let answer = match parse(&line) {
            Command::Message("") => return Ok(()),
            Command::Message(_) | Command::Action(_) if speaker.ear.is_none() => {
                Err(UNHEARD.into())
            }
            Command::Message(_)
            | Command::Action(_)
            | Command::DirectMessage(..)
            | Command::Topic(Some(_))
                if speaker.member.is_muted() =>
            {
                Err(MUTED.into())
            }
            Command::Message(text) => {
                let (nick, _) = speaker.member.name_and_room();
                match self.say(&speaker.member, Some(nick), text).await {
                    Ok(()) => {
                        self.receipt(speaker, text);
                        return Ok(());
                    }
                    Err(why) => Err(why.into()),
                }
            }
            Command::Action(text) => {
                let (nick, _) = speaker.member.name_and_room();
                self.report(&speaker.member, Some(nick), text).await;
                match speaker.member.act(text, self.ctx.clock().system_time()) {
                    Ok(()) => {
                        self.receipt(speaker, text);
                        return Ok(());
                    }
                    Err(why) => Err(why.into()),
                }
            }
            Command::Nick(nick) => {
                let renamed = self.ask(|reply| ToRoom::Rename(id, nick.into(), reply)).await;
                renamed.map(|nick| notice::format_renamed(&nick))
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
                    notice::format_left(&room)
                })
            }
            Command::DirectMessage(to, text) => {
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
                let orders = if speaker.is_operator { operator_command::HELP } else { "" };
                let help = HELP.lines().chain(orders.lines());
                let help: String = help.map(|line| format!("* {line}\n")).collect();
                self.talk.outbox.push(help);
                return Ok(());
            }
            Command::Quit => return Err("it quit".into()),
            Command::OperatorLogin(password) => self.operator(speaker, password)?,
            Command::OperatorLine(_) if !speaker.is_operator => {
                Err("only an operator may; /operator PASSWORD makes you one".into())
            }
            Command::OperatorLine(line) => {
                self.ask(|reply| ToRoom::Order(Some(id), line.into(), reply)).await
            }
            Command::Unknown(word) => {
                Err(format!("there is no {}; /help lists the commands", escape(word)))
            }
            Command::Invalid(usage) => Err(usage.into()),
        };
        let (Ok(words) | Err(words)) = answer;
        self.talk.outbox.push(format!("* {words}\n"));
        Ok(())
    }

    /// Makes an operator of whoever knows the password; who guesses is sent away.
    fn operator(
        &mut self,
        speaker: &mut Speaker,
        password: &str,
    ) -> Result<Result<String, String>, String> {
        let Some(operators) = &self.with.limits.operators else {
            return Ok(Err("this chat has no operators but at its own terminal".into()));
        };
        if operators.know(password) {
            speaker.is_operator = true;
            return Ok(Ok("you are an operator; /help lists what you may".into()));
        }
        speaker.wrong += 1;
        let (peer, why) = (Some(self.peer().clone()), "a wrong operator's password");
        self.with.reporter.try_send(|| Report::Rejected { peer, reason: why.into() });
        if speaker.wrong >= GUESSES {
            let why = "wrong about the password too often";
            self.talk.outbox.push(format!("* {}\n", notice::format_disconnected(why)));
            return Err(why.into());
        }
        Ok(Err("that is not the password".into()))
    }

    fn receipt(&mut self, speaker: &Speaker, text: &str) {
        if speaker.receipts {
            self.talk.outbox.push(format!("{ACK_PREFIX}{}\n", escape(text)));
        }
    }

    fn history(&mut self, speaker: &Speaker, count: usize) {
        let Some(ear) = &speaker.ear else {
            return self.talk.outbox.push("* you are in no room; /join ROOM goes to one\n");
        };
        let mut lines = ear.last(count.min(self.with.limits.history));
        let mut bytes = 0;
        let fits = |one: &&Remembered| {
            bytes += one.line.len();
            bytes <= HISTORY_BYTES
        };
        let kept = lines.iter().rev().take_while(fits).count();
        lines.drain(..lines.len() - kept);
        self.talk.outbox.push(format!("* the last {} lines:\n", lines.len()));
        let now = self.ctx.clock().system_time();
        lines.iter().for_each(|one| self.talk.outbox.push(timed(&one.line, one.at, now)));
    }
}

/// A line with the time before it when it was said.
pub(crate) fn timed(line: &str, at: SystemTime, now: SystemTime) -> String {
    format!("[{}] {line}", date::format_timestamp(at, now))
}
