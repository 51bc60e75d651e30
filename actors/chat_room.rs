//! The chat room: who is in it, and what is said in it.
//!
//! What is said goes into a ring that every session reads with a cursor of its own, encoded once and
//! shared. So all hear the same order, and nobody waits for a slow reader: the ring goes on, and a reader
//! that it has overtaken learns how many lines it missed. The room actor is the one that writes to the
//! ring and gives out names.
//!
//! The ring and the roster, together the [`Hall`], belong to the tree: a room that crashes has its members
//! back at its next incarnation. A session's place in the roster is a [`Membership`]; to drop it is to
//! leave, however the session ended.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_broadcast::{InactiveReceiver, Receiver, RecvError, Sender, TryRecvError};

use crate::runtime::{Actor, Address, Context, Outcome, Reply};
use crate::wire::chat::valid_nick;
use crate::wire::text::escape;

/// One line that was said in a room.
#[derive(Debug)]
pub struct Said {
    /// The member who said it, and is not sent it; none for the room itself.
    from: Option<u64>,
    /// The line as it goes to the members, safe for a terminal, with its newline.
    pub line: String,
}

/// What outlives the incarnations of a room: its members, and what was said lately.
#[derive(Clone)]
pub struct Hall {
    name: Arc<str>,
    roster: Arc<Mutex<Roster>>,
    ring: Sender<Arc<Said>>,
    /// Keeps the ring open while nobody hears it.
    idle: InactiveReceiver<Arc<Said>>,
}

#[derive(Debug, Default)]
struct Roster {
    members: BTreeMap<u64, String>,
    /// Members who left while the room's mailbox was full, and were not announced yet.
    gone: Vec<u64>,
    next: u64,
}

impl Hall {
    /// Makes an empty hall whose members may lag `slots` lines behind.
    pub fn new(name: &str, slots: usize) -> Hall {
        let (mut ring, hearing) = async_broadcast::broadcast(slots.max(1));
        ring.set_overflow(true);
        ring.set_await_active(false);
        Hall { name: name.into(), roster: Arc::default(), ring, idle: hearing.deactivate() }
    }

    /// Returns the room's name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, from: Option<u64>, line: String) {
        // A full ring lets its oldest line go; that nobody hears is no error either.
        let _ = self.ring.try_broadcast(Arc::new(Said { from, line }));
    }
}

impl fmt::Debug for Hall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hall({}, {} members)", self.name, self.roster().members.len())
    }
}

/// A member's place in the room. Dropping it is leaving.
#[derive(Debug)]
pub struct Membership {
    id: u64,
    hall: Hall,
    room: Address<ToRoom>,
}

impl Membership {
    /// Returns the member's number, which never changes.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the member's present name.
    pub fn nick(&self) -> String {
        self.hall.roster().members.get(&self.id).cloned().unwrap_or_default()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        // Behind whatever the member said. A full mailbox is no excuse: the room looks at the list of
        // those who left as soon as it has handled what waits.
        if self.room.try_send(ToRoom::Gone(self.id)).is_err() {
            self.hall.roster().gone.push(self.id);
        }
    }
}

/// A member's ear: the ring, from the moment of joining on.
#[derive(Debug)]
pub struct Hearing {
    id: u64,
    ring: Receiver<Arc<Said>>,
}

/// What a member hears.
#[derive(Debug)]
pub enum Heard {
    /// Somebody else, or the room, said this.
    Said(Arc<Said>),
    /// The member lags so far behind that this many lines are gone.
    Missed(u64),
}

impl Hearing {
    /// Waits for the next line that somebody else said. Cancel-safe.
    pub async fn next(&mut self) -> Heard {
        loop {
            match self.ring.recv_direct().await {
                Ok(said) if said.from == Some(self.id) => {}
                Ok(said) => return Heard::Said(said),
                Err(RecvError::Overflowed(missed)) => return Heard::Missed(missed),
                // The hall itself holds a sender, so this comes only when the tree is gone.
                Err(RecvError::Closed) => return std::future::pending().await,
            }
        }
    }

    /// Takes the next line if there is one.
    pub fn try_next(&mut self) -> Option<Heard> {
        loop {
            match self.ring.try_recv() {
                Ok(said) if said.from == Some(self.id) => {}
                Ok(said) => return Some(Heard::Said(said)),
                Err(TryRecvError::Overflowed(missed)) => return Some(Heard::Missed(missed)),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }
}

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
        let hearing = Hearing { id, ring: self.hall.idle.activate_cloned() };
        let member = Membership { id, hall: self.hall.clone(), room };
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

impl Roster {
    /// Returns the name if it is valid and nobody but `owner` has it.
    fn free(&self, nick: String, owner: Option<u64>) -> Result<String, String> {
        valid_nick(&nick)
            .map_err(|why| format!("the name {} cannot be had: {why}", escape(&nick)))?;
        let taken =
            |(id, other): (&u64, &String)| other.eq_ignore_ascii_case(&nick) && Some(*id) != owner;
        match self.members.iter().any(taken) {
            true => Err(format!("the name {nick} is taken; choose another")),
            false => Ok(nick),
        }
    }

    fn guest(&self) -> String {
        let names = (self.members.len() as u64 + 1..).map(|n| format!("guest{n}"));
        let mut free = names.filter_map(|name| self.free(name, None).ok());
        // There are more numbers than members.
        free.next().unwrap_or_default()
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
