//! Listening sockets over loopback and Unix paths.

use crate::net::listen::*;
use futures_lite::future::{self, block_on, poll_once, zip};
use std::future::Future;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

fn bind(endpoint: &Endpoint) -> Result<ListeningSocket, BindError> {
    block_on(ListeningSocket::bind(endpoint, 8))
}

async fn connected_pair(socket: &ListeningSocket) -> (Stream, Stream) {
    let (client, server) = zip(Stream::connect(socket.endpoint(), TIMEOUT), socket.accept()).await;
    (client.unwrap(), server.unwrap())
}

/// Runs a test that speaks through the socket, with a directory for its file.
fn with_path<F: Future>(test: impl FnOnce(PathBuf) -> F) -> F::Output {
    let directory = tempfile::tempdir().unwrap();
    block_on(test(directory.path().join("socket")))
}

fn create_stale_socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    assert!(path.exists());
}

/// Tells whether this machine has IPv6, which some containers have not.
fn has_ipv6() -> bool {
    std::net::UdpSocket::bind("[::1]:0").is_ok()
}

#[test]
fn smoke() {
    for text in ["127.0.0.1:0", "[::1]:0", "localhost:0"] {
        if text.starts_with('[') && !has_ipv6() {
            continue;
        }
        block_on(async {
            let socket = bind(&endpoint(text)).unwrap();
            let (client, server) = connected_pair(&socket).await;
            assert!(server.peer().is_loopback());
            server.write_all(b"hello").await.unwrap();
            assert_eq!(client.read(&mut [0; 9]).await.unwrap(), 5, "{text}");
        });
    }
}

#[test]
fn the_endpoint_has_the_real_port() {
    let socket = bind(&endpoint("localhost:0")).unwrap();
    let Endpoint::Host { host, port } = socket.endpoint() else {
        panic!("{:?}", socket.endpoint())
    };
    assert!(host.parse::<std::net::IpAddr>().unwrap().is_loopback());
    assert_ne!(*port, 0);
}

#[test]
fn every_interface_means_both_families() {
    block_on(async {
        let socket = bind(&Endpoint::Any(0)).unwrap();
        let Endpoint::Any(port) = *socket.endpoint() else { panic!("{:?}", socket.endpoint()) };
        for host in ["127.0.0.1", "[::1]"] {
            if host.starts_with('[') && !has_ipv6() {
                continue;
            }
            let at = endpoint(&format!("{host}:{port}"));
            let (client, server) = zip(Stream::connect(&at, TIMEOUT), socket.accept()).await;
            assert!(client.is_ok());
            assert!(server.unwrap().peer().to_string().starts_with(&format!("{host}:")));
        }
    });
}

#[test]
fn a_port_in_use_is_refused() {
    let first = bind(&endpoint("127.0.0.1:0")).unwrap();
    assert!(matches!(bind(first.endpoint()), Err(BindError::InUse { .. })));
    let wide = bind(&Endpoint::Any(0)).unwrap();
    assert!(matches!(bind(wide.endpoint()), Err(BindError::InUse { .. })));
}

#[test]
fn a_port_is_free_again_right_after_its_connections() {
    block_on(async {
        let socket = bind(&endpoint("127.0.0.1:0")).unwrap();
        let at = socket.endpoint().clone();
        let (client, server) = connected_pair(&socket).await;
        // The side that closes first keeps the port in TIME_WAIT.
        server.close(TIMEOUT).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        drop((client, socket));
        assert!(bind(&at).is_ok());
    });
}

#[test]
fn a_foreign_address_and_an_unknown_name_are_told_apart() {
    assert!(matches!(bind(&endpoint("192.0.2.1:0")), Err(BindError::NotAvailable { .. })));
    let nowhere = endpoint(&format!("{}:0", "x".repeat(300)));
    assert!(matches!(bind(&nowhere), Err(BindError::Unresolvable { .. })));
}

#[test]
fn unix_smoke() {
    with_path(|path| async move {
        let socket = bind(&Endpoint::Unix(path.clone())).unwrap();
        let (client, server) = connected_pair(&socket).await;
        assert_eq!(server.peer().to_string(), "unix:(unnamed)");
        assert_eq!(client.peer().to_string(), format!("unix:{}", path.display()));
    });
}

#[test]
fn an_abstract_name_needs_no_file() {
    let name = format!("unix:@sockactors-test-{}", std::process::id());
    let socket = bind(&endpoint(&name)).unwrap();
    let (client, _) = block_on(connected_pair(&socket));
    assert_eq!(client.peer().to_string(), name);
    assert!(matches!(bind(&endpoint(&name)), Err(BindError::InUse { .. })));
}

#[test]
fn a_stale_socket_file_is_replaced() {
    with_path(|path| async move {
        create_stale_socket(&path);
        let socket = bind(&Endpoint::Unix(path)).unwrap();
        connected_pair(&socket).await;
    });
}

#[test]
fn a_live_socket_file_is_left_alone() {
    with_path(|path| async move {
        let live = UnixListener::bind(&path).unwrap();
        assert!(matches!(bind(&Endpoint::Unix(path.clone())), Err(BindError::SocketInUse { .. })));
        assert!(UnixStream::connect(&path).is_ok());
        drop(live);
    });
}

