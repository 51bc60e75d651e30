//! The socket roles: actors, each of which does one part of a socket program's work.
//!
//! A role receives its sockets, its limits and the addresses of other actors in its constructor. It
//! reads no flag, prints nothing (it sends [`Report`]s) and names no scenario. So the same role
//! serves in the program's trees, in a short example and in your own pipeline.
//!
//! | role | file | what it does |
//! |---|---|---|
//! | [`MemoryKeeper`] | `support/memory_keeper.rs` | disconnects clients to free memory for others |
//! | [`Listener`] | `tcp/listener/mod.rs` | accepts connections and starts an actor for each in a pool |
//! | [`Greeter`] | `tcp/greeter.rs` | sends one text to a connection and closes it |
//! | [`TcpClient`] | `tcp/client.rs` | connects, reads a greeting, and reports or measures it |
//! | [`TcpStatsCollector`] | `tcp/stats_collector.rs` | sums up the results of measuring TCP clients |
//! | [`UdpResponder`] | `udp/responder.rs` | replies to datagrams in batches |
//! | [`UdpClient`] | `udp/client.rs` | sends datagrams on a schedule, and reports or measures the replies |
//! | [`UdpFlood`] | `udp/flood.rs` | sends datagrams at a rate, and counts the replies |
//! | [`PartialFileReaper`] | `file/reaper.rs` | removes abandoned partial files |
//! | [`FileReceiver`] | `file/receive/mod.rs` | receives files over one connection |
//! | [`FileWriter`] | `file/writer.rs` | writes bytes from other actors to files |
//! | [`RawSender`] | `file/send/raw.rs` | sends files over one connection without framing |
//! | [`FramedSender`] | `file/send/framed.rs` | sends files whole, verified and resumable |
//! | [`RoomManager`] | `chat/manager/mod.rs` | manages the rooms and their members |
//! | [`HistoryWriter`] | `chat/history/mod.rs` | writes the rooms' messages to disk |
//! | [`ChatConsole`] | `chat/console.rs` | runs operator commands from the server's terminal |
//! | [`ChatSession`] | `chat/session/mod.rs` | serves one connection to a chat server |
//! | [`ChatClient`] | `chat/client/mod.rs` | is the client side of a chat, for one user |

mod chat;
mod file;
mod support;
mod tcp;
mod udp;

pub use chat::broadcast::message::{HistoryLine, RoomMessage};
pub use chat::broadcast::subscription::{Delivery, Subscription};
pub use chat::client::state::ChatInput;
pub use chat::client::{ChatClient, Reconnect};
pub use chat::console::{ChatConsole, ConsoleLine};
pub use chat::history::segments::HistoryError;
pub use chat::history::{HistoryEntry, HistorySender, HistoryStore, HistoryWriter};
pub use chat::manager::RoomManager;
pub use chat::manager::request::{JoinRequest, JoinedRoom, RoomRequest};
pub use chat::messages::{Dialect, SessionMessage};
pub use chat::operator_auth::OperatorAuth;
pub use chat::registry::{ChatRegistry, Membership};
pub use chat::session::ChatSession;
pub use chat::session::state::{SessionConfig, SessionLimits};
pub use file::reaper::PartialFileReaper;
pub use file::receive::{FileReceiver, ReceiverConfig};
pub use file::send::framed::FramedSender;
pub use file::send::raw::{FileInput, RawSender};
pub use file::store::error::StoreError;
pub use file::store::existing::ExistingFile;
pub use file::store::partial::PartialFile;
pub use file::store::request::FileRequest;
pub use file::store::shared::{OnConflict, StoreConfig};
pub use file::store::{FileStore, OfferedFile};
pub use file::writer::{FileWriter, RotationPolicy, WriterMessage, WriterState};
pub use support::accepted_connection::{Connection, ConnectionGuard};
pub use support::ban_list::BanList;
pub use support::blocking_pool::BlockingPool;
pub use support::client_error::ClientError;
pub use support::client_quota::ClientQuota;
pub use support::ip_limit::{PerIpExcess, PerIpLimit, PerIpPermit};
pub use support::memory_budget::{CONNECTION_COST, ConnectionMemory, FREE_BYTES, MemoryBudget};
pub use support::memory_keeper::MemoryKeeper;
pub use support::progress::{Progress, TotalProgress, TransferSummary};
pub use support::report::{Report, Reporter, SendReport};
pub use support::stats::{LatencySummary, Schedule, Stats};
pub use tcp::client::{ProbeQuota, TcpClient};
pub use tcp::greeter::Greeter;
pub use tcp::listener::Listener;
pub use tcp::listener::rejections::RejectionMessage;
pub use tcp::stats_collector::{ProbeResult, TcpStatsCollector};
pub use udp::client::UdpClient;
pub use udp::flood::UdpFlood;
pub use udp::network_rate_limit::{DEFAULT_REPLY_RATE, NetworkRateLimiter};
pub use udp::reply_policy::ReplyPolicy;
pub use udp::responder::UdpResponder;
