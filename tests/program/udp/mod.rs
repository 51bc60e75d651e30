//! The UDP scenario through the built program: a reply per datagram.

// Replies to datagrams whose sender may be forged.
mod reply_policy;

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use crate::support::peers::{Family, Peer, PeerAddress, SocketKind};
use crate::support::{DEADLINE, Program, directory, serial, sockactors};

const REQUEST: &str = "Hello UDP Server";
const REPLY: &str = "Hello UDP Client";

/// Sends a request from every installed peer to our server, over one family.
fn check_server_with_every_peer(family: Family) {
    let directory = directory();
    let Some(listen) = family.listen(directory.path()) else { return };
    let server = Program::server(&["--scenario", "udp", "--listen", &listen]);
    let at = PeerAddress::parse(server.endpoint());
    for peer in Peer::all() {
        let mut client = Program::start(&mut peer.client("udp", SocketKind::Datagram, &at));
        if peer == Peer::Python {
            client.wait_for("Message from Server \"Hello UDP Client\"\n");
        } else {
            client.write(REQUEST);
            client.wait_for(REPLY);
            assert_eq!(String::from_utf8_lossy(&client.stdout()), REPLY, "{peer:?}");
        }
    }
    server.terminate();
    let ended = server.wait().with_code(0);
    let count = |prefix: &str| ended.lines().iter().filter(|line| line.starts_with(prefix)).count();
    assert_eq!(count("Message from Client: Hello UDP Server"), Peer::all().len(), "{ended:?}");
    assert_eq!(count("Client IP Address: "), Peer::all().len(), "{ended:?}");
}

#[test]
fn server_answers_every_peer_over_ipv4() {
    check_server_with_every_peer(Family::V4);
}

#[test]
fn server_answers_every_peer_over_ipv6() {
    check_server_with_every_peer(Family::V6);
}

#[test]
fn server_answers_every_peer_over_unix() {
    check_server_with_every_peer(Family::Unix);
}

/// Sends a request from our client to every peer's server, over one family.
fn check_client_with_every_peer(family: Family) {
    for peer in Peer::all() {
        let directory = directory();
        let Some(at) = family.free_address(SocketKind::Datagram, directory.path()) else { return };
        let mut server = peer.server("udp", SocketKind::Datagram, &at, directory.path());
        let client = Program::run(&["--scenario", "udp", "--connect", &at.endpoint()]);
        server.wait_for(REQUEST);
        if peer != Peer::Python {
            assert_eq!(String::from_utf8_lossy(&server.stdout()), REQUEST, "{peer:?}");
            server.write(REPLY);
        }
        let ended = client.wait().with_code(0);
        let line = "Message from Server \"Hello UDP Client\"";
        assert!(ended.lines().iter().any(|text| text == line), "{peer:?}\n{ended:?}");
    }
}

#[test]
fn client_reads_reply_of_every_peer_over_ipv4() {
    check_client_with_every_peer(Family::V4);
}

#[test]
fn client_reads_reply_of_every_peer_over_ipv6() {
    check_client_with_every_peer(Family::V6);
}

#[test]
fn client_reads_reply_of_every_peer_over_unix() {
    check_client_with_every_peer(Family::Unix);
}

/// Opens a socket connected to the server.
fn socket(server: &Program) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect(server.endpoint()).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> String {
    let mut buffer = [0; 2048];
    let n = socket.recv(&mut buffer).expect("a reply");
    String::from_utf8_lossy(&buffer[..n]).into_owned()
}

#[test]
fn empty_and_one_byte_datagrams_are_answered() {
    let server = Program::server(&["--scenario", "udp"]);
    let socket = socket(&server);
    for datagram in [&b""[..], b"x", b"\0", b"\xff", &[b'y'; 1400]] {
        socket.send(datagram).unwrap();
        assert_eq!(receive(&socket), REPLY, "to {} bytes", datagram.len());
    }
}

