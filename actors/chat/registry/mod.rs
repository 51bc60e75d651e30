//! The hall of a chat: its rooms and its members, which outlive the incarnations of whoever keeps it.
//!
//! A member has a name that no other has, and is in one room at most; a room is there as long as somebody is in
//! it, and the first one always. Both belong to the tree: a keeper that crashes has them back at its next
//! incarnation. A session's place is a [`Membership`]: it says what its peer says, right into
//! the room's ring, whose lock makes one order of it all. To drop it is to leave, however the session ended.

pub(crate) mod closed_rooms;
pub(crate) mod directory;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::SystemTime;

use crate::actors::{HistorySender, RoomMessage, RoomRequest};
use crate::runtime::Address;
use crate::sync::lock;
use crate::wire::text::escape;
use directory::Directory;

/// The rooms and the members of a chat.
#[derive(Clone)]
pub struct ChatRegistry(Arc<RegistryInner>);

struct RegistryInner {
    /// The room that everybody comes to first.
    default_room: Arc<str>,
    directory: Mutex<Directory>,
    /// Where what the members say is kept besides.
    history_sender: OnceLock<HistorySender>,
}

impl ChatRegistry {
    /// Makes an empty hall whose first room has this name.
    pub fn new(name: &str) -> ChatRegistry {
        let mut book = Directory::default();
        book.open_room(name);
        ChatRegistry(Arc::new(RegistryInner {
            default_room: name.into(),
            directory: Mutex::new(book),
            history_sender: OnceLock::new(),
        }))
    }

    /// Has what the members say kept from now on, and the topics; it can be told once.
    pub fn set_history_sender(&self, recorder: HistorySender) {
        // Whoever tells it a second time has the first one go on.
        let _ = self.0.history_sender.set(recorder);
    }

    /// Has what a room heard kept, where it is.
    pub(crate) fn record_message(&self, room: &Arc<str>, said: &Arc<RoomMessage>) {
        if let Some(recorder) = self.0.history_sender.get() {
            recorder.record(room, said);
        }
    }

    /// Returns the name of the room that everybody comes to first.
    pub fn default_room(&self) -> &Arc<str> {
        &self.0.default_room
    }

    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.0.directory)
    }

    /// Makes the place of a member who is in the book.
    pub(crate) fn create_membership(&self, id: u64, keeper: Address<RoomRequest>) -> Membership {
        Membership { id, registry: self.clone(), manager: keeper }
    }

    /// Remembers rooms that close, for those who open them again.
    pub(crate) fn keep_closed_rooms(&self) {
        self.directory().closed_rooms.get_or_insert_default();
    }

    /// Gives a room a line that was said in an earlier life of the chat.
    pub(crate) fn restore(&self, room: &str, line: &str, at: SystemTime) {
        self.directory().restore(room, line, at);
    }

    /// Tells whether a room stays though nobody is in it.
    pub(crate) fn is_permanent(&self, key: &str) -> bool {
        self.0.default_room.eq_ignore_ascii_case(key)
    }
}

impl fmt::Debug for ChatRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = self.directory();
        write!(f, "Hall({} rooms, {} members)", book.rooms.len(), book.members.len())
    }
}

/// What a member is told whom nobody hears.
pub(crate) const NO_ROOM_TO_SEND_TO: &str =
    "you are in no room, so nobody hears it; /join ROOM goes to one";
pub(crate) const MUTED: &str = "an operator has muted you; nobody hears what you say";

/// A member's place in the hall. Dropping it is leaving.
#[derive(Debug)]
pub struct Membership {
    id: u64,
    registry: ChatRegistry,
    manager: Address<RoomRequest>,
}

impl Membership {
    /// Returns the member's number, which never changes.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the member's present name, and the name of the room that it is in.
    pub fn nick_and_room(&self) -> (String, Option<Arc<str>>) {
        let book = self.registry.directory();
        let nick = book.members.get(&self.id).map(|member| member.nick.to_string());
        let room = book.member_and_room(self.id).map(|(_, room)| room.name.clone());
        (nick.unwrap_or_default(), room)
    }
}

impl Membership {
    /// Says something in the member's room.
    ///
    /// # Errors
    ///
    /// Nobody hears it; the sentence is for the member.
    pub fn send(&self, text: &str, at: SystemTime) -> Result<(), &'static str> {
        // In one piece of just its length, for it is kept.
        self.broadcast(1, at, |nick| [nick, ": ", &escape(text), "\n"].concat())
    }

    /// Says in the member's room that it does something.
    ///
    /// # Errors
    ///
    /// As [`Membership::send`].
    pub fn send_action(&self, text: &str, at: SystemTime) -> Result<(), &'static str> {
        self.broadcast(1, at, |nick| format!("** {nick} {}\n", escape(text)))
    }

    /// Has the member's room hear `count` lines, which `words` makes of its name.
    pub(crate) fn broadcast(
        &self,
        count: u32,
        at: SystemTime,
        words: impl FnOnce(&str) -> String,
    ) -> Result<(), &'static str> {
        let book = self.registry.directory();
        let (member, room) = book.member_and_room(self.id).ok_or(NO_ROOM_TO_SEND_TO)?;
        if member.muted {
            return Err(MUTED);
        }
        let said = room.log.append(Some(self.id), words(&member.nick), count, at);
        // While the book is held, so that all is kept in the order in which it was heard.
        self.registry.record_message(&room.name, &said);
        let ring = room.log.clone();
        drop(book);
        ring.deliver();
        Ok(())
    }

    /// Returns the member's present name.
    pub(crate) fn nick(&self) -> Arc<str> {
        self.registry
            .directory()
            .members
            .get(&self.id)
            .map_or_else(|| "".into(), |m| m.nick.clone())
    }

    /// Tells whether nobody is to hear the member.
    pub(crate) fn is_muted(&self) -> bool {
        self.registry.directory().members.get(&self.id).is_some_and(|member| member.muted)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.registry.directory().departed.push(self.id);
        // A keeper that is too busy to be told looks for who left by itself.
        let _ = self.manager.try_send(RoomRequest::MemberLeft);
    }
}
