//! What a chat session does with a line: says it in the room, or does what a command asks for.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::actors::chat::broadcast::log::HistoryLine;
use crate::actors::chat::registry::{MUTED, NO_ROOM_TO_SEND_TO};
use crate::actors::chat::session::Session;
use crate::actors::chat::session::lines::LineSession;
use crate::actors::{Report, RoomRequest};
use crate::wire::chat::command::{Command, HELP, parse};
use crate::wire::chat::{ACK_OFF, ACK_ON, ACK_PREFIX, MAX_LINE_LEN};
use crate::wire::chat::{notice, operator_command};
use crate::wire::date;
use crate::wire::lines::{Line, LineBuffer};
use crate::wire::text::{decode_lossy, escape};

/// How many lines `/history` shows unless it is told.
const DEFAULT_HISTORY_LINES: usize = 20;

/// How many wrong passwords end a session.
const MAX_LOGIN_ATTEMPTS: u8 = 3;

/// How many bytes `/history` shows at most.
const MAX_HISTORY_BYTES: usize = 32 << 10;

/// So many bytes are said together, about.
const MAX_BATCH_BYTES: usize = 16 << 10;

/// Lines of one member that are said together.
#[derive(Debug, Default)]
struct LineBatch {
    nick: Option<Arc<str>>,
    text: String,
    line_count: u32,
}

impl LineBatch {
    fn push(&mut self, nick: impl FnOnce() -> Arc<str>, text: &str) {
        let nick = self.nick.get_or_insert_with(nick);
        for piece in [&**nick, ": ", text, "\n"] {
            self.text.push_str(piece);
        }
        self.line_count += 1;
    }
}

impl Session {
    /// Does what the lines say that are there; returns until when the next one has to wait, if it has to.
    pub(crate) async fn handle_lines(
        &mut self,
        speaker: &mut LineSession,
    ) -> Result<Option<Instant>, String> {
        let mut block = LineBatch::default();
        while !self.io.is_full() {
            if let Some(allowance) = &mut speaker.rate_limiter {
                if let Some(until) = allowance.ready_at(self.ctx.now()) {
                    self.publish_batch(speaker, &mut block);
                    return Ok(Some(until));
                }
            }
            if self.try_batch_line(speaker, &mut block) {
                continue;
            }
            self.publish_batch(speaker, &mut block);
            // The last line may lack its newline.
            let LineSession { input: lines, input_closed: is_over, .. } = speaker;
            let next = |lines: &mut Box<LineBuffer>| match *is_over {
                true => lines.finish(),
                false => lines.next_line(),
            };
            let Some(line) = lines.as_mut().and_then(next) else { break };
            if let Some(allowance) = &mut speaker.rate_limiter {
                allowance.record();
            }
            self.handle_line(speaker, line).await?;
        }
        self.publish_batch(speaker, &mut block);
        speaker.release_buffer();
        Ok(None)
    }

