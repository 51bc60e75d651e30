//! Supervised socket actors on [smol]: Erlang/OTP's way of staying up, for programs that live on sockets.
//!
//! Begin with [`runtime`]: its page explains the model on one page, and its examples run. Its names are here
//! too, so that a program says `use sockactors::{Child, Context, Supervisor, System}`.
//!
//! The crate has floors; each uses only those below it.
//!
//! - [`runtime`]: actors, bounded mailboxes that survive restarts, supervisors, pools, the system they run
//!   on.
//! - [`net`]: endpoints, listening sockets, streams and datagram sockets, over IPv4, IPv6 and Unix paths.
//! - [`wire`]: what goes over a socket, as pure functions on bytes.
//! - [`actors`]: the socket roles made of these: a listener, a greeter, a file writer, a chat room, ...
#![cfg_attr(
    feature = "cli",
    doc = "- [`scenario`]: the four trees that the program runs, for embedding whole."
)]
//!
//! # Examples
//!
//! This example shows a server of your own: for each connection an actor that echoes, in a pool. A client
//! says something, hears it back, and the tree ends with it.
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
//! let anywhere = "127.0.0.1:0".parse()?;
//! let socket = Arc::new(smol::block_on(ListeningSocket::bind(&anywhere, 128))?);
//! let port = socket.endpoint().to_string();
//!
//! let mut tree = Supervisor::new("echo", Strategy::OneForOne);
//! let connections = tree.pool(Pool::new("connections").limit(100));
//! let one = Arc::new(ClientQuota::new(Some(1)));
//! let listener = Child::new("listener", move || {
//!     let serve = |connection| move |ctx| echo(ctx, connection);
//!     Listener::new(socket.clone(), connections.clone(), serve).client_quota(one.clone())
//! });
//! tree.child(listener.transient().significant());
//!
//! let client = std::thread::spawn(move || -> std::io::Result<String> {
//!     let mut stream = std::net::TcpStream::connect(port)?;
//!     stream.write_all(b"hello")?;
//!     stream.shutdown(std::net::Shutdown::Write)?;
//!     let mut heard = String::new();
//!     stream.read_to_string(&mut heard)?;
//!     Ok(heard)
//! });
//! System::new().run(tree)?;
//! assert_eq!(client.join().unwrap()?, "hello");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Features
//!
//! `cli` (default): the program, with what only it needs. Without it the crate is the runtime, the net, the
//! wire and the actors.
//!
//! `testing`: the seeded simulation and connections in memory, for tests of your own actors.

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
pub mod wire;

#[doc(inline)]
pub use runtime::{
    Actor, Address, AdminError, AskError, AutoShutdown, BoxError, Child, ChildCounts, ChildInfo,
    Clock, Context, Event, Events, Exit, Handle, JobQueue, Lifecycle, LostMessage, Monitor,
    NodeKind, NodeState, NotRunning, Outcome, Overflow, Path, Pool, PoolAddress, PoolClosed, Reply,
    Restart, SendError, Shutdown, Snapshot, StopReason, Strategy, Supervisor, SupervisorAddress,
    System, TimerId,
};

/// The README's code, so that its example is compiled and run with the tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
