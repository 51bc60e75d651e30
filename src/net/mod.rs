//! Sockets for servers: endpoints, listening sockets, streams, datagram sockets and limits.
//!
//! This layer handles sockets and their readiness. It uses no actors. It offers what every role
//! of a long-running server needs:
//!
//! - one [`Endpoint`] for names, addresses and Unix paths, in the form that people write
//! - errors that name the endpoint and the remedy: [`EndpointError`], [`BindError`],
//!   [`ConnectError`]
//! - files of Unix sockets that are cleaned up, unless they belong to another server
//! - a [`Stream`] that tries the system call first and registers with the reactor only if it has to
//!   wait, so that a short exchange needs no `epoll_ctl`
//! - a close that does not lose the bytes written last ([`Stream::close`])
//!
//! The futures work on any executor. In an actor, the worker thread's own reactor serves them. On
//! any other executor, smol's reactor does.
//!
//! An actor must not block its thread until a socket is ready, for example with `smol::block_on`.
//! It would wait for ever, because the reactor runs on that thread. Await the future instead, or
//! block in a [`JobQueue`](crate::JobQueue) or `smol::unblock`.
//!
//! All sockets are non-blocking and closed on exec. All methods take `&self`, so that one task can
//! read and write the same socket at the same time. An [`Arc`](std::sync::Arc) shares a socket
//! between tasks.
//!
//! # Fairness
//!
//! A method that finds its socket ready does not yield to the executor. A peer that always sends
//! more can keep a loop of reads busy for ever. Such a loop has to yield
//! ([`smol::future::yield_now`]) regularly.
//!
//! # Examples
//!
//! A server that greets one client, as in the first program of a lecture on sockets:
//!
//! ```
//! use std::time::Duration;
//!
//! use sockactors::net::{Endpoint, ListeningSocket, Stream};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! smol::block_on(async {
//!     let server = ListeningSocket::bind(&"127.0.0.1:0".parse::<Endpoint>()?, 5).await?;
//!     let client = Stream::connect(server.endpoint(), Duration::from_secs(5)).await?;
//!
//!     let accepted = server.accept().await?;
//!     accepted.write_all(b"Thank you for connecting").await?;
//!     accepted.close(Duration::from_secs(1)).await?;
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
mod bind;
mod datagram;
mod endpoint;
mod error;
mod limits;
mod listen;
mod listen_address;
mod peer;
mod predictor;
mod socket;
mod stream;

pub use bind::Bound;
pub use datagram::DatagramSocket;
pub use datagram::batch::{Datagram, DatagramBatch};
pub use datagram::multicast::{MulticastGroup, MulticastGroupError};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{BindError, ConnectError};
pub use limits::{max_open_files, memory_limit, raise_open_file_limit};
pub use listen::ListeningSocket;
pub use listen::accept_error::{AcceptError, classify};
pub use listen_address::ListenAddress;
pub use peer::Peer;
pub(crate) use predictor::StreakPredictor;
pub use stream::Stream;
pub use stream::splice::SplicePipe;
pub(crate) use stream::transport::StreamWriter;
pub(crate) use stream::write_queue::WriteQueue;