#[test]
fn a_file_that_is_no_socket_is_left_alone() {
    with_path(|path| async move {
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&Endpoint::Unix(path.clone())), Err(BindError::NotASocket { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    });
}

#[test]
fn our_file_is_removed_on_drop_but_not_one_that_replaced_it() {
    with_path(|path| async move {
        drop(bind(&Endpoint::Unix(path.clone())).unwrap());
        assert!(!path.exists());

        let ours = bind(&Endpoint::Unix(path.clone())).unwrap();
        // Renamed rather than removed, so that the other file cannot get the same inode.
        std::fs::rename(&path, path.with_extension("old")).unwrap();
        let theirs = UnixListener::bind(&path).unwrap();
        drop(ours);
        assert!(UnixStream::connect(&path).is_ok());
        drop(theirs);
    });
}

#[test]
fn an_impossible_path_is_told_with_its_reason() {
    with_path(|path| async move {
        let inside_a_missing_one = Endpoint::Unix(path.join("socket"));
        assert!(matches!(bind(&inside_a_missing_one), Err(BindError::NoDirectory { .. })));
        let long = Endpoint::Unix(path.with_file_name("x".repeat(108)));
        assert!(matches!(bind(&long), Err(BindError::PathTooLong { length, .. }) if length > 108));
    });
}

#[test]
fn a_peer_with_the_longest_path_of_all_is_accepted() {
    with_path(|path| async move {
        let socket = bind(&Endpoint::Unix(path.clone())).unwrap();
        let stem = path.as_os_str().len() + 1;
        let longest = format!("{}-{}", path.display(), "x".repeat(108 - stem));
        let client = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
        rustix::net::bind(&client, &rustix::net::SocketAddrUnix::new(longest.as_str()).unwrap())
            .unwrap();
        rustix::net::connect(&client, &address::encode_unix(&path).unwrap()).unwrap();
        assert_eq!(socket.accept().await.unwrap().peer().to_string(), "unix:(unnamed)");
    });
}

#[test]
fn a_socket_is_readable_for_as_long_as_somebody_waits_and_not_longer() {
    block_on(async {
        let socket = bind(&endpoint("127.0.0.1:0")).unwrap();
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(Stream::connect(socket.endpoint(), TIMEOUT).await.unwrap());
        }
        for _ in 0..3 {
            // Asked again though nobody has seen that there are no more.
            let readable = future::or(async { Some(socket.readable().await) }, async {
                smol::Timer::after(TIMEOUT).await;
                None
            });
            readable.await.expect("somebody waits").unwrap();
            socket.try_accept().unwrap();
        }
        assert!(poll_once(socket.readable()).await.is_none());
        assert_eq!(socket.try_accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    });
}

#[test]
fn an_accept_that_is_dropped_loses_no_connection() {
    block_on(async {
        let socket = bind(&endpoint("127.0.0.1:0")).unwrap();
        assert!(poll_once(socket.accept()).await.is_none());
        let client = Stream::connect(socket.endpoint(), TIMEOUT).await.unwrap();
        let server = socket.accept().await.unwrap();
        client.write_all(b"x").await.unwrap();
        assert_eq!(server.read(&mut [0; 2]).await.unwrap(), 1);
    });
}

#[test]
fn a_connection_that_was_reset_is_accepted_with_its_peer() {
    block_on(async {
        let socket = bind(&endpoint("127.0.0.1:0")).unwrap();
        let client = Stream::connect(socket.endpoint(), TIMEOUT).await.unwrap();
        let port = address::local_addr(client.socket_fd().unwrap()).unwrap().port();
        sockopt::set_socket_linger(client.socket_fd().unwrap(), Some(Duration::ZERO)).unwrap();
        drop(client);
        let server = socket.accept().await.unwrap();
        assert_eq!(server.peer().to_string(), format!("127.0.0.1:{port}"));
        assert_eq!(server.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn a_door_whose_port_is_taken_meanwhile_stays_closed_until_it_is_free() {
    let socket = bind(&endpoint("127.0.0.1:0")).unwrap();
    socket.stop_listening().unwrap();
    let taken = std::net::TcpListener::bind(socket.endpoint().to_string()).unwrap();
    let error = socket.resume_listening().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
    assert!(error.to_string().contains(&socket.endpoint().to_string()), "{error}");
    drop(taken);
    socket.resume_listening().unwrap();
    block_on(Stream::connect(socket.endpoint(), TIMEOUT)).unwrap();
}

#[test]
fn a_closed_door_refuses_and_opens_again() {
    for endpoint in ["127.0.0.1:0", "[::1]:0"] {
        let endpoint: Endpoint = endpoint.parse().unwrap();
        smol::block_on(async {
            let socket = ListeningSocket::bind(&endpoint, 8).await.unwrap();
            let within = std::time::Duration::from_secs(5);
            socket.resume_listening().unwrap();
            socket.stop_listening().unwrap();
            let refused = Stream::connect(socket.endpoint(), within).await.unwrap_err();
            assert!(matches!(refused, crate::net::ConnectError::Refused { .. }), "{refused}");
            socket.resume_listening().unwrap();
            let client = Stream::connect(socket.endpoint(), within).await.unwrap();
            client.write_all(b"x").await.unwrap();
            let served = socket.accept().await.unwrap();
            assert_eq!(served.read(&mut [0; 4]).await.unwrap(), 1);
        });
    }
}
