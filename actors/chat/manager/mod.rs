//! The keeper of a chat's rooms: lets members in and out, gives out names, and answers questions.
//!
//! What is said does not pass through it: a member says it right into its room's ring. The keeper keeps nothing
//! itself: whatever it knows is in the [`ChatRegistry`], and one that crashes goes on where it was, with the message after the
//! one in its hand.

pub(crate) mod operator;
pub(crate) mod queries;

use std::net::IpAddr;
use std::sync::Arc;

use crate::actors::chat::broadcast::subscription::Subscription;
use crate::actors::chat::registry::directory::validate_room_name;
use crate::actors::{BanList, ChatRegistry, Membership, SessionMessage};
use crate::runtime::{Actor, Address, Clock, Context, Outcome, Reply};

/// What coming into a room brings.
#[derive(Debug)]
pub struct JoinedRoom {
    /// The room's name.
    pub room: Arc<str>,
    /// What it is about, safe for a terminal.
    pub topic: Option<String>,
    /// The ear.
    pub subscription: Subscription,
    /// How many others are in the room.
    pub other_count: usize,
}

/// Who comes to a chat, and how.
#[derive(Debug)]
pub struct JoinRequest {
    /// The name wished for; a guest's otherwise.
    pub nick: Option<String>,
    /// The room to come to; the first one otherwise.
    pub room: Option<String>,
    /// Whether the others are not told, and it is told nothing but its end.
    pub quiet: bool,
    /// Where it comes from, if that is an address.
    pub ip: Option<IpAddr>,
    /// Where it is told what is for it alone.
    pub session: Option<Address<SessionMessage>>,
}

/// What the keeper is told. The refusals are sentences for the person who asked.
#[derive(Debug)]
pub enum RoomRequest {
    /// Let somebody in.
    Admit(JoinRequest, Reply<Result<(Membership, JoinedRoom), String>>),
    /// A member wants another name; the answer is the new one.
    Rename(u64, String, Reply<Result<String, String>>),
    /// A member goes to another room.
    Join(u64, String, Reply<Result<JoinedRoom, String>>),
    /// A member leaves its room; the answer is the room's name.
    Leave(u64, Reply<Result<String, String>>),
    /// A member tells another one something; the answer is the other's name.
    DirectMessage(u64, String, String, Reply<Result<String, String>>),
    /// A member asks who is in its room.
    Who(u64, Reply<Result<String, String>>),
    /// Somebody asks for the rooms.
    Rooms(Reply<Result<String, String>>),
    /// A member asks what its room is about, or sets it.
    Topic(u64, Option<String>, Reply<Result<String, String>>),
    /// An operator, who is a member or at the server's own terminal, gives an order, as a line.
    OperatorCommand(Option<u64>, String, Reply<Result<String, String>>),
    /// Somebody left.
    MemberLeft,
}

pub(crate) const NOT_IN_ROOM: &str = "you are in no room; /join ROOM goes to one";

/// The actor that lets members in and out, gives out names, and answers questions.
#[derive(Debug)]
pub struct RoomManager {
    pub(crate) registry: ChatRegistry,
    pub(crate) bans: Arc<BanList>,
}

impl RoomManager {
    /// Makes the keeper of a hall.
    pub fn new(hall: ChatRegistry) -> RoomManager {
        RoomManager { registry: hall, bans: Arc::default() }
    }

    /// Sets which addresses its operators keep away; the listeners ask there, too.
    pub fn bans(mut self, bans: Arc<BanList>) -> RoomManager {
        self.bans = bans;
        self
    }

    fn admit(
        &self,
        coming: JoinRequest,
        keeper: Address<RoomRequest>,
        clock: &Clock,
    ) -> Result<(Membership, JoinedRoom), String> {
        let JoinRequest { nick, room, quiet, ip: address, session } = coming;
        if address.is_some_and(|address| self.bans.contains(address)) {
            return Err("your address is banned".into());
        }
        let room =
            validate_room_name(room.unwrap_or_else(|| self.registry.default_room().to_string()))?;
        let mut book = self.registry.directory();
        let nick = match nick {
            Some(nick) => book.check_nick(nick, None)?,
            None => book.next_guest_nick(),
        };
        let id = book.add_member(nick, quiet, address, session);
        drop(book);
        let member = self.registry.create_membership(id, keeper);
        let joined = self.join(id, room, clock)?;
        Ok((member, joined))
    }

