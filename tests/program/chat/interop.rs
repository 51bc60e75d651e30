//! The chat scenario with third-party programs, in both directions.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::RwLock;

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::peers::{Family, Peer, PeerAddress, SocketKind};
use crate::support::{DEADLINE, Program, directory, serial, sockactors};

/// Our client detects a lecture server by its response time, so nothing else runs beside one.
static ALONE: RwLock<()> = RwLock::new(());

/// Connects every installed peer to one room, over one family. Each must receive the others'
/// messages.
fn every_peer_chats_with_our_server(family: Family) {
    let _turn = ALONE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let directory = directory();
    let Some(listen) = family.listen(directory.path()) else { return };
    let server = Program::server(&["--scenario", "chat", "--listen", &listen]);
    let at = PeerAddress::parse(server.endpoint());
    let mut witness = LineClient::joined(server.endpoint());
    let mut members = Vec::new();
    for peer in Peer::all() {
        let mut client = Program::start(&mut peer.client("chat", SocketKind::Stream, &at));
        let words = format!("hello from {peer:?}");
        client.write(format!("{words}\n"));
        if peer == Peer::Python {
            client.wait_for(&format!("Server response: {}\n", acknowledgement(&words)));
        } else {
            client.wait_for_line(|line| line == acknowledgement(&words));
        }
        witness.wait_for_message(&words);
        members.push((peer, client));
    }
    witness.send("hello, all of you");
    for (peer, client) in &mut members {
        if *peer == Peer::Python {
            // A lecture session receives its acknowledgements and nothing else.
            client.write("once more\n");
            client.wait_for(&format!("Server response: {}\n", acknowledgement("once more")));
            assert!(!String::from_utf8_lossy(&client.stdout()).contains("hello, all"));
        } else {
            client.wait_for_line(|line| line.ends_with(": hello, all of you"));
        }
    }
    witness.wait_for_message("once more");
    let netcats = [Peer::Ncat, Peer::Netcat];
    for (peer, client) in members.iter().filter(|(peer, _)| netcats.contains(peer)) {
        let text = String::from_utf8_lossy(&client.stdout()).into_owned();
        let later = if *peer == Peer::Ncat { "hello from Netcat" } else { "hello from Socat" };
        let wanted = Peer::all().len() < 4 || text.lines().any(|line| line.ends_with(later));
        assert!(wanted, "{peer:?} did not receive {later:?}\n{text}");
    }
}

#[test]
fn server_chats_with_every_peer_over_ipv4() {
    every_peer_chats_with_our_server(Family::V4);
}

#[test]
fn server_chats_with_every_peer_over_ipv6() {
    every_peer_chats_with_our_server(Family::V6);
}

#[test]
fn server_chats_with_every_peer_over_unix() {
    every_peer_chats_with_our_server(Family::Unix);
}

/// Connects our client to every peer's server, over one family.
fn our_client_chats_with_every_peer(family: Family) {
    let _turn = ALONE.write().unwrap_or_else(|poisoned| poisoned.into_inner());
    for peer in Peer::all() {
        let directory = directory();
        let Some(at) = family.free_address(SocketKind::Stream, directory.path()) else { return };
        let mut server = peer.server("chat", SocketKind::Stream, &at, directory.path());
        let mut client = Program::run(&["--scenario", "chat", "--connect", &at.endpoint()]);
        client.write("good morning\n");
        if peer == Peer::Python {
            server.wait_for_line(|line| line == "Received message: good morning");
        } else {
            server.wait_for("good morning");
            server.write(acknowledgement("good morning"));
        }
        let line = format!("Server response: {}", acknowledgement("good morning"));
        client.wait_for_line(|said| said == line);
        client.write("good night\n");
        server.wait_for("good night");
        if peer == Peer::Python {
            server.wait_for_line(|line| line == "Received message: good night");
        } else {
            assert_eq!(
                String::from_utf8_lossy(&server.stdout()),
                "good morninggood night",
                "{peer:?}"
            );
            server.write(acknowledgement("good night"));
        }
        let line = format!("Server response: {}", acknowledgement("good night"));
        client.wait_for_line(|said| said == line);
        client.wait().with_code(0);
    }
}

#[test]
fn client_chats_with_every_peer_over_ipv4() {
    let _serial = serial::lock();
    our_client_chats_with_every_peer(Family::V4);
}

