//! Streams over loopback and Unix pairs.

use crate::net::ListeningSocket;
use crate::net::stream::*;
use futures_lite::future::{block_on, or, poll_once, zip};
use rustix::net::sockopt;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Instant;

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
fn smoke() {
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
fn a_short_exchange_never_joins_the_reactor() {
    block_on(async {
        // Over a Unix socket the kernel delivers within the call; over TCP it nearly always does.
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
fn futures_may_move_between_threads() {
    fn sendable(_: impl Send) {}
    let (stream, _other) = Stream::pair().unwrap();
    let at = loopback(1);
    sendable(Stream::connect(&at, TIMEOUT));
    sendable(stream.read(&mut []));
    sendable(stream.write_all(b""));
    sendable(ListeningSocket::bind(&at, 1));
    sendable(stream.close(TIMEOUT));
}

#[test]
fn both_halves_run_side_by_side_through_full_buffers() {
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
            let (mut heard, mut buf) = (Vec::new(), [0; 65_536]);
            while let Ok(length @ 1..) = client.read(&mut buf).await {
                heard.extend_from_slice(&buf[..length]);
            }
            heard
        };
        let (_, (_, heard)) = zip(echo, zip(write, read)).await;
        assert!(heard == sent);
    });
}

#[test]
fn a_read_that_is_dropped_loses_nothing() {
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
fn closing_with_unread_input_still_ends_the_stream_properly() {
    block_on(async {
        let (client, server) = connected_pair().await;
        client.write_all(b"nobody reads this").await.unwrap();
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
        assert!(started.elapsed() < TIMEOUT, "the end of the client's side is enough");
    });
}

#[test]
fn a_plain_drop_with_unread_input_resets_the_connection() {
    block_on(async {
        let (client, server) = connected_pair().await;
        client.write_all(b"nobody reads this").await.unwrap();
        server.readable().await.unwrap();
        drop(server);
        assert_eq!(
            client.read(&mut [0; 64]).await.unwrap_err().kind(),
            io::ErrorKind::ConnectionReset
        );
    });
}

#[test]
fn closing_waits_for_a_silent_peer_no_longer_than_told() {
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
fn closing_takes_in_no_endless_stream() {
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
fn writing_to_a_peer_that_is_gone_is_an_error() {
    block_on(async {
        let (client, server) = Stream::pair().unwrap();
        drop(client);
        assert_eq!(server.write(b"x").await.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        assert_eq!(server.read(&mut [0]).await.unwrap(), 0);
    });
}

#[test]
fn nobody_there_is_told_as_refused_or_not_found() {
    block_on(async {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let error = Stream::connect(&loopback(free), TIMEOUT).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");

        let directory = tempfile::tempdir().unwrap();
        let missing = Endpoint::Unix(directory.path().join("missing"));
        let error = Stream::connect(&missing, TIMEOUT).await.unwrap_err();
        assert!(matches!(error, ConnectError::NotFound { .. }), "{error}");

        let nowhere = Endpoint::Host { host: "x".repeat(300), port: 1 };
        let error = Stream::connect(&nowhere, TIMEOUT).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unresolvable { .. }), "{error}");
    });
}

#[test]
fn a_server_that_does_not_answer_is_told_in_time() {
    block_on(async {
        let socket = ListeningSocket::bind(&loopback(0), 0).await.unwrap();
        let mut made = Vec::new();
        // The kernel lets a few connections wait before it ignores the next ones.
        let error = loop {
            match Stream::connect(socket.endpoint(), Duration::from_millis(50)).await {
                Ok(stream) => made.push(stream),
                Err(error) => break error,
            }
            assert!(made.len() < 20);
        };
        assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
        assert!(error.to_string().contains("within 50ms"));
    });
}

#[test]
fn a_full_unix_queue_is_waited_for() {
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
fn the_second_address_of_a_name_is_tried_too() {
    block_on(async {
        // `localhost` is ::1 first on most machines, where nobody listens.
        let socket = ListeningSocket::bind(&loopback(0), 8).await.unwrap();
        let Endpoint::Host { port, .. } = *socket.endpoint() else { unreachable!() };
        let name = Endpoint::Host { host: "localhost".to_owned(), port };
        let (client, server) = zip(Stream::connect(&name, TIMEOUT), socket.accept()).await;
        assert!(client.is_ok() && server.is_ok());
    });
}

#[test]
fn options_reach_the_kernel_and_unix_ignores_them() {
    block_on(async {
        let (client, _server) = connected_pair().await;
        let socket = client.socket_fd().unwrap();
        client.set_keepalive(Duration::from_secs(60)).unwrap();
        assert!(sockopt::socket_keepalive(socket).unwrap());
        assert_eq!(sockopt::tcp_keepidle(socket).unwrap(), Duration::from_secs(60));
        assert_eq!(sockopt::tcp_keepintvl(socket).unwrap(), Duration::from_secs(15));
        assert_eq!(sockopt::tcp_user_timeout(socket).unwrap(), 120_000, "what it writes, as long");
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
fn two_who_wait_for_one_stream_leave_each_other_in_peace() {
    struct StreamWakeCounter(AtomicUsize);
    impl Wake for StreamWakeCounter {
        fn wake(self: Arc<StreamWakeCounter>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let (ours, _theirs) = Stream::pair().unwrap();
    let count = Arc::new(StreamWakeCounter(AtomicUsize::new(0)));
    let (first, second) = (Waker::from(count.clone()), Waker::noop());
    let mut waits = [Box::pin(ours.readable()), Box::pin(ours.readable())];
    for (wait, waker) in waits.iter_mut().zip([&first, second]) {
        assert!(wait.as_mut().poll(&mut Context::from_waker(waker)).is_pending());
    }
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
}
