//! The settings of a scenario: the program's flags after parsing, or an embedder's choices.

use std::fs::File;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::actors::{CONNECTION_COST, Dialect, OnConflict, Reconnect, Schedule};
use crate::net::{Endpoint, ListenAddress, MulticastGroup, max_open_files, memory_limit};

/// The number of descriptors of a server with one worker thread and without listeners: the standard
/// streams, signals, the reactors, the spare ones.
const BASE_DESCRIPTORS: u64 = 14;

/// The number of descriptors of a listener: the socket, and a spare one to reject connections.
const DESCRIPTORS_PER_LISTENER: u64 = 2;

/// The number of descriptors of a worker thread: its epoll instance and its notifier.
const DESCRIPTORS_PER_WORKER: u64 = 2;

/// The number of descriptors of a history on disk: the directory, a segment and its successor.
const HISTORY_DESCRIPTORS: u64 = 3;

/// The number of descriptors for a short use: rejected connections, a directory that is read, and
/// those that the process has inherited.
const SHORT_USE_DESCRIPTORS: u64 = 8;

/// The number of descriptors of an upload: the connection, the partial file, its checksums and its
/// directory.
const DESCRIPTORS_PER_UPLOAD: u64 = 4;

/// The default of `--max-conns`.
const DEFAULT_MAX_CONNS: usize = 1024;

/// The smallest size of a kernel buffer of a connection, in bytes. A smaller one slows transfers
/// down on a loopback interface, whose packets have 64 KiB.
const MIN_SOCKET_BUFFER: usize = 16 << 10;

/// The largest size of a kernel buffer that is set, in bytes.
const MAX_SOCKET_BUFFER: usize = 256 << 10;

/// The memory budget from which the kernel sizes the socket buffers, in bytes.
const MIN_UNBOUNDED_BUDGET: usize = 64 << 20;

/// One of the four scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// A greeting for each connection.
    Tcp,
    /// A reply to each datagram.
    Udp,
    /// File uploads from many clients at once.
    File,
    /// Chat rooms.
    Chat,
}

impl Scenario {
    /// Every scenario.
    pub const ALL: [Scenario; 4] = [Scenario::Tcp, Scenario::Udp, Scenario::File, Scenario::Chat];

    /// Returns the name, as `--scenario` accepts it.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Tcp => "tcp",
            Scenario::Udp => "udp",
            Scenario::File => "file",
            Scenario::Chat => "chat",
        }
    }

    /// Returns the default address of server and client, which is the lecture's.
    pub fn default_endpoint(self) -> Endpoint {
        Endpoint::Host { host: "127.0.0.1".into(), port: self.default_port() }
    }

    /// Returns the port of an endpoint that names only a host.
    pub fn default_port(self) -> u16 {
        match self {
            Scenario::Tcp | Scenario::Chat => 12345,
            Scenario::Udp => 20001,
            Scenario::File => 8080,
        }
    }
}

/// The sides of a scenario that one process runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Bind and serve.
    Server,
    /// Connect to a server.
    Client,
    /// A server and one client of it, in one tree.
    Both,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Server, Role::Client, Role::Both];

    /// Returns the name, as `--role` accepts it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Server => "server",
            Role::Client => "client",
            Role::Both => "both",
        }
    }

    /// Returns whether this role runs `side`.
    pub fn runs(self, side: Side) -> bool {
        match self {
            Role::Server => side == Side::Server,
            Role::Client => side == Side::Client,
            Role::Both => true,
        }
    }
}

/// One side of a scenario. [`Role::Both`] runs two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The side that binds and serves.
    Server,
    /// The side that connects.
    Client,
}

impl Side {
    /// Returns the name, as `--role` accepts it.
    pub fn name(self) -> &'static str {
        match self {
            Side::Server => "server",
            Side::Client => "client",
        }
    }
}