#[test]
fn own_reply_text_is_not_answered() {
    let server = Program::server(&["--scenario", "udp"]);
    let first = socket(&server);
    first.send(REPLY.as_bytes()).unwrap();
    first.send(b"a request").unwrap();
    assert_eq!(receive(&first), REPLY);
    // The server reads in order, so a reply to the first datagram would have arrived by now.
    first.set_nonblocking(true).unwrap();
    assert!(first.recv(&mut [0; 64]).is_err(), "a second reply arrived");
}

#[test]
fn custom_reply_text_is_not_answered() {
    let server = Program::server(&["--scenario", "udp", "--message", "pong"]);
    let socket = socket(&server);
    socket.send(b"pong").unwrap();
    socket.send(REQUEST.as_bytes()).unwrap();
    assert_eq!(receive(&socket), "pong");
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 64]).is_err(), "a second reply arrived");
}

#[test]
fn truncated_request_with_reply_prefix_is_answered() {
    let server = Program::server(&["--scenario", "udp", "--buffer-size", "1"]);
    let socket = socket(&server);
    socket.send(REQUEST.as_bytes()).unwrap();
    assert_eq!(receive(&socket), REPLY);
    server.wait_for_line(|line| line == "Message from Client: H");
    server.wait_for_error_line(|line| line.contains("16 bytes"));
}

#[test]
fn truncated_reply_text_is_not_answered() {
    let server = Program::server(&["--scenario", "udp", "--buffer-size", "8"]);
    let (other, client_socket) = (socket(&server), socket(&server));
    other.send(REPLY.as_bytes()).unwrap();
    client_socket.send(b"a request that is truncated").unwrap();
    assert_eq!(receive(&client_socket), REPLY);
    // The server replies in order, so a reply to the other socket would have arrived by now.
    other.set_nonblocking(true).unwrap();
    assert!(other.recv(&mut [0; 64]).is_err(), "the server's own reply text was answered");
    client_socket.set_nonblocking(true).unwrap();
    assert!(client_socket.recv(&mut [0; 64]).is_err(), "a second reply arrived");
}

#[test]
fn unanswered_datagram_is_not_a_client() {
    let server = Program::server(&["--scenario", "udp", "--clients", "1"]);
    let (other, client_socket) = (socket(&server), socket(&server));
    other.send(REPLY.as_bytes()).unwrap();
    client_socket.send(REQUEST.as_bytes()).unwrap();
    assert_eq!(receive(&client_socket), REPLY);
    server.wait().with_code(0);
}

#[test]
fn late_reply_does_not_answer_next_request() {
    let _serial = serial::lock();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    let at = server.local_addr().unwrap().to_string();
    let mut args = vec!["--scenario", "udp", "--connect", &at, "--count", "3"];
    args.extend(["--timeout", "500ms", "--interval", "500ms"]);
    let client = Program::run(&args);
    // The kernel does not restart a read with a timeout after a signal.
    let next = || loop {
        match server.recv_from(&mut [0; 64]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => break received.expect("a request").1,
        }
    };
    next();
    // The first two replies arrive together, and the third request is not answered.
    let peer = next();
    server.send_to(b"to the first", peer).unwrap();
    server.send_to(b"to the second", peer).unwrap();
    next();
    let ended = client.wait().with_code(4);
    assert!(ended.out().contains("3 sent, 1 received"), "{ended:?}");
}

#[test]
fn truncated_datagram_is_answered_once() {
    let server = Program::server(&["--scenario", "udp", "--buffer-size", "10"]);
    let socket = socket(&server);
    socket.send(b"0123456789abcdef").unwrap();
    assert_eq!(receive(&socket), REPLY);
    let line = server.wait_for_line(|line| line.starts_with("Message from Client: "));
    assert!(line.contains("0123456789") && !line.contains("abc"), "{line}");
}

