//! The directory of a chat: its members and rooms by name.
//!
//! It is plain data behind the lock of the [registry](crate::actors::chat::registry). Names are
//! compared without regard to ASCII case. The logs of all rooms together stay within a memory
//! limit, however many rooms a client opens.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::actors::chat::broadcast::log::MessageLog;
use crate::actors::chat::messages::SessionMessage;
use crate::actors::chat::registry::closed_rooms::ClosedRooms;
use crate::actors::chat::registry::presence::{
    ANNOUNCE_INTERVAL, PendingChanges, PresenceChange, format_changes,
};
use crate::runtime::{Address, Clock};
use crate::time::deadline_after;
use crate::wire::chat::notice::format_nick_taken;
use crate::wire::chat::{validate_nick, validate_room};
use crate::wire::text::escape;

/// Approximate maximum size of all logs together, in bytes, unless
/// [`Directory::set_log_limit`] lowers it.
const MAX_TOTAL_LOG_BYTES: usize = 8 << 20;

/// The share of the total that each log keeps, however many rooms there are.
const MIN_ROOM_SHARE: usize = 512;

/// The members and rooms.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) members: BTreeMap<u64, Member>,
    nicks: BTreeMap<NickKey, u64>,
    /// By room key, which is the name in lower case.
    pub(crate) rooms: BTreeMap<Arc<str>, Room>,
    /// Members whose [`Membership`](crate::actors::chat::registry::Membership) was dropped and
    /// whom the room manager has not removed yet.
    pub(crate) departed: Vec<u64>,
    /// The logs of closed rooms, if they are kept.
    pub(crate) closed_rooms: Option<ClosedRooms>,
    /// The rooms with pending changes and the times of their announcements, earliest first.
    announcements: VecDeque<(Instant, Arc<str>)>,
    /// The limit of all logs together, in bytes.
    log_limit: usize,
    /// The capacity of each log, in bytes.
    log_capacity: usize,
    next_id: u64,
    /// The number of the guest that was admitted last.
    last_guest: u64,
}

impl Default for Directory {
    fn default() -> Directory {
        Directory {
            members: BTreeMap::new(),
            nicks: BTreeMap::new(),
            rooms: BTreeMap::new(),
            departed: Vec::new(),
            closed_rooms: None,
            announcements: VecDeque::new(),
            log_limit: MAX_TOTAL_LOG_BYTES,
            log_capacity: MAX_TOTAL_LOG_BYTES,
            next_id: 0,
            last_guest: 0,
        }
    }
}

/// A nick that is compared without regard to ASCII case.
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

/// A member's entry.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) nick: Arc<str>,
    /// The key of its room.
    pub(crate) room_key: Option<Arc<str>>,
    /// Whether its joins and leaves are not announced, and it receives no notices.
    pub(crate) quiet: bool,
    /// Whether its messages are not delivered, and its joins and leaves are not announced.
    pub(crate) muted: bool,
    /// The peer's IP address, if it has one.
    pub(crate) ip: Option<IpAddr>,
    /// The member's session, for notices and for closing it.
    pub(crate) session: Option<Address<SessionMessage>>,
}

/// A room's entry.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) name: Arc<str>,
    pub(crate) topic: Option<String>,
    pub(crate) log: MessageLog,
    pub(crate) members: BTreeSet<u64>,
    /// The joins, leaves and new nicks that were not announced yet.
    pending: PendingChanges,
}

impl Room {
    /// Announces changes to every member except `except`.
    fn announce(&self, changes: &[PresenceChange], except: Option<u64>, sent_at: SystemTime) {
        let (text, line_count) = format_changes(changes);
        if line_count > 0 {
            self.log.append(except, text, line_count, sent_at);
            self.log.deliver();
        }
    }
}

