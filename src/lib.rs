//! Supervised socket actors on [smol]: the supervision of Erlang/OTP for programs that serve
//! sockets.
//!
//! The crate is a library and a program. The library has an actor runtime, sockets for it, and
//! roles: actors that each do one part of a socket program's work. The program `sockactors`
//! composes the roles into four servers and their clients.
//!
//! - Start with the page of [`runtime`]. It explains actors, mailboxes, supervisors and systems,
//!   and maps their names to those of Erlang/OTP and tokio.
//! - To serve sockets, continue with the table of roles in [`actors`] and with [`net`].
//! - `examples/` in the repository has one short program for each scenario.
//!
//! # Layers
//!
//! A layer uses the layers below it, never those above.
//!
//! | module | content |
//! |---|---|
#![cfg_attr(
    feature = "cli",
    doc = "| [`scenario`] | the four trees of the program, ready to embed |"
)]
//! | [`actors`] | the socket roles: listener, greeter, file receiver, chat session and others |
//! | [`net`] | endpoints, listening sockets, streams, datagram batches; no actors |
//! | [`wire`] | protocols as pure functions on bytes: lines, frames, commands, records |
//! | [`runtime`] | actors, mailboxes, supervisors, pools, systems; no sockets |
//! | `reactor` (private) | the epoll reactor of a worker thread |
//!
//! The names of [`runtime`] are re-exported here, so both
//! `use sockactors::{Child, Context, Supervisor, System}` and `use sockactors::runtime::*` work.
//!
//! # Examples
//!
//! This example shows a server with an actor for each connection, which echoes what it reads. The
//! listener serves one client here, and the tree ends with it.
//!
//! ```
//! use std::io::{Read, Write};
//! use std::sync::Arc;
//! use sockactors::actors::{ClientQuota, Connection, Listener};
//! use sockactors::net::ListeningSocket;
//! use sockactors::runtime::{Child, Context, Event, Outcome, Pool, Strategy, Supervisor, System};
//!
//! async fn echo(mut ctx: Context<()>, connection: Connection) -> Outcome {
//!     let mut buf = [0; 1024];
//!     while let Event::Io(read) = ctx.next(connection.stream.read(&mut buf)).await {
//!         match read? {
//!             0 => break,
//!             n => connection.stream.write_all(&buf[..n]).await?,
//!         }
//!     }
//!     Ok(())
//! }
//!
//! // Port 0: the kernel chooses a free port. The socket belongs to the tree and survives crashes.
//! let socket = smol::block_on(ListeningSocket::bind(&"127.0.0.1:0".parse()?, 128))?;
//! let socket = Arc::new(socket);
//! let server = socket.endpoint().to_string();
//!
//! let mut tree = Supervisor::new("echo", Strategy::OneForOne);
//! let connections = tree.pool(Pool::new("connections").limit(100));
//! let quota = Arc::new(ClientQuota::new(Some(1)));
//! let listener = Child::new("listener", move || {
//!     let serve = |connection| move |ctx| echo(ctx, connection);
//!     Listener::new(socket.clone(), connections.clone(), serve).client_quota(quota.clone())
//! });
//! tree.child(listener.transient().significant());
//!
//! let client = std::thread::spawn(move || -> std::io::Result<String> {
//!     let mut stream = std::net::TcpStream::connect(server)?;
//!     stream.write_all(b"hello")?;
//!     stream.shutdown(std::net::Shutdown::Write)?;
//!     let mut reply = String::new();
//!     stream.read_to_string(&mut reply)?;
//!     Ok(reply)
//! });
//! System::new().run(tree)?;
//! assert_eq!(client.join().unwrap()?, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! | feature | default | adds |
//! |---|---|---|
//! | `cli` | yes | the program and `scenario`, with the crates that only the program needs |
//! | `testing` | no | `testing`: the seeded simulation, and connections in memory |

#![forbid(unsafe_code)]
#![warn(missing_docs, missing_debug_implementations)]

#[path = "../actors/mod.rs"]
pub mod actors;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod net;
mod reactor;
pub mod runtime;
#[cfg(feature = "cli")]
pub mod scenario;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
pub mod wire;

#[doc(inline)]
pub use runtime::{
    Actor, Address, AdminError, AskError, AutoShutdown, BoxError, Child, ChildCounts, ChildInfo,
    Clock, Context, Event, Events, Exit, Handle, JobQueue, Lifecycle, LostMessage, Monitor,
    NodeKind, NodeState, NotRunning, Outcome, Overflow, Path, Pool, PoolAddress, PoolClosed, Reply,
    Restart, SendError, Shutdown, Snapshot, StopReason, Strategy, Supervisor, SupervisorAddress,
    System, TimerId,
};

/// The README, so that its example is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
