//! A chat session with a client that sends lines: netcat, telnet, our own.
//!
//! Two halves run side by side in the session's one task, and neither ever waits for the other. The reader
//! takes lines from the connection and does what they say. The writer takes answers from the session's
//! mailbox and what others say from the room's ring, and writes them in batches. A peer that does not
//! read stops its own session and nothing else; after a while without progress it is cut.

use std::io;

use futures_lite::future;

use super::chat_session::{ROOM_WITHIN, WRITE_WITHIN, room_gone};
use super::output::Output;
use super::{ChatSession, Heard, Hearing, Joined, Membership, ToRoom};
use crate::runtime::{Address, Clock, Context, Event};
use crate::wire::chat::{ACK_OFF, ACK_ON, Command, HELP, LINE_MAX, RECEIPT, parse};
use crate::wire::lines::{Line, LineBuffer};
use crate::wire::text::{escape, lossy};

/// So many bytes are written at a time at most.
const BATCH: usize = 64 << 10;

impl ChatSession {
    /// Serves a client that sends lines until it leaves; returns why it ended.
    pub(super) async fn lines(&self, ctx: &mut Context<String>, first: Vec<u8>) -> String {
        let clock = ctx.clock().clone();
        let mut lines = LineBuffer::new(LINE_MAX);
        lines.push(&first);
        // The first line comes before the session is in a room, and may choose its name.
        let first = lines.next_line();
        let wish = match &first {
            Some(Line::Whole(line)) => match parse(&lossy(line)) {
                Command::Nick(nick) => Some(nick.to_string()),
                _ => None,
            },
            _ => None,
        };
        let (joined, refusal) = match self.enter(wish.clone()).await {
            Ok(entered) => entered,
            Err(why) => return why,
        };
        let Joined { member, hearing, others } = joined;
        let mut greeting = refusal.map_or_else(String::new, |why| format!("* {why}\n"));
        greeting += &self.greeting(&member.nick(), others);
        let first = if wish.is_some() { None } else { first };
        let reader = Reader { session: self, member, answers: ctx.address(), receipts: true };
        let mut writer = Writer { session: self, hearing, output: Output::default() };
        let why =
            future::or(async { Ok(reader.run(&clock, greeting, first, lines).await) }, async {
                Err(writer.run(ctx).await)
            })
            .await;
        match why {
            // The peer said its last; it still gets what it was told until now.
            Ok(why) => {
                writer.flush(ctx).await;
                why
            }
            Err(why) => why,
        }
    }

    fn greeting(&self, nick: &str, others: usize) -> String {
        let others = match others {
            1 => "1 other".into(),
            others => format!("{others} others"),
        };
        let room = &self.room_name;
        format!("* you are {nick} in {room}, with {others}; /help lists the commands\n")
    }

    /// Joins the room under the name wished for, or as a guest who is told why not.
    async fn enter(&self, wish: Option<String>) -> Result<(Joined, Option<String>), String> {
        let wished = wish.is_some();
        match self.join(wish, false).await {
            Ok(joined) => Ok((joined, None)),
            Err(why) if wished => self.join(None, false).await.map(|joined| (joined, Some(why))),
            Err(why) => Err(why),
        }
    }
}

/// The writer half.
struct Writer<'a> {
    session: &'a ChatSession,
    hearing: Hearing,
    /// A batch whose writing the reader's end may interrupt, and the flush goes on with.
    output: Output,
}

impl Writer<'_> {
    /// Writes until the stop, or until the peer takes nothing more; returns which.
    async fn run(&mut self, ctx: &mut Context<String>) -> String {
        let clock = ctx.clock().clone();
        loop {
            match ctx.next(self.hearing.next()).await {
                Event::Stop => {
                    self.output.push("* the server stops; good bye\n");
                    // The peer learns why; if it takes no more, the end comes all the same.
                    let _ = self.write(&clock).await;
                    return "the server stops".into();
                }
                Event::Message(answer) => self.output.push(&answer),
                Event::Io(heard) => heard.append_to(&mut self.output),
            }
            self.collect(ctx);
            if let Err(error) = self.write(&clock).await {
                return error.to_string();
            }
        }
    }

    async fn write(&mut self, clock: &Clock) -> io::Result<()> {
        self.output.write(clock, &self.session.connection.stream, WRITE_WITHIN).await
    }

    /// Writes what is left of a batch, and what waits for the peer, at the end of its session.
    async fn flush(&mut self, ctx: &mut Context<String>) {
        let clock = ctx.clock().clone();
        self.collect(ctx);
        // The peer may be gone, which is why the session ends.
        let _ = self.write(&clock).await;
    }

    /// Takes what waits without waiting, up to a batch.
    fn collect(&mut self, ctx: &mut Context<String>) {
        while self.output.len() < BATCH {
            let (answer, heard) = (ctx.try_recv(), self.hearing.try_next());
            if answer.is_none() && heard.is_none() {
                return;
            }
            answer.into_iter().for_each(|answer| self.output.push(&answer));
            heard.into_iter().for_each(|heard| heard.append_to(&mut self.output));
        }
    }
}

