//! The socket roles: one small actor for each thing that a socket program does.
//!
//! A role takes its sockets, its limits and the addresses that it talks to in its constructor. It reads no
//! flag, prints nothing (it tells [`Report`]s) and never names a scenario, so the same role serves in the
//! program's trees, in an example of fifteen lines and in a pipeline of yours.
//!
//! | role | what it does |
//! |---|---|
//! | [`Listener`] | accepts connections and starts an actor for each, in a pool |
//! | [`Greeter`] | says one text to a connection and closes it |
//! | [`TcpClient`] | connects, reads a short answer, reports it |
//! | [`TcpProbe`] | connects again and again, and times each greeting |
//! | [`TcpStatsCollector`] | adds up what the probes measured |
//! | [`UdpResponder`] | answers datagrams, many at once |
//! | [`UdpClient`] | sends datagrams and waits for each answer |
//! | [`UdpProbe`] | sends datagrams at their time, and measures what comes back |
//! | [`UdpFlood`] | sends datagrams at a rate, and counts what comes back |
//! | [`PartialFileReaper`] | removes the parts of files that nobody comes back for |
//! | [`FileReceiver`] | serves one connection over which files come |
//! | [`FileWriter`] | turns bytes of any actor into files, at the end of a pipeline |
//! | [`RawSender`] | sends files over one connection, as they are |
//! | [`FramedSender`] | sends files that arrive whole, or tells why not |
//! | [`RoomManager`] | keeps the rooms: who is in them, and what is said |
//! | [`HistoryWriter`] | keeps what is said on the disk |
//! | [`ChatConsole`] | passes on the orders that are typed at the server's own terminal |
//! | [`ChatSession`] | one connection to a chat server |
//! | [`ChatClient`] | one person's side of a chat |

mod chat;
mod file;
mod support;
mod tcp;
mod udp;

pub use chat::broadcast::log::{HistoryLine, RoomMessage};
pub use chat::broadcast::subscription::{Delivery, Subscription};
pub use chat::client::{ChatClient, ChatInput, Dialect, Reconnect};
pub use chat::console::{ChatConsole, ConsoleLine};
pub use chat::history::segments::HistoryError;
pub use chat::history::{HistoryEntry, HistorySender, HistoryStore, HistoryWriter};
pub use chat::manager::{JoinRequest, JoinedRoom, RoomManager, RoomRequest};
pub use chat::operator_auth::OperatorAuth;
pub use chat::registry::{ChatRegistry, Membership};
pub use chat::session::{ChatSession, SessionConfig, SessionLimits, SessionMessage};
pub use file::reaper::PartialFileReaper;
pub use file::receive::{FileReceiver, ReceiverConfig};
pub use file::send::framed::FramedSender;
pub use file::send::raw::{FileInput, RawSender};
pub use file::store::{
    CreateOutcome, ExistingFile, FileRequest, FileStore, OnConflict, PartialFile, StoreConfig,
    StoreError,
};
pub use file::writer::{FileWriter, RotationPolicy, WriterMessage, WriterState};
pub use support::ban_list::BanList;
pub use support::blocking_pool::BlockingPool;
pub use support::client_error::ClientError;
pub use support::client_quota::ClientQuota;
pub use support::connection::{Connection, ConnectionGuard};
pub use support::ip_limit::{PerIpLimit, PerIpPermit};
pub use support::report::{
    Progress, Report, Reporter, SendReport, SentFile, TotalProgress, TransferSummary,
};
pub use support::stats::{LatencySummary, Stats};
pub use tcp::client::{Schedule, TcpClient};
pub use tcp::greeter::Greeter;
pub use tcp::listener::{Listener, RejectionMessage};
pub use tcp::probe::{ProbeQuota, TcpProbe};
pub use tcp::stats_collector::{ProbeResult, TcpStatsCollector};
pub use udp::client::UdpClient;
pub use udp::flood::UdpFlood;
pub use udp::network_rate_limit::NetworkRateLimiter;
pub use udp::probe::UdpProbe;
pub use udp::reply_policy::{DEFAULT_REPLY_RATE, ReplyPolicy};
pub use udp::responder::UdpResponder;
