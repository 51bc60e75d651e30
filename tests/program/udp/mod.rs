//! The UDP scenario, through the built program: an answer to each datagram.

// Replies to datagrams whose sender may be forged.
mod reply_policy;

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use crate::support::peers::{Family, Peer, PeerAddress, SocketKind};
use crate::support::{DEADLINE, Program, directory, serial, sockactors};

const QUESTION: &str = "Hello UDP Server";
const ANSWER: &str = "Hello UDP Client";

/// Every peer that is installed asks our server, over one family.
fn our_server_answers_every_peer(family: Family) {
    let directory = directory();
    let Some(listen) = family.listen(directory.path()) else { return };
    let server = Program::server(&["--scenario", "udp", "--listen", &listen]);
    let at = PeerAddress::parse(server.endpoint());
    for peer in Peer::all() {
        let mut client = Program::start(&mut peer.client("udp", SocketKind::Datagram, &at));
        if peer == Peer::Python {
            client.wait_for("Message from Server \"Hello UDP Client\"\n");
        } else {
            client.write(QUESTION);
            client.wait_for(ANSWER);
            assert_eq!(String::from_utf8_lossy(&client.stdout()), ANSWER, "{peer:?}");
        }
    }
    server.terminate();
    let ended = server.wait().with_code(0);
    let told = |what: &str| ended.lines().iter().filter(|line| line.starts_with(what)).count();
    assert_eq!(told("Message from Client: Hello UDP Server"), Peer::all().len(), "{ended:?}");
    assert_eq!(told("Client IP Address: "), Peer::all().len(), "{ended:?}");
}

#[test]
fn our_server_answers_every_peer_over_ipv4() {
    our_server_answers_every_peer(Family::V4);
}

#[test]
fn our_server_answers_every_peer_over_ipv6() {
    our_server_answers_every_peer(Family::V6);
}

#[test]
fn our_server_answers_every_peer_over_unix_datagrams() {
    our_server_answers_every_peer(Family::Unix);
}

/// Our client asks every peer's server, over one family.
fn our_client_is_answered_by_every_peer(family: Family) {
    for peer in Peer::all() {
        let directory = directory();
        let Some(at) = family.free_address(SocketKind::Datagram, directory.path()) else { return };
        let mut server = peer.server("udp", SocketKind::Datagram, &at, directory.path());
        let client = Program::run(&["--scenario", "udp", "--connect", &at.endpoint()]);
        server.wait_for(QUESTION);
        if peer != Peer::Python {
            assert_eq!(String::from_utf8_lossy(&server.stdout()), QUESTION, "{peer:?}");
            server.write(ANSWER);
        }
        let ended = client.wait().with_code(0);
        let line = "Message from Server \"Hello UDP Client\"";
        assert!(ended.lines().iter().any(|said| said == line), "{peer:?}\n{ended:?}");
    }
}

#[test]
fn our_client_is_answered_by_every_peer_over_ipv4() {
    our_client_is_answered_by_every_peer(Family::V4);
}

#[test]
fn our_client_is_answered_by_every_peer_over_ipv6() {
    our_client_is_answered_by_every_peer(Family::V6);
}

#[test]
fn our_client_is_answered_by_every_peer_over_unix_datagrams() {
    our_client_is_answered_by_every_peer(Family::Unix);
}

/// A socket of the test's own that talks to the server.
fn socket(server: &Program) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect(server.endpoint()).unwrap();
    socket
}

fn receive(socket: &UdpSocket) -> String {
    let mut buffer = [0; 2048];
    let n = socket.recv(&mut buffer).expect("an answer");
    String::from_utf8_lossy(&buffer[..n]).into_owned()
}

#[test]
fn an_empty_datagram_and_a_single_byte_are_answered() {
    let server = Program::server(&["--scenario", "udp"]);
    let socket = socket(&server);
    for datagram in [&b""[..], b"x", b"\0", b"\xff", &[b'y'; 1400]] {
        socket.send(datagram).unwrap();
        assert_eq!(receive(&socket), ANSWER, "to {} bytes", datagram.len());
    }
}

