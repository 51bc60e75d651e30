//! What was said in rooms that nobody is in, for those who open them again.
//!
//! Only a chat that keeps its history on the disk remembers closed rooms. Of how many is bounded: the one in which
//! nothing was said for the longest time is forgotten first, in memory; the disk has it as long as it has room.

use std::collections::BTreeMap;

use crate::actors::chat::broadcast::log::MessageLog;

/// How many closed rooms are remembered.
const MAX_CLOSED_ROOMS: usize = 256;

/// The rings of closed rooms.
#[derive(Debug, Default)]
pub(crate) struct ClosedRooms {
    /// By the rooms' keys, each with the turn in which it was last spoken in or closed.
    logs: BTreeMap<String, (u64, MessageLog)>,
    tick: u64,
}

impl ClosedRooms {
    /// Returns how many rooms are remembered.
    pub(crate) fn len(&self) -> usize {
        self.logs.len()
    }

    /// Returns their rings.
    pub(crate) fn logs(&self) -> impl Iterator<Item = &MessageLog> {
        self.logs.values().map(|(_, ring)| ring)
    }

    /// Takes the ring of a room that is opened.
    pub(crate) fn remove(&mut self, key: &str) -> Option<MessageLog> {
        self.logs.remove(key).map(|(_, ring)| ring)
    }

    /// Remembers a room that is closed.
    pub(crate) fn insert(&mut self, key: &str, ring: MessageLog) {
        self.tick += 1;
        self.logs.insert(key.to_owned(), (self.tick, ring));
        if self.logs.len() > MAX_CLOSED_ROOMS {
            let oldest = self.logs.iter().min_by_key(|(_, (turn, _))| *turn);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.logs.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::actors::ChatRegistry;

    #[test]
    fn the_room_that_was_silent_longest_is_forgotten_first() {
        let mut past = ClosedRooms::default();
        for k in 0..MAX_CLOSED_ROOMS {
            past.insert(&k.to_string(), MessageLog::default());
        }
        let first = past.remove("0").unwrap_or_default();
        past.insert("0", first);
        past.insert("new", MessageLog::default());
        assert_eq!(past.len(), MAX_CLOSED_ROOMS);
        assert!(
            past.remove("0").is_some() && past.remove("1").is_none() && past.remove("2").is_some()
        );
    }

    #[test]
    fn a_thousand_closed_rooms_hold_no_more_than_open_ones() {
        let hall = ChatRegistry::new("lobby");
        hall.keep_closed_rooms();
        let line = "x".repeat(1000);
        for k in 0..1000 {
            let say = |_| hall.restore(&format!("room{k}"), &line, SystemTime::UNIX_EPOCH);
            (0..100).for_each(say);
        }
        let mut book = hall.directory();
        let past = book.closed_rooms.as_ref().unwrap();
        let bytes: usize = past.logs().map(MessageLog::bytes).sum();
        assert!(
            past.len() == MAX_CLOSED_ROOMS && bytes <= 8 << 20,
            "{} rooms, {bytes} bytes",
            past.len()
        );
        let key = book.open_room("ROOM999");
        assert!(book.rooms[&key].log.recent(100).len() > 10, "who opens it hears what was said");
        book.close_room(&key);
        assert!(
            book.closed_rooms.as_ref().unwrap().len() == MAX_CLOSED_ROOMS
                && !book.rooms.contains_key(&key)
        );
    }

    #[test]
    fn who_only_comes_and_goes_takes_no_rooms_place() {
        let hall = ChatRegistry::new("lobby");
        hall.keep_closed_rooms();
        for (name, line) in [("idle", "* ada joined\n"), ("busy", "ada: hello\n")] {
            let key = hall.directory().open_room(name);
            hall.directory().rooms[&key].log.publish(None, line.into(), SystemTime::UNIX_EPOCH);
            hall.directory().close_room(&key);
        }
        let mut book = hall.directory();
        let past = book.closed_rooms.as_mut().unwrap();
        assert!(past.remove("idle").is_none() && past.remove("busy").is_some());
    }
}
