//! The room manager: admits and removes members, assigns nicks, and answers questions.
//!
//! Messages do not pass through it: members publish directly to their room's log. All its state
//! is in the [`ChatRegistry`], so a room manager that crashes continues with the next request.

pub(crate) mod operator;
pub(crate) mod queries;
pub(crate) mod request;

use std::sync::Arc;

use crate::actors::chat::broadcast::subscription::Subscription;
use crate::actors::chat::manager::request::{JoinRequest, JoinedRoom, RoomRequest};
use crate::actors::chat::registry::directory::validate_room_name;
use crate::actors::chat::registry::{ChatRegistry, Membership, NOT_IN_ROOM, SESSION_ENDED};
use crate::actors::support::ban_list::BanList;
use crate::runtime::{Actor, Clock, Context, Event, Outcome};

/// The actor that admits and removes members, assigns nicks, and answers questions.
#[derive(Debug)]
pub struct RoomManager {
    registry: ChatRegistry,
    bans: Arc<BanList>,
}

impl RoomManager {
    /// Creates the manager of a registry.
    pub fn new(registry: ChatRegistry) -> RoomManager {
        RoomManager { registry, bans: Arc::default() }
    }

    /// Sets the ban list that operators edit. The listeners check it too.
    pub fn bans(mut self, bans: Arc<BanList>) -> RoomManager {
        self.bans = bans;
        self
    }

    fn admit(
        &self,
        request: JoinRequest,
        clock: &Clock,
    ) -> Result<(Membership, JoinedRoom), String> {
        let JoinRequest { nick, room, quiet, ip, session } = request;
        if ip.is_some_and(|ip| self.bans.contains(ip)) {
            return Err("your address is banned".into());
        }
        let room =
            validate_room_name(room.unwrap_or_else(|| self.registry.default_room().to_string()))?;
        let mut directory = self.registry.directory();
        let nick = match nick {
            Some(nick) => directory.check_nick(nick, None)?,
            None => directory.next_guest_nick(),
        };
        let id = directory.add_member(nick, quiet, ip, session);
        drop(directory);
        let membership = self.registry.create_membership(id);
        let joined = self.join(id, room, clock)?;
        Ok((membership, joined))
    }

    fn join(&self, id: u64, name: String, clock: &Clock) -> Result<JoinedRoom, String> {
        let name = validate_room_name(name)?;
        let directory = self.registry.directory();
        // A member who is gone must not open a room: it would never be closed.
        if !directory.members.contains_key(&id) {
            return Err(SESSION_ENDED.into());
        }
        let room = directory.member_and_room(id).map(|(_, room)| room);
        if room.is_some_and(|room| room.name.eq_ignore_ascii_case(&name)) {
            return Err(format!("you are already in {name}"));
        }
        drop(directory);
        // Fails if the member is in no room.
        let _ = self.leave(id, clock);
        let mut directory = self.registry.directory();
        let key = directory.open_room(&name);
        let Some(member) = directory.members.get_mut(&id) else {
            return Err(SESSION_ENDED.into());
        };
        member.room_key = Some(key.clone());
        let (nick, quiet) = (member.nick.clone(), member.quiet);
        let Some(room) = directory.rooms.get_mut(&key) else {
            return Err("the room was closed".into());
        };
        let other_count = room.members.len();
        room.members.insert(id);
        if !quiet {
            room.log.publish(Some(id), format!("* {nick} joined\n"), clock.system_time());
        }
        let (topic, subscription) = (room.topic.clone(), Subscription::new(&room.log, id));
        Ok(JoinedRoom { room: room.name.clone(), topic, subscription, other_count })
    }

    /// Takes a member out of its room, closes the room if it is empty, and returns its name.
    fn leave(&self, id: u64, clock: &Clock) -> Result<String, String> {
        let mut directory = self.registry.directory();
        let member = directory.members.get_mut(&id).ok_or(NOT_IN_ROOM)?;
        let key = member.room_key.take().ok_or(NOT_IN_ROOM)?;
        let (nick, quiet) = (member.nick.clone(), member.quiet);
        let room = directory.rooms.get_mut(&key).ok_or(NOT_IN_ROOM)?;
        room.members.remove(&id);
        if !quiet {
            room.log.publish(None, format!("* {nick} left\n"), clock.system_time());
        }
        let name = room.name.to_string();
        if room.members.is_empty() && !self.registry.is_permanent(&key) {
            directory.close_room(&key);
        }
        Ok(name)
    }

