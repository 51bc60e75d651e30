//! The four scenarios: each composes roles into one tree, and does nothing else.
//!
//! A scenario takes [`Settings`] and a [`Supervisor`] that already holds whoever listens to its reports,
//! binds its sockets, and adds its roles in the order in which they depend on each other; stopping runs the
//! other way. `docs/architecture.md` draws the trees. The sockets and whatever must survive a crash (the
//! members of a room, the number of the next upload) are made here and belong to the tree.

mod chat;
mod file;
mod settings;
mod tcp;
mod udp;

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::actors::{
    Admissions, Bans, ChatInput, Connection, FileInput, HistoryError, Listener, Pace, Parting,
    PerAddress, Reporter, ToConsole,
};
use crate::net::{BindError, Endpoint, ListeningSocket, max_open_files};
use crate::runtime::{Actor, Address, Child, IntoActor, Pool, PoolAddress, Supervisor};

pub use settings::{Kind, Role, Settings};

/// Descriptors that are kept for everything but connections.
const SPARE_FILES: u64 = 64;

/// Who hears the reports of a scenario's two sides.
#[derive(Debug, Clone, Default)]
pub struct Reporters {
    /// The server's.
    pub server: Reporter,
    /// The client's.
    pub client: Reporter,
}

/// What a composed scenario can be fed with and is known by.
#[derive(Debug, Clone, Default)]
pub struct Composed {
    /// Where the server listens, with the real ports; empty for a client.
    pub listening: Vec<Endpoint>,
    /// Where the lines that a person types belong, if anywhere.
    pub input: Option<Input>,
}

