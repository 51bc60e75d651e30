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
use crate::actors::chat::registry::presence::PresenceChange;
use crate::actors::chat::registry::{ChatRegistry, MUTED, Membership, NOT_IN_ROOM, SESSION_ENDED};
use crate::actors::support::ban_list::BanList;
use crate::runtime::{Actor, Clock, Context, Event, Outcome};

/// The default of [`RoomManager::max_single_notices`].
const MAX_SINGLE_NOTICES: usize = 50;

/// The actor that admits and removes members, assigns nicks, and answers questions.
#[derive(Debug)]
pub struct RoomManager {
    registry: ChatRegistry,
    bans: Arc<BanList>,
    /// The largest room in which each join, leave and new nick is announced at once.
    max_single_notices: usize,
}

impl RoomManager {
    /// Creates the manager of a registry.
    pub fn new(registry: ChatRegistry) -> RoomManager {
        RoomManager { registry, bans: Arc::default(), max_single_notices: MAX_SINGLE_NOTICES }
    }

    /// Sets the number of members up to which a room announces each join, leave and new nick at
    /// once. A larger room announces them together, once a second. The default is 50.
    pub fn max_single_notices(mut self, members: usize) -> RoomManager {
        self.max_single_notices = members;
        self
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
        let member = directory.members.get(&id).ok_or(SESSION_ENDED)?;
        // The name of a new room is a text that all members see.
        if member.muted && !directory.rooms.contains_key(name.to_ascii_lowercase().as_str()) {
            return Err(MUTED.into());
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
        let nick = member.nick.clone();
        let Some(room) = directory.rooms.get_mut(&key) else {
            return Err("the room was closed".into());
        };
        let other_count = room.members.len();
        room.members.insert(id);
        let (topic, subscription) = (room.topic.clone(), Subscription::new(&room.log, id));
        let joined = JoinedRoom { room: room.name.clone(), topic, subscription, other_count };
        let change = PresenceChange { old: None, new: Some(nick) };
        directory.announce(&key, id, change, self.max_single_notices, clock);
        Ok(joined)
    }

    /// Takes a member out of its room, closes the room if it is empty, and returns its name.
    fn leave(&self, id: u64, clock: &Clock) -> Result<String, String> {
        let mut directory = self.registry.directory();
        let member = directory.members.get_mut(&id).ok_or(NOT_IN_ROOM)?;
        let key = member.room_key.take().ok_or(NOT_IN_ROOM)?;
        let nick = member.nick.clone();
        let room = directory.rooms.get_mut(&key).ok_or(NOT_IN_ROOM)?;
        room.members.remove(&id);
        let (name, is_empty) = (room.name.to_string(), room.members.is_empty());
        let change = PresenceChange { old: Some(nick), new: None };
        directory.announce(&key, id, change, self.max_single_notices, clock);
        if is_empty && !self.registry.is_permanent(&key) {
            directory.close_room(&key);
        }
        Ok(name)
    }

    fn rename(&self, id: u64, nick: String, clock: &Clock) -> Result<String, String> {
        let mut directory = self.registry.directory();
        let nick = directory.check_nick(nick, Some(id))?;
        let old = directory.rename(id, &nick).ok_or(SESSION_ENDED)?;
        let key = directory.members.get(&id).and_then(|member| member.room_key.clone());
        if let (Some(key), true) = (key, *old != *nick) {
            let change = PresenceChange { old: Some(old), new: Some(nick.as_str().into()) };
            directory.announce(&key, id, change, self.max_single_notices, clock);
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
            let announce_at = self.registry.directory().announce_due(&clock);
            let timeout = announce_at.map(|at| at.saturating_duration_since(clock.now()));
            let departures = clock.timeout(timeout, self.registry.departures());
            match ctx.next(departures).await {
                Event::Stop => break,
                Event::Message(request) => self.handle_request(request, &clock),
                Event::Io(Some(())) => self.reap_departed(&clock),
                // An announcement is due.
                Event::Io(None) => {}
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
