//! The hall of a chat: its rooms and its members, which outlive the incarnations of whoever keeps it.
//!
//! A member has a name that no other has, and is in one room at most; a room is there as long as somebody is in
//! it, and the first one always. Both belong to the tree: a keeper that crashes has them back at its next
//! incarnation. A session's place is a [`Membership`]; to drop it is to leave, however the session ended.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::past::Past;
use super::ring::Ring;
use super::{ToRoom, ToSession};
use crate::runtime::Address;
use crate::wire::chat::{valid_nick, valid_room};
use crate::wire::text::escape;

/// How many bytes of lines all rooms hold together, about.
const BYTES: usize = 8 << 20;

/// How many bytes of lines a room may hold however many there are.
const LEAST: usize = 16 << 10;

/// The rooms and the members of a chat.
#[derive(Clone)]
pub struct Hall(Arc<Whole>);

struct Whole {
    /// The room that everybody comes to first.
    name: Arc<str>,
    book: Mutex<Book>,
}

/// What is known of the members and the rooms.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) members: BTreeMap<u64, Member>,
    /// The members, by their names.
    nicks: BTreeMap<Nick, u64>,
    /// By their names in lower case.
    pub(super) rooms: BTreeMap<Arc<str>, Room>,
    /// Members who left since the room actor last looked.
    pub(super) gone: Vec<u64>,
    /// Members whose last words may still be in its mailbox.
    pub(super) leaving: Vec<u64>,
    /// What was said in rooms that are closed, where that is remembered.
    pub(super) past: Option<Past>,
    next: u64,
}

/// A member's name, as the members are ordered by it: whatever the case of its letters.
#[derive(Debug)]
struct Nick(Arc<str>);

impl Ord for Nick {
    fn cmp(&self, other: &Nick) -> Ordering {
        let lower = |byte: u8| byte.to_ascii_lowercase();
        self.0.bytes().map(lower).cmp(other.0.bytes().map(lower))
    }
}

impl PartialOrd for Nick {
    fn partial_cmp(&self, other: &Nick) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Nick {
    fn eq(&self, other: &Nick) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Nick {}

/// A member, as the book has it.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) nick: Arc<str>,
    /// The key of its room.
    pub(super) room: Option<Arc<str>>,
    /// Whether the others are told of its coming and going.
    pub(super) quiet: bool,
    /// Where it is told what is for it alone; a lecture client is told nothing.
    pub(super) session: Option<Address<ToSession>>,
}

/// A room, as the book has it.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: Arc<str>,
    pub(super) topic: Option<String>,
    pub(super) ring: Ring,
    pub(super) members: BTreeSet<u64>,
}

impl Hall {
    /// Makes an empty hall whose first room has this name.
    pub fn new(name: &str) -> Hall {
        let mut book = Book::default();
        book.open(name);
        Hall(Arc::new(Whole { name: name.into(), book: Mutex::new(book) }))
    }

    /// Returns the name of the room that everybody comes to first.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the place of a member who is in the book.
    pub(super) fn seat(&self, id: u64, keeper: Address<ToRoom>) -> Membership {
        Membership { id, hall: self.clone(), keeper }
    }

    /// Remembers rooms that close, for those who open them again.
    pub(super) fn remember(&self) {
        self.book().past.get_or_insert_default();
    }

    /// Gives a room a line that was said in an earlier life of the chat.
    pub(super) fn restore(&self, room: &str, line: &str, at: SystemTime) {
        let (mut book, key) = (self.book(), room.to_ascii_lowercase());
        if let Some(room) = book.rooms.get(key.as_str()) {
            room.ring.say(None, line.to_owned(), at);
            return;
        }
        let share = book.share();
        let Some(past) = &mut book.past else { return };
        let known = past.len();
        let ring = past.take(&key).unwrap_or_default();
        ring.hold(share);
        ring.say(None, line.to_owned(), at);
        past.put(&key, ring);
        if past.len() > known {
            book.share_out();
        }
    }

    /// Tells whether a room stays though nobody is in it.
    pub(super) fn stays(&self, key: &str) -> bool {
        self.0.name.eq_ignore_ascii_case(key)
    }
}

impl fmt::Debug for Hall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = self.book();
        write!(f, "Hall({} rooms, {} members)", book.rooms.len(), book.members.len())
    }
}

impl Book {
    /// Takes in a member, which is in no room yet.
    pub(super) fn admit(
        &mut self,
        nick: String,
        quiet: bool,
        session: Option<Address<ToSession>>,
    ) -> u64 {
        let id = self.next;
        self.next += 1;
        let nick: Arc<str> = nick.into();
        self.nicks.insert(Nick(nick.clone()), id);
        self.members.insert(id, Member { nick, room: None, quiet, session });
        id
    }

    /// Strikes a member out.
    pub(super) fn strike(&mut self, id: u64) -> Option<Member> {
        let member = self.members.remove(&id)?;
        self.nicks.remove(&Nick(member.nick.clone()));
        Some(member)
    }

