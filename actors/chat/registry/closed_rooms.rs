//! What was said in rooms that nobody is in, for those who open them again.
//!
//! Only a chat that keeps its history on the disk remembers closed rooms. Of how many is bounded: the one in which
//! nothing was said for the longest time is forgotten first, in memory; the disk has it as long as it has room.

use std::collections::BTreeMap;

use crate::actors::chat::broadcast::log::Ring;

/// How many closed rooms are remembered.
const ROOMS: usize = 256;

/// The rings of closed rooms.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// By the rooms' keys, each with the turn in which it was last spoken in or closed.
    rings: BTreeMap<String, (u64, Ring)>,
    turn: u64,
}

impl Past {
    /// Returns how many rooms are remembered.
    pub(crate) fn len(&self) -> usize {
        self.rings.len()
    }

    /// Returns their rings.
    pub(crate) fn rings(&self) -> impl Iterator<Item = &Ring> {
        self.rings.values().map(|(_, ring)| ring)
    }

    /// Takes the ring of a room that is opened.
    pub(crate) fn take(&mut self, key: &str) -> Option<Ring> {
        self.rings.remove(key).map(|(_, ring)| ring)
    }

    /// Remembers a room that is closed.
    pub(crate) fn put(&mut self, key: &str, ring: Ring) {
        self.turn += 1;
        self.rings.insert(key.to_owned(), (self.turn, ring));
        if self.rings.len() > ROOMS {
            let oldest = self.rings.iter().min_by_key(|(_, (turn, _))| *turn);
            if let Some(oldest) = oldest.map(|(key, _)| key.clone()) {
                self.rings.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::actors::Hall;

    #[test]
    fn the_room_that_was_silent_longest_is_forgotten_first() {
        let mut past = Past::default();
        for k in 0..ROOMS {
            past.put(&k.to_string(), Ring::default());
        }
        let first = past.take("0").unwrap_or_default();
        past.put("0", first);
        past.put("new", Ring::default());
        assert_eq!(past.len(), ROOMS);
        assert!(past.take("0").is_some() && past.take("1").is_none() && past.take("2").is_some());
    }

    #[test]
    fn a_thousand_closed_rooms_hold_no_more_than_open_ones() {
        let hall = Hall::new("lobby");
        hall.remember();
        let line = "x".repeat(1000);
        for k in 0..1000 {
            let say = |_| hall.restore(&format!("room{k}"), &line, SystemTime::UNIX_EPOCH);
            (0..100).for_each(say);
        }
        let mut book = hall.book();
        let past = book.past.as_ref().unwrap();
        let bytes: usize = past.rings().map(Ring::bytes).sum();
        assert!(past.len() == ROOMS && bytes <= 8 << 20, "{} rooms, {bytes} bytes", past.len());
        let key = book.open("ROOM999");
        assert!(book.rooms[&key].ring.last(100).len() > 10, "who opens it hears what was said");
        book.close(&key);
        assert!(book.past.as_ref().unwrap().len() == ROOMS && !book.rooms.contains_key(&key));
    }

    #[test]
    fn who_only_comes_and_goes_takes_no_rooms_place() {
        let hall = Hall::new("lobby");
        hall.remember();
        for (name, line) in [("idle", "* ada joined\n"), ("busy", "ada: hello\n")] {
            let key = hall.book().open(name);
            hall.book().rooms[&key].ring.say(None, line.into(), SystemTime::UNIX_EPOCH);
            hall.book().close(&key);
        }
        let mut book = hall.book();
        let past = book.past.as_mut().unwrap();
        assert!(past.take("idle").is_none() && past.take("busy").is_some());
    }
}