    /// Adds the next line to those that are said together, if it is one that is simply said; tells whether it was.
    fn try_batch_line(&mut self, speaker: &mut LineSession, block: &mut LineBatch) -> bool {
        // Where somebody is told of each line, each is a matter of its own.
        let simply = speaker.subscription.is_some() && !self.config.reporter.is_enabled();
        let (true, false, Some(lines)) = (simply, speaker.input_closed, &mut speaker.input) else {
            return false;
        };
        if block.text.len() > MAX_BATCH_BYTES {
            return false;
        }
        let LineSession { member, acks_enabled: receipts, rate_limiter: allowance, .. } = speaker;
        let outbox = &mut self.io.outbox;
        lines.take_line_if(|text| {
            if text.is_empty() || text.starts_with('/') {
                return false;
            }
            let text = escape(text);
            block.push(|| member.nick(), &text);
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
    fn publish_batch(&mut self, speaker: &LineSession, block: &mut LineBatch) {
        if block.line_count > 0 {
            let LineBatch { text, line_count: count, .. } = std::mem::take(block);
            if let Err(why) =
                speaker.member.broadcast(count, self.ctx.clock().system_time(), |_| text)
            {
                self.io.outbox.push(format!("* {why}\n"));
            }
        }
    }

    /// Does what a line says; an error ends the session and tells why.
    pub(crate) async fn handle_line(
        &mut self,
        speaker: &mut LineSession,
        line: Line,
    ) -> Result<(), String> {
        let line = match &line {
            Line::Complete(line) => decode_lossy(line),
            Line::TooLong(len) => {
                self.io.outbox.push(format!(
                    "* a line of {len} bytes is too long and was not said; {MAX_LINE_LEN} are allowed\n"
                ));
                return Ok(());
            }
        };
        let id = speaker.member.id();
        let answer = match parse(&line) {
            Command::Message("") => return Ok(()),
            Command::Message(_) | Command::Action(_) if speaker.subscription.is_none() => {
                Err(NO_ROOM_TO_SEND_TO.into())
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
                let (nick, _) = speaker.member.nick_and_room();
                match self.send_message(&speaker.member, Some(nick), text).await {
                    Ok(()) => {
                        self.send_ack(speaker, text);
                        return Ok(());
                    }
                    Err(why) => Err(why.into()),
                }
            }
            Command::Action(text) => {
                let (nick, _) = speaker.member.nick_and_room();
                self.report_message(&speaker.member, Some(nick), text).await;
                match speaker.member.send_action(text, self.ctx.clock().system_time()) {
                    Ok(()) => {
                        self.send_ack(speaker, text);
                        return Ok(());
                    }
                    Err(why) => Err(why.into()),
                }
            }
            Command::Nick(nick) => {
                let renamed = self.ask(|reply| RoomRequest::Rename(id, nick.into(), reply)).await;
                renamed.map(|nick| notice::format_renamed(&nick))
            }
            Command::Join(room) => {
                match self.ask(|reply| RoomRequest::Join(id, room.into(), reply)).await {
                    Ok(joined) => {
                        self.send_welcome(speaker, joined);
                        return Ok(());
                    }
                    Err(why) => Err(why),
                }
            }
            Command::Leave => {
                let left = self.ask(|reply| RoomRequest::Leave(id, reply)).await;
                left.map(|room| {
                    speaker.subscription = None;
                    notice::format_left(&room)
                })
            }
            Command::DirectMessage(to, text) => {
                let told = |reply| RoomRequest::DirectMessage(id, to.into(), text.into(), reply);
                self.ask(told).await.map(|nick| format!("you tell {nick}: {}", escape(text)))
            }
            Command::Who => self.ask(|reply| RoomRequest::Who(id, reply)).await,
            Command::Rooms => self.ask(RoomRequest::Rooms).await,
            Command::Topic(text) => {
                self.ask(|reply| RoomRequest::Topic(id, text.map(str::to_owned), reply)).await
            }
            Command::History(count) => {
                self.send_history(speaker, count.unwrap_or(DEFAULT_HISTORY_LINES));
                return Ok(());
            }
            Command::Time(on) => {
                speaker.show_times = on;
                Ok(format!("the time of day is {}", if on { "shown, in UTC" } else { "not shown" }))
            }
            Command::Ack(on) => {
                speaker.acks_enabled = on;
                self.io.outbox.push(format!("{}\n", if on { ACK_ON } else { ACK_OFF }));
                return Ok(());
            }
            Command::Help => {
                let orders = if speaker.is_operator { operator_command::HELP } else { "" };
                let help = HELP.lines().chain(orders.lines());
                let help: String = help.map(|line| format!("* {line}\n")).collect();
                self.io.outbox.push(help);
                return Ok(());
            }
            Command::Quit => return Err("it quit".into()),
            Command::OperatorLogin(password) => self.authenticate_operator(speaker, password)?,
            Command::OperatorLine(_) if !speaker.is_operator => {
                Err("only an operator may; /operator PASSWORD makes you one".into())
            }
            Command::OperatorLine(line) => {
                self.ask(|reply| RoomRequest::OperatorCommand(Some(id), line.into(), reply)).await
            }
            Command::Unknown(word) => {
                Err(format!("there is no {}; /help lists the commands", escape(word)))
            }
            Command::Invalid(usage) => Err(usage.into()),
        };
        let (Ok(words) | Err(words)) = answer;
        self.io.outbox.push(format!("* {words}\n"));
        Ok(())
    }

    /// Makes an operator of whoever knows the password; who guesses is sent away.
    fn authenticate_operator(
        &mut self,
        speaker: &mut LineSession,
        password: &str,
    ) -> Result<Result<String, String>, String> {
        let Some(operators) = &self.config.limits.operators else {
            return Ok(Err("this chat has no operators but at its own terminal".into()));
        };
        if operators.verify(password) {
            speaker.is_operator = true;
            return Ok(Ok("you are an operator; /help lists what you may".into()));
        }
        speaker.failed_logins += 1;
        let (peer, why) = (Some(self.peer().clone()), "a wrong operator's password");
        self.config.reporter.try_send(|| Report::Rejected { peer, reason: why.into() });
        if speaker.failed_logins >= MAX_LOGIN_ATTEMPTS {
            let why = "wrong about the password too often";
            self.io.outbox.push(format!("* {}\n", notice::format_disconnected(why)));
            return Err(why.into());
        }
        Ok(Err("that is not the password".into()))
    }

    fn send_ack(&mut self, speaker: &LineSession, text: &str) {
        if speaker.acks_enabled {
            self.io.outbox.push(format!("{ACK_PREFIX}{}\n", escape(text)));
        }
    }

    fn send_history(&mut self, speaker: &LineSession, count: usize) {
        let Some(ear) = &speaker.subscription else {
            return self.io.outbox.push("* you are in no room; /join ROOM goes to one\n");
        };
        let mut lines = ear.recent(count.min(self.config.limits.max_history_lines));
        let mut bytes = 0;
        let fits = |one: &&HistoryLine| {
            bytes += one.text.len();
            bytes <= MAX_HISTORY_BYTES
        };
        let kept = lines.iter().rev().take_while(fits).count();
        lines.drain(..lines.len() - kept);
        self.io.outbox.push(format!("* the last {} lines:\n", lines.len()));
        let now = self.ctx.clock().system_time();
        lines
            .iter()
            .for_each(|one| self.io.outbox.push(with_timestamp(&one.text, one.sent_at, now)));
    }
}

/// A line with the time before it when it was said.
pub(crate) fn with_timestamp(line: &str, at: SystemTime, now: SystemTime) -> String {
    format!("[{}] {line}", date::format_timestamp(at, now))
}
