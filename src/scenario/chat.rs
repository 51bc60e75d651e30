//! The chat: a room, a session for each connection, a listener; a client for one person.

use std::sync::Arc;
use std::time::Duration;

use super::{Input, Settings, client as ends_the_tree, listeners};
use crate::actors::{
    ChatClient, ChatRoom, ChatSession, Hall, Reporter, SessionLimits, SessionWith,
};
use crate::net::{BindError, Endpoint};
use crate::runtime::{Child, Supervisor};

/// The room that everybody comes to first, unless it is set.
const ROOM: &str = "lobby";

/// How many lines those beyond this machine may say in which time, unless it is set.
const RATE: (u32, Duration) = (100, Duration::from_secs(10));

/// Answers that wait for one peer at most.
const ANSWERS: usize = 16;

pub(super) async fn server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<Vec<Endpoint>, BindError> {
    let hall = Hall::new(settings.room.as_deref().unwrap_or(ROOM));
    let limits = SessionLimits {
        first_timeout: settings.first_timeout,
        idle_timeout: settings.idle_timeout,
        history: settings.history,
        rate: settings.rate.unwrap_or(RATE),
        rate_on_loopback: settings.rate.is_some(),
    };
    let room = tree.child(Child::new("room", move || ChatRoom::new(hall.clone())));
    let sessions = tree.pool(settings.connection_pool("sessions").mailbox(ANSWERS));
    let with = Arc::new(SessionWith { limits, room, reporter: reporter.clone() });
    let serve = move |connection| ChatSession::new(connection, with.clone());
    listeners(settings, tree, &sessions, reporter, serve).await
}

pub(super) fn client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) -> Input {
    let (nick, timeout, reporter) = (settings.nick.clone(), settings.timeout, reporter.clone());
    let (room, reconnect) = (settings.room.clone(), settings.reconnect);
    let at_terminal = settings.at_terminal;
    let make = move || {
        ChatClient::new(endpoint.clone(), nick.clone(), timeout, reporter.clone())
            .room(room.clone())
            .reconnect(reconnect)
            .asks_who(at_terminal)
    };
    Input::Chat(tree.child(ends_the_tree(Child::new("client", make))))
}
