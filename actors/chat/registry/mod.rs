//! The hall of a chat: its rooms and its members, which outlive the incarnations of whoever keeps it.
//!
//! A member has a name that no other has, and is in one room at most; a room is there as long as somebody is in
//! it, and the first one always. Both belong to the tree: a keeper that crashes has them back at its next
//! incarnation. A session's place is a [`Membership`]: it says what its peer says, right into
//! the room's ring, whose lock makes one order of it all. To drop it is to leave, however the session ended.

pub(crate) mod closed_rooms;
pub(crate) mod directory;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::SystemTime;

use crate::actors::{Recorder, Said, ToRoom};
use crate::runtime::Address;
use crate::wire::text::escape;
use directory::Book;

/// The rooms and the members of a chat.
#[derive(Clone)]
pub struct Hall(Arc<Whole>);

struct Whole {
    /// The room that everybody comes to first.
    name: Arc<str>,
    book: Mutex<Book>,
    /// Where what the members say is kept besides.
    recorder: OnceLock<Recorder>,
}

impl Hall {
    /// Makes an empty hall whose first room has this name.
    pub fn new(name: &str) -> Hall {
        let mut book = Book::default();
        book.open(name);
        Hall(Arc::new(Whole {
            name: name.into(),
            book: Mutex::new(book),
            recorder: OnceLock::new(),
        }))
    }

    /// Has what the members say kept from now on, and the topics; it can be told once.
    pub fn record(&self, recorder: Recorder) {
        // Whoever tells it a second time has the first one go on.
        let _ = self.0.recorder.set(recorder);
    }

    /// Has what a room heard kept, where it is.
    pub(crate) fn keep(&self, room: &Arc<str>, said: &Arc<Said>) {
        if let Some(recorder) = self.0.recorder.get() {
            recorder.keep(room, said);
        }
    }

    /// Returns the name of the room that everybody comes to first.
    pub fn name(&self) -> &Arc<str> {
        &self.0.name
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the place of a member who is in the book.
    pub(crate) fn seat(&self, id: u64, keeper: Address<ToRoom>) -> Membership {
        Membership { id, hall: self.clone(), keeper }
    }

    /// Remembers rooms that close, for those who open them again.
    pub(crate) fn remember(&self) {
        self.book().past.get_or_insert_default();
    }

    /// Gives a room a line that was said in an earlier life of the chat.
    pub(crate) fn restore(&self, room: &str, line: &str, at: SystemTime) {
        self.book().restore(room, line, at);
    }

    /// Tells whether a room stays though nobody is in it.
    pub(crate) fn stays(&self, key: &str) -> bool {
        self.0.name.eq_ignore_ascii_case(key)
    }
}

impl fmt::Debug for Hall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let book = self.book();
        write!(f, "Hall({} rooms, {} members)", book.rooms.len(), book.members.len())
    }
}

/// What a member is told whom nobody hears.
pub(crate) const UNHEARD: &str = "you are in no room, so nobody hears it; /join ROOM goes to one";
pub(crate) const MUTED: &str = "an operator has muted you; nobody hears what you say";

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
    /// Says something in the member's room.
    ///
    /// # Errors
    ///
    /// Nobody hears it; the sentence is for the member.
    pub fn say(&self, text: &str, at: SystemTime) -> Result<(), &'static str> {
        // In one piece of just its length, for it is kept.
        self.hear(1, at, |nick| [nick, ": ", &escape(text), "\n"].concat())
    }

    /// Says in the member's room that it does something.
    ///
    /// # Errors
    ///
    /// As [`Membership::say`].
    pub fn act(&self, text: &str, at: SystemTime) -> Result<(), &'static str> {
        self.hear(1, at, |nick| format!("** {nick} {}\n", escape(text)))
    }

    /// Has the member's room hear `count` lines, which `words` makes of its name.
    pub(crate) fn hear(
        &self,
        count: u32,
        at: SystemTime,
        words: impl FnOnce(&str) -> String,
    ) -> Result<(), &'static str> {
        let book = self.hall.book();
        let (member, room) = book.place(self.id).ok_or(UNHEARD)?;
        if member.muted {
            return Err(MUTED);
        }
        let said = room.ring.add(Some(self.id), words(&member.nick), count, at);
        // While the book is held, so that all is kept in the order in which it was heard.
        self.hall.keep(&room.name, &said);
        let ring = room.ring.clone();
        drop(book);
        ring.tell();
        Ok(())
    }

    /// Returns the member's present name.
    pub(crate) fn nick(&self) -> Arc<str> {
        self.hall.book().members.get(&self.id).map_or_else(|| "".into(), |m| m.nick.clone())
    }

    /// Tells whether nobody is to hear the member.
    pub(crate) fn is_muted(&self) -> bool {
        self.hall.book().members.get(&self.id).is_some_and(|member| member.muted)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.hall.book().gone.push(self.id);
        // A keeper that is too busy to be told looks for who left by itself.
        let _ = self.keeper.try_send(ToRoom::Gone);
    }
}
