//! The chat: a room, a session for each connection, a listener; a client for one person.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{AccessControl, BuildError, InputAddress, Role, Settings, add_listeners, client_child};
use crate::actors::{
    BanList, ChatClient, ChatConsole, ChatRegistry, ChatSession, Dialect, HistoryError,
    HistorySender, HistoryStore, HistoryWriter, OperatorAuth, Report, Reporter, RoomManager,
    SessionConfig, SessionLimits,
};
use crate::net::Endpoint;
use crate::runtime::{Child, Supervisor};
use crate::wire::chat::notice;

/// The room that everybody comes to first, unless it is set.
const DEFAULT_ROOM: &str = "lobby";

/// How many lines those beyond this machine may say in which time, unless it is set.
const DEFAULT_RATE: (u32, Duration) = (100, Duration::from_secs(10));

/// The longest operator's password, in bytes.
const MAX_PASSWORD_LEN: u64 = 1024;

/// Answers that wait for one peer at most.
const SESSION_MAILBOX: usize = 16;

/// Lines that wait for the disk at most, where they are kept there.
const HISTORY_MAILBOX: usize = 4096;

pub(super) async fn add_server(
    settings: &Settings,
    tree: &mut Supervisor,
    reporter: &Reporter,
) -> Result<(Vec<Endpoint>, Option<InputAddress>), BuildError> {
    let hall = ChatRegistry::new(settings.room.as_deref().unwrap_or(DEFAULT_ROOM));
    let limits = SessionLimits {
        first_timeout: settings.first_timeout,
        idle_timeout: settings.idle_timeout,
        max_history_lines: settings.history,
        rate: settings.rate.unwrap_or(DEFAULT_RATE),
        rate_on_loopback: settings.rate.is_some(),
        dialect: settings.dialect,
        operators: settings
            .operator_password_file
            .as_deref()
            .map(read_operator_password)
            .transpose()?,
    };
    let bans = Arc::<BanList>::default();
    // It stands before the room: what was said until the end is written down after it.
    add_history_writer(settings, tree, &hall, reporter)?;
    let kept = bans.clone();
    let room = Child::new("room", move || RoomManager::new(hall.clone()).bans(kept.clone()));
    let room = tree.child(room);
    let sessions = tree.pool(settings.connection_pool("sessions").mailbox(SESSION_MAILBOX));
    let with =
        Arc::new(SessionConfig { limits, manager: room.clone(), reporter: reporter.clone() });
    let serve = move |connection| ChatSession::new(connection, with.clone());
    // Whoever speaks as in the lecture is sent answers alone.
    let speaks_lines = settings.dialect != Some(Dialect::Lecture);
    let door = AccessControl {
        ban_list: bans,
        rejection_message: speaks_lines.then_some(notice::format_rejected),
    };
    let listening = add_listeners(settings, tree, &sessions, reporter, door, serve).await?;
    let console = settings.interactive && settings.role == Role::Server;
    let console = console.then(|| {
        let reporter = reporter.clone();
        tree.child(Child::new("console", move || ChatConsole::new(room.clone(), reporter.clone())))
    });
    Ok((listening, console.map(InputAddress::Console)))
}

/// Reads the password that makes an operator.
fn read_operator_password(path: &Path) -> Result<OperatorAuth, BuildError> {
    let failed = |source| BuildError::Password { path: path.into(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(MAX_PASSWORD_LEN + 1).read_to_string(&mut text).map_err(failed)?;
    let password = text.trim_end_matches(['\r', '\n']);
    let why = match password {
        "" => "it is empty; its first line is to be the password",
        long if long.len() as u64 > MAX_PASSWORD_LEN => "it is too long for a password",
        lines if lines.contains('\n') => "it has more than one line",
        password => return Ok(OperatorAuth::new(password.trim())),
    };
    Err(failed(io::Error::new(io::ErrorKind::InvalidData, why)))
}

/// Gives the rooms what was said before, and adds the journal, where there is to be one.
fn add_history_writer(
    settings: &Settings,
    tree: &mut Supervisor,
    hall: &ChatRegistry,
    reporter: &Reporter,
) -> Result<(), HistoryError> {
    let Some(path) = &settings.history_dir else { return Ok(()) };
    hall.keep_closed_rooms();
    let restore = |room: &str, line: &str, sent_at| hall.restore(room, line, sent_at);
    let (history, faults) = HistoryStore::open(path, settings.history_size, restore)?;
    for why in faults {
        reporter.try_send(|| Report::Warning { reason: why });
    }
    let (kept, reporter) = (history.clone(), reporter.clone());
    let journal = Child::new("journal", move || HistoryWriter::new(kept.clone(), reporter.clone()));
    hall.set_history_sender(HistorySender::new(
        history,
        tree.child(journal.mailbox(HISTORY_MAILBOX)),
    ));
    Ok(())
}

pub(super) fn add_client(
    settings: &Settings,
    tree: &mut Supervisor,
    endpoint: Endpoint,
    reporter: &Reporter,
) -> InputAddress {
    let (nick, timeout, reporter) = (settings.nick.clone(), settings.timeout, reporter.clone());
    let (room, reconnect) = (settings.room.clone(), settings.reconnect);
    let (at_terminal, dialect) = (settings.interactive, settings.dialect);
    let make = move || {
        ChatClient::new(endpoint.clone(), nick.clone(), timeout, reporter.clone())
            .room(room.clone())
            .reconnect(reconnect)
            .dialect(dialect)
            .who_on_join(at_terminal)
    };
    InputAddress::Chat(tree.child(client_child(Child::new("client", make))))
}
