//! The chat room: lets members in, gives out names and passes on what is said.
//!
//! The room is the one actor that writes to its [`Hall`]'s ring, which is what makes one order of all that
//! is said. It keeps nothing itself: whatever it knows is in the hall, and a room that crashes goes on
//! where it was, with the message after the one in its hand.

use super::hall::Member;
use super::{Hall, Hearing, Membership};
use crate::runtime::{Actor, Address, Context, Outcome, Reply};
use crate::wire::text::escape;

/// More messages than wait in the mailbox of a room at once.
const ROUND: usize = 1024;

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
        roster.members.insert(id, Member { nick: nick.clone(), quiet });
        drop(roster);
        if !quiet {
            self.hall.say(Some(id), format!("* {nick} joined\n"));
        }
        let (member, hearing) = self.hall.seat(id, room);
        Ok(Joined { member, hearing, others })
    }

    fn say(&self, member: u64, text: &str) {
        let nick = self.hall.roster().members.get(&member).map(|member| member.nick.clone());
        let Some(nick) = nick else { return };
        self.hall.say(Some(member), format!("{nick}: {}\n", escape(text)));
    }

    fn rename(&self, member: u64, nick: String) -> Result<String, String> {
        let mut roster = self.hall.roster();
        let nick = roster.free(nick, Some(member))?;
        let Some(entry) = roster.members.get_mut(&member) else {
            return Err("you are not in the room any more".into());
        };
        let old = std::mem::replace(&mut entry.nick, nick.clone());
        drop(roster);
        if old != nick {
            self.hall.say(Some(member), format!("* {old} is now {nick}\n"));
        }
        Ok(nick)
    }

    fn see_off(&self, id: u64) {
        let member = self.hall.roster().members.remove(&id);
        if let Some(Member { nick, quiet: false }) = member {
            self.hall.say(None, format!("* {nick} left\n"));
        }
    }

    /// Sees off those whose leave found the mailbox full. `drained` tells that nothing of theirs waits.
    fn see_off_the_rest(&self, drained: bool) {
        let mut roster = self.hall.roster();
        let gone = std::mem::take(&mut roster.gone);
        let mut leaving = std::mem::replace(&mut roster.leaving, gone);
        if drained {
            leaving.append(&mut roster.leaving);
        }
        drop(roster);
        for id in leaving {
            self.see_off(id);
        }
    }
}

impl Actor for ChatRoom {
    type Message = ToRoom;

    async fn run(self, mut ctx: Context<ToRoom>) -> Outcome {
        let mailbox = ctx.address();
        let mut handled = 0_usize;
        while let Some(message) = ctx.recv().await {
            match message {
                ToRoom::Join { nick, quiet, reply } => {
                    reply.send(self.join(nick, quiet, ctx.address()));
                }
                ToRoom::Say { member, text } => self.say(member, &text),
                ToRoom::Rename { member, nick, reply } => reply.send(self.rename(member, nick)),
                ToRoom::Who(reply) => {
                    let roster = self.hall.roster();
                    reply.send(roster.members.values().map(|m| m.nick.clone()).collect());
                }
                ToRoom::Gone(member) => self.see_off(member),
            }
            handled += 1;
            // In a room that never rests, whoever left before the last round has been heard by now.
            if mailbox.is_empty() || handled % ROUND == 0 {
                self.see_off_the_rest(mailbox.is_empty());
            }
        }
        Ok(())
    }
}
