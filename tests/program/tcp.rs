//! The TCP scenario, through the built program: a greeting for each connection.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use crate::support::chat_client::connect;
use crate::support::peers::{Family, Peer, PeerAddress, SocketKind};
use crate::support::{DEADLINE, Program, directory, serial, sockactors, strace};
use rustix::net::sockopt::set_socket_linger;

const GREETING: &str = "Thank you for connecting";

/// Every peer that is installed connects to our server, over one family.
fn our_server_greets_every_peer(family: Family) {
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
    let told = ended.lines().iter().filter(|line| line.starts_with("Got connection from ")).count();
    assert_eq!(told, Peer::all().len(), "one line for each connection\n{ended:?}");
}

#[test]
fn our_server_greets_every_peer_over_ipv4() {
    our_server_greets_every_peer(Family::V4);
}

#[test]
fn our_server_greets_every_peer_over_ipv6() {
    our_server_greets_every_peer(Family::V6);
}

#[test]
fn our_server_greets_every_peer_over_unix_sockets() {
    our_server_greets_every_peer(Family::Unix);
}

/// Our client connects to every peer's server, over one family.
fn our_client_is_greeted_by_every_peer(family: Family) {
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
fn our_client_is_greeted_by_every_peer_over_ipv4() {
    our_client_is_greeted_by_every_peer(Family::V4);
}

#[test]
fn our_client_is_greeted_by_every_peer_over_ipv6() {
    our_client_is_greeted_by_every_peer(Family::V6);
}

#[test]
fn our_client_is_greeted_by_every_peer_over_unix_sockets() {
    our_client_is_greeted_by_every_peer(Family::Unix);
}

#[test]
fn a_greeting_is_exactly_24_bytes_and_then_the_end() {
    let server = Program::server(&["--scenario", "tcp"]);
    let mut greeted = Vec::new();
    connect(server.endpoint()).read_to_end(&mut greeted).unwrap();
    assert_eq!(greeted, b"Thank you for connecting");
    assert_eq!(greeted.len(), 24);
}

#[test]
fn the_address_of_the_client_is_told() {
    let server = Program::server(&["--scenario", "tcp"]);
    let client = connect(server.endpoint());
    let port = client.local_addr().unwrap().port().to_string();
    let line = server.wait_for_line(|line| line.starts_with("Got connection from "));
    assert!(line.contains("127.0.0.1") && line.contains(&port), "{line}");
}

#[test]
fn a_client_that_sends_first_still_gets_the_whole_greeting() {
    let server = Program::server(&["--scenario", "tcp"]);
    for _ in 0..20 {
        let mut client = connect(server.endpoint());
        // Unread input at the server's close would turn it into a reset, and destroy the greeting.
        let _ = client.write_all(&[b'x'; 2000]);
        let mut greeted = Vec::new();
        client.read_to_end(&mut greeted).unwrap();
        assert_eq!(String::from_utf8_lossy(&greeted), GREETING);
    }
}

#[test]
fn a_client_that_sends_while_the_server_closes_reads_to_the_end() {
    if !strace::is_available() {
        return;
    }
    let server = Program::server(&["--scenario", "tcp"]);
    let place = directory();
    let log = place.path().join("log");
    let late = ["-e", "trace=close", "-e", "inject=close:delay_enter=200000"];
    let strace = strace::attach(&server, &late, &log);
    let mut client = connect(server.endpoint());
    let mut greeting = [0; 24];
    client.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"Thank you for connecting");
    // strace tells of a call when it holds it back.
    let until = Instant::now() + DEADLINE;
    while !fs::read_to_string(&log).unwrap_or_default().contains("close(") {
        assert!(Instant::now() < until, "nothing is closed");
    }
    client.write_all(b"you are welcome").unwrap();
    assert_eq!(client.read_to_end(&mut Vec::new()).unwrap(), 0);
    strace::detach(strace);
}

#[test]
fn the_server_ends_after_as_many_clients_as_it_was_told() {
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
fn a_message_of_ones_own_replaces_the_greeting() {
    let server = Program::server(&["--scenario", "tcp", "--message", "bonjour à tous"]);
    let mut greeted = String::new();
    connect(server.endpoint()).read_to_string(&mut greeted).unwrap();
    assert_eq!(greeted, "bonjour à tous");
}

#[test]
fn a_client_that_resets_leaves_the_server_serving() {
    let server = Program::server(&["--scenario", "tcp"]);
    for _ in 0..50 {
        let rude = connect(server.endpoint());
        set_socket_linger(&rude, Some(std::time::Duration::ZERO)).unwrap();
        drop(rude);
    }
    let mut greeted = String::new();
    connect(server.endpoint()).read_to_string(&mut greeted).unwrap();
    assert_eq!(greeted, GREETING);
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn a_silent_server_makes_the_client_time_out() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    sockactors(&["--scenario", "tcp", "--connect", &at, "--timeout", "200ms"], "").with_code(4);
}

#[test]
fn a_server_that_never_stops_talking_keeps_the_client_no_longer_than_it_may() {
    let _alone = serial::lock();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = server.local_addr().unwrap().to_string();
    let talks = std::thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        while stream.write_all(b"x").is_ok() {
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let ended = sockactors(&["--scenario", "tcp", "--connect", &at, "--timeout", "300ms"], "");
    assert!(ended.with_code(0).out().starts_with("xx"));
    talks.join().unwrap();
}

#[test]
fn control_characters_of_a_server_never_reach_the_terminal_raw() {
    let evil = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = evil.local_addr().unwrap().to_string();
    let client = Program::run(&["--scenario", "tcp", "--connect", &at]);
    evil.accept().unwrap().0.write_all("red\u{1b}[31m\u{202e}\u{7}".as_bytes()).unwrap();
    let ended = client.wait().with_code(0);
    assert!(ended.out().contains("red"), "{ended:?}");
    assert!(!ended.out().contains(['\u{1b}', '\u{202e}', '\u{7}']), "{:?}", ended.out());
}

#[test]
fn one_server_listens_at_several_endpoints() {
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
fn a_socket_file_is_removed_at_the_end_and_a_stale_one_at_the_start() {
    let directory = directory();
    let path = directory.path().join("socket");
    let listen = format!("unix:{}", path.display());
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a listener that is gone leaves its file");
    let server = Program::server(&["--scenario", "tcp", "--listen", &listen]);
    let second = sockactors(&["--scenario", "tcp", "--listen", &listen], "");
    second.with_code(3).with_stderr(&path.display().to_string());
    server.terminate();
    server.wait().with_code(0);
    assert!(!path.exists(), "our own file is removed");
}
