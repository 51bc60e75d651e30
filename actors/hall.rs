//! The hall of a chat room: what outlives the room's incarnations.
//!
//! What is said goes into a ring that every session reads with a cursor of its own, encoded once and
//! shared. So all hear the same order, and nobody waits for a slow reader: the ring goes on, and a reader
//! that it has overtaken learns how many lines it missed. The roster says who is there.
//!
//! Both belong to the tree: a room that crashes has its members back at its next incarnation. A session's
//! place in the roster is a [`Membership`]; to drop it is to leave, however the session ended.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_broadcast::{InactiveReceiver, Receiver, RecvError, Sender, TryRecvError};

use super::ToRoom;
use crate::runtime::Address;
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
pub(super) struct Roster {
    pub(super) members: BTreeMap<u64, Member>,
    /// Members who left since the room last looked.
    pub(super) gone: Vec<u64>,
    /// Members whose last words may still be in the room's mailbox.
    pub(super) leaving: Vec<u64>,
    pub(super) next: u64,
}

/// A member, as the roster has it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) nick: String,
    /// Whether the others are told of its coming and going.
    pub(super) quiet: bool,
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

    /// Makes the place and the ear of a member who is in the roster.
    pub(super) fn seat(&self, id: u64, room: Address<ToRoom>) -> (Membership, Hearing) {
        let hearing = Hearing { id, ring: self.idle.activate_cloned() };
        (Membership { id, hall: self.clone(), room }, hearing)
    }

    pub(super) fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn say(&self, from: Option<u64>, line: String) {
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
        self.hall.roster().members.get(&self.id).map(|m| m.nick.clone()).unwrap_or_default()
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.hall.roster().gone.push(self.id);
        // A room that is too busy to be told looks for who left by itself.
        let _ = self.room.try_send(ToRoom::Gone(self.id));
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

impl Roster {
    /// Returns the name if it is valid and nobody but `owner` has it.
    pub(super) fn free(&self, nick: String, owner: Option<u64>) -> Result<String, String> {
        valid_nick(&nick)
            .map_err(|why| format!("the name {} cannot be had: {why}", escape(&nick)))?;
        let taken = |(id, other): (&u64, &Member)| {
            other.nick.eq_ignore_ascii_case(&nick) && Some(*id) != owner
        };
        match self.members.iter().any(taken) {
            true => Err(format!("the name {nick} is taken; choose another")),
            false => Ok(nick),
        }
    }

    /// Returns a name for somebody who wished for none.
    pub(super) fn guest(&self) -> String {
        let names = (self.members.len() as u64 + 1..).map(|n| format!("guest{n}"));
        let mut free = names.filter_map(|name| self.free(name, None).ok());
        // There are more numbers than members.
        free.next().unwrap_or_default()
    }
}
