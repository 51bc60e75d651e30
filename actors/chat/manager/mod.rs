//! The keeper of a chat's rooms: lets members in and out, gives out names, and answers questions.
//!
//! What is said does not pass through it: a member says it right into its room's ring. The keeper keeps nothing
//! itself: whatever it knows is in the [`Hall`], and one that crashes goes on where it was, with the message after the
//! one in its hand.

pub(crate) mod operator;
pub(crate) mod queries;

use std::net::IpAddr;
use std::sync::Arc;

use crate::actors::chat::broadcast::subscription::Ear;
use crate::actors::chat::registry::directory::room_named;
use crate::actors::{BanList, Hall, Membership, ToSession};
use crate::runtime::{Actor, Address, Clock, Context, Outcome, Reply};

/// What coming into a room brings.
#[derive(Debug)]
pub struct Joined {
    /// The room's name.
    pub room: Arc<str>,
    /// What it is about, safe for a terminal.
    pub topic: Option<String>,
    /// The ear.
    pub ear: Ear,
    /// How many others are in the room.
    pub others: usize,
}

/// Who comes to a chat, and how.
#[derive(Debug)]
pub struct Coming {
    /// The name wished for; a guest's otherwise.
    pub nick: Option<String>,
    /// The room to come to; the first one otherwise.
    pub room: Option<String>,
    /// Whether the others are not told, and it is told nothing but its end.
    pub quiet: bool,
    /// Where it comes from, if that is an address.
    pub address: Option<IpAddr>,
    /// Where it is told what is for it alone.
    pub session: Option<Address<ToSession>>,
}

/// What the keeper is told. The refusals are sentences for the person who asked.
#[derive(Debug)]
pub enum ToRoom {
    /// Let somebody in.
    Come(Coming, Reply<Result<(Membership, Joined), String>>),
    /// A member wants another name; the answer is the new one.
    Rename(u64, String, Reply<Result<String, String>>),
    /// A member goes to another room.
    Join(u64, String, Reply<Result<Joined, String>>),
    /// A member leaves its room; the answer is the room's name.
    Leave(u64, Reply<Result<String, String>>),
    /// A member tells another one something; the answer is the other's name.
    Tell(u64, String, String, Reply<Result<String, String>>),
    /// A member asks who is in its room.
    Who(u64, Reply<Result<String, String>>),
    /// Somebody asks for the rooms.
    Rooms(Reply<Result<String, String>>),
    /// A member asks what its room is about, or sets it.
    Topic(u64, Option<String>, Reply<Result<String, String>>),
    /// An operator, who is a member or at the server's own terminal, gives an order, as a line.
    Order(Option<u64>, String, Reply<Result<String, String>>),
    /// Somebody left.
    Gone,
}

pub(crate) const NOWHERE: &str = "you are in no room; /join ROOM goes to one";

/// The actor that lets members in and out, gives out names, and answers questions.
#[derive(Debug)]
pub struct ChatRoom {
    pub(crate) hall: Hall,
    pub(crate) bans: Arc<BanList>,
}

impl ChatRoom {
    /// Makes the keeper of a hall.
    pub fn new(hall: Hall) -> ChatRoom {
        ChatRoom { hall, bans: Arc::default() }
    }

    /// Sets which addresses its operators keep away; the listeners ask there, too.
    pub fn bans(mut self, bans: Arc<BanList>) -> ChatRoom {
        self.bans = bans;
        self
    }

    fn come(
        &self,
        coming: Coming,
        keeper: Address<ToRoom>,
        clock: &Clock,
    ) -> Result<(Membership, Joined), String> {
        let Coming { nick, room, quiet, address, session } = coming;
        if address.is_some_and(|address| self.bans.contains(address)) {
            return Err("your address is banned".into());
        }
        let room = room_named(room.unwrap_or_else(|| self.hall.name().to_string()))?;
        let mut book = self.hall.book();
        let nick = match nick {
            Some(nick) => book.free(nick, None)?,
            None => book.guest(),
        };
        let id = book.admit(nick, quiet, address, session);
        drop(book);
        let member = self.hall.seat(id, keeper);
        let joined = self.join(id, room, clock)?;
        Ok((member, joined))
    }

    fn join(&self, id: u64, name: String, clock: &Clock) -> Result<Joined, String> {
        let name = room_named(name)?;
        let book = self.hall.book();
        // Whoever left while its question waited opens no room that nobody would close.
        if !book.members.contains_key(&id) {
            return Err("you are gone".into());
        }
        if book.place(id).is_some_and(|(_, room)| room.name.eq_ignore_ascii_case(&name)) {
            return Err(format!("you are in {name} already"));
        }
        drop(book);
        let _ = self.leave(id, clock);
        let mut book = self.hall.book();
        let key = book.open(&name);
        let Some(member) = book.members.get_mut(&id) else { return Err("you are gone".into()) };
        member.room = Some(key.clone());
        let (nick, quiet) = (member.nick.clone(), member.quiet);
        let Some(room) = book.rooms.get_mut(&key) else { return Err("it is gone".into()) };
        let others = room.members.len();
        room.members.insert(id);
        if !quiet {
            room.ring.say(Some(id), format!("* {nick} joined\n"), clock.system_time());
        }
        let (topic, ear) = (room.topic.clone(), room.ring.ear(id));
        Ok(Joined { room: room.name.clone(), topic, ear, others })
    }

