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
    BanList, ChatInput, ClientQuota, Connection, ConsoleLine, FileInput, HistoryError, Listener,
    PerIpLimit, RejectionMessage, Reporter, Schedule,
};
use crate::net::{BindError, Endpoint, ListeningSocket, max_open_files};
use crate::runtime::{Actor, Address, Child, IntoActor, Pool, PoolAddress, Supervisor};

pub use settings::{Role, Scenario, Settings};

/// Descriptors that are kept for everything but connections.
const RESERVED_DESCRIPTORS: u64 = 64;

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
pub struct BuiltScenario {
    /// Where the server listens, with the real ports; empty for a client.
    pub endpoints: Vec<Endpoint>,
    /// Where the lines that a person types belong, if anywhere.
    pub input: Option<InputAddress>,
}

/// Why a scenario cannot be composed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
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
pub enum InputAddress {
    /// A chat client.
    Chat(Address<ChatInput>),
    /// A chat server's console.
    Console(Address<ConsoleLine>),
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
/// use sockactors::runtime::{StopReason, Strategy, Supervisor, System};
/// use sockactors::scenario::{Scenario, Reporters, Role, Settings, build};
///
/// let mut settings = Settings::new(Scenario::Tcp, Role::Both);
/// settings.listen.push("127.0.0.1:0".parse().unwrap());
/// let mut tree = Supervisor::new("tcp", Strategy::OneForOne);
/// smol::block_on(build(&settings, &mut tree, &Reporters::default())).unwrap();
/// assert_eq!(System::new().run(tree).unwrap(), StopReason::Finished);
/// ```
pub async fn build(
    settings: &Settings,
    tree: &mut Supervisor,
    reporters: &Reporters,
) -> Result<BuiltScenario, BuildError> {
    let mut composed = BuiltScenario::default();
    if settings.role != Role::Client {
        let reporter = &reporters.server;
        composed.endpoints = match settings.scenario {
            Scenario::Tcp => tcp::add_server(settings, tree, reporter).await?,
            Scenario::Udp => udp::add_server(settings, tree, reporter).await?,
            Scenario::File => file::add_server(settings, tree, reporter).await?,
            Scenario::Chat => {
                let (listening, console) = chat::add_server(settings, tree, reporter).await?;
                composed.input = console;
                listening
            }
        };
    }
    if settings.role != Role::Server {
        let own = composed.endpoints.first().cloned();
        let given = own.or_else(|| settings.connect.clone());
        let endpoint = given.unwrap_or_else(|| settings.scenario.default_endpoint());
        let reporter = &reporters.client;
        match settings.scenario {
            Scenario::Tcp => tcp::add_client(settings, tree, endpoint, reporter),
            Scenario::Udp => udp::add_client(settings, tree, endpoint, reporter),
            Scenario::File => composed.input = file::add_client(settings, tree, endpoint, reporter),
            Scenario::Chat => {
                composed.input = Some(chat::add_client(settings, tree, endpoint, reporter))
            }
        }
    }
    Ok(composed)
}

impl Scenario {
    /// Returns the lecture's address.
    pub fn default_endpoint(self) -> Endpoint {
        let port = match self {
            Scenario::Tcp | Scenario::Chat => 12345,
            Scenario::Udp => 20001,
            Scenario::File => 8080,
        };
        Endpoint::Host { host: "127.0.0.1".into(), port }
    }
}

impl Settings {
    /// Returns where a server listens.
    fn listen_endpoints(&self) -> Vec<Endpoint> {
        match (self.listen.is_empty(), self.scenario.default_endpoint()) {
            (true, Endpoint::Host { port, .. }) if !self.groups.is_empty() => {
                vec![Endpoint::Any(port)]
            }
            (true, endpoint) => vec![endpoint],
            (false, _) => self.listen.clone(),
        }
    }

    /// Tells whether a client of greetings or datagrams is to measure, and not only to ask.
    fn is_measuring(&self) -> bool {
        let has_figures = self.size.is_some() || self.flood.is_some() || self.max_loss.is_some();
        self.count > 1 || has_figures || self.concurrency.is_some()
    }

    fn schedule(&self) -> Schedule {
        Schedule { count: self.count, interval: self.interval, timeout: self.timeout }
    }

    /// Returns how many connections there may be: never so many that the file limit is hit.
    pub fn connection_limit(&self) -> usize {
        let files = max_open_files().saturating_sub(RESERVED_DESCRIPTORS).max(1);
        // An upload needs a descriptor for its file too.
        let files = if self.scenario == Scenario::File { files.div_ceil(2) } else { files };
        self.max_conns.min(usize::try_from(files).unwrap_or(usize::MAX))
    }

    /// Makes the child of a server that ends once all its clients are served. A server alone ends with
    /// it; where there is a client too, that one has the last word.
    fn server_child<A: Actor>(&self, child: Child<A>) -> Child<A> {
        match self.role {
            Role::Both => child.transient(),
            _ => child.transient().significant(),
        }
    }

    /// Returns the pool for a server's connections.
    fn connection_pool(&self, name: &'static str) -> Pool {
        Pool::new(name).limit(self.connection_limit()).shutdown(self.drain_timeout)
    }
}

/// Makes the client of a tree: it is never started again, and the tree ends with it.
fn client_child<A: Actor>(child: Child<A>) -> Child<A> {
    child.temporary().significant()
}

/// Gives each of a server's sockets a name: `listener`, `listener-2`, ...
fn numbered_name(name: &str, index: usize) -> String {
    match index {
        0 => name.into(),
        index => format!("{name}-{}", index + 1),
    }
}

/// Who is turned away at a server's door, and what is said to them.
#[derive(Debug, Clone, Default)]
struct AccessControl {
    ban_list: Arc<BanList>,
    rejection_message: Option<RejectionMessage>,
}

/// Binds a server's listening sockets and adds a listener for each.
///
/// The sockets belong to the tree: a listener that crashes refuses nobody.
async fn add_listeners<F, A, K>(
    settings: &Settings,
    tree: &mut Supervisor,
    pool: &PoolAddress,
    reporter: &Reporter,
    door: AccessControl,
    serve: F,
) -> Result<Vec<Endpoint>, BindError>
where
    F: Fn(Connection) -> A + Clone + Send + Sync + 'static,
    A: IntoActor<K>,
    K: 'static,
{
    let admissions = Arc::new(ClientQuota::new(settings.clients));
    let per_address = settings.max_per_ip.map(|limit| Arc::new(PerIpLimit::new(limit)));
    let mut listening = Vec::new();
    for (index, endpoint) in settings.listen_endpoints().iter().enumerate() {
        let socket = Arc::new(ListeningSocket::bind(endpoint, settings.backlog).await?);
        listening.push(socket.endpoint().clone());
        let (pool, admissions) = (pool.clone(), admissions.clone());
        let (per_address, door) = (per_address.clone(), door.clone());
        let (reporter, serve) = (reporter.clone(), serve.clone());
        let listener = Child::new(numbered_name("listener", index), move || {
            let (socket, pool) = (socket.clone(), pool.clone());
            Listener::new(socket, pool, serve.clone())
                .client_quota(admissions.clone())
                .per_ip_limit(per_address.clone())
                .ban_list(door.ban_list.clone())
                .rejection_message(door.rejection_message)
                .reporter(reporter.clone())
        });
        tree.child(settings.server_child(listener));
    }
    Ok(listening)
}
