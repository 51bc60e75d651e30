//! The TCP scenario through the built program: a greeting per connection.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::chat_client::connect;
use crate::support::peers::{Family, Peer, PeerAddress, SocketKind};
use crate::support::{DEADLINE, Program, directory, serial, sockactors, strace};
use rustix::net::sockopt::set_socket_linger;

const GREETING: &str = "Thank you for connecting";

/// Connects every installed peer to our server, over one family.
fn check_server_with_every_peer(family: Family) {
    let directory = directory();
    let Some(listen) = family.listen(directory.path()) else { return };
    let server = Program::server(&["--scenario", "tcp", "--listen", &listen]);
    let at = PeerAddress::parse(server.endpoint());
    for peer in Peer::all() {
        let mut client = peer.client("tcp", SocketKind::Stream, &at);
        let ended = Program::start(&mut client).wait().with_code(0);
        // The lecture's client prints what it read with a newline; the others copy the bytes.
        let newline = if peer == Peer::Python { "\n" } else { "" };
        assert_eq!(ended.out(), format!("{GREETING}{newline}"), "{peer:?}\n{ended:?}");
        server.wait_for_line(|line| line.starts_with("Got connection from "));
    }
    server.terminate();
    let ended = server.wait().with_code(0);
    let lines =
        ended.lines().iter().filter(|line| line.starts_with("Got connection from ")).count();
    assert_eq!(lines, Peer::all().len(), "one line per connection\n{ended:?}");
}

#[test]
fn server_greets_every_peer_over_ipv4() {
    check_server_with_every_peer(Family::V4);
}

#[test]
fn server_greets_every_peer_over_ipv6() {
    check_server_with_every_peer(Family::V6);
}

#[test]
fn server_greets_every_peer_over_unix() {
    check_server_with_every_peer(Family::Unix);
}

/// Connects our client to every peer's server, over one family.
fn check_client_with_every_peer(family: Family) {
    for peer in Peer::all() {
        let directory = directory();
        let Some(at) = family.free_address(SocketKind::Stream, directory.path()) else { return };
        let mut server = peer.server("tcp", SocketKind::Stream, &at, directory.path());
        if peer != Peer::Python {
            server.write(GREETING);
            server.close_stdin();
        }
        let ended =
            sockactors(&["--scenario", "tcp", "--connect", &at.endpoint()], "").with_code(0);
        assert_eq!(ended.lines(), [GREETING], "{peer:?}\n{ended:?}");
        server.wait();
    }
}

#[test]
fn client_reads_greeting_of_every_peer_over_ipv4() {
    check_client_with_every_peer(Family::V4);
}

#[test]
fn client_reads_greeting_of_every_peer_over_ipv6() {
    check_client_with_every_peer(Family::V6);
}

#[test]
fn client_reads_greeting_of_every_peer_over_unix() {
    check_client_with_every_peer(Family::Unix);
}

#[test]
fn greeting_is_24_bytes_and_end_of_stream() {
    let server = Program::server(&["--scenario", "tcp"]);
    let mut greeted = Vec::new();
    connect(server.endpoint()).read_to_end(&mut greeted).unwrap();
    assert_eq!(greeted, b"Thank you for connecting");
    assert_eq!(greeted.len(), 24);
}

#[test]
fn server_reports_client_address() {
    let server = Program::server(&["--scenario", "tcp"]);
    let client = connect(server.endpoint());
    let port = client.local_addr().unwrap().port().to_string();
    let line = server.wait_for_line(|line| line.starts_with("Got connection from "));
    assert!(line.contains("127.0.0.1") && line.contains(&port), "{line}");
}

#[test]
fn early_sender_receives_whole_greeting() {
    let server = Program::server(&["--scenario", "tcp"]);
    for _ in 0..20 {
        let mut client = connect(server.endpoint());
        // Unread input would turn the server's close into a reset, which destroys the greeting.
        let _ = client.write_all(&[b'x'; 2000]);
        let mut greeted = Vec::new();
        client.read_to_end(&mut greeted).unwrap();
        assert_eq!(String::from_utf8_lossy(&greeted), GREETING);
    }
}

