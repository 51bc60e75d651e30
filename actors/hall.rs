//! The hall of a chat: its rooms and its members, which outlive the incarnations of whoever keeps it.
//!
//! A member has a name that no other has, and is in one room at most; a room is there as long as somebody is in
//! it, and the first one always. Both belong to the tree: a keeper that crashes has them back at its next
//! incarnation. A session's place is a [`Membership`]; to drop it is to leave, however the session ended.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::ToRoom;
use super::book::Book;
use crate::runtime::Address;

/// The rooms and the members of a chat.
#[derive(Clone)]
pub struct Hall(Arc<Whole>);

struct Whole {
    /// The room that everybody comes to first.
    name: Arc<str>,
    book: Mutex<Book>,
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
        self.book().restore(room, line, at);
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

impl Membership {
    /// Tells whether nobody is to hear the member.
    pub(super) fn is_muted(&self) -> bool {
        self.hall.book().members.get(&self.id).is_some_and(|member| member.muted)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.hall.book().gone.push(self.id);
        // A keeper that is too busy to be told looks for who left by itself.
        let _ = self.keeper.try_send(ToRoom::Gone(self.id));
    }
}
