//! Listening sockets on loopback addresses and Unix paths.

use std::future::Future;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_lite::future::{self, block_on, poll_once, zip};
use rustix::net::{AddressFamily, sockopt};

use crate::net::listen::*;

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

/// Runs a test with the path of a socket in a temporary directory.
fn with_path<F: Future>(test: impl FnOnce(PathBuf) -> F) -> F::Output {
    let directory = tempfile::tempdir().unwrap();
    block_on(test(directory.path().join("socket")))
}

fn create_stale_socket(path: &Path) {
    drop(UnixListener::bind(path).unwrap());
    assert!(path.exists());
}

/// Returns whether this machine has IPv6. Some containers do not.
fn has_ipv6() -> bool {
    std::net::UdpSocket::bind("[::1]:0").is_ok()
}

#[test]
fn accepted_connection_transfers_data() {
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
fn endpoint_has_actual_port() {
    let socket = bind(&endpoint("localhost:0")).unwrap();
    let Endpoint::Host { host, port } = socket.endpoint() else {
        panic!("{:?}", socket.endpoint())
    };
    assert!(host.parse::<std::net::IpAddr>().unwrap().is_loopback());
    assert_ne!(*port, 0);
}

#[test]
fn any_endpoint_accepts_both_families() {
    block_on(async {
        let socket = bind(&Endpoint::Any(0)).unwrap();
        let Endpoint::Any(port) = *socket.endpoint() else { panic!("{:?}", socket.endpoint()) };
        for host in ["127.0.0.1", "[::1]"] {
            if host.starts_with('[') && !has_ipv6() {
                continue;
            }
            let target = endpoint(&format!("{host}:{port}"));
            let (client, server) = zip(Stream::connect(&target, TIMEOUT), socket.accept()).await;
            assert!(client.is_ok());
            assert!(server.unwrap().peer().to_string().starts_with(&format!("{host}:")));
        }
    });
}

#[test]
fn bind_to_used_port_fails() {
    let first = bind(&endpoint("127.0.0.1:0")).unwrap();
    assert!(matches!(bind(first.endpoint()), Err(BindError::InUse { .. })));
    let wide = bind(&Endpoint::Any(0)).unwrap();
    assert!(matches!(bind(wide.endpoint()), Err(BindError::InUse { .. })));
}

#[test]
fn port_is_free_right_after_close() {
    block_on(async {
        let socket = bind(&endpoint("127.0.0.1:0")).unwrap();
        let endpoint = socket.endpoint().clone();
        let (client, server) = connected_pair(&socket).await;
        // The side that closes first has the port in TIME_WAIT.
        server.close(TIMEOUT).await.unwrap();
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        drop((client, socket));
        assert!(bind(&endpoint).is_ok());
    });
}

#[test]
fn foreign_address_and_unknown_name_are_distinguished() {
    assert!(matches!(bind(&endpoint("192.0.2.1:0")), Err(BindError::NotAvailable { .. })));
    let unknown = endpoint(&format!("{}:0", "x".repeat(300)));
    assert!(matches!(bind(&unknown), Err(BindError::Unresolvable { .. })));
}

#[test]
fn unix_connection_has_peer_addresses() {
    with_path(|path| async move {
        let socket = bind(&Endpoint::Unix(path.clone())).unwrap();
        let (client, server) = connected_pair(&socket).await;
        assert_eq!(server.peer().to_string(), "unix:(unnamed)");
        assert_eq!(client.peer().to_string(), format!("unix:{}", path.display()));
    });
}

#[test]
fn abstract_name_is_bound_without_file() {
    let name = format!("unix:@sockactors-test-{}", std::process::id());
    let socket = bind(&endpoint(&name)).unwrap();
    let (client, _) = block_on(connected_pair(&socket));
    assert_eq!(client.peer().to_string(), name);
    assert!(matches!(bind(&endpoint(&name)), Err(BindError::InUse { .. })));
}

#[test]
fn stale_socket_file_is_replaced() {
    with_path(|path| async move {
        create_stale_socket(&path);
        let socket = bind(&Endpoint::Unix(path)).unwrap();
        connected_pair(&socket).await;
    });
}

#[test]
fn live_socket_file_is_kept() {
    with_path(|path| async move {
        let live = UnixListener::bind(&path).unwrap();
        assert!(matches!(bind(&Endpoint::Unix(path.clone())), Err(BindError::SocketInUse { .. })));
        assert!(UnixStream::connect(&path).is_ok());
        drop(live);
    });
}

#[test]
fn other_file_is_kept() {
    with_path(|path| async move {
        std::fs::write(&path, "precious").unwrap();
        assert!(matches!(bind(&Endpoint::Unix(path.clone())), Err(BindError::NotASocket { .. })));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    });
}

#[test]
fn drop_removes_only_own_socket_file() {
    with_path(|path| async move {
        drop(bind(&Endpoint::Unix(path.clone())).unwrap());
        assert!(!path.exists());

        let ours = bind(&Endpoint::Unix(path.clone())).unwrap();
        // A rename keeps the inode in use, so the other file cannot get the same one.
        std::fs::rename(&path, path.with_extension("old")).unwrap();
        let theirs = UnixListener::bind(&path).unwrap();
        drop(ours);
        assert!(UnixStream::connect(&path).is_ok());
        drop(theirs);
    });
}

#[test]
fn impossible_path_error_names_reason() {
    with_path(|path| async move {
        let no_directory = Endpoint::Unix(path.join("socket"));
        assert!(matches!(bind(&no_directory), Err(BindError::NoDirectory { .. })));
        let long = Endpoint::Unix(path.with_file_name("x".repeat(108)));
        assert!(matches!(bind(&long), Err(BindError::PathTooLong { length, .. }) if length > 108));
    });
}

#[test]
fn peer_with_longest_path_is_accepted() {
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
fn socket_is_readable_while_connections_wait() {
    block_on(async {
        let socket = bind(&endpoint("127.0.0.1:0")).unwrap();
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(Stream::connect(socket.endpoint(), TIMEOUT).await.unwrap());
        }
        for _ in 0..3 {
            // The queue is not empty, so the next wait returns without a failed `accept` before it.
            let readable = future::or(async { Some(socket.readable().await) }, async {
                smol::Timer::after(TIMEOUT).await;
                None
            });
            readable.await.expect("a connection waits").unwrap();
            socket.try_accept().unwrap();
        }
        assert!(poll_once(socket.readable()).await.is_none());
        assert_eq!(socket.try_accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    });
}

#[test]
fn dropped_accept_loses_no_connection() {
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
fn reset_connection_is_accepted_with_peer() {
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
fn resume_fails_while_port_is_taken() {
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
fn stopped_socket_refuses_until_resumed() {
    for endpoint in ["127.0.0.1:0", "[::1]:0"] {
        let endpoint: Endpoint = endpoint.parse().unwrap();
        smol::block_on(async {
            let socket = ListeningSocket::bind(&endpoint, 8).await.unwrap();
            socket.resume_listening().unwrap();
            socket.stop_listening().unwrap();
            let refused = Stream::connect(socket.endpoint(), TIMEOUT).await.unwrap_err();
            assert!(matches!(refused, crate::net::ConnectError::Refused { .. }), "{refused}");
            socket.resume_listening().unwrap();
            let client = Stream::connect(socket.endpoint(), TIMEOUT).await.unwrap();
            client.write_all(b"x").await.unwrap();
            let server = socket.accept().await.unwrap();
            assert_eq!(server.read(&mut [0; 4]).await.unwrap(), 1);
        });
    }
}

#[test]
fn failed_bind_keeps_socket_from_listening() {
    assert!(check_rebind(Ok(())).is_ok() && check_rebind(Err(Errno::INVAL)).is_ok());
    for errno in [Errno::ADDRINUSE, Errno::ADDRNOTAVAIL, Errno::ACCESS, Errno::NOBUFS] {
        assert!(check_rebind(Err(errno)).is_err(), "{errno}");
    }
}