/// Everything that a scenario needs before its tree is built.
///
/// [`Settings::new`] sets the defaults. A scenario ignores the fields that it does not use.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The scenario.
    pub scenario: Scenario,
    /// The sides to run.
    pub role: Role,
    /// The addresses on which a server listens.
    ///
    /// If it is empty, the server uses the scenario's default address. With multicast groups it
    /// uses every interface instead.
    pub listen: Vec<ListenAddress>,
    /// The server of a client. `None` is the scenario's default address.
    pub connect: Option<Endpoint>,
    /// The number of clients that a server serves before it finishes. `None` is no limit.
    pub clients: Option<u64>,
    /// The maximum number of simultaneous connections. `None` is 1024, or fewer on a machine with
    /// little memory or few descriptors.
    pub max_conns: Option<usize>,
    /// The maximum number of simultaneous connections per address.
    ///
    /// `Some(None)` is no limit. `None` is a quarter of the connections, and does not apply to
    /// sources on this machine.
    pub max_per_ip: Option<Option<usize>>,
    /// The memory budget for everything that peers make a server hold, in bytes. `None` is a
    /// quarter of the memory that the process may use.
    pub max_memory: Option<u64>,
    /// The length of the kernel's queue of connections that wait for `accept`.
    pub backlog: i32,
    /// The timeout for the first byte of a new connection. `None` is no timeout.
    pub first_timeout: Option<Duration>,
    /// The timeout for a silent connection. `None` is no timeout.
    pub idle_timeout: Option<Duration>,
    /// The time that connections have to finish after a stop request.
    pub drain_timeout: Duration,
    /// The greeting, the reply or the request. `None` is the lecture's text.
    pub message: Option<String>,
    /// The number of requests that a client sends. 0 is no limit.
    pub count: u64,
    /// The pause between two requests.
    pub interval: Duration,
    /// The timeout of a client for a connection or a reply.
    pub timeout: Duration,
    /// The size of a request in bytes. `None` is the size of the message.
    pub size: Option<usize>,
    /// The number of datagrams that a client sends per period without waiting for replies.
    pub flood: Option<(u32, Duration)>,
    /// The number of simultaneous connections of a measuring client.
    pub concurrency: Option<usize>,
    /// The percentage of replies that may be lost. If it is set, the client measures.
    pub max_loss: Option<f64>,
    /// The size of the largest datagram that is read whole, in bytes.
    pub buffer_size: usize,
    /// The rate limit of datagram replies per source network.
    ///
    /// `Some(None)` is no limit. `None` is the default limit, which does not apply to sources on
    /// this machine.
    pub reply_rate: Option<Option<(u32, Duration)>>,
    /// Whether a reply to another machine may be longer than its request.
    pub allow_amplification: bool,
    /// The multicast groups that a datagram server joins.
    pub groups: Vec<MulticastGroup>,
    /// The directory for received files.
    pub out: PathBuf,
    /// The files to send. If it is empty, names are read from the input.
    pub files: Vec<PathBuf>,
    /// The content of the file `-`.
    pub stdin: Option<Arc<File>>,
    /// Whether files are sent as plain bytes, without the framed protocol.
    pub raw: bool,
    /// Whether a sender reconnects, and continues a file at what the receiver already holds.
    pub resume: bool,
    /// The size limit of a received file, in bytes. `None` is no limit.
    pub max_size: Option<u64>,
    /// Whether a sender continues after a wrong file name, because a person can correct it.
    pub continue_on_error: bool,
    /// The treatment of a received file whose name exists.
    pub on_conflict: OnConflict,
    /// The age at which an unfinished partial file is deleted. `None` keeps it forever.
    pub part_ttl: Option<Duration>,
    /// Whether the digest of a raw upload is reported. It requires reading the bytes.
    pub raw_digest: bool,
    /// The disk space that uploads leave free, in bytes.
    pub keep_free: u64,
    /// The number of files and directories that uploads create at most. `None` is no limit.
    pub max_files: Option<u64>,
    /// The minimum rate of a framed upload in bytes per second. 0 is no minimum.
    pub min_rate: u64,
    /// The nickname of a chat client.
    pub nick: Option<String>,
    /// The default room of a chat server, or the room that a client joins.
    pub room: Option<String>,
    /// The condition on which a chat client reconnects.
    pub reconnect: Reconnect,
    /// The dialect of all chat peers. `None` detects it.
    pub dialect: Option<Dialect>,
    /// The file with the password of chat operators.
    pub operator_password_file: Option<PathBuf>,
    /// Whether a person uses the chat at a terminal.
    pub interactive: bool,
    /// The number of lines per room that `/history` can show.
    pub history: usize,
    /// The directory of the chat history. `None` keeps it in memory only.
    pub history_dir: Option<PathBuf>,
    /// The size limit of that directory, in bytes.
    pub history_size: u64,
    /// The rate limit of a chat client's lines.
    ///
    /// `None` is the default limit, which does not apply to clients on this machine.
    pub rate: Option<(u32, Duration)>,
    /// The number of threads that run actors.
    pub threads: usize,
}

impl Settings {
    /// Returns the defaults of a scenario.
    pub fn new(scenario: Scenario, role: Role) -> Settings {
        Settings {
            scenario,
            role,
            listen: Vec::new(),
            connect: None,
            clients: None,
            max_conns: None,
            max_per_ip: None,
            max_memory: None,
            backlog: 128,
            first_timeout: None,
            idle_timeout: match scenario {
                Scenario::File => Some(Duration::from_secs(15 * 60)),
                _ => None,
            },
            drain_timeout: Duration::from_secs(10),
            message: None,
            count: 1,
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(10),
            size: None,
            flood: None,
            concurrency: None,
            max_loss: None,
            buffer_size: 1024,
            reply_rate: None,
            allow_amplification: false,
            groups: Vec::new(),
            out: PathBuf::from("."),
            files: Vec::new(),
            stdin: None,
            raw: false,
            resume: true,
            max_size: None,
            continue_on_error: false,
            on_conflict: OnConflict::Fail,
            part_ttl: Some(Duration::from_secs(7 * 24 * 60 * 60)),
            raw_digest: true,
            keep_free: 64 << 20,
            max_files: None,
            min_rate: 64,
            nick: None,
            room: None,
            reconnect: Reconnect::Never,
            dialect: None,
            operator_password_file: None,
            interactive: false,
            history: 100,
            history_dir: None,
            history_size: 16 << 20,
            rate: None,
            threads: 1,
        }
    }

