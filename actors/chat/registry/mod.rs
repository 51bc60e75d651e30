//! The registry of a chat: its rooms and members, shared by the room manager and the sessions.
//!
//! A member has a unique nick and is in at most one room. A room exists while it has members,
//! and the default room always exists. The registry belongs to the tree, so a room manager that
//! crashes finds it unchanged in its next incarnation.
//!
//! A session holds a [`Membership`]. Through it, messages go directly into the room's log, whose
//! lock orders them. Dropping the membership leaves the chat, however the session ended.

pub(crate) mod closed_rooms;
pub(crate) mod directory;
pub(crate) mod presence;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::SystemTime;

use event_listener::{Event, listener};

use crate::actors::chat::broadcast::message::RoomMessage;
use crate::actors::chat::history::HistorySender;
use crate::actors::chat::registry::directory::Directory;
use crate::sync::lock;
use crate::wire::text::escape;

/// Error for a member who is not in a room.
pub(crate) const NOT_IN_ROOM: &str = "you are not in a room; /join ROOM enters one";

/// Error for a muted member.
pub(crate) const MUTED: &str = "an operator has muted you; your messages are not delivered";

/// Error for a member whose session ended before its request was handled.
pub(crate) const SESSION_ENDED: &str = "your session has ended";

/// The rooms and members of a chat. Cloning it clones the handle.
#[derive(Clone)]
pub struct ChatRegistry(Arc<RegistryInner>);

struct RegistryInner {
    /// The name of the room that members enter first.
    default_room: Arc<str>,
    directory: Mutex<Directory>,
    /// Notified after an ID is pushed to [`Directory::departed`].
    departures: Event,
    history_sender: OnceLock<HistorySender>,
}

impl ChatRegistry {
    /// Creates a registry without members, whose only room is the default room `name`.
    pub fn new(name: &str) -> ChatRegistry {
        let mut directory = Directory::default();
        directory.open_room(name);
        ChatRegistry(Arc::new(RegistryInner {
            default_room: name.into(),
            directory: Mutex::new(directory),
            departures: Event::new(),
            history_sender: OnceLock::new(),
        }))
    }

    /// Saves the members' messages and the topics to a history from now on. Only the first call
    /// has an effect.
    pub fn set_history_sender(&self, sender: HistorySender) {
        let _ = self.0.history_sender.set(sender);
    }

    /// Saves a room's message if there is a history.
    pub(crate) fn record_message(&self, room: &Arc<str>, message: &Arc<RoomMessage>) {
        if let Some(sender) = self.0.history_sender.get() {
            sender.record(room, message);
        }
    }

    /// Returns the name of the room that members enter first.
    pub fn default_room(&self) -> &Arc<str> {
        &self.0.default_room
    }

    /// Locks the directory.
    ///
    /// # Lock order
    ///
    /// A log may be locked while the directory is, not the reverse. Do not drop a [`Membership`]
    /// while the directory is locked: its `Drop` locks it too.
    pub(crate) fn directory(&self) -> MutexGuard<'_, Directory> {
        lock(&self.0.directory)
    }

    /// Creates the membership of a member who is in the directory.
    pub(crate) fn create_membership(&self, id: u64) -> Membership {
        Membership { id, registry: self.clone() }
    }

    /// Waits until a member's ID is in [`Directory::departed`].
    ///
    /// # Cancel safety
    ///
    /// The IDs stay in the directory, so a cancelled wait loses no departure.
    pub(crate) async fn departures(&self) {
        loop {
            // Registered before the check, so that a departure after the check is not missed.
            listener!(self.0.departures => departure);
            if !self.directory().departed.is_empty() {
                return;
            }
            departure.await;
        }
    }

    /// Limits the messages that all rooms keep to about `bytes` together. Default: 8 MiB, which is
    /// also the largest limit.
    pub fn set_log_limit(&self, bytes: usize) {
        self.directory().set_log_limit(bytes);
    }

    /// Keeps the logs of closed rooms from now on, for members who open the rooms again.
    pub fn keep_closed_rooms(&self) {
        self.directory().closed_rooms.get_or_insert_default();
    }

    /// Appends a saved line, with its newline, to the log of a room. Lines of a room that does
    /// not exist are dropped unless closed rooms are [kept](ChatRegistry::keep_closed_rooms).
    pub fn restore(&self, room: &str, line: &str, sent_at: SystemTime) {
        self.directory().restore(room, line, sent_at);
    }

    /// Returns whether a room stays open without members.
    pub(crate) fn is_permanent(&self, key: &str) -> bool {
        self.0.default_room.eq_ignore_ascii_case(key)
    }
}

impl fmt::Debug for ChatRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let directory = self.directory();
        let (rooms, members) = (directory.rooms.len(), directory.members.len());
        write!(f, "ChatRegistry({rooms} rooms, {members} members)")
    }
}

/// A member's place in the chat. Dropping it leaves the chat.
#[derive(Debug)]
pub struct Membership {
    id: u64,
    registry: ChatRegistry,
}

impl Membership {
    /// Returns the member's ID, which never changes.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Returns the member's nick and the name of its room.
    pub fn nick_and_room(&self) -> (String, Option<Arc<str>>) {
        let directory = self.registry.directory();
        let nick = directory.members.get(&self.id).map(|member| member.nick.to_string());
        let room = directory.member_and_room(self.id).map(|(_, room)| room.name.clone());
        (nick.unwrap_or_default(), room)
    }

    /// Sends a message to the member's room: `NICK: TEXT`.
    ///
    /// # Errors
    ///
    /// The member is not in a room or is muted. The error is a sentence for the member.
    pub fn send(&self, text: &str, sent_at: SystemTime) -> Result<(), &'static str> {
        // The log keeps this string, so it is allocated with its exact length.
        self.broadcast(1, sent_at, |nick| [nick, ": ", &escape(text), "\n"].concat())
    }

    /// Sends an action to the member's room: `** NICK TEXT`.
    ///
    /// # Errors
    ///
    /// As [`Membership::send`].
    pub fn send_action(&self, text: &str, sent_at: SystemTime) -> Result<(), &'static str> {
        self.broadcast(1, sent_at, |nick| format!("** {nick} {}\n", escape(text)))
    }

    /// Publishes `line_count` lines to the member's room. `format` makes them from the nick.
    pub(crate) fn broadcast(
        &self,
        line_count: u32,
        sent_at: SystemTime,
        format: impl FnOnce(&str) -> String,
    ) -> Result<(), &'static str> {
        let directory = self.registry.directory();
        let (member, room) = directory.member_and_room(self.id).ok_or(NOT_IN_ROOM)?;
        if member.muted {
            return Err(MUTED);
        }
        let message = room.log.append(Some(self.id), format(&member.nick), line_count, sent_at);
        // While the directory is locked, so that the history has the order of the log.
        self.registry.record_message(&room.name, &message);
        let log = room.log.clone();
        drop(directory);
        log.deliver();
        Ok(())
    }

    /// Returns the member's nick.
    pub(crate) fn nick(&self) -> Arc<str> {
        self.registry
            .directory()
            .members
            .get(&self.id)
            .map_or_else(|| "".into(), |member| member.nick.clone())
    }

    /// Returns whether an operator has muted the member.
    pub(crate) fn is_muted(&self) -> bool {
        self.registry.directory().members.get(&self.id).is_some_and(|member| member.muted)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.registry.directory().departed.push(self.id);
        self.registry.0.departures.notify(1);
    }
}
