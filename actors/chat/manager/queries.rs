//! The room manager's replies to members' questions: direct messages, lists and topics.

use crate::actors::chat::messages::SessionMessage;
use crate::actors::chat::registry::{ChatRegistry, NOT_IN_ROOM, SESSION_ENDED};
use crate::runtime::Clock;
use crate::wire::chat::format_list;
use crate::wire::text::escape;

/// Maximum number of entries in a list.
const MAX_LISTED: usize = 100;

/// Maximum size of a list's entries in bytes.
const MAX_LIST_BYTES: usize = 8 << 10;

/// Maximum length of a topic in bytes, before it is escaped.
const MAX_TOPIC_BYTES: usize = 300;

/// Sends a text from a member to the member with the nick `to`. Returns the receiver's nick.
pub(crate) fn send_direct_message(
    registry: &ChatRegistry,
    id: u64,
    to: &str,
    text: &str,
) -> Result<String, String> {
    let directory = registry.directory();
    let unknown = || format!("there is no member named {}", escape(to));
    let sender = directory.members.get(&id).ok_or(SESSION_ENDED)?;
    let receiver =
        directory.find_by_nick(to).and_then(|id| directory.members.get(&id)).ok_or_else(unknown)?;
    let unavailable = || format!("{} cannot receive messages at the moment", receiver.nick);
    let session = receiver.session.as_ref().filter(|_| !receiver.quiet).ok_or_else(unavailable)?;
    let line = format!("* {} tells you: {}\n", sender.nick, escape(text));
    session.try_send(SessionMessage::Notice(line)).map_err(|_| unavailable())?;
    Ok(receiver.nick.to_string())
}

/// Lists the members of a member's room.
pub(crate) fn list_room_members(registry: &ChatRegistry, id: u64) -> Result<String, String> {
    let directory = registry.directory();
    let (_, room) = directory.member_and_room(id).ok_or(NOT_IN_ROOM)?;
    let members = room.members.iter().filter_map(|id| directory.members.get(id));
    let nicks = members.map(|member| &*member.nick);
    Ok(format!("in {}: {}", room.name, truncated_list(nicks, room.members.len())))
}

/// Lists the rooms with their member counts and topics.
pub(crate) fn list_rooms(registry: &ChatRegistry) -> String {
    let directory = registry.directory();
    let rooms = directory.rooms.values().map(|room| match &room.topic {
        Some(topic) => format!("{} ({}): {topic}", room.name, room.members.len()),
        None => format!("{} ({})", room.name, room.members.len()),
    });
    format!("rooms: {}", truncated_list(rooms, directory.rooms.len()))
}

/// Returns the topic of a member's room, or sets it.
pub(crate) fn get_or_set_topic(
    registry: &ChatRegistry,
    id: u64,
    text: Option<String>,
    clock: &Clock,
) -> Result<String, String> {
    let mut directory = registry.directory();
    let (member, room) = directory.member_and_room(id).ok_or(NOT_IN_ROOM)?;
    let (nick, key) = (member.nick.clone(), room.name.to_ascii_lowercase());
    let Some(text) = text else {
        return Ok(match &room.topic {
            Some(topic) => format!("topic of {}: {topic}", room.name),
            None => format!("{} has no topic", room.name),
        });
    };
    if text.len() > MAX_TOPIC_BYTES {
        return Err(format!("a topic has at most {MAX_TOPIC_BYTES} bytes"));
    }
    let topic = escape(&text).into_owned();
    let room = directory.rooms.get_mut(key.as_str()).ok_or(NOT_IN_ROOM)?;
    let line = format!("* {nick} set the topic: {topic}\n");
    let message = room.log.publish(Some(id), line, clock.system_time());
    registry.record_message(&room.name, &message);
    let answer = format!("topic of {}: {topic}", room.name);
    room.topic = Some(topic);
    Ok(answer)
}

/// Lists the first of `total` entries, at most [`MAX_LISTED`] with [`MAX_LIST_BYTES`], and the
/// number of the others.
pub(crate) fn truncated_list<E: AsRef<str>>(
    entries: impl Iterator<Item = E>,
    total: usize,
) -> String {
    let mut bytes = 0;
    let fits = |entry: &E| {
        bytes += entry.as_ref().len();
        bytes <= MAX_LIST_BYTES
    };
    format_list(entries.take(MAX_LISTED).take_while(fits), total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_of_long_entries_is_truncated() {
        let topic = "x".repeat(1800);
        let list = truncated_list((0..1000).map(|room| format!("{room}: {topic}")), 1000);
        assert!(list.len() <= MAX_LIST_BYTES && list.ends_with(" and 996 others"), "{list}");
        let list = truncated_list((0..1000).map(|nick| nick.to_string()), 1000);
        assert!(list.ends_with("98, 99 and 900 others"), "{list}");
    }
}