/// Why a scenario cannot be composed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ComposeError {
    /// An address cannot be bound.
    #[error("{0}")]
    Bind(#[from] BindError),
    /// The history of a chat cannot be kept where it is to be.
    #[error("{0}")]
    History(#[from] HistoryError),
    /// The password of a chat's operators cannot be read.
    #[error("the operator's password cannot be read from {}: {source}", path.display())]
    Password {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: std::io::Error,
    },
}

/// The actor that takes what a person types.
#[derive(Debug, Clone)]
pub enum Input {
    /// A chat client.
    Chat(Address<ChatInput>),
    /// A chat server's console.
    Console(Address<ToConsole>),
    /// A file sender that takes names.
    File(Address<FileInput>),
}

/// Binds a scenario's sockets and adds its roles to `tree`.
///
/// # Errors
///
/// An address cannot be bound, or a directory not used.
///
/// # Examples
///
/// This example shows the greeting, server and client in one tree, which ends when the client has it.
///
/// ```
/// use sockactors::runtime::{Ended, Strategy, Supervisor, System};
/// use sockactors::scenario::{Kind, Reporters, Role, Settings, compose};
///
/// let mut settings = Settings::new(Kind::Tcp, Role::Both);
/// settings.listen.push("127.0.0.1:0".parse().unwrap());
/// let mut tree = Supervisor::new("tcp", Strategy::OneForOne);
/// smol::block_on(compose(&settings, &mut tree, &Reporters::default())).unwrap();
/// assert_eq!(System::new().run(tree).unwrap(), Ended::Finished);
/// ```
pub async fn compose(
    settings: &Settings,
    tree: &mut Supervisor,
    reporters: &Reporters,
) -> Result<Composed, ComposeError> {
    let mut composed = Composed::default();
    if settings.role != Role::Client {
        let reporter = &reporters.server;
        composed.listening = match settings.kind {
            Kind::Tcp => tcp::server(settings, tree, reporter).await?,
            Kind::Udp => udp::server(settings, tree, reporter).await?,
            Kind::File => file::server(settings, tree, reporter).await?,
            Kind::Chat => {
                let (listening, console) = chat::server(settings, tree, reporter).await?;
                composed.input = console;
                listening
            }
        };
    }
    if settings.role != Role::Server {
        let own = composed.listening.first().cloned();
        let given = own.or_else(|| settings.connect.clone());
        let endpoint = given.unwrap_or_else(|| settings.kind.endpoint());
        let reporter = &reporters.client;
        match settings.kind {
            Kind::Tcp => tcp::client(settings, tree, endpoint, reporter),
            Kind::Udp => udp::client(settings, tree, endpoint, reporter),
            Kind::File => composed.input = file::client(settings, tree, endpoint, reporter),
            Kind::Chat => composed.input = Some(chat::client(settings, tree, endpoint, reporter)),
        }
    }
    Ok(composed)
}

impl Kind {
    /// Returns the lecture's address.
    pub fn endpoint(self) -> Endpoint {
        let port = match self {
            Kind::Tcp | Kind::Chat => 12345,
            Kind::Udp => 20001,
            Kind::File => 8080,
        };
        Endpoint::Host { host: "127.0.0.1".into(), port }
    }
}

impl Settings {
    /// Returns where a server listens.
    fn endpoints(&self) -> Vec<Endpoint> {
        match (self.listen.is_empty(), self.kind.endpoint()) {
            (true, Endpoint::Host { port, .. }) if !self.groups.is_empty() => {
                vec![Endpoint::Any(port)]
            }
            (true, endpoint) => vec![endpoint],
            (false, _) => self.listen.clone(),
        }
    }

    /// Tells whether a client of greetings or datagrams is to measure, and not only to ask.
    fn measures(&self) -> bool {
        let has_figures = self.size.is_some() || self.flood.is_some() || self.max_loss.is_some();
        self.count > 1 || has_figures || self.concurrency.is_some()
    }

    fn pace(&self) -> Pace {
        Pace { count: self.count, interval: self.interval, timeout: self.timeout }
    }

    /// Returns how many connections there may be: never so many that the file limit is hit.
    pub fn connections(&self) -> usize {
        let files = max_open_files().saturating_sub(SPARE_FILES).max(1);
        // An upload needs a descriptor for its file too.
        let files = if self.kind == Kind::File { files.div_ceil(2) } else { files };
        self.max_conns.min(usize::try_from(files).unwrap_or(usize::MAX))
    }

    /// Makes the child of a server that ends once all its clients are served. A server alone ends with
    /// it; where there is a client too, that one has the last word.
    fn serving<A: Actor>(&self, child: Child<A>) -> Child<A> {
        match self.role {
            Role::Both => child.transient(),
            _ => child.transient().significant(),
        }
    }

    /// Returns the pool for a server's connections.
    fn connection_pool(&self, name: &'static str) -> Pool {
        Pool::new(name).limit(self.connections()).shutdown(self.drain_timeout)
    }
}

/// Makes the client of a tree: it is never started again, and the tree ends with it.
fn client<A: Actor>(child: Child<A>) -> Child<A> {
    child.temporary().significant()
}

/// Gives each of a server's sockets a name: `listener`, `listener-2`, ...
fn numbered(name: &str, index: usize) -> String {
    match index {
        0 => name.into(),
        index => format!("{name}-{}", index + 1),
    }
}

/// Who is turned away at a server's door, and what is said to them.
#[derive(Debug, Clone, Default)]
struct Door {
    bans: Arc<Bans>,
    parting: Option<Parting>,
}

/// Binds a server's listening sockets and adds a listener for each.
///
/// The sockets belong to the tree: a listener that crashes refuses nobody.
async fn listeners<F, A, K>(
    settings: &Settings,
    tree: &mut Supervisor,
    pool: &PoolAddress,
    reporter: &Reporter,
    door: Door,
    serve: F,
) -> Result<Vec<Endpoint>, BindError>
where
    F: Fn(Connection) -> A + Clone + Send + Sync + 'static,
    A: IntoActor<K>,
    K: 'static,
{
    let admissions = Arc::new(Admissions::new(settings.clients));
    let per_address = settings.max_per_ip.map(|limit| Arc::new(PerAddress::new(limit)));
    let mut listening = Vec::new();
    for (index, endpoint) in settings.endpoints().iter().enumerate() {
        let socket = Arc::new(ListeningSocket::bind(endpoint, settings.backlog).await?);
        listening.push(socket.endpoint().clone());
        let (pool, admissions) = (pool.clone(), admissions.clone());
        let (per_address, door) = (per_address.clone(), door.clone());
        let (reporter, serve) = (reporter.clone(), serve.clone());
        let listener = Child::new(numbered("listener", index), move || {
            let (socket, pool) = (socket.clone(), pool.clone());
            Listener::new(socket, pool, serve.clone())
                .admissions(admissions.clone())
                .per_address(per_address.clone())
                .bans(door.bans.clone())
                .parting(door.parting)
                .reporter(reporter.clone())
        });
        tree.child(settings.serving(listener));
    }
    Ok(listening)
}