    /// Returns the memory budget for everything that peers make a server hold, in bytes.
    pub fn memory_budget(&self) -> usize {
        let budget = self.max_memory.unwrap_or_else(|| memory_limit() / 4);
        usize::try_from(budget).unwrap_or(usize::MAX)
    }

    /// Returns the maximum number of simultaneous connections.
    ///
    /// It is [`max_conns`](Settings::max_conns), but at most the descriptors permit. A default
    /// is also limited by the memory: the fixed cost of all connections takes at most half of the
    /// budget, and their socket buffers as much as the whole budget.
    pub fn connection_limit(&self) -> usize {
        let files = max_open_files().saturating_sub(self.reserved_descriptors()).max(1);
        let files = match self.scenario {
            Scenario::File => (files / DESCRIPTORS_PER_UPLOAD).max(1),
            _ => files,
        };
        let files = usize::try_from(files).unwrap_or(usize::MAX);
        let wanted = self.max_conns.unwrap_or_else(|| {
            let budget = self.memory_budget();
            let buffers = budget / (2 * MIN_SOCKET_BUFFER);
            DEFAULT_MAX_CONNS.min(budget / 2 / CONNECTION_COST).min(buffers).max(1)
        });
        wanted.min(files)
    }

    /// Returns the number of descriptors that the server uses itself, which are not available to
    /// connections. A name is expected to have two addresses.
    fn reserved_descriptors(&self) -> u64 {
        let count_sockets = |address: &ListenAddress| match &address.endpoint {
            Endpoint::Host { .. } if address.endpoint.ip().is_none() => 2,
            _ => 1,
        };
        let listeners: u64 = self.listen_addresses().iter().map(count_sockets).sum();
        let workers = u64::try_from(self.threads).unwrap_or(u64::MAX).saturating_sub(1);
        let history = if self.history_dir.is_some() { HISTORY_DESCRIPTORS } else { 0 };
        BASE_DESCRIPTORS
            .saturating_add(listeners.saturating_mul(DESCRIPTORS_PER_LISTENER))
            .saturating_add(workers.saturating_mul(DESCRIPTORS_PER_WORKER))
            .saturating_add(history + SHORT_USE_DESCRIPTORS)
    }

    /// Returns the size of each kernel buffer of a connection, in bytes. `None` leaves it to the
    /// kernel, which sizes the buffers by need.
    ///
    /// All buffers together are as large as the memory budget. On a machine with enough memory the
    /// kernel's own limits (`net.ipv4.tcp_mem`) suffice.
    pub(super) fn socket_buffer(&self) -> Option<usize> {
        let budget = self.memory_budget();
        let share = budget / 2 / self.connection_limit();
        (budget < MIN_UNBOUNDED_BUDGET).then(|| share.clamp(MIN_SOCKET_BUFFER, MAX_SOCKET_BUFFER))
    }

    /// Returns the addresses on which a server listens. `[::]` leaves IPv4 to `0.0.0.0` if both
    /// have the same port.
    pub(super) fn listen_addresses(&self) -> Vec<ListenAddress> {
        let (default, port) = (self.scenario.default_endpoint(), self.scenario.default_port());
        match self.listen.is_empty() {
            true if self.groups.is_empty() => vec![default.into()],
            true => vec![Endpoint::Any(port).into()],
            false => self.listen.iter().map(|address| self.exclude_ipv4(address)).collect(),
        }
    }

    fn exclude_ipv4(&self, address: &ListenAddress) -> ListenAddress {
        let is_every_ipv4 = |other: &ListenAddress| {
            other.endpoint.ip() == Some(Ipv4Addr::UNSPECIFIED.into())
                && other.endpoint.port() == address.endpoint.port()
        };
        let is_every_ipv6 = address.endpoint.ip() == Some(Ipv6Addr::UNSPECIFIED.into());
        let v6_only = address.v6_only || is_every_ipv6 && self.listen.iter().any(is_every_ipv4);
        ListenAddress { v6_only, ..address.clone() }
    }

    /// Returns whether a tcp or udp client measures, instead of only showing replies.
    pub(super) fn is_measuring(&self) -> bool {
        self.count != 1
            || self.size.is_some()
            || self.flood.is_some()
            || self.max_loss.is_some()
            || self.concurrency.is_some()
    }

    /// Returns the schedule of a client's requests.
    pub(super) fn schedule(&self) -> Schedule {
        let count = if self.count == 0 { u64::MAX } else { self.count };
        Schedule { count, interval: self.interval, timeout: self.timeout }
    }
}