#[test]
fn our_own_reply_text_is_never_answered() {
    let server = Program::server(&["--scenario", "udp"]);
    let first = socket(&server);
    first.send(ANSWER.as_bytes()).unwrap();
    first.send(b"a question").unwrap();
    assert_eq!(receive(&first), ANSWER);
    // One server reads in order: an answer to the first datagram would be here by now.
    first.set_nonblocking(true).unwrap();
    assert!(first.recv(&mut [0; 64]).is_err(), "a second answer came");
}

#[test]
fn a_reply_text_of_ones_own_is_sent_and_not_answered_either() {
    let server = Program::server(&["--scenario", "udp", "--message", "pong"]);
    let socket = socket(&server);
    socket.send(b"pong").unwrap();
    socket.send(QUESTION.as_bytes()).unwrap();
    assert_eq!(receive(&socket), "pong");
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut [0; 64]).is_err(), "a second answer came");
}

#[test]
fn a_question_that_begins_as_the_reply_does_is_answered_however_little_of_it_is_told() {
    let server = Program::server(&["--scenario", "udp", "--buffer-size", "1"]);
    let socket = socket(&server);
    socket.send(QUESTION.as_bytes()).unwrap();
    assert_eq!(receive(&socket), ANSWER);
    server.wait_for_line(|line| line == "Message from Client: H");
    server.wait_for_error_line(|line| line.contains("16 bytes"));
}

#[test]
fn a_reply_text_that_the_buffer_cuts_is_not_answered_either() {
    let server = Program::server(&["--scenario", "udp", "--buffer-size", "8"]);
    let (other, asking) = (socket(&server), socket(&server));
    other.send(ANSWER.as_bytes()).unwrap();
    asking.send(b"a question that the buffer cuts").unwrap();
    assert_eq!(receive(&asking), ANSWER);
    // One server answers in order: what it had said to the other would be here by now.
    other.set_nonblocking(true).unwrap();
    assert!(other.recv(&mut [0; 64]).is_err(), "its own words were answered");
    asking.set_nonblocking(true).unwrap();
    assert!(asking.recv(&mut [0; 64]).is_err(), "a second answer came");
}

#[test]
fn a_datagram_that_is_not_answered_is_no_client() {
    let server = Program::server(&["--scenario", "udp", "--clients", "1"]);
    let (other, asking) = (socket(&server), socket(&server));
    other.send(ANSWER.as_bytes()).unwrap();
    asking.send(QUESTION.as_bytes()).unwrap();
    assert_eq!(receive(&asking), ANSWER);
    server.wait().with_code(0);
}

#[test]
fn an_answer_that_is_left_over_is_not_taken_for_the_next_requests() {
    let _alone = serial::lock();
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    server.set_read_timeout(Some(DEADLINE)).unwrap();
    let at = server.local_addr().unwrap().to_string();
    let mut args = vec!["--scenario", "udp", "--connect", &at, "--count", "3"];
    args.extend(["--timeout", "500ms", "--interval", "500ms"]);
    let client = Program::run(&args);
    // A read with a time limit is not taken up again by the kernel after a signal.
    let next = || loop {
        match server.recv_from(&mut [0; 64]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            received => break received.expect("a request").1,
        }
    };
    next();
    // The answer to the first request comes with the one to the second, and the third is not answered.
    let peer = next();
    server.send_to(b"to the first", peer).unwrap();
    server.send_to(b"to the second", peer).unwrap();
    next();
    let ended = client.wait().with_code(4);
    assert!(ended.out().contains("3 sent, 1 received"), "{ended:?}");
}

#[test]
fn a_datagram_longer_than_the_buffer_is_answered_once() {
    let server = Program::server(&["--scenario", "udp", "--buffer-size", "10"]);
    let socket = socket(&server);
    socket.send(b"0123456789abcdef").unwrap();
    assert_eq!(receive(&socket), ANSWER);
    let line = server.wait_for_line(|line| line.starts_with("Message from Client: "));
    assert!(line.contains("0123456789") && !line.contains("abc"), "{line}");
}

