//! The chat scenario: a room manager, a listener and a pool of sessions, and a client for one
//! person.

use std::sync::Arc;
use std::time::Duration;

use crate::actors::{
    BanList, ChatClient, ChatConsole, ChatRegistry, ChatSession, Dialect, HistoryError,
    HistorySender, HistoryStore, HistoryWriter, OperatorAuth, Report, Reporter, RoomManager,
    SessionConfig, SessionLimits,
};
use crate::net::Endpoint;
use crate::runtime::{Child, Supervisor};
use crate::scenario::children::{client_child, connection_pool};
use crate::scenario::error::BuildError;
use crate::scenario::input::InputAddress;
use crate::scenario::listeners::{AccessControl, add_listeners};
use crate::scenario::settings::{Role, Settings};
use crate::wire::chat::notice;

/// The default room, which every session joins first.
const DEFAULT_ROOM: &str = "lobby";

/// The default rate limit of a client's lines: a number of lines per period.
const DEFAULT_RATE: (u32, Duration) = (100, Duration::from_secs(10));

/// The capacity of a session's mailbox, in messages.
const SESSION_MAILBOX: usize = 16;

/// The capacity of the history writer's mailbox, in lines.
const HISTORY_MAILBOX: usize = 4096;

/// Adds the server. Returns its bound endpoints, and the address of the operator's console.
pub(super) async fn add_server(
    settings: &Settings,
    operators: Option<OperatorAuth>,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<(Vec<Endpoint>, Option<InputAddress>), BuildError> {
    let registry = ChatRegistry::new(settings.room.as_deref().unwrap_or(DEFAULT_ROOM));
    registry.set_log_limit(settings.memory_budget() / 4);
    let limits = SessionLimits {
        first_timeout: settings.first_timeout,
        idle_timeout: settings.idle_timeout,
        max_history_lines: settings.history,
        rate: settings.rate.unwrap_or(DEFAULT_RATE),
        rate_on_loopback: settings.rate.is_some(),
        dialect: settings.dialect,
        operators,
    };
    let ban_list = Arc::<BanList>::default();
    // The history writer starts before the manager, so it stops after it and writes the last lines.
    add_history_writer(settings, tree, &registry, reporter)?;
    let manager_bans = ban_list.clone();
    let manager = tree.child(Child::new("room", move || {
        RoomManager::new(registry.clone()).bans(manager_bans.clone())
    }));
    let pool = connection_pool(settings, "sessions").mailbox(SESSION_MAILBOX);
    let sessions = tree.pool(pool);
    let session_config = Arc::new(SessionConfig::new(limits, manager.clone(), reporter.clone()));
    let serve = move |connection| ChatSession::new(connection, session_config.clone());
    // A lecture client expects nothing but replies to its own text.
    let speaks_lines = settings.dialect != Some(Dialect::Lecture);
    let access = AccessControl {
        ban_list,
        rejection_message: speaks_lines.then_some(notice::format_rejected),
    };
    let endpoints = add_listeners(settings, tree, &sessions, reporter, access, serve).await?;
    let has_console = settings.interactive && settings.role == Role::Server;
    let console = has_console.then(|| {
        let reporter = reporter.clone();
        tree.child(Child::new("console", move || {
            ChatConsole::new(manager.clone(), reporter.clone())
        }))
    });
    Ok((endpoints, console.map(InputAddress::Console)))
}

/// Restores the rooms from the history directory, and adds the history writer.
fn add_history_writer(
    settings: &Settings,
    tree: &mut Supervisor,
    registry: &ChatRegistry,
    reporter: &Reporter,
) -> Result<(), HistoryError> {
    let Some(path) = &settings.history_dir else { return Ok(()) };
    registry.keep_closed_rooms();
    let restore = |room: &str, line: &str, sent_at| registry.restore(room, line, sent_at);
    let (store, faults) = HistoryStore::open(path, settings.history_size, restore)?;
    for reason in faults {
        reporter.try_send(|| Report::Warning { reason });
    }
    let (writer_store, reporter) = (store.clone(), reporter.clone());
    let writer =
        Child::new("journal", move || HistoryWriter::new(writer_store.clone(), reporter.clone()));
    let writer = tree.child(writer.mailbox(HISTORY_MAILBOX));
    registry.set_history_sender(HistorySender::new(store, writer));
    Ok(())
}

/// Adds the client, and returns its address.
pub(super) fn add_client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) -> InputAddress {
    let Settings { nick, room, timeout, reconnect, dialect, interactive, .. } = settings.clone();
    let reporter = reporter.clone();
    let make = move || {
        ChatClient::new(endpoint.clone(), nick.clone(), timeout, reporter.clone())
            .room(room.clone())
            .reconnect(reconnect)
            .dialect(dialect)
            .who_on_join(interactive)
    };
    InputAddress::Chat(tree.child(client_child(Child::new("client", make))))
}
