//! The logs of closed rooms, for members who open the rooms again.
//!
//! Only a chat with a history on disk keeps them. Their number is limited. The room that was closed
//! or restored longest ago is dropped first. The history on disk is not affected.

use std::collections::BTreeMap;

use crate::actors::chat::broadcast::log::MessageLog;

/// Maximum number of closed rooms.
const MAX_CLOSED_ROOMS: usize = 256;

/// A bounded map of closed rooms' logs that evicts the entry inserted longest ago.
#[derive(Debug, Default)]
pub(crate) struct ClosedRooms {
    /// By room key. Each log has the tick of its last insertion.
    logs: BTreeMap<String, (u64, MessageLog)>,
    tick: u64,
}

impl ClosedRooms {
    /// Returns the number of closed rooms.
    pub(crate) fn len(&self) -> usize {
        self.logs.len()
    }

    /// Returns the logs.
    pub(crate) fn logs(&self) -> impl Iterator<Item = &MessageLog> {
        self.logs.values().map(|(_, log)| log)
    }

    /// Removes and returns the log of a room.
    pub(crate) fn remove(&mut self, key: &str) -> Option<MessageLog> {
        self.logs.remove(key).map(|(_, log)| log)
    }

    /// Inserts the log of a room, and removes the oldest one if there are too many.
    pub(crate) fn insert(&mut self, key: &str, log: MessageLog) {
        self.tick += 1;
        self.logs.insert(key.to_owned(), (self.tick, log));
        if self.logs.len() > MAX_CLOSED_ROOMS {
            let oldest = self.logs.iter().min_by_key(|(_, (tick, _))| *tick);
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
    use crate::actors::chat::registry::ChatRegistry;

    #[test]
    fn longest_silent_room_is_forgotten_first() {
        let mut closed = ClosedRooms::default();
        for k in 0..MAX_CLOSED_ROOMS {
            closed.insert(&k.to_string(), MessageLog::default());
        }
        let first = closed.remove("0").unwrap_or_default();
        closed.insert("0", first);
        closed.insert("new", MessageLog::default());
        assert_eq!(closed.len(), MAX_CLOSED_ROOMS);
        assert!(
            closed.remove("0").is_some()
                && closed.remove("1").is_none()
                && closed.remove("2").is_some()
        );
    }

    #[test]
    fn thousand_closed_rooms_stay_within_memory_limit() {
        let registry = ChatRegistry::new("lobby");
        registry.keep_closed_rooms();
        let line = "x".repeat(1000);
        for k in 0..1000 {
            let restore = |_| registry.restore(&format!("room{k}"), &line, SystemTime::UNIX_EPOCH);
            (0..100).for_each(restore);
        }
        let mut directory = registry.directory();
        let closed = directory.closed_rooms.as_ref().unwrap();
        let bytes: usize = closed.logs().map(MessageLog::bytes).sum();
        assert!(
            closed.len() == MAX_CLOSED_ROOMS && bytes <= 8 << 20,
            "{} rooms, {bytes} bytes",
            closed.len()
        );
        let key = directory.open_room("ROOM999");
        let recent = directory.rooms[&key].log.recent(100);
        assert!(recent.len() > 10, "an opened room has its old messages");
        directory.close_room(&key);
        assert!(
            directory.closed_rooms.as_ref().unwrap().len() == MAX_CLOSED_ROOMS
                && !directory.rooms.contains_key(&key)
        );
    }

    #[test]
    fn closed_room_without_messages_is_not_kept() {
        let registry = ChatRegistry::new("lobby");
        registry.keep_closed_rooms();
        for (name, line) in [("idle", "* ada joined\n"), ("busy", "ada: hello\n")] {
            let mut directory = registry.directory();
            let key = directory.open_room(name);
            directory.rooms[&key].log.publish(None, line.into(), SystemTime::UNIX_EPOCH);
            directory.close_room(&key);
        }
        let mut directory = registry.directory();
        let closed = directory.closed_rooms.as_mut().unwrap();
        assert!(closed.remove("idle").is_none() && closed.remove("busy").is_some());
    }
}
