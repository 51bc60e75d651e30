//! The requests to the room manager.

use std::net::IpAddr;
use std::sync::Arc;

use crate::actors::chat::broadcast::subscription::Subscription;
use crate::actors::chat::messages::SessionMessage;
use crate::actors::chat::registry::Membership;
use crate::runtime::{Address, Reply};

/// A request to the room manager. Errors are sentences for the person who asked.
#[derive(Debug)]
pub enum RoomRequest {
    /// Admits a member to the chat and to its first room.
    Admit(JoinRequest, Reply<Result<(Membership, JoinedRoom), String>>),
    /// Changes a member's nick. The reply is the new one.
    Rename(u64, String, Reply<Result<String, String>>),
    /// Moves a member to another room.
    Join(u64, String, Reply<Result<JoinedRoom, String>>),
    /// Takes a member out of its room. The reply is the room's name.
    Leave(u64, Reply<Result<String, String>>),
    /// Sends a text from a member to the member with this nick. The reply is the receiver's nick.
    DirectMessage(u64, String, String, Reply<Result<String, String>>),
    /// Lists the members of a member's room.
    Who(u64, Reply<Result<String, String>>),
    /// Lists the rooms.
    Rooms(Reply<Result<String, String>>),
    /// Returns the topic of a member's room, or sets it.
    Topic(u64, Option<String>, Reply<Result<String, String>>),
    /// Runs an operator's command line. `None` stands for the server's own terminal.
    OperatorCommand(Option<u64>, String, Reply<Result<String, String>>),
}

/// A request to admit a new member.
#[derive(Debug)]
pub struct JoinRequest {
    /// The requested nick. `None` asks for a guest's nick.
    pub nick: Option<String>,
    /// The requested room. `None` asks for the default room.
    pub room: Option<String>,
    /// Whether joins and leaves are not announced, and the member receives no notices.
    pub quiet: bool,
    /// The peer's IP address, if it has one.
    pub ip: Option<IpAddr>,
    /// The member's session, for notices and for closing it.
    pub session: Option<Address<SessionMessage>>,
}

/// The room that a member has joined.
#[derive(Debug)]
pub struct JoinedRoom {
    /// The room's name.
    pub room: Arc<str>,
    /// The topic, safe for a terminal.
    pub topic: Option<String>,
    /// The subscription to the room's messages from now on.
    pub subscription: Subscription,
    /// The number of other members in the room.
    pub other_count: usize,
}
