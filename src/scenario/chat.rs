//! The chat: a room, a session for each connection, a listener; a client for one person.

use std::sync::Arc;
use std::time::Duration;

use super::{Input, Settings, client as ends_the_tree, listeners};
use crate::actors::{
    ChatClient, ChatRoom, ChatSession, Hall, Reporter, SessionLimits, SessionWith,
};
use crate::net::{BindError, Endpoint};
use crate::runtime::{Child, Supervisor};

/// How many lines those beyond this machine may say in which time, unless it is set.
const RATE: (u32, Duration) = (100, Duration::from_secs(10));

/// What waits for the rooms' keeper at most: about the lines of one read, so that they are passed on together.
const SAYINGS: usize = 256;

/// Answers that wait for one peer at most.
const ANSWERS: usize = 16;

pub(super) async fn server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<Vec<Endpoint>, BindError> {
    let hall = Hall::new(&settings.room);
    let limits = SessionLimits {
        first_timeout: settings.first_timeout,
        idle_timeout: settings.idle_timeout,
        history: settings.history,
        rate: settings.rate.unwrap_or(RATE),
        rate_on_loopback: settings.rate.is_some(),
    };
    let room = tree.child(Child::new("room", move || ChatRoom::new(hall.clone())).mailbox(SAYINGS));
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
    let make = move || ChatClient::new(endpoint.clone(), nick.clone(), timeout, reporter.clone());
    Input::Chat(tree.child(ends_the_tree(Child::new("client", make))))
}