    /// Gives a member another name, which must be free, and returns the old one.
    pub(super) fn rename(&mut self, id: u64, nick: &str) -> Option<Arc<str>> {
        let member = self.members.get_mut(&id)?;
        let nick: Arc<str> = nick.into();
        let old = std::mem::replace(&mut member.nick, nick.clone());
        self.nicks.remove(&Nick(old.clone()));
        self.nicks.insert(Nick(nick), id);
        Some(old)
    }

    pub(super) fn called(&self, nick: &str) -> Option<u64> {
        self.nicks.get(&Nick(nick.into())).copied()
    }

    /// Finds a room, or makes it, and returns its key.
    pub(super) fn open(&mut self, name: &str) -> Arc<str> {
        let key = name.to_ascii_lowercase();
        // The key that is there is the one that all members of the room share.
        if let Some((key, _)) = self.rooms.get_key_value(key.as_str()) {
            return key.clone();
        }
        let past = self.past.as_mut().and_then(|past| past.take(&key));
        let key: Arc<str> = key.into();
        let (ring, members) = (past.unwrap_or_default(), BTreeSet::new());
        self.rooms.insert(key.clone(), Room { name: name.into(), topic: None, ring, members });
        self.share_out();
        key
    }

    /// Closes a room that nobody is in any more.
    pub(super) fn close(&mut self, key: &str) {
        if let (Some(room), Some(past)) = (self.rooms.remove(key), &mut self.past) {
            // Whoever only comes and goes takes no room's place.
            if room.ring.any(|said| !said.line.starts_with("* ")) {
                past.put(key, room.ring);
            }
        }
        self.share_out();
    }

    /// Gives each room its share of the memory: whoever opens a thousand rooms gets no more of it.
    fn share_out(&self) {
        let (share, past) = (self.share(), self.past.iter().flat_map(Past::rings));
        self.rooms.values().map(|room| &room.ring).chain(past).for_each(|ring| ring.hold(share));
    }

    fn share(&self) -> usize {
        let rooms = self.rooms.len() + self.past.as_ref().map_or(0, Past::len);
        (BYTES / rooms.max(1)).max(LEAST)
    }

    /// Returns a member and the room that it is in.
    pub(super) fn place(&self, id: u64) -> Option<(&Member, &Room)> {
        let member = self.members.get(&id)?;
        Some((member, self.rooms.get(member.room.as_deref()?)?))
    }

    /// Returns the name if it is valid and nobody but `owner` has it.
    pub(super) fn free(&self, nick: String, owner: Option<u64>) -> Result<String, String> {
        valid_nick(&nick)
            .map_err(|why| format!("the name {} cannot be had: {why}", escape(&nick)))?;
        match self.called(&nick) {
            Some(id) if Some(id) != owner => {
                Err(format!("the name {nick} is taken; choose another"))
            }
            _ => Ok(nick),
        }
    }

    /// Returns a name for somebody who wished for none.
    pub(super) fn guest(&self) -> String {
        let mut names = (self.members.len() as u64 + 1..).map(|n| format!("guest{n}"));
        // There are more numbers than members.
        names.find(|name| self.called(name).is_none()).unwrap_or_default()
    }
}

/// Checks the name of a room that somebody wants to go to.
pub(super) fn room_named(name: String) -> Result<String, String> {
    valid_room(&name)
        .map_err(|why| format!("the room {} cannot be had: {why}", escape(&name)))
        .map(|()| name)
}

/// A member's place in the hall. Dropping it is leaving.
#[derive(Debug)]
pub struct Membership {
    id: u64,
    hall: Hall,
    keeper: Address<ToRoom>,
}

impl Membership {
    /// Returns the member's number, which never changes.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the member's present name, and the name of the room that it is in.
    pub fn name_and_room(&self) -> (String, Option<Arc<str>>) {
        let book = self.hall.book();
        let nick = book.members.get(&self.id).map(|member| member.nick.to_string());
        let room = book.place(self.id).map(|(_, room)| room.name.clone());
        (nick.unwrap_or_default(), room)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.hall.book().gone.push(self.id);
        // A keeper that is too busy to be told looks for who left by itself.
        let _ = self.keeper.try_send(ToRoom::Gone(self.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_rooms_hold_little_more_than_one() {
        let hall = Hall::new("lobby");
        let line = || "x".repeat(1000);
        for k in 0..1000 {
            let mut book = hall.book();
            let key = book.open(&format!("room{k}"));
            let ring = book.rooms[&key].ring.clone();
            drop(book);
            (0..1100).for_each(|_| drop(ring.say(None, line(), SystemTime::UNIX_EPOCH)));
        }
        let book = hall.book();
        let bytes: usize = book.rooms.values().map(|room| room.ring.bytes()).sum();
        assert!(bytes <= 1001 * LEAST, "{bytes}");
    }
}
