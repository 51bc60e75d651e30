//! The lines of a member: messages for the room, and commands.

use std::sync::Arc;

use crate::actors::chat::manager::request::RoomRequest;
use crate::actors::chat::operator_auth::{Login, MAX_LOGIN_ATTEMPTS};
use crate::actors::chat::registry::{MUTED, NOT_IN_ROOM};
use crate::actors::chat::session::delivery::with_timestamp;
use crate::actors::chat::session::state::{LineSession, Session};
use crate::actors::support::report::Report;
use crate::wire::chat::command::{Command, HELP, parse};
use crate::wire::chat::{ACK_OFF, ACK_ON, ACK_PREFIX, MAX_LINE_LEN};
use crate::wire::chat::{notice, operator_command};
use crate::wire::lines::{Line, LineBuffer};
use crate::wire::text::{decode_lossy, escape};

/// Number of lines that `/history` shows by default.
const DEFAULT_HISTORY_LINES: usize = 20;

/// Maximum number of bytes that `/history` shows.
const MAX_HISTORY_BYTES: usize = 32 << 10;

/// Approximate maximum size of a batch of lines that is published as one message, in bytes.
const MAX_BATCH_BYTES: usize = 16 << 10;

/// Consecutive lines of a member, to be published as one message.
#[derive(Debug, Default)]
struct LineBatch {
    nick: Option<Arc<str>>,
    text: String,
    line_count: u32,
}

impl LineBatch {
    fn push(&mut self, nick: impl FnOnce() -> Arc<str>, text: &str) {
        let nick = self.nick.get_or_insert_with(nick);
        for part in [&**nick, ": ", text, "\n"] {
            self.text.push_str(part);
        }
        self.line_count += 1;
    }
}

impl Session {
    /// Handles the lines in the input, as far as the outbox has space. Waits where the rate limits
    /// demand it. The error is the reason why the session ends.
    pub(crate) async fn handle_lines(
        &mut self,
        line_session: &mut LineSession,
    ) -> Result<(), String> {
        let mut batch = LineBatch::default();
        while !self.io.is_full() {
            self.io.charge_memory(|| self.ctx.now());
            if let Some(ready_at) = self.input_ready_at() {
                self.publish_batch(line_session, &mut batch);
                self.pause(Some(line_session), ready_at).await?;
                continue;
            }
            if self.try_batch_line(line_session, &mut batch) {
                continue;
            }
            self.publish_batch(line_session, &mut batch);
            let LineSession { input, input_closed, .. } = line_session;
            // The last line before the end of the input may lack its newline.
            let next_line = |input: &mut Box<LineBuffer>| match *input_closed {
                true => input.finish(),
                false => input.next_line(),
            };
            let Some(line) = input.as_mut().and_then(next_line) else { break };
            self.handle_line(line_session, line).await?;
        }
        self.publish_batch(line_session, &mut batch);
        line_session.release_buffer();
        Ok(())
    }

    /// Adds the next line to the batch if it is a plain message. Returns whether it was added.
    fn try_batch_line(&mut self, line_session: &mut LineSession, batch: &mut LineBatch) -> bool {
        // Messages are not batched while a reporter is attached: each is a report of its own.
        let can_batch = line_session.subscription.is_some() && !self.config.reporter.is_enabled();
        let (true, false, Some(input)) =
            (can_batch, line_session.input_closed, &mut line_session.input)
        else {
            return false;
        };
        if batch.text.len() > MAX_BATCH_BYTES {
            return false;
        }
        let LineSession { member, acks_enabled, .. } = line_session;
        let Session { io, input_rate, ctx, .. } = self;
        input.take_line_if(|text| {
            if text.is_empty() || text.starts_with('/') {
                return false;
            }
            let text = escape(text);
            batch.push(|| member.nick(), &text);
            if *acks_enabled {
                io.outbox.push([ACK_PREFIX, &text, "\n"].concat());
            }
            if let Some(input_rate) = input_rate {
                input_rate.record(&text, ctx.now());
            }
            true
        })
    }

