//! The book of a hall: who is a member, and which rooms there are.
//!
//! It is plain data behind the [hall](crate::actors::chat::registry)'s lock. Names are looked up whatever the case of their letters, and
//! all rings together hold no more than their budget, however many rooms somebody opens.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use crate::actors::SessionMessage;
use crate::actors::chat::broadcast::log::MessageLog;
use crate::actors::chat::registry::closed_rooms::ClosedRooms;
use crate::runtime::Address;
use crate::wire::chat::{validate_nick, validate_room};
use crate::wire::text::escape;

/// How many bytes of lines all rooms hold together, about.
const TOTAL_LOG_BYTES: usize = 8 << 20;

/// How many bytes of lines a room may hold however many there are.
const MIN_ROOM_BYTES: usize = 16 << 10;

/// What is known of the members and the rooms.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    pub(crate) members: BTreeMap<u64, Member>,
    /// The members, by their names.
    nicks: BTreeMap<NickKey, u64>,
    /// By their names in lower case.
    pub(crate) rooms: BTreeMap<Arc<str>, Room>,
    /// Members who left since the room actor last looked.
    pub(crate) departed: Vec<u64>,
    /// What was said in rooms that are closed, where that is remembered.
    pub(crate) closed_rooms: Option<ClosedRooms>,
    next_id: u64,
}

/// A member's name, as the members are ordered by it: whatever the case of its letters.
#[derive(Debug)]
struct NickKey(Arc<str>);

impl Ord for NickKey {
    fn cmp(&self, other: &NickKey) -> Ordering {
        let lower = |byte: u8| byte.to_ascii_lowercase();
        self.0.bytes().map(lower).cmp(other.0.bytes().map(lower))
    }
}

impl PartialOrd for NickKey {
    fn partial_cmp(&self, other: &NickKey) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for NickKey {
    fn eq(&self, other: &NickKey) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for NickKey {}

/// A member, as the book has it.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) nick: Arc<str>,
    /// The key of its room.
    pub(crate) room_key: Option<Arc<str>>,
    /// Whether the others are told of its coming and going.
    pub(crate) quiet: bool,
    /// Whether nobody is to hear it.
    pub(crate) muted: bool,
    /// Where it comes from, if that is an address.
    pub(crate) ip: Option<IpAddr>,
    /// Where it is told what is for it alone; a lecture client is told its end.
    pub(crate) session: Option<Address<SessionMessage>>,
}

/// A room, as the book has it.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: Arc<str>,
    pub(crate) topic: Option<String>,
    pub(crate) log: MessageLog,
    pub(crate) members: BTreeSet<u64>,
}

