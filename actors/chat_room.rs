//! The chat room: lets members in, gives out names and passes on what is said.
//!
//! The room is the one actor that writes to its [`Hall`]'s ring, which is what makes one order of all that
//! is said. It keeps nothing itself: whatever it knows is in the hall, and a room that crashes goes on
//! where it was, with the message after the one in its hand.

use super::{Hall, Hearing, Membership};
use crate::runtime::{Actor, Address, Context, Outcome, Reply};
use crate::wire::text::escape;

/// What joining brings.
#[derive(Debug)]
pub struct Joined {
    /// The place in the room.
    pub member: Membership,
    /// The ear.
    pub hearing: Hearing,
    /// How many others are in the room.
    pub others: usize,
}

/// What a room is told. The refusals are sentences for the person who asked.
#[derive(Debug)]
pub enum ToRoom {
    /// Let somebody in, under this name or as a guest; announced unless `quiet`.
    Join {
        /// The name wished for.
        nick: Option<String>,
        /// Whether the others are not told.
        quiet: bool,
        /// Where the answer goes.
        reply: Reply<Result<Joined, String>>,
    },
    /// A member says something.
    Say {
        /// Who.
        member: u64,
        /// What, as received.
        text: String,
    },
    /// A member wants another name.
    Rename {
        /// Who.
        member: u64,
        /// The name wished for.
        nick: String,
        /// Where the answer goes: the new name.
        reply: Reply<Result<String, String>>,
    },
    /// Somebody asks who is there.
    Who(Reply<Vec<String>>),
    /// This member left.
    Gone(u64),
}

/// The actor that lets members in, gives out names and passes on what is said.
#[derive(Debug)]
pub struct ChatRoom {
    hall: Hall,
}

impl ChatRoom {
    /// Makes the actor of a hall.
    pub fn new(hall: Hall) -> ChatRoom {
        ChatRoom { hall }
    }

    fn join(
        &self,
        nick: Option<String>,
        quiet: bool,
        room: Address<ToRoom>,
    ) -> Result<Joined, String> {
        let mut roster = self.hall.roster();
        let nick = match nick {
            Some(nick) => roster.free(nick, None)?,
            None => roster.guest(),
        };
        let id = roster.next;
        roster.next += 1;
        let others = roster.members.len();
        roster.members.insert(id, nick.clone());
        drop(roster);
        if !quiet {
            self.hall.say(Some(id), format!("* {nick} joined\n"));
        }
        let (member, hearing) = self.hall.seat(id, room);
        Ok(Joined { member, hearing, others })
    }

    fn say(&self, member: u64, text: &str) {
        let Some(nick) = self.hall.roster().members.get(&member).cloned() else { return };
        self.hall.say(Some(member), format!("{nick}: {}\n", escape(text)));
    }

    fn rename(&self, member: u64, nick: String) -> Result<String, String> {
        let mut roster = self.hall.roster();
        let nick = roster.free(nick, Some(member))?;
        let old = roster.members.insert(member, nick.clone()).unwrap_or_default();
        drop(roster);
        if old != nick {
            self.hall.say(Some(member), format!("* {old} is now {nick}\n"));
        }
        Ok(nick)
    }

    fn see_off(&self, member: u64) {
        let nick = self.hall.roster().members.remove(&member);
        if let Some(nick) = nick {
            self.hall.say(None, format!("* {nick} left\n"));
        }
    }

    /// Sees off those whose leave found the mailbox full, once all that they said is handled.
    fn see_off_the_rest(&self) {
        let gone = std::mem::take(&mut self.hall.roster().gone);
        for member in gone {
            self.see_off(member);
        }
    }
}

impl Actor for ChatRoom {
    type Message = ToRoom;

    async fn run(self, mut ctx: Context<ToRoom>) -> Outcome {
        let mailbox = ctx.address();
        while let Some(message) = ctx.recv().await {
            match message {
                ToRoom::Join { nick, quiet, reply } => {
                    reply.send(self.join(nick, quiet, ctx.address()));
                }
                ToRoom::Say { member, text } => self.say(member, &text),
                ToRoom::Rename { member, nick, reply } => reply.send(self.rename(member, nick)),
                ToRoom::Who(reply) => {
                    reply.send(self.hall.roster().members.values().cloned().collect());
                }
                ToRoom::Gone(member) => self.see_off(member),
            }
            if mailbox.is_empty() {
                self.see_off_the_rest();
            }
        }
        Ok(())
    }
}