    fn join(&self, id: u64, name: String, clock: &Clock) -> Result<JoinedRoom, String> {
        let name = validate_room_name(name)?;
        let book = self.registry.directory();
        // Whoever left while its question waited opens no room that nobody would close.
        if !book.members.contains_key(&id) {
            return Err("you are gone".into());
        }
        if book.member_and_room(id).is_some_and(|(_, room)| room.name.eq_ignore_ascii_case(&name)) {
            return Err(format!("you are in {name} already"));
        }
        drop(book);
        let _ = self.leave(id, clock);
        let mut book = self.registry.directory();
        let key = book.open_room(&name);
        let Some(member) = book.members.get_mut(&id) else { return Err("you are gone".into()) };
        member.room_key = Some(key.clone());
        let (nick, quiet) = (member.nick.clone(), member.quiet);
        let Some(room) = book.rooms.get_mut(&key) else { return Err("it is gone".into()) };
        let others = room.members.len();
        room.members.insert(id);
        if !quiet {
            room.log.publish(Some(id), format!("* {nick} joined\n"), clock.system_time());
        }
        let (topic, ear) = (room.topic.clone(), room.log.subscribe(id));
        Ok(JoinedRoom { room: room.name.clone(), topic, subscription: ear, other_count: others })
    }

    /// Takes a member out of its room, which goes with the last one; returns the room's name.
    fn leave(&self, id: u64, clock: &Clock) -> Result<String, String> {
        let mut book = self.registry.directory();
        let member = book.members.get_mut(&id).ok_or(NOT_IN_ROOM)?;
        let key = member.room_key.take().ok_or(NOT_IN_ROOM)?;
        let (nick, quiet) = (member.nick.clone(), member.quiet);
        let room = book.rooms.get_mut(&key).ok_or(NOT_IN_ROOM)?;
        room.members.remove(&id);
        if !quiet {
            room.log.publish(None, format!("* {nick} left\n"), clock.system_time());
        }
        let name = room.name.to_string();
        if room.members.is_empty() && !self.registry.is_permanent(&key) {
            book.close_room(&key);
        }
        Ok(name)
    }

    fn rename(&self, id: u64, nick: String, clock: &Clock) -> Result<String, String> {
        let mut book = self.registry.directory();
        let nick = book.check_nick(nick, Some(id))?;
        let old = book.rename(id, &nick).ok_or("you are gone")?;
        if let (Some((_, room)), true) = (book.member_and_room(id), *old != *nick) {
            room.log.publish(Some(id), format!("* {old} is now {nick}\n"), clock.system_time());
        }
        Ok(nick)
    }

    fn remove_member(&self, id: u64, clock: &Clock) {
        let _ = self.leave(id, clock);
        drop(self.registry.directory().remove_member(id));
    }

    /// Sees off those who left since it last looked.
    fn reap_departed(&self, clock: &Clock) {
        let gone = std::mem::take(&mut self.registry.directory().departed);
        gone.into_iter().for_each(|id| self.remove_member(id, clock));
    }

    fn handle_request(&self, message: RoomRequest, keeper: &Address<RoomRequest>, clock: &Clock) {
        match message {
            RoomRequest::Admit(coming, reply) => {
                reply.send(self.admit(coming, keeper.clone(), clock))
            }
            RoomRequest::Rename(id, nick, reply) => reply.send(self.rename(id, nick, clock)),
            RoomRequest::Join(id, name, reply) => reply.send(self.join(id, name, clock)),
            RoomRequest::Leave(id, reply) => reply.send(self.leave(id, clock)),
            RoomRequest::DirectMessage(id, to, text, reply) => {
                reply.send(self.send_direct_message(id, &to, &text))
            }
            RoomRequest::Who(id, reply) => reply.send(self.list_room_members(id)),
            RoomRequest::Rooms(reply) => reply.send(Ok(self.list_rooms())),
            RoomRequest::Topic(id, text, reply) => {
                reply.send(self.get_or_set_topic(id, text, clock))
            }
            RoomRequest::OperatorCommand(by, line, reply) => {
                reply.send(self.run_operator_command(by, &line, clock))
            }
            RoomRequest::MemberLeft => self.reap_departed(clock),
        }
    }
}

impl Actor for RoomManager {
    type Message = RoomRequest;

    async fn run(self, mut ctx: Context<RoomRequest>) -> Outcome {
        let (mailbox, clock) = (ctx.address(), ctx.clock().clone());
        while let Some(message) = ctx.recv().await {
            self.handle_request(message, &mailbox, &clock);
            // Whoever found the mailbox full was not told of.
            self.reap_departed(&clock);
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
        let hall = ChatRegistry::new("lobby");
        let seen = hall.clone();
        let mut tree = Supervisor::new("chat", Strategy::OneForOne);
        let room = tree.child(Child::new("room", move || RoomManager::new(hall.clone())));
        let guest = move || {
            let room = room.clone();
            async move |_: Context<()>| -> Outcome {
                let within = std::time::Duration::from_secs(20);
                let coming =
                    JoinRequest { nick: None, room: None, quiet: false, ip: None, session: None };
                let (member, _) =
                    room.ask(within, |reply| RoomRequest::Admit(coming, reply)).await??;
                let id = member.id();
                drop(member);
                let join = |reply| RoomRequest::Join(id, "den".into(), reply);
                assert!(room.ask(within, join).await?.is_err());
                Ok(())
            }
        };
        tree.child(Child::new("guest", guest).transient().significant());
        System::new().run(tree).unwrap();
        assert_eq!(format!("{seen:?}"), "Hall(1 rooms, 0 members)");
    }
}