#[test]
fn the_address_of_the_client_is_told() {
    let server = Program::server(&["--scenario", "udp"]);
    let socket = socket(&server);
    let port = socket.local_addr().unwrap().port().to_string();
    socket.send(QUESTION.as_bytes()).unwrap();
    server.wait_for_line(|line| line == "Message from Client: Hello UDP Server");
    let line = server.wait_for_line(|line| line.starts_with("Client IP Address: "));
    assert!(line.contains("127.0.0.1") && line.contains(&port), "{line}");
}

#[test]
fn control_characters_in_a_datagram_are_escaped() {
    let server = Program::server(&["--scenario", "udp"]);
    let socket = socket(&server);
    socket.send("red\u{1b}[31m\u{202e}\u{9b}\r\nClient IP Address: forged".as_bytes()).unwrap();
    receive(&socket);
    socket.send(b"bad \xff\xfe bytes").unwrap();
    server.wait_for_line(|line| line.contains("bad "));
    let said = String::from_utf8(server.stdout()).expect("stdout is UTF-8");
    assert!(said.contains("red"), "{said:?}");
    assert!(!said.contains(['\u{1b}', '\u{202e}', '\u{9b}', '\r']), "{said:?}");
    assert!(
        !said.contains("\nClient IP Address: forged"),
        "a peer wrote a line of its own: {said:?}"
    );
}

#[test]
fn an_unnamed_unix_socket_that_cannot_be_answered_harms_nobody() {
    let directory = directory();
    let listen = format!("unix:{}/socket", directory.path().display());
    let path = directory.path().join("socket");
    let _server = Program::server(&["--scenario", "udp", "--listen", &listen]);
    UnixDatagram::unbound().unwrap().send_to(b"nobody", &path).unwrap();
    let named = UnixDatagram::bind(directory.path().join("own")).unwrap();
    named.set_read_timeout(Some(DEADLINE)).unwrap();
    named.send_to(b"somebody", &path).unwrap();
    let mut buffer = [0; 64];
    let n = named.recv(&mut buffer).expect("an answer");
    assert_eq!(&buffer[..n], ANSWER.as_bytes());
}

#[test]
fn a_client_whose_server_is_silent_times_out() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    sockactors(&["--scenario", "udp", "--connect", &at, "--timeout", "200ms"], "").with_code(4);
}

#[test]
fn a_client_without_a_server_fails() {
    let at = Family::V4.free_address(SocketKind::Datagram, "/".as_ref()).unwrap().endpoint();
    let ended = sockactors(&["--scenario", "udp", "--connect", &at, "--timeout", "200ms"], "");
    assert!([3, 4].contains(&ended.code), "{ended:?}");
    assert!(!ended.err().is_empty() && !ended.err().contains("panicked"), "{ended:?}");
}

#[test]
fn a_client_asks_as_often_as_it_was_told_and_sums_up() {
    let server = Program::server(&["--scenario", "udp"]);
    let args =
        ["--scenario", "udp", "--count", "3", "--interval", "10ms", "--connect", server.endpoint()];
    let ended = sockactors(&args, "").with_code(0);
    let line = "Message from Server \"Hello UDP Client\"";
    assert_eq!(ended.lines().iter().filter(|said| *said == line).count(), 3, "{ended:?}");
    let all = ended.out() + &ended.err();
    let sum = all.lines().find(|said| said.contains("sent") && said.contains("received"));
    assert!(sum.is_some_and(|sum| sum.matches('3').count() >= 2), "{ended:?}");
}

#[test]
fn a_server_ends_after_as_many_clients_as_it_was_told() {
    let server = Program::server(&["--scenario", "udp", "--clients", "2"]);
    for _ in 0..2 {
        sockactors(&["--scenario", "udp", "--connect", server.endpoint()], "").with_code(0);
    }
    server.wait().with_code(0);
}

#[test]
fn a_message_of_the_clients_own_is_asked_with() {
    let server = Program::server(&["--scenario", "udp"]);
    let args = ["--scenario", "udp", "--message", "ça va ?", "--connect", server.endpoint()];
    sockactors(&args, "").with_code(0);
    server.wait_for_line(|line| line == "Message from Client: ça va ?");
}