impl Directory {
    /// Adds a member, who is in no room yet, and returns its ID. The nick must be free.
    pub(crate) fn add_member(
        &mut self,
        nick: String,
        quiet: bool,
        ip: Option<IpAddr>,
        session: Option<Address<SessionMessage>>,
    ) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let nick: Arc<str> = nick.into();
        self.nicks.insert(NickKey(nick.clone()), id);
        self.members.insert(id, Member { nick, room_key: None, quiet, muted: false, ip, session });
        id
    }

    /// Removes a member. It must be in no room.
    pub(crate) fn remove_member(&mut self, id: u64) -> Option<Member> {
        let member = self.members.remove(&id)?;
        self.nicks.remove(&NickKey(member.nick.clone()));
        Some(member)
    }

    /// Changes a member's nick and returns the old one. The new nick must be free.
    pub(crate) fn rename(&mut self, id: u64, nick: &str) -> Option<Arc<str>> {
        let member = self.members.get_mut(&id)?;
        let nick: Arc<str> = nick.into();
        let old = std::mem::replace(&mut member.nick, nick.clone());
        self.nicks.remove(&NickKey(old.clone()));
        self.nicks.insert(NickKey(nick), id);
        Some(old)
    }

    /// Returns the ID of the member with this nick.
    pub(crate) fn find_by_nick(&self, nick: &str) -> Option<u64> {
        self.nicks.get(&NickKey(nick.into())).copied()
    }

    /// Finds or creates a room, and returns its key.
    pub(crate) fn open_room(&mut self, name: &str) -> Arc<str> {
        let key = name.to_ascii_lowercase();
        // All members of a room share one key.
        if let Some((key, _)) = self.rooms.get_key_value(key.as_str()) {
            return key.clone();
        }
        let log = self.closed_rooms.as_mut().and_then(|closed| closed.remove(&key));
        let (key, log): (Arc<str>, MessageLog) = (key.into(), log.unwrap_or_default());
        log.set_capacity(self.log_capacity);
        let (members, pending) = (BTreeSet::new(), PendingChanges::default());
        let room = Room { name: name.into(), topic: None, log, members, pending };
        self.rooms.insert(key.clone(), room);
        self.rebalance();
        key
    }

    /// Appends a saved line to the log of an open or closed room.
    pub(crate) fn restore(&mut self, room: &str, line: &str, sent_at: SystemTime) {
        let key = room.to_ascii_lowercase();
        if let Some(room) = self.rooms.get(key.as_str()) {
            room.log.publish(None, line.to_owned(), sent_at);
            return;
        }
        let capacity = self.log_capacity;
        let Some(closed) = &mut self.closed_rooms else { return };
        let count = closed.len();
        let log = closed.remove(&key).unwrap_or_default();
        log.set_capacity(capacity);
        log.publish(None, line.to_owned(), sent_at);
        closed.insert(&key, log);
        if closed.len() > count {
            self.rebalance();
        }
    }

    /// Closes a room without members, and keeps its log if closed rooms are kept.
    pub(crate) fn close_room(&mut self, key: &str) {
        if let (Some(room), Some(closed)) = (self.rooms.remove(key), &mut self.closed_rooms) {
            // A room with notices only must not displace one with messages.
            if room.log.any(|message| !message.text.starts_with("* ")) {
                closed.insert(key, room.log);
            }
        }
        self.rebalance();
    }

    /// Limits all logs together to about `bytes`, at most [`MAX_TOTAL_LOG_BYTES`].
    pub(crate) fn set_log_limit(&mut self, bytes: usize) {
        self.log_limit = bytes.min(MAX_TOTAL_LOG_BYTES);
        self.rebalance();
    }

    /// Divides the limit evenly among all logs. Each keeps at least one share of
    /// [`MIN_ROOM_SHARE`], so with many rooms a further one changes nothing.
    fn rebalance(&mut self) {
        let rooms = self.rooms.len() + self.closed_rooms.as_ref().map_or(0, ClosedRooms::len);
        let capacity = self.log_limit / rooms.clamp(1, MIN_ROOM_SHARE);
        if capacity == self.log_capacity {
            return;
        }
        self.log_capacity = capacity;
        let closed = self.closed_rooms.iter().flat_map(ClosedRooms::logs);
        self.rooms
            .values()
            .map(|room| &room.log)
            .chain(closed)
            .for_each(|log| log.set_capacity(capacity));
    }

    /// Announces a member's change to the others in its room, unless the member is quiet or muted.
    /// In a room of more than `max_single` members it waits for the room's next announcement.
    pub(crate) fn announce(
        &mut self,
        key: &Arc<str>,
        id: u64,
        change: PresenceChange,
        max_single: usize,
        clock: &Clock,
    ) {
        if self.members.get(&id).is_none_or(|member| member.quiet || member.muted) {
            return;
        }
        let Some(room) = self.rooms.get_mut(key) else { return };
        if room.members.len() <= max_single && !room.pending.is_scheduled {
            return room.announce(&[change], Some(id), clock.system_time());
        }
        room.pending.record(id, change);
        if !std::mem::replace(&mut room.pending.is_scheduled, true) {
            let now = clock.now();
            let at = deadline_after(now, ANNOUNCE_INTERVAL);
            self.announcements.push_back((at, key.clone()));
        }
    }

    /// Makes the announcements whose time has come. Returns the time of the next one.
    pub(crate) fn announce_due(&mut self, clock: &Clock) -> Option<Instant> {
        while let Some((at, key)) = self.announcements.front() {
            if *at > clock.now() {
                return Some(*at);
            }
            if let Some(room) = self.rooms.get_mut(key) {
                let changes = room.pending.take();
                room.announce(&changes, None, clock.system_time());
            }
            self.announcements.pop_front();
        }
        None
    }

    /// Returns a member and its room, if it is in one.
    pub(crate) fn member_and_room(&self, id: u64) -> Option<(&Member, &Room)> {
        let member = self.members.get(&id)?;
        Some((member, self.rooms.get(member.room_key.as_deref()?)?))
    }

    /// Returns the nick if it is valid, and free or the one of `owner`. The error is a sentence
    /// for the member.
    pub(crate) fn check_nick(&self, nick: String, owner: Option<u64>) -> Result<String, String> {
        validate_nick(&nick)
            .map_err(|reason| format!("\"{}\" is not a valid name: {reason}", escape(&nick)))?;
        match self.find_by_nick(&nick) {
            Some(id) if Some(id) != owner => Err(format_nick_taken(&nick)),
            _ => Ok(nick),
        }
    }

    /// Returns a free nick for a member who asked for none.
    pub(crate) fn next_guest_nick(&mut self) -> String {
        // Guests are numbered on and on, so a nick that is taken costs one look-up ever.
        loop {
            self.last_guest += 1;
            let nick = format!("guest{}", self.last_guest);
            if self.find_by_nick(&nick).is_none() {
                return nick;
            }
        }
    }
}

/// Returns the room name if it is valid. The error is a sentence for the member.
pub(crate) fn validate_room_name(name: String) -> Result<String, String> {
    validate_room(&name)
        .map_err(|reason| format!("\"{}\" is not a valid room name: {reason}", escape(&name)))
        .map(|()| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousand_rooms_stay_within_memory_limit() {
        let mut directory = Directory::default();
        directory.open_room("lobby");
        let line = || "x".repeat(1000);
        for k in 0..1000 {
            let key = directory.open_room(&format!("room{k}"));
            let log = directory.rooms[&key].log.clone();
            (0..1100).for_each(|_| drop(log.publish(None, line(), SystemTime::UNIX_EPOCH)));
        }
        let bytes: usize = directory.rooms.values().map(|room| room.log.bytes()).sum();
        assert!(bytes <= 1001 * (MAX_TOTAL_LOG_BYTES / MIN_ROOM_SHARE), "{bytes}");
    }
}
