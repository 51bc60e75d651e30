//! The chat: a room, a session for each connection, a listener; a client for one person.

use std::sync::Arc;
use std::time::Duration;

use super::{ComposeError, Input, Settings, client as ends_the_tree, listeners};
use crate::actors::{
    ChatClient, ChatJournal, ChatRoom, ChatSession, Hall, History, HistoryError, Recorder, Report,
    Reporter, SessionLimits, SessionWith,
};
use crate::net::Endpoint;
use crate::runtime::{Child, Supervisor};

/// The room that everybody comes to first, unless it is set.
const ROOM: &str = "lobby";

/// How many lines those beyond this machine may say in which time, unless it is set.
const RATE: (u32, Duration) = (100, Duration::from_secs(10));

/// What waits for the rooms' keeper at most: about the lines of one read, so that they are passed on together.
const SAYINGS: usize = 256;

/// Answers that wait for one peer at most.
const ANSWERS: usize = 16;

/// Lines that wait for the disk at most, where they are kept there.
const LINES: usize = 4096;

pub(super) async fn server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<Vec<Endpoint>, ComposeError> {
    let hall = Hall::new(settings.room.as_deref().unwrap_or(ROOM));
    let limits = SessionLimits {
        first_timeout: settings.first_timeout,
        idle_timeout: settings.idle_timeout,
        history: settings.history,
        rate: settings.rate.unwrap_or(RATE),
        rate_on_loopback: settings.rate.is_some(),
    };
    // It stands before the room: what was said until the end is written down after it.
    let recorder = journal(settings, tree, &hall, reporter)?;
    let room = Child::new("room", move || ChatRoom::new(hall.clone()).recorder(recorder.clone()));
    let room = tree.child(room.mailbox(SAYINGS));
    let sessions = tree.pool(settings.connection_pool("sessions").mailbox(ANSWERS));
    let with = Arc::new(SessionWith { limits, room, reporter: reporter.clone() });
    let serve = move |connection| ChatSession::new(connection, with.clone());
    Ok(listeners(settings, tree, &sessions, reporter, serve).await?)
}

/// Gives the rooms what was said before, and adds the journal, where there is to be one.
fn journal(
    settings: &Settings,
    tree: &mut Supervisor,
    hall: &Hall,
    reporter: &Reporter,
) -> Result<Recorder, HistoryError> {
    let Some(path) = &settings.history_dir else { return Ok(Recorder::default()) };
    let (history, faults) = History::open(path, settings.history_size, hall)?;
    for why in faults {
        reporter.try_tell(|| Report::Refused { peer: None, why });
    }
    let (kept, reporter) = (history.clone(), reporter.clone());
    let journal = Child::new("journal", move || ChatJournal::new(kept.clone(), reporter.clone()));
    Ok(Recorder::new(history, tree.child(journal.mailbox(LINES))))
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
