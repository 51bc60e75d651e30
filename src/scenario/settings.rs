//! What a scenario can be told: the program's flags, once they are parsed and checked.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::actors::{Dialect, OnConflict, Reconnect};
use crate::net::{Endpoint, MulticastGroup};

/// The four scenarios.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// A greeting for each connection.
    Tcp,
    /// An answer to each datagram.
    Udp,
    /// Files from many clients at once.
    File,
    /// A room where clients talk.
    Chat,
}

/// Which side of a scenario to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Bind and serve.
    Server,
    /// Connect to a server.
    Client,
    /// A server and one client of it, in one tree.
    Both,
}

/// Everything that a scenario needs to know before it is composed.
///
/// [`Settings::new`] holds the defaults; fields that a scenario has no use for are ignored by it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which scenario.
    pub scenario: Scenario,
    /// Which side of it.
    pub role: Role,
    /// Where a server listens; empty means the scenario's default address, and every interface where it hears groups.
    pub listen: Vec<Endpoint>,
    /// Where a client connects; none means the scenario's default address.
    pub connect: Option<Endpoint>,
    /// Serve so many clients, then finish.
    pub clients: Option<u64>,
    /// At most so many connections at once.
    pub max_conns: usize,
    /// At most so many connections of one address at once; `None` is any number.
    pub max_per_ip: Option<usize>,
    /// How many connections the kernel keeps waiting for accept.
    pub backlog: i32,
    /// How long a new connection may take to send its first byte.
    pub first_timeout: Option<Duration>,
    /// How long a connection may be silent; `None` is for ever.
    pub idle_timeout: Option<Duration>,
    /// How long connections may take to finish once a stop was asked for.
    pub drain_timeout: Duration,
    /// The text to greet, to answer or to ask with; `None` is the lecture's.
    pub message: Option<String>,
    /// How many requests a client sends.
    pub count: u64,
    /// The pause between two requests.
    pub interval: Duration,
    /// How long a client waits for a connection or an answer.
    pub timeout: Duration,
    /// How many bytes a request has; none leaves it as the message is.
    pub size: Option<usize>,
    /// How many datagrams a client sends in which time, whether or not they are answered.
    pub flood: Option<(u32, Duration)>,
    /// How many clients connect at once, where connections are measured.
    pub concurrency: Option<usize>,
    /// How many percent of the answers may be lost; it has a client measure.
    pub max_loss: Option<f64>,
    /// The largest datagram that is read, in bytes.
    pub buffer_size: usize,
    /// How many answers to datagrams each network is sent in which time, and none for any number; without it the
    /// default, which binds those beyond this machine alone.
    pub reply_rate: Option<Option<(u32, Duration)>>,
    /// Whether an answer beyond this machine may be longer than the datagram that asked for it.
    pub allow_amplification: bool,
    /// The multicast groups that a server of datagrams hears.
    pub groups: Vec<MulticastGroup>,
    /// The directory that received files are stored in.
    pub out: PathBuf,
    /// The files to send; empty means that names come from the input.
    pub files: Vec<PathBuf>,
    /// What is sent for the file `-`.
    pub stdin: Option<Arc<File>>,
    /// Whether files are sent as their bytes alone.
    pub raw: bool,
    /// Whether a lost connection of a sender is made anew, and what the receiver holds of a file is not sent again.
    pub resume: bool,
    /// The largest file that is taken, in bytes.
    pub max_size: Option<u64>,
    /// Whether a person answers for the file names, and corrects a bad one.
    pub continue_on_error: bool,
    /// What is done with a file whose name is taken.
    pub on_conflict: OnConflict,
    /// How long a part is kept that nobody writes to; `None` is for ever.
    pub part_ttl: Option<Duration>,
    /// Whether the digest of a raw upload is reported, which costs reading its bytes.
    pub raw_digest: bool,
    /// How much of the disk stays free, in bytes.
    pub keep_free: u64,
    /// The name to take in the chat.
    pub nick: Option<String>,
    /// The room that everybody in a chat comes to first, or that a client goes to.
    pub room: Option<String>,
    /// Whether a chat client calls again when its connection is lost.
    pub reconnect: Reconnect,
    /// The dialect that all who connect to a chat speak, or that a client speaks; without it, they find out.
    pub dialect: Option<Dialect>,
    /// The file with the password that makes an operator of a chat.
    pub operator_password_file: Option<PathBuf>,
    /// Whether a person is at a chat's terminal.
    pub interactive: bool,
    /// How many lines of a room can be shown again.
    pub history: usize,
    /// The directory that what is said in a chat is kept in; none keeps it in memory alone.
    pub history_dir: Option<PathBuf>,
    /// How large that directory may become, in bytes.
    pub history_size: u64,
    /// How many lines a member of a chat may say in which time before it has to wait; `None` is the default,
    /// which binds those beyond this machine alone.
    pub rate: Option<(u32, Duration)>,
    /// Threads that run actors.
    pub threads: usize,
}

impl Settings {
    /// Returns the defaults of a scenario.
    pub fn new(kind: Scenario, role: Role) -> Settings {
        Settings {
            scenario: kind,
            role,
            listen: Vec::new(),
            connect: None,
            clients: None,
            max_conns: 1024,
            max_per_ip: None,
            backlog: 128,
            first_timeout: None,
            idle_timeout: match kind {
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
}
