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
//! | [`TcpFigures`] | adds up what the probes measured |
//! | [`UdpResponder`] | answers datagrams, many at once |
//! | [`UdpClient`] | sends datagrams and waits for each answer |
//! | [`UdpProbe`] | sends datagrams at their time, and measures what comes back |
//! | [`UdpFlood`] | sends datagrams at a rate, and counts what comes back |
//! | [`FileReaper`] | removes the parts of files that nobody comes back for |
//! | [`FileReceiver`] | serves one connection over which files come |
//! | [`FileWriter`] | turns bytes of any actor into files, at the end of a pipeline |
//! | [`FileSender`] | sends files over one connection, as they are |
//! | [`FramedSender`] | sends files that arrive whole, or tells why not |
//! | [`ChatRoom`] | keeps the rooms: who is in them, and what is said |
//! | [`ChatJournal`] | keeps what is said on the disk |
//! | [`ChatConsole`] | passes on the orders that are typed at the server's own terminal |
//! | [`ChatSession`] | one connection to a chat server |
//! | [`ChatClient`] | one person's side of a chat |

mod admissions;
mod allowance;
mod bans;
mod batch;
mod book;
mod chat_answers;
mod chat_call;
mod chat_client;
mod chat_console;
mod chat_journal;
mod chat_lecture;
mod chat_line;
mod chat_orders;
mod chat_room;
mod chat_session;
mod connection;
mod courier;
mod crowd;
mod disk;
mod dispatch;
mod ear;
mod failure;
mod figures;
mod file_reaper;
mod file_receiver;
mod file_sender;
mod file_writer;
mod framed_line;
mod framed_sender;
mod gathered;
mod gauge;
mod greeter;
mod hall;
mod intake;
mod lanes;
mod listener;
mod lock_step;
mod operators;
mod outbox;
mod outgoing;
mod output;
mod parcels;
mod passing;
mod past;
mod per_address;
mod pour;
mod refused;
mod reply_guard;
mod reply_rate;
mod report;
mod ring;
mod seats;
mod segments;
mod speaker;
mod talk;
mod tcp_client;
mod tcp_figures;
mod tcp_probe;
mod trail;
mod tries;
mod udp_client;
mod udp_flood;
mod udp_probe;
mod udp_responder;
mod unanswered;
mod vault;
mod wish;

pub use admissions::Admissions;
pub use bans::Bans;
pub use chat_client::{ChatClient, ChatInput, Reconnect, Speaks};
pub use chat_console::{ChatConsole, ToConsole};
pub use chat_journal::{ChatJournal, History, Recorder, Spoken};
pub use chat_room::{ChatRoom, Coming, Joined, ToRoom};
pub use chat_session::{ChatSession, SessionLimits, SessionWith, ToSession};
pub use connection::{Connection, Presence};
pub use disk::Disk;
pub use ear::{Ear, Heard};
pub use failure::Failure;
pub use figures::{Figures, Spread};
pub use file_reaper::FileReaper;
pub use file_receiver::{FileReceiver, ReceiveLimits};
pub use file_sender::{FileInput, FileSender};
pub use file_writer::{FileWriter, Rotation, Shelf, Store};
pub use framed_sender::FramedSender;
pub use greeter::Greeter;
pub use hall::{Hall, Membership};
pub use listener::{Listener, Parting};
pub use operators::Operators;
pub use per_address::{PerAddress, Visit};
pub use reply_guard::{REPLY_RATE, ReplyGuard};
pub use reply_rate::ReplyRate;
pub use report::{Overall, Progress, Report, Reporter, Row, Telling, Total};
pub use ring::{Remembered, Said};
pub use segments::HistoryError;
pub use tcp_client::{Pace, TcpClient};
pub use tcp_figures::{Measured, TcpFigures};
pub use tcp_probe::{TcpProbe, Tickets};
pub use udp_client::UdpClient;
pub use udp_flood::UdpFlood;
pub use udp_probe::UdpProbe;
pub use udp_responder::UdpResponder;
pub use vault::{Claimed, OnConflict, Part, There, Vault, VaultError, VaultLimits, Wanted};
