//! A chat session with a client that sends lines: netcat, telnet, our own.
//!
//! Two halves run side by side in the session's one task, and neither ever waits for the other. The reader
//! takes lines from the connection and does what they say. The writer takes answers from the session's
//! mailbox and what others say from the room's ring, and writes them in batches. A peer that does not
//! read stops its own session and nothing else; after a while without progress it is cut.

use futures_lite::future;

use super::chat_session::{ROOM_WITHIN, room_gone};
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
        let Joined { member, mut hearing, others } = joined;
        let mut greeting = refusal.map_or_else(String::new, |why| format!("* {why}\n"));
        let (nick, room) = (member.nick(), &self.room_name);
        let others = match others {
            1 => "1 other".into(),
            others => format!("{others} others"),
        };
        greeting +=
            &format!("* you are {nick} in {room}, with {others}; /help lists the commands\n");
        let first = if wish.is_some() { None } else { first };
        let reader = Reader { session: self, member, answers: ctx.address(), receipts: true };
        let why = future::or(
            reader.run(&clock, greeting, first, lines),
            self.write_lines(ctx, &mut hearing),
        )
        .await;
        self.flush(ctx, &mut hearing, &clock).await;
        why
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

    /// The writer half: ends with the stop, or when the peer takes nothing more.
    async fn write_lines(&self, ctx: &mut Context<String>, hearing: &mut Hearing) -> String {
        let clock = ctx.clock().clone();
        let mut batch = String::new();
        loop {
            batch.clear();
            match ctx.next(hearing.next()).await {
                Event::Stop => {
                    // The peer learns why; if it takes no more, the end comes all the same.
                    let _ = self.write(&clock, b"* the server stops; good bye\n").await;
                    return "the server stops".into();
                }
                Event::Message(answer) => batch += &answer,
                Event::Io(heard) => heard.append_to(&mut batch),
            }
            collect(ctx, hearing, &mut batch);
            if let Err(why) = self.write(&clock, batch.as_bytes()).await {
                return why;
            }
        }
    }

    /// Writes what waits for the peer at the end of its session.
    async fn flush(&self, ctx: &mut Context<String>, hearing: &mut Hearing, clock: &Clock) {
        let mut batch = String::new();
        collect(ctx, hearing, &mut batch);
        // The peer may be gone, which is why the session ends.
        let _ = self.write(clock, batch.as_bytes()).await;
    }
}

/// Takes what waits without waiting, up to a batch.
fn collect(ctx: &mut Context<String>, hearing: &mut Hearing, batch: &mut String) {
    while batch.len() < BATCH {
        match (ctx.try_recv(), hearing.try_next()) {
            (None, None) => return,
            (answer, heard) => {
                batch.extend(answer);
                if let Some(heard) = heard {
                    heard.append_to(batch);
                }
            }
        }
    }
}

impl Heard {
    fn append_to(&self, batch: &mut String) {
        match self {
            Heard::Said(said) => *batch += &said.line,
            Heard::Missed(missed) => *batch += &format!("* you missed {missed} messages\n"),
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
                let read = self.session.stream.read(&mut buf);
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
            Err::<(), _>("closed by peer".into())
        };
        end.await.err().unwrap_or_default()
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