    fn rename(&self, id: u64, nick: String, clock: &Clock) -> Result<String, String> {
        let mut directory = self.registry.directory();
        let nick = directory.check_nick(nick, Some(id))?;
        let old = directory.rename(id, &nick).ok_or(SESSION_ENDED)?;
        if let (Some((_, room)), true) = (directory.member_and_room(id), *old != *nick) {
            room.log.publish(Some(id), format!("* {old} is now {nick}\n"), clock.system_time());
        }
        Ok(nick)
    }

    /// Removes the members whose memberships were dropped.
    fn reap_departed(&self, clock: &Clock) {
        let departed = std::mem::take(&mut self.registry.directory().departed);
        for id in departed {
            let _ = self.leave(id, clock);
            let member = self.registry.directory().remove_member(id);
            // Dropped outside the lock, because the member may own the last handle of its session.
            drop(member);
        }
    }

    /// Handles a request. Removes departed members first, so that their nicks are free.
    fn handle_request(&self, request: RoomRequest, clock: &Clock) {
        self.reap_departed(clock);
        match request {
            RoomRequest::Admit(request, reply) => reply.send(self.admit(request, clock)),
            RoomRequest::Rename(id, nick, reply) => reply.send(self.rename(id, nick, clock)),
            RoomRequest::Join(id, name, reply) => reply.send(self.join(id, name, clock)),
            RoomRequest::Leave(id, reply) => reply.send(self.leave(id, clock)),
            RoomRequest::DirectMessage(id, to, text, reply) => {
                reply.send(queries::send_direct_message(&self.registry, id, &to, &text))
            }
            RoomRequest::Who(id, reply) => {
                reply.send(queries::list_room_members(&self.registry, id))
            }
            RoomRequest::Rooms(reply) => reply.send(Ok(queries::list_rooms(&self.registry))),
            RoomRequest::Topic(id, text, reply) => {
                reply.send(queries::get_or_set_topic(&self.registry, id, text, clock))
            }
            RoomRequest::OperatorCommand(by, line, reply) => {
                let (registry, bans) = (&self.registry, &self.bans);
                reply.send(operator::run_operator_command(registry, bans, by, &line, clock))
            }
        }
    }
}

impl Actor for RoomManager {
    type Message = RoomRequest;

    async fn run(self, mut ctx: Context<RoomRequest>) -> Outcome {
        let clock = ctx.clock().clone();
        loop {
            match ctx.next(self.registry.departures()).await {
                Event::Stop => break,
                Event::Message(request) => self.handle_request(request, &clock),
                Event::Io(()) => self.reap_departed(&clock),
            }
        }
        // Handles the requests that were queued before the stop.
        while let Some(request) = ctx.recv().await {
            self.handle_request(request, &clock);
        }
        self.reap_departed(&clock);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::{Child, Context, Strategy, Supervisor, System};

    #[test]
    fn departed_member_opens_no_room() {
        let registry = ChatRegistry::new("lobby");
        let handle = registry.clone();
        let mut tree = Supervisor::new("chat", Strategy::OneForOne);
        let rooms = tree.child(Child::new("rooms", move || RoomManager::new(registry.clone())));
        let guest = move || {
            let rooms = rooms.clone();
            async move |_: Context<()>| -> Outcome {
                let timeout = std::time::Duration::from_secs(20);
                let request =
                    JoinRequest { nick: None, room: None, quiet: false, ip: None, session: None };
                let (membership, _) =
                    rooms.ask(timeout, |reply| RoomRequest::Admit(request, reply)).await??;
                let id = membership.id();
                drop(membership);
                let join = |reply| RoomRequest::Join(id, "den".into(), reply);
                assert!(rooms.ask(timeout, join).await?.is_err());
                Ok(())
            }
        };
        tree.child(Child::new("guest", guest).transient().significant());
        System::new().run(tree).unwrap();
        assert_eq!(format!("{handle:?}"), "ChatRegistry(1 rooms, 0 members)");
    }
}