impl Directory {
    /// Takes in a member, which is in no room yet.
    pub(crate) fn add_member(
        &mut self,
        nick: String,
        quiet: bool,
        address: Option<IpAddr>,
        session: Option<Address<SessionMessage>>,
    ) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let nick: Arc<str> = nick.into();
        self.nicks.insert(NickKey(nick.clone()), id);
        self.members
            .insert(id, Member { nick, room_key: None, quiet, muted: false, ip: address, session });
        id
    }

    /// Strikes a member out.
    pub(crate) fn remove_member(&mut self, id: u64) -> Option<Member> {
        let member = self.members.remove(&id)?;
        self.nicks.remove(&NickKey(member.nick.clone()));
        Some(member)
    }

    /// Gives a member another name, which must be free, and returns the old one.
    pub(crate) fn rename(&mut self, id: u64, nick: &str) -> Option<Arc<str>> {
        let member = self.members.get_mut(&id)?;
        let nick: Arc<str> = nick.into();
        let old = std::mem::replace(&mut member.nick, nick.clone());
        self.nicks.remove(&NickKey(old.clone()));
        self.nicks.insert(NickKey(nick), id);
        Some(old)
    }

    pub(crate) fn find_by_nick(&self, nick: &str) -> Option<u64> {
        self.nicks.get(&NickKey(nick.into())).copied()
    }

    /// Finds a room, or makes it, and returns its key.
    pub(crate) fn open_room(&mut self, name: &str) -> Arc<str> {
        let key = name.to_ascii_lowercase();
        // The key that is there is the one that all members of the room share.
        if let Some((key, _)) = self.rooms.get_key_value(key.as_str()) {
            return key.clone();
        }
        let past = self.closed_rooms.as_mut().and_then(|past| past.remove(&key));
        let key: Arc<str> = key.into();
        let (ring, members) = (past.unwrap_or_default(), BTreeSet::new());
        self.rooms.insert(key.clone(), Room { name: name.into(), topic: None, log: ring, members });
        self.rebalance();
        key
    }

    /// Gives a room a line that was said in an earlier life of the chat.
    pub(crate) fn restore(&mut self, room: &str, line: &str, at: SystemTime) {
        let key = room.to_ascii_lowercase();
        if let Some(room) = self.rooms.get(key.as_str()) {
            room.log.publish(None, line.to_owned(), at);
            return;
        }
        let share = self.room_capacity();
        let Some(past) = &mut self.closed_rooms else { return };
        let known = past.len();
        let ring = past.remove(&key).unwrap_or_default();
        ring.set_capacity(share);
        ring.publish(None, line.to_owned(), at);
        past.insert(&key, ring);
        if past.len() > known {
            self.rebalance();
        }
    }

    /// Closes a room that nobody is in any more.
    pub(crate) fn close_room(&mut self, key: &str) {
        if let (Some(room), Some(past)) = (self.rooms.remove(key), &mut self.closed_rooms) {
            // Whoever only comes and goes takes no room's place.
            if room.log.any(|said| !said.text.starts_with("* ")) {
                past.insert(key, room.log);
            }
        }
        self.rebalance();
    }

    /// Gives each room its share of the memory: whoever opens a thousand rooms gets no more of it.
    fn rebalance(&self) {
        let (share, past) =
            (self.room_capacity(), self.closed_rooms.iter().flat_map(ClosedRooms::logs));
        self.rooms
            .values()
            .map(|room| &room.log)
            .chain(past)
            .for_each(|ring| ring.set_capacity(share));
    }

    fn room_capacity(&self) -> usize {
        let rooms = self.rooms.len() + self.closed_rooms.as_ref().map_or(0, ClosedRooms::len);
        (TOTAL_LOG_BYTES / rooms.max(1)).max(MIN_ROOM_BYTES)
    }

    /// Returns a member and the room that it is in.
    pub(crate) fn member_and_room(&self, id: u64) -> Option<(&Member, &Room)> {
        let member = self.members.get(&id)?;
        Some((member, self.rooms.get(member.room_key.as_deref()?)?))
    }

    /// Returns the name if it is valid and nobody but `owner` has it.
    pub(crate) fn check_nick(&self, nick: String, owner: Option<u64>) -> Result<String, String> {
        validate_nick(&nick)
            .map_err(|why| format!("the name {} cannot be had: {why}", escape(&nick)))?;
        match self.find_by_nick(&nick) {
            Some(id) if Some(id) != owner => {
                Err(format!("the name {nick} is taken; choose another"))
            }
            _ => Ok(nick),
        }
    }

    /// Returns a name for somebody who wished for none.
    pub(crate) fn next_guest_nick(&self) -> String {
        let mut names = (self.members.len() as u64 + 1..).map(|n| format!("guest{n}"));
        // There are more numbers than members.
        names.find(|name| self.find_by_nick(name).is_none()).unwrap_or_default()
    }
}

/// Checks the name of a room that somebody wants to go to.
pub(crate) fn validate_room_name(name: String) -> Result<String, String> {
    validate_room(&name)
        .map_err(|why| format!("the room {} cannot be had: {why}", escape(&name)))
        .map(|()| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_rooms_hold_little_more_than_one() {
        let mut book = Directory::default();
        book.open_room("lobby");
        let line = || "x".repeat(1000);
        for k in 0..1000 {
            let key = book.open_room(&format!("room{k}"));
            let ring = book.rooms[&key].log.clone();
            (0..1100).for_each(|_| drop(ring.publish(None, line(), SystemTime::UNIX_EPOCH)));
        }
        let bytes: usize = book.rooms.values().map(|room| room.log.bytes()).sum();
        assert!(bytes <= 1001 * MIN_ROOM_BYTES, "{bytes}");
    }
}