impl Heard {
    fn append_to(&self, output: &mut Output) {
        match self {
            Heard::Said(said) => output.push(&said.line),
            Heard::Missed(missed) => output.push(&format!("* you missed {missed} messages\n")),
        }
    }
}

/// The reader half.
struct Reader<'a> {
    session: &'a ChatSession,
    member: Membership,
    /// The session's own mailbox, which the writer half empties.
    answers: Address<String>,
    receipts: bool,
}

impl Reader<'_> {
    /// Reads lines until the peer leaves. The membership is dropped with the reader.
    async fn run(
        mut self,
        clock: &Clock,
        greeting: String,
        first: Option<Line>,
        mut lines: LineBuffer,
    ) -> String {
        let end = async {
            self.answer(greeting).await?;
            if let Some(line) = first {
                self.take(line).await?;
            }
            let mut buf = [0; LINE_MAX];
            loop {
                while let Some(line) = lines.next_line() {
                    self.take(line).await?;
                }
                let read = self.session.connection.stream.read(&mut buf);
                match clock.within(self.session.limits.idle_timeout, read).await {
                    None => return Err(self.session.idle()),
                    Some(Err(error)) => return Err(error.to_string()),
                    Some(Ok(0)) => break,
                    Some(Ok(n)) => lines.push(&buf[..n]),
                }
                // One peer that never pauses must not keep the others waiting.
                future::yield_now().await;
            }
            // The last line may lack its newline.
            while let Some(line) = lines.finish() {
                self.take(line).await?;
            }
            Ok("closed by peer".into())
        };
        end.await.unwrap_or_else(|why: String| why)
    }

    /// Does what a line says; an error ends the session and tells why.
    async fn take(&mut self, line: Line) -> Result<(), String> {
        let line = match &line {
            Line::Whole(line) => lossy(line),
            Line::TooLong(len) => {
                let refusal = format!(
                    "* a line of {len} bytes is too long and was not said; {LINE_MAX} are allowed\n"
                );
                return self.answer(refusal).await;
            }
        };
        match parse(&line) {
            Command::Say("") => Ok(()),
            Command::Say(text) => self.say(text).await,
            Command::Nick(nick) => self.rename(nick.into()).await,
            Command::Who => self.who().await,
            Command::Ack(on) => {
                self.receipts = on;
                self.answer(format!("{}\n", if on { ACK_ON } else { ACK_OFF })).await
            }
            Command::Help => {
                self.answer(HELP.lines().map(|line| format!("* {line}\n")).collect()).await
            }
            Command::Quit => Err("it quit".into()),
            Command::Unknown(word) => {
                self.answer(format!("* there is no {}; /help lists the commands\n", escape(word)))
                    .await
            }
            Command::Invalid(usage) => self.answer(format!("* {usage}\n")).await,
        }
    }

    async fn answer(&self, answer: String) -> Result<(), String> {
        self.answers.send(answer).await.map_err(|_| "the session is over".into())
    }

    async fn say(&self, text: &str) -> Result<(), String> {
        self.session.say(self.member.id(), Some(self.member.nick()), text).await?;
        match self.receipts {
            true => self.answer(format!("{RECEIPT}{}\n", escape(text))).await,
            false => Ok(()),
        }
    }

    async fn rename(&self, nick: String) -> Result<(), String> {
        let member = self.member.id();
        let question = |reply| ToRoom::Rename { member, nick, reply };
        match self.session.room.ask(ROOM_WITHIN, question).await {
            Ok(Ok(nick)) => self.answer(format!("* you are now {nick}\n")).await,
            Ok(Err(why)) => self.answer(format!("* {why}\n")).await,
            Err(error) => Err(room_gone(error)),
        }
    }

    async fn who(&self) -> Result<(), String> {
        match self.session.room.ask(ROOM_WITHIN, ToRoom::Who).await {
            Ok(nicks) => {
                let room = &self.session.room_name;
                self.answer(format!("* in {room}: {}\n", nicks.join(", "))).await
            }
            Err(error) => Err(room_gone(error)),
        }
    }
}