#[test]
fn server_reports_client_address() {
    let server = Program::server(&["--scenario", "udp"]);
    let socket = socket(&server);
    let port = socket.local_addr().unwrap().port().to_string();
    socket.send(REQUEST.as_bytes()).unwrap();
    server.wait_for_line(|line| line == "Message from Client: Hello UDP Server");
    let line = server.wait_for_line(|line| line.starts_with("Client IP Address: "));
    assert!(line.contains("127.0.0.1") && line.contains(&port), "{line}");
}

#[test]
fn datagram_control_characters_are_escaped() {
    let server = Program::server(&["--scenario", "udp"]);
    let socket = socket(&server);
    socket.send("red\u{1b}[31m\u{202e}\u{9b}\r\nClient IP Address: forged".as_bytes()).unwrap();
    receive(&socket);
    socket.send(b"bad \xff\xfe bytes").unwrap();
    server.wait_for_line(|line| line.contains("bad "));
    let text = String::from_utf8(server.stdout()).expect("stdout is UTF-8");
    assert!(text.contains("red"), "{text:?}");
    assert!(!text.contains(['\u{1b}', '\u{202e}', '\u{9b}', '\r']), "{text:?}");
    assert!(!text.contains("\nClient IP Address: forged"), "a peer forged a line: {text:?}");
}

#[test]
fn unnamed_unix_sender_does_not_stop_server() {
    let directory = directory();
    let listen = format!("unix:{}/socket", directory.path().display());
    let path = directory.path().join("socket");
    let _server = Program::server(&["--scenario", "udp", "--listen", &listen]);
    UnixDatagram::unbound().unwrap().send_to(b"unnamed", &path).unwrap();
    let named = UnixDatagram::bind(directory.path().join("own")).unwrap();
    named.set_read_timeout(Some(DEADLINE)).unwrap();
    named.send_to(b"named", &path).unwrap();
    let mut buffer = [0; 64];
    let n = named.recv(&mut buffer).expect("a reply");
    assert_eq!(&buffer[..n], REPLY.as_bytes());
}

#[test]
fn silent_server_times_out_client() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    sockactors(&["--scenario", "udp", "--connect", &at, "--timeout", "200ms"], "").with_code(4);
}

#[test]
fn client_without_server_fails() {
    let at = Family::V4.free_address(SocketKind::Datagram, "/".as_ref()).unwrap().endpoint();
    let ended = sockactors(&["--scenario", "udp", "--connect", &at, "--timeout", "200ms"], "");
    assert!([3, 4].contains(&ended.code), "{ended:?}");
    assert!(!ended.err().is_empty() && !ended.err().contains("panicked"), "{ended:?}");
}

#[test]
fn client_sends_count_requests_and_prints_summary() {
    let server = Program::server(&["--scenario", "udp"]);
    let args =
        ["--scenario", "udp", "--count", "3", "--interval", "10ms", "--connect", server.endpoint()];
    let ended = sockactors(&args, "").with_code(0);
    let line = "Message from Server \"Hello UDP Client\"";
    assert_eq!(ended.lines().iter().filter(|text| *text == line).count(), 3, "{ended:?}");
    let all = ended.out() + &ended.err();
    let sum = all.lines().find(|text| text.contains("sent") && text.contains("received"));
    assert!(sum.is_some_and(|sum| sum.matches('3').count() >= 2), "{ended:?}");
}

#[test]
fn server_exits_after_clients_limit() {
    let server = Program::server(&["--scenario", "udp", "--clients", "2"]);
    for _ in 0..2 {
        sockactors(&["--scenario", "udp", "--connect", server.endpoint()], "").with_code(0);
    }
    server.wait().with_code(0);
}

#[test]
fn message_flag_sets_request() {
    let server = Program::server(&["--scenario", "udp"]);
    let args = ["--scenario", "udp", "--message", "ça va ?", "--connect", server.endpoint()];
    sockactors(&args, "").with_code(0);
    server.wait_for_line(|line| line == "Message from Client: ça va ?");
}
