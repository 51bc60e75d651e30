//! Sockets for a program that serves many: endpoints, listening sockets, streams, datagrams and
//! limits.
//!
//! This floor knows sockets and what it takes to wait for them, and no actor. It offers what a
//! long-running server needs and what each of its roles would otherwise write again:
//!
//! - one [`Endpoint`] for names, addresses and Unix paths, which people write and programs print;
//! - errors that name the endpoint and the remedy: [`EndpointError`], [`BindError`], [`ConnectError`];
//! - Unix socket files that are cleaned up, and never by taking away somebody else's;
//! - a [`Stream`] that tries the system call first and joins the reactor only when it has to wait,
//!   so that a short exchange costs no `epoll_ctl`;
//! - a close that does not destroy what was just written ([`Stream::close`]).
//!
//! They can be awaited anywhere: in an actor, where the system's own thread looks after them, and on any other executor,
//! where smol's reactor does.
//!
//! An actor that blocks its thread until a socket is ready, as `smol::block_on` would within its turn, waits for ever: it is
//! this very thread that would be told. Await it, or block on a thread that may, in a [`Desk`](crate::Desk) or `smol::unblock`.
//!
//! All sockets are non-blocking and closed on exec. All methods take `&self`, so that one task can
//! read and write the same socket at the same time, and an [`Arc`](std::sync::Arc) shares it
//! between tasks.
//!
//! # Fairness
//!
//! A method that finds its socket ready returns without having yielded to the executor. A peer that
//! always has more to say can so keep a loop of reads busy for ever: yield
//! ([`smol::future::yield_now`]) every so many operations.
//!
//! # Example
//!
//! This example shows how to greet one client, as the first program of a lecture on sockets does:
//!
//! ```
//! use sockactors::net::{Endpoint, ListeningSocket, Stream};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! smol::block_on(async {
//!     let server = ListeningSocket::bind(&"127.0.0.1:0".parse::<Endpoint>()?, 5).await?;
//!     let client = Stream::connect(server.endpoint(), Duration::from_secs(5)).await?;
//!
//!     let greeted = server.accept().await?;
//!     greeted.write_all(b"Thank you for connecting").await?;
//!     greeted.close(Duration::from_secs(1)).await?;
//!
//!     let mut text = [0; 1024];
//!     let length = client.read(&mut text).await?;
//!     assert_eq!(&text[..length], b"Thank you for connecting");
//!     assert_eq!(client.read(&mut text).await?, 0);
//!     # Ok(())
//! })
//! # }
//! ```

mod address;
mod datagram;
mod endpoint;
mod error;
mod limits;
mod listen;
mod peer;
mod predictor;
mod socket;
mod stream;

pub use datagram::DatagramSocket;
pub use datagram::batch::{Datagram, DatagramBatch};
pub use datagram::multicast::{MulticastGroup, MulticastGroupError};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{BindError, ConnectError};
pub use limits::{max_open_files, raise_open_file_limit};
pub use listen::ListeningSocket;
pub use listen::accept_error::{AcceptError, classify};
pub use peer::Peer;
pub(crate) use predictor::StreakPredictor;
pub use stream::Stream;
pub use stream::splice::SplicePipe;
pub(crate) use stream::writer::StreamWriter;