    /// Takes a member out of its room, which goes with the last one; returns the room's name.
    fn leave(&self, id: u64, clock: &Clock) -> Result<String, String> {
        let mut book = self.hall.book();
        let member = book.members.get_mut(&id).ok_or(NOWHERE)?;
        let key = member.room.take().ok_or(NOWHERE)?;
        let (nick, quiet) = (member.nick.clone(), member.quiet);
        let room = book.rooms.get_mut(&key).ok_or(NOWHERE)?;
        room.members.remove(&id);
        if !quiet {
            room.ring.say(None, format!("* {nick} left\n"), clock.system_time());
        }
        let name = room.name.to_string();
        if room.members.is_empty() && !self.hall.stays(&key) {
            book.close(&key);
        }
        Ok(name)
    }

    fn rename(&self, id: u64, nick: String, clock: &Clock) -> Result<String, String> {
        let mut book = self.hall.book();
        let nick = book.free(nick, Some(id))?;
        let old = book.rename(id, &nick).ok_or("you are gone")?;
        if let (Some((_, room)), true) = (book.place(id), *old != *nick) {
            room.ring.say(Some(id), format!("* {old} is now {nick}\n"), clock.system_time());
        }
        Ok(nick)
    }

    fn see_off(&self, id: u64, clock: &Clock) {
        let _ = self.leave(id, clock);
        drop(self.hall.book().strike(id));
    }

    /// Sees off those who left since it last looked.
    fn see_off_who_left(&self, clock: &Clock) {
        let gone = std::mem::take(&mut self.hall.book().gone);
        gone.into_iter().for_each(|id| self.see_off(id, clock));
    }

    fn handle(&self, message: ToRoom, keeper: &Address<ToRoom>, clock: &Clock) {
        match message {
            ToRoom::Come(coming, reply) => reply.send(self.come(coming, keeper.clone(), clock)),
            ToRoom::Rename(id, nick, reply) => reply.send(self.rename(id, nick, clock)),
            ToRoom::Join(id, name, reply) => reply.send(self.join(id, name, clock)),
            ToRoom::Leave(id, reply) => reply.send(self.leave(id, clock)),
            ToRoom::Tell(id, to, text, reply) => reply.send(self.tell(id, &to, &text)),
            ToRoom::Who(id, reply) => reply.send(self.who(id)),
            ToRoom::Rooms(reply) => reply.send(Ok(self.rooms())),
            ToRoom::Topic(id, text, reply) => reply.send(self.topic(id, text, clock)),
            ToRoom::Order(by, line, reply) => reply.send(self.order(by, &line, clock)),
            ToRoom::Gone => self.see_off_who_left(clock),
        }
    }
}

impl Actor for ChatRoom {
    type Message = ToRoom;

    async fn run(self, mut ctx: Context<ToRoom>) -> Outcome {
        let (mailbox, clock) = (ctx.address(), ctx.clock().clone());
        while let Some(message) = ctx.recv().await {
            self.handle(message, &mailbox, &clock);
            // Whoever found the mailbox full was not told of.
            self.see_off_who_left(&clock);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Child, Context, Strategy, Supervisor, System};

    #[test]
    fn whoever_left_while_its_question_waited_opens_no_room() {
        let hall = Hall::new("lobby");
        let seen = hall.clone();
        let mut tree = Supervisor::new("chat", Strategy::OneForOne);
        let room = tree.child(Child::new("room", move || ChatRoom::new(hall.clone())));
        let guest = move || {
            let room = room.clone();
            async move |_: Context<()>| -> Outcome {
                let within = std::time::Duration::from_secs(20);
                let coming =
                    Coming { nick: None, room: None, quiet: false, address: None, session: None };
                let (member, _) = room.ask(within, |reply| ToRoom::Come(coming, reply)).await??;
                let id = member.id();
                drop(member);
                let join = |reply| ToRoom::Join(id, "den".into(), reply);
                assert!(room.ask(within, join).await?.is_err());
                Ok(())
            }
        };
        tree.child(Child::new("guest", guest).transient().significant());
        System::new().run(tree).unwrap();
        assert_eq!(format!("{seen:?}"), "Hall(1 rooms, 0 members)");
    }
}
