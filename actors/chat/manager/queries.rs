//! What the keeper of a chat's rooms answers to its members' questions.

use crate::actors::SessionMessage;
use crate::actors::chat::manager::{NOT_IN_ROOM, RoomManager};
use crate::runtime::Clock;
use crate::wire::text::escape;

/// How many names a list shows.
const MAX_LISTED: usize = 100;

/// The longest topic, in bytes as it was said.
const MAX_TOPIC_BYTES: usize = 300;

impl RoomManager {
    /// Tells a member something alone; returns its name.
    pub(crate) fn send_direct_message(
        &self,
        id: u64,
        to: &str,
        text: &str,
    ) -> Result<String, String> {
        let book = self.registry.directory();
        let nobody = || format!("there is nobody called {}", escape(to));
        let from = book.members.get(&id).ok_or("you are gone")?;
        let other =
            book.find_by_nick(to).and_then(|id| book.members.get(&id)).ok_or_else(nobody)?;
        let refused = || format!("{} takes no messages at the moment", other.nick);
        let session = other.session.as_ref().filter(|_| !other.quiet).ok_or_else(refused)?;
        let line = format!("* {} tells you: {}\n", from.nick, escape(text));
        session.try_send(SessionMessage::Notice(line)).map_err(|_| refused())?;
        Ok(other.nick.to_string())
    }

    /// Lists who is in a member's room.
    pub(crate) fn list_room_members(&self, id: u64) -> Result<String, String> {
        let book = self.registry.directory();
        let (_, room) = book.member_and_room(id).ok_or(NOT_IN_ROOM)?;
        let nicks = room.members.iter().filter_map(|id| book.members.get(id));
        let nicks = nicks.map(|member| member.nick.to_string());
        Ok(format!("in {}: {}", room.name, truncated_list(nicks, room.members.len())))
    }

    /// Lists the rooms.
    pub(crate) fn list_rooms(&self) -> String {
        let book = self.registry.directory();
        let rooms = book.rooms.values().map(|room| match &room.topic {
            Some(topic) => format!("{} ({}): {topic}", room.name, room.members.len()),
            None => format!("{} ({})", room.name, room.members.len()),
        });
        format!("rooms: {}", truncated_list(rooms, book.rooms.len()))
    }

    /// Tells what a member's room is about, or sets it.
    pub(crate) fn get_or_set_topic(
        &self,
        id: u64,
        text: Option<String>,
        clock: &Clock,
    ) -> Result<String, String> {
        let mut book = self.registry.directory();
        let (member, room) = book.member_and_room(id).ok_or(NOT_IN_ROOM)?;
        let (nick, key) = (member.nick.clone(), room.name.to_ascii_lowercase());
        let Some(text) = text else {
            let topic = room.topic.as_deref().unwrap_or("whatever comes");
            return Ok(format!("{} is about: {topic}", room.name));
        };
        if text.len() > MAX_TOPIC_BYTES {
            return Err(format!("a topic has at most {MAX_TOPIC_BYTES} bytes"));
        }
        let topic = escape(&text).into_owned();
        let room = book.rooms.get_mut(key.as_str()).ok_or(NOT_IN_ROOM)?;
        let line = format!("* {nick} set the topic: {topic}\n");
        self.registry
            .record_message(&room.name, &room.log.publish(Some(id), line, clock.system_time()));
        let told = format!("{} is about: {topic}", room.name);
        room.topic = Some(topic);
        Ok(told)
    }
}

/// Joins the first of `count` names, and says how many there are besides.
pub(crate) fn truncated_list(names: impl Iterator<Item = String>, count: usize) -> String {
    let mut list: Vec<_> = names.take(MAX_LISTED).collect();
    if count > list.len() {
        list.push(format!("and {} more", count - list.len()));
    }
    list.join(", ")
}