#[test]
fn sender_during_close_reads_end_of_stream() {
    if !strace::is_available() {
        return;
    }
    let server = Program::server(&["--scenario", "tcp"]);
    let place = directory();
    let log = place.path().join("log");
    let delay = ["-e", "trace=close", "-e", "inject=close:delay_enter=200000"];
    let strace = strace::attach(&server, &delay, &log);
    let mut client = connect(server.endpoint());
    let mut greeting = [0; 24];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"Thank you for connecting");
    // strace logs a call before it delays it.
    let deadline = Instant::now() + DEADLINE;
    while !fs::read_to_string(&log).unwrap_or_default().contains("close(") {
        assert!(Instant::now() < deadline, "the connection is not closed");
    }
    client.write_all(b"you are welcome").unwrap();
    assert_eq!(client.read_to_end(&mut Vec::new()).unwrap(), 0);
    strace::detach(strace);
}

#[test]
fn server_exits_after_clients_limit() {
    for clients in [1, 3] {
        let server = Program::server(&["--scenario", "tcp", "--clients", &clients.to_string()]);
        for _ in 0..clients {
            let mut greeted = String::new();
            connect(server.endpoint()).read_to_string(&mut greeted).unwrap();
            assert_eq!(greeted, GREETING);
        }
        server.wait().with_code(0);
    }
}

#[test]
fn message_flag_replaces_greeting() {
    let server = Program::server(&["--scenario", "tcp", "--message", "bonjour à tous"]);
    let mut greeted = String::new();
    connect(server.endpoint()).read_to_string(&mut greeted).unwrap();
    assert_eq!(greeted, "bonjour à tous");
}

#[test]
fn client_resets_do_not_stop_server() {
    let server = Program::server(&["--scenario", "tcp"]);
    for _ in 0..50 {
        let client = connect(server.endpoint());
        set_socket_linger(&client, Some(std::time::Duration::ZERO)).unwrap();
        drop(client);
    }
    let mut greeted = String::new();
    connect(server.endpoint()).read_to_string(&mut greeted).unwrap();
    assert_eq!(greeted, GREETING);
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn silent_server_times_out_client() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    sockactors(&["--scenario", "tcp", "--connect", &at, "--timeout", "200ms"], "").with_code(4);
}

#[test]
fn endless_greeting_ends_at_client_timeout() {
    let _serial = serial::lock();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = server.local_addr().unwrap().to_string();
    let sender = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let ended = sockactors(&["--scenario", "tcp", "--connect", &at, "--timeout", "300ms"], "");
    assert!(ended.with_code(0).out().starts_with("xx"));
    sender.join().unwrap();
}

#[test]
fn greeting_control_characters_are_escaped() {
    let evil = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = evil.local_addr().unwrap().to_string();
    let client = Program::run(&["--scenario", "tcp", "--connect", &at]);
    evil.accept().unwrap().0.write_all("red\u{1b}[31m\u{202e}\u{7}".as_bytes()).unwrap();
    let ended = client.wait().with_code(0);
    assert!(ended.out().contains("red"), "{ended:?}");
    assert!(!ended.out().contains(['\u{1b}', '\u{202e}', '\u{7}']), "{:?}", ended.out());
}

#[test]
fn server_listens_on_several_endpoints() {
    let directory = directory();
    let socket = format!("unix:{}/socket", directory.path().display());
    let server =
        Program::server(&["--scenario", "tcp", "--listen", "127.0.0.1:0", "--listen", &socket]);
    server.wait_for_error_line(|line| line.contains(&socket));
    for endpoint in [server.endpoint(), &socket] {
        let mut greeted = String::new();
        connect(endpoint).read_to_string(&mut greeted).unwrap();
        assert_eq!(greeted, GREETING);
    }
}

#[test]
fn socket_file_is_removed_at_exit_and_if_stale() {
    let directory = directory();
    let path = directory.path().join("socket");
    let listen = format!("unix:{}", path.display());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a closed listener leaves its file");
    let server = Program::server(&["--scenario", "tcp", "--listen", &listen]);
    let second = sockactors(&["--scenario", "tcp", "--listen", &listen], "");
    second.with_code(3).with_stderr(&path.display().to_string());
    server.terminate();
    server.wait().with_code(0);
    assert!(!path.exists(), "our own file is removed");
}