#[test]
fn client_chats_with_every_peer_over_ipv6() {
    let _serial = serial::lock();
    our_client_chats_with_every_peer(Family::V6);
}

#[test]
fn client_chats_with_every_peer_over_unix() {
    let _serial = serial::lock();
    our_client_chats_with_every_peer(Family::Unix);
}

#[test]
fn lecture_client_is_acknowledged_per_chunk() {
    let _turn = ALONE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let server = Program::server(&["--scenario", "chat"]);
    let mut witness = LineClient::joined(server.endpoint());
    let mut lecture = connect(server.endpoint());
    for text in ["hello", "a", "grüß dich", "two\nlines", &"long ".repeat(100)] {
        lecture.write_all(text.as_bytes()).unwrap();
        let expected = acknowledgement(text);
        let mut answer = vec![0; expected.len()];
        lecture.read_exact(&mut answer).unwrap();
        assert_eq!(String::from_utf8_lossy(&answer), expected);
        if !text.contains('\n') {
            let name = witness.wait_for_message(text.trim_end());
            assert!(name.starts_with("guest"), "{name:?}");
        }
    }
    witness.send("nothing for you");
    witness.wait_for_line(&acknowledgement("nothing for you"));
    lecture.shutdown(std::net::Shutdown::Write).unwrap();
    let mut rest = Vec::new();
    lecture.read_to_end(&mut rest).unwrap();
    assert_eq!(String::from_utf8_lossy(&rest), "", "more than one reply per chunk");
}

#[test]
fn client_joins_room_of_own_server() {
    let _turn = ALONE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let server = Program::server(&["--scenario", "chat"]);
    let mut ann = LineClient::joined(server.endpoint());
    let mut client = Program::run(&["--scenario", "chat", "--connect", server.endpoint()]);
    client.write("hello from ours\n");
    ann.wait_for_message("hello from ours");
    ann.send("hello from netcat");
    client.wait_for_line(|line| line.ends_with(": hello from netcat"));
    client.write("and a second line\n");
    ann.wait_for_message("and a second line");
    let ended = client.wait().with_code(0);
    ann.wait_for(|line| line.contains("left"));
    let lines = ended.lines();
    let own = lines.iter().filter(|line| line.ends_with("hello from ours")).count();
    assert!(own <= 2, "{ended:?}");
}

#[test]
fn client_sends_piped_input_completely() {
    let _turn = ALONE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let server = Program::server(&["--scenario", "chat"]);
    let mut ann = LineClient::joined(server.endpoint());
    let lines = "one\ntwo\nthree, without an end";
    sockactors(&["--scenario", "chat", "--connect", server.endpoint()], lines).with_code(0);
    for line in lines.lines() {
        ann.wait_for_message(line);
    }
}

#[test]
fn nick_flag_sets_nick() {
    let _turn = ALONE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let server = Program::server(&["--scenario", "chat"]);
    let mut ann = LineClient::joined(server.endpoint());
    let args = ["--scenario", "chat", "--nick", "zoe", "--connect", server.endpoint()];
    let mut client = Program::run(&args);
    client.write("hello\n");
    assert_eq!(ann.wait_for_message("hello"), "zoe");
}

#[test]
fn client_exits_when_server_closes() {
    let _turn = ALONE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let mut client = Program::run(&["--scenario", "chat", "--connect", &at]);
    let (mut peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(DEADLINE)).unwrap();
    client.write("hello\n");
    let mut said = [0; 5];
    peer.read_exact(&mut said).unwrap();
    assert_eq!(&said, b"hello");
    drop((peer, listener));
    let ended = client.wait_while_stdin_is_open(DEADLINE);
    assert!(!ended.err().contains("panicked"), "{ended:?}");
}

#[test]
fn client_escapes_control_characters() {
    let _turn = ALONE.read().unwrap_or_else(|poisoned| poisoned.into_inner());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let mut client = Program::run(&["--scenario", "chat", "--connect", &at]);
    client.write("hello\n");
    let (mut peer, _) = listener.accept().unwrap();
    peer.read_exact(&mut [0; 5]).unwrap();
    peer.write_all("red\u{1b}[31m\u{202e}\u{7}".as_bytes()).unwrap();
    client.wait_for("red");
    drop(peer);
    let ended = client.wait();
    assert!(!ended.out().contains(['\u{1b}', '\u{202e}', '\u{7}']), "{:?}", ended.out());
}