    /// Publishes the batch and empties it.
    fn publish_batch(&mut self, line_session: &LineSession, batch: &mut LineBatch) {
        if batch.line_count > 0 {
            let LineBatch { text, line_count, .. } = std::mem::take(batch);
            let sent_at = self.ctx.clock().system_time();
            if let Err(error) = line_session.member.broadcast(line_count, sent_at, |_| text) {
                self.io.outbox.push(format!("* {error}\n"));
            }
        }
    }

    /// Handles a line, a message or a command, and counts it for the rate limits. The error is the
    /// reason why the session ends.
    pub(crate) async fn handle_line(
        &mut self,
        line_session: &mut LineSession,
        line: Line,
    ) -> Result<(), String> {
        let line = match &line {
            Line::Complete(line) => decode_lossy(line),
            Line::TooLong(len) => {
                self.io.outbox.push(format!(
                    "* line of {len} bytes rejected: the limit is {MAX_LINE_LEN} bytes\n"
                ));
                self.record_input("");
                return Ok(());
            }
        };
        self.record_input(&line);
        let id = line_session.member.id();
        let reply = match parse(&line) {
            Command::Message("") => return Ok(()),
            Command::Message(_) | Command::Action(_) if line_session.subscription.is_none() => {
                Err(NOT_IN_ROOM.into())
            }
            Command::Message(_)
            | Command::Action(_)
            | Command::DirectMessage(..)
            | Command::Nick(_)
            | Command::Topic(Some(_))
                if line_session.member.is_muted() =>
            {
                Err(MUTED.into())
            }
            Command::Message(text) => {
                let (nick, _) = line_session.member.nick_and_room();
                match self.send_message(&line_session.member, Some(nick), text).await {
                    Ok(()) => {
                        self.send_ack(line_session, text);
                        return Ok(());
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Command::Action(text) => {
                let (nick, _) = line_session.member.nick_and_room();
                self.report_message(&line_session.member, Some(nick), text).await;
                match line_session.member.send_action(text, self.ctx.clock().system_time()) {
                    Ok(()) => {
                        self.send_ack(line_session, text);
                        return Ok(());
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Command::Nick(nick) => {
                let renamed = self.ask(|reply| RoomRequest::Rename(id, nick.into(), reply)).await;
                renamed.map(|nick| notice::format_renamed(&nick))
            }
            Command::Join(room) => {
                match self.ask(|reply| RoomRequest::Join(id, room.into(), reply)).await {
                    Ok(joined) => {
                        self.send_welcome(line_session, joined);
                        return Ok(());
                    }
                    Err(error) => Err(error),
                }
            }
            Command::Leave => {
                let left = self.ask(|reply| RoomRequest::Leave(id, reply)).await;
                left.map(|room| {
                    line_session.subscription = None;
                    notice::format_left(&room)
                })
            }
            Command::DirectMessage(to, text) => {
                let request = |reply| RoomRequest::DirectMessage(id, to.into(), text.into(), reply);
                self.ask(request).await.map(|nick| format!("you tell {nick}: {}", escape(text)))
            }
            Command::Who => self.ask(|reply| RoomRequest::Who(id, reply)).await,
            Command::Rooms => self.ask(RoomRequest::Rooms).await,
            Command::Topic(text) => {
                self.ask(|reply| RoomRequest::Topic(id, text.map(str::to_owned), reply)).await
            }
            Command::History(count) => {
                self.send_history(line_session, count.unwrap_or(DEFAULT_HISTORY_LINES));
                return Ok(());
            }
            Command::Time(on) => {
                line_session.show_times = on;
                Ok(if on { "times are shown, in UTC" } else { "times are hidden" }.into())
            }
            Command::Ack(on) => {
                line_session.acks_enabled = on;
                self.io.outbox.push(format!("{}\n", if on { ACK_ON } else { ACK_OFF }));
                return Ok(());
            }
            Command::Help => {
                let operator = if line_session.is_operator { operator_command::HELP } else { "" };
                let help = HELP.lines().chain(operator.lines());
                let help: String = help.map(|line| format!("* {line}\n")).collect();
                self.io.outbox.push(help);
                return Ok(());
            }
            Command::Quit => return Err("the client quit".into()),
            Command::OperatorLogin(password) => {
                self.log_in_operator(line_session, password).await?
            }
            Command::OperatorLine(_) if !line_session.is_operator => {
                Err("this command needs an operator; /operator PASSWORD makes you one".into())
            }
            Command::OperatorLine(line) => {
                let request = |reply| RoomRequest::OperatorCommand(Some(id), line.into(), reply);
                let reply = self.ask(request).await;
                self.report_operator(line_session, line, reply.is_ok()).await;
                reply
            }
            Command::Unknown(word) => {
                Err(format!("unknown command {}; /help lists the commands", escape(word)))
            }
            Command::Invalid(usage) => Err(usage.into()),
        };
        let (Ok(text) | Err(text)) = reply;
        self.io.outbox.push(format!("* {text}\n"));
        Ok(())
    }

    /// Makes the member an operator if the password is right. A wrong one is answered after the
    /// delay of its source. The outer error is the reason why the session ends.
    async fn log_in_operator(
        &mut self,
        line_session: &mut LineSession,
        password: &str,
    ) -> Result<Result<String, String>, String> {
        let Some(operators) = self.config.limits.operators.clone() else {
            return Ok(Err("this server has no operator password".into()));
        };
        let log_in = |session: &Session| {
            operators.log_in(password, session.source(), session.peer(), session.ctx.now())
        };
        let mut login = log_in(self);
        if let Login::Delayed(until) = login {
            self.pause(Some(line_session), until).await?;
            login = log_in(self);
        }
        match login {
            Login::Accepted => {
                line_session.is_operator = true;
                self.report_operator(line_session, "logged in", true).await;
                return Ok(Ok("you are an operator; /help lists your commands".into()));
            }
            // Another session of the source was first.
            Login::Delayed(_) => {
                return Ok(Err("too many wrong passwords from your address; try again".into()));
            }
            Login::Rejected(answer_at) => {
                self.config.reporter.send_all(operators.take_reports(self.ctx.now())).await;
                self.pause(Some(line_session), answer_at).await?;
                self.config.reporter.send_all(operators.take_reports(self.ctx.now())).await;
            }
        }
        line_session.failed_logins += 1;
        if line_session.failed_logins >= MAX_LOGIN_ATTEMPTS {
            let reason = format!("disconnected after {MAX_LOGIN_ATTEMPTS} wrong passwords");
            self.io.outbox.push(format!("* {}\n", notice::format_disconnected(&reason)));
            return Err(reason);
        }
        Ok(Err("wrong password".into()))
    }

    /// Reports a command of an operator.
    async fn report_operator(&self, line_session: &LineSession, action: &str, succeeded: bool) {
        let report = || Report::OperatorAction {
            peer: Some(self.peer().clone()),
            nick: Some(line_session.member.nick().to_string()),
            action: action.into(),
            succeeded,
        };
        self.config.reporter.send(report).await;
    }

    fn send_ack(&mut self, line_session: &LineSession, text: &str) {
        if line_session.acks_enabled {
            self.io.outbox.push(format!("{ACK_PREFIX}{}\n", escape(text)));
        }
    }

    /// Sends the last `count` lines of the room, as far as they fit into a reply.
    fn send_history(&mut self, line_session: &LineSession, count: usize) {
        let Some(subscription) = &line_session.subscription else {
            return self.io.outbox.push(format!("* {NOT_IN_ROOM}\n"));
        };
        let lines = subscription.recent(count.min(self.config.limits.max_history_lines));
        let (count, now, mut bytes) = (lines.len(), self.ctx.clock().system_time(), 0);
        let fits = |line: &String| {
            let fits = bytes + line.len() <= MAX_HISTORY_BYTES;
            bytes += if fits { line.len() } else { 0 };
            fits
        };
        let lines = lines.iter().map(|line| with_timestamp(&line.text, line.sent_at, now));
        // From the last line on. A line that does not fit leaves its space to shorter ones.
        let shown: Vec<_> = lines.rev().filter(fits).collect();
        let skipped = match count - shown.len() {
            0 => String::new(),
            skipped => format!(" ({skipped} more do not fit)"),
        };
        let header = format!("* the last {} lines{skipped}:\n", shown.len());
        self.io
            .outbox
            .push([header].into_iter().chain(shown.into_iter().rev()).collect::<String>());
    }
}
