//! Streams over loopback and Unix pairs.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Instant;

use futures_lite::future::{block_on, or, poll_once, zip};
use rustix::net::sockopt;

use crate::net::ListeningSocket;
use crate::net::stream::*;

const TIMEOUT: Duration = Duration::from_secs(5);

fn loopback(port: u16) -> Endpoint {
    Endpoint::Host { host: "127.0.0.1".to_owned(), port }
}

async fn connected_pair() -> (Stream, Stream) {
    let socket = ListeningSocket::bind(&loopback(0), 8).await.unwrap();
    let client = Stream::connect(socket.endpoint(), TIMEOUT).await.unwrap();
    (client, socket.accept().await.unwrap())
}

#[test]
fn greeting_arrives_before_end() {
    block_on(async {
        let (client, server) = connected_pair().await;
        server.write_all(b"Thank you for connecting").await.unwrap();
        server.close(TIMEOUT).await.unwrap();
        let mut text = [0; 1024];
        assert_eq!(client.read(&mut text).await.unwrap(), 24);
        assert_eq!(client.read(&mut text).await.unwrap(), 0);
    });
}

#[test]
fn short_exchange_never_registers_with_reactor() {
    block_on(async {
        // A Unix socket delivers within the call. TCP does so nearly always, but not reliably.
        let directory = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::Unix(directory.path().join("socket"));
        let socket = ListeningSocket::bind(&endpoint, 8).await.unwrap();
        let client = Stream::connect(&endpoint, TIMEOUT).await.unwrap();
        let server = socket.accept().await.unwrap();
        server.write_all(b"hello").await.unwrap();
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 5);
        assert!(!client.is_registered() && !server.is_registered() && !socket.is_registered());
        server.close(TIMEOUT).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert!(!client.is_registered());
    });
}

#[test]
fn futures_are_send() {
    fn assert_send(_: impl Send) {}
    let (stream, _other) = Stream::pair().unwrap();
    let endpoint = loopback(1);
    assert_send(Stream::connect(&endpoint, TIMEOUT));
    assert_send(stream.read(&mut []));
    assert_send(stream.write_all(b""));
    assert_send(ListeningSocket::bind(&endpoint, 1));
    assert_send(stream.close(TIMEOUT));
}

#[test]
fn reader_and_writer_run_concurrently() {
    block_on(async {
        let (client, server) = connected_pair().await;
        let sent: Vec<u8> = (0..8_000_000_u32).map(|n| n as u8).collect();
        let echo = async {
            let mut buf = [0; 65_536];
            while let Ok(length @ 1..) = server.read(&mut buf).await {
                server.write_all(&buf[..length]).await.unwrap();
            }
            server.shutdown_write().unwrap();
        };
        let write = async {
            client.write_all(&sent).await.unwrap();
            client.shutdown_write().unwrap();
        };
        let read = async {
            let (mut received, mut buf) = (Vec::new(), [0; 65_536]);
            while let Ok(length @ 1..) = client.read(&mut buf).await {
                received.extend_from_slice(&buf[..length]);
            }
            received
        };
        let (_, (_, received)) = zip(echo, zip(write, read)).await;
        assert!(received == sent);
    });
}

#[test]
fn dropped_read_loses_no_bytes() {
    block_on(async {
        let (client, server) = connected_pair().await;
        let mut buf = [0; 8];
        assert!(poll_once(server.read(&mut buf)).await.is_none());
        assert!(server.is_registered());
        assert_eq!(server.try_read(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        client.write_all(b"late").await.unwrap();
        server.readable().await.unwrap();
        assert_eq!(server.try_read(&mut buf).unwrap(), 4);
    });
}

#[test]
fn close_with_unread_input_ends_stream() {
    block_on(async {
        let (client, server) = connected_pair().await;
        client.write_all(b"never read").await.unwrap();
        server.readable().await.unwrap();
        let read = async {
            let mut buf = [0; 64];
            let length = client.read(&mut buf).await.unwrap();
            assert_eq!(&buf[..length], b"goodbye");
            assert_eq!(client.read(&mut buf).await.unwrap(), 0);
            drop(client);
        };
        server.write_all(b"goodbye").await.unwrap();
        let started = Instant::now();
        zip(read, server.close(TIMEOUT)).await.1.unwrap();
        assert!(started.elapsed() < TIMEOUT, "the client's shutdown ends the wait");
    });
}

#[test]
fn drop_with_unread_input_resets_connection() {
    block_on(async {
        let (client, server) = connected_pair().await;
        client.write_all(b"never read").await.unwrap();
        server.readable().await.unwrap();
        drop(server);
        assert_eq!(
            client.read(&mut [0; 64]).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
    });
}

#[test]
fn close_waits_for_peer_until_linger_timeout() {
    block_on(async {
        let (client, server) = connected_pair().await;
        client.write_all(b"and then silence").await.unwrap();
        server.readable().await.unwrap();
        let started = Instant::now();
        server.close(Duration::from_millis(30)).await.unwrap();
        assert!(started.elapsed() >= Duration::from_millis(30) && started.elapsed() < TIMEOUT);
    });
}

#[test]
fn close_stops_reading_endless_input() {
    block_on(async {
        let (client, server) = Stream::pair().unwrap();
        client.write_all(b"first").await.unwrap();
        let flood = async {
            while client.write(&[0; 4096]).await.is_ok() {}
            std::future::pending().await
        };
        let started = Instant::now();
        or(server.close(Duration::from_secs(60)), flood).await.unwrap();
        assert!(started.elapsed() < TIMEOUT);
    });
}

#[test]
fn write_to_dropped_peer_fails() {
    block_on(async {
        let (client, server) = Stream::pair().unwrap();
        drop(client);
        assert_eq!(server.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
    });
}

#[test]
fn connect_without_server_fails_with_reason() {
    block_on(async {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = Stream::connect(&loopback(free), TIMEOUT).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");

        let directory = tempfile::tempdir().unwrap();
        let missing = Endpoint::Unix(directory.path().join("missing"));
        let error = Stream::connect(&missing, TIMEOUT).await.unwrap_err();
        assert!(matches!(error, ConnectError::NotFound { .. }), "{error}");

        let unknown = Endpoint::Host { host: "x".repeat(300), port: 1 };
        let error = Stream::connect(&unknown, TIMEOUT).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unresolvable { .. }), "{error}");
    });
}

#[test]
fn connect_times_out_without_answer() {
    block_on(async {
        let socket = ListeningSocket::bind(&loopback(0), 0).await.unwrap();
        let mut streams = Vec::new();
        // The kernel queues a few connections before it ignores the next ones.
        let error = loop {
            match Stream::connect(socket.endpoint(), Duration::from_millis(50)).await {
                Ok(stream) => streams.push(stream),
                Err(error) => break error,
            }
            assert!(streams.len() < 20);
        };
        assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
        assert!(error.to_string().contains("within 50 ms"));
    });
}

#[test]
fn connect_waits_for_full_unix_queue() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::Unix(directory.path().join("socket"));
        let socket = ListeningSocket::bind(&endpoint, 0).await.unwrap();
        let _first = Stream::connect(&endpoint, TIMEOUT).await.unwrap();
        let error = Stream::connect(&endpoint, Duration::from_millis(10)).await.unwrap_err();
        assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");

        let (second, accepted) = zip(Stream::connect(&endpoint, TIMEOUT), socket.accept()).await;
        assert!(second.is_ok() && accepted.is_ok());
    });
}

#[test]
fn connect_tries_every_address_of_name() {
    block_on(async {
        // On most machines the first address of `localhost` is ::1, on which no server listens.
        let socket = ListeningSocket::bind(&loopback(0), 8).await.unwrap();
        let Endpoint::Host { port, .. } = *socket.endpoint() else { unreachable!() };
        let name = Endpoint::Host { host: "localhost".to_owned(), port };
        let (client, server) = zip(Stream::connect(&name, TIMEOUT), socket.accept()).await;
        assert!(client.is_ok() && server.is_ok());
    });
}

#[test]
fn options_reach_kernel_for_tcp_only() {
    block_on(async {
        let (client, _server) = connected_pair().await;
        let socket = client.socket_fd().unwrap();
        client.set_keepalive(Duration::from_secs(60)).unwrap();
        assert!(sockopt::socket_keepalive(socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(socket).unwrap(), Duration::from_secs(60));
        assert_eq!(sockopt::tcp_keepintvl(socket).unwrap(), Duration::from_secs(15));
        assert_eq!(sockopt::tcp_user_timeout(socket).unwrap(), 120_000, "two times idle");
        for idle in [1, 2, 3, 4, 60].map(Duration::from_secs) {
            client.set_keepalive(idle).unwrap();
            let interval = sockopt::tcp_keepintvl(socket).unwrap();
            let probes = interval * sockopt::tcp_keepcnt(socket).unwrap();
            assert_eq!(sockopt::tcp_keepidle(socket).unwrap() + probes, 2 * idle);
            let timeout = sockopt::tcp_user_timeout(socket).unwrap();
            assert_eq!(Duration::from_millis(timeout.into()), 2 * idle);
        }
        client.set_keepalive(Duration::MAX).unwrap();
        client.set_keepalive(Duration::ZERO).unwrap();
        client.set_nodelay(true).unwrap();
        assert!(sockopt::tcp_nodelay(socket).unwrap());

        let (unix, _other) = Stream::pair().unwrap();
        unix.set_keepalive(TIMEOUT).unwrap();
        unix.set_nodelay(true).unwrap();
    });
}

#[test]
fn two_readers_do_not_wake_each_other() {
    struct StreamWakeCounter(AtomicUsize);
    impl Wake for StreamWakeCounter {
        fn wake(self: Arc<StreamWakeCounter>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (ours, _theirs) = Stream::pair().unwrap();
    let wake_counter = Arc::new(StreamWakeCounter(AtomicUsize::new(0)));
    let (first, second) = (Waker::from(wake_counter.clone()), Waker::noop());
    let mut waits = [Box::pin(ours.readable()), Box::pin(ours.readable())];
    for (wait, waker) in waits.iter_mut().zip([&first, second]) {
        assert!(wait.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    assert_eq!(wake_counter.0.load(Ordering::SeqCst), 0);
}

#[test]
fn only_closed_connection_is_disconnected() {
    for (ours, theirs) in [Stream::pair().unwrap(), Stream::duplex(16)] {
        assert!(!ours.is_disconnected());
        theirs.shutdown_write().unwrap();
        assert!(!ours.is_disconnected(), "the peer still reads");
        drop(theirs);
        assert!(ours.is_disconnected());
    }
}
