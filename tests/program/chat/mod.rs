//! The chat scenario's line sessions and rooms, through the built program.

// Rare cases.
mod edge_cases;
// The log of a room, kept over restarts.
mod history;
// Other programs as clients and servers.
mod interop;
// What operators of a server can do.
mod operators;
// The program in the background, and a terminal that disappears.
mod jobs;
// Keys, pastes and the prompt.
mod keys;
// Clients that reconnect.
mod reconnect;
// Rooms.
mod rooms;
// The chat at a terminal.
mod terminal;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::{Program, serial};
use rustix::net::sockopt::set_socket_recv_buffer_size;

fn server() -> Program {
    Program::server(&["--scenario", "chat"])
}

#[test]
fn narration_names_member_and_room() {
    let server = server();
    let mut ada = LineClient::connect(server.endpoint());
    ada.send("/nick ada");
    ada.send("/join den");
    ada.send("hello \x1b[2J");
    server.wait_for_line(|line| line == "Received message: hello \\u{1b}[2J");
    server.wait_for_line(|line| line == "ada in den: hello \\u{1b}[2J");
}

#[test]
fn members_receive_messages_with_nick() {
    let server = server();
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ben.send("salut");
    let name = ann.wait_for_message("salut");
    assert!(name.starts_with("guest"), "{name:?}");
    ann.send("good day");
    let other = ben.wait_for_message("good day");
    assert!(other.starts_with("guest") && other != name, "{other:?} and {name:?}");
    server.wait_for_line(|line| line.starts_with("Accepted connection from 127.0.0.1"));
    server.wait_for_line(|line| line == "Received message: salut");
}

#[test]
fn sender_receives_acknowledgement_only() {
    let server = server();
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ben.send("only for others");
    ben.wait_for_line(&acknowledgement("only for others"));
    ann.wait_for_message("only for others");
    // Ann's next line arrives after everything that was owed to ben for his own line.
    ann.send("the end");
    ben.wait_for_message("the end");
    assert_eq!(ben.count("only for others"), 1, "{}", ben.received());
}

#[test]
fn ack_command_switches_acknowledgements() {
    let server = server();
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ben.send("/ack off");
    ben.send("without");
    ann.wait_for_message("without");
    ben.send("/ack on");
    ben.send("with");
    ben.wait_for_line(&acknowledgement("with"));
    assert_eq!(ben.count(&acknowledgement("without")), 0, "{}", ben.received());
}

#[test]
fn nick_command_renames_member() {
    let server = server();
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ben.send("/nick benedikt");
    ben.send("it is me");
    assert_eq!(ann.wait_for_message("it is me"), "benedikt");
    assert!(
        ann.received().lines().any(|line| line.contains("benedikt") && !line.ends_with("it is me")),
        "the new name is announced\n{}",
        ann.received()
    );
}

#[test]
fn taken_nick_is_rejected() {
    let server = server();
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ann.send("/nick ann");
    ann.send("I am ann");
    assert_eq!(ben.wait_for_message("I am ann"), "ann");
    ben.send("/nick ann");
    ben.send("me too");
    assert_ne!(ann.wait_for_message("me too"), "ann");
}

#[test]
fn who_lists_members_without_silent_sessions() {
    let server = server();
    let _silent = LineClient::connect(server.endpoint());
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ann.send("/nick ann");
    ben.wait_for(|line| line.contains("ann"));
    ben.send("/nick ben");
    ann.wait_for(|line| line.contains("ben"));
    let before = ann.lines.len();
    ann.send("/who");
    ann.send("asked");
    ann.wait_for_line(&acknowledgement("asked"));
    let answer = String::from_utf8(ann.lines[before..].concat()).unwrap();
    assert!(answer.contains("ann") && answer.contains("ben"), "{answer}");
    assert!(!answer.contains("guest"), "a silent session is in no room yet: {answer}");
}

#[test]
fn help_lists_commands() {
    let server = server();
    let mut ann = LineClient::joined(server.endpoint());
    ann.send("/help");
    ann.send("asked");
    ann.wait_for_line(&acknowledgement("asked"));
    for command in ["/nick", "/who", "/ack", "/help", "/quit"] {
        assert!(ann.received().contains(command), "{command} is not in\n{}", ann.received());
    }
}

#[test]
fn unknown_command_is_not_published() {
    let server = server();
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ben.send("/nonsense now");
    ben.wait_for(|line| line.contains("/nonsense"));
    ben.send("after");
    ann.wait_for_message("after");
    assert!(!ann.received().contains("nonsense"), "{}", ann.received());
}

#[test]
fn quit_ends_session_and_is_announced() {
    let server = server();
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ben.send("/nick benedikt");
    ann.wait_for(|line| line.contains("benedikt"));
    ben.send("/quit");
    ben.read_to_end();
    ann.wait_for(|line| line.contains("benedikt") && line.contains("left"));
}

#[test]
fn joins_and_leaves_are_announced() {
    let server = server();
    let mut ann = LineClient::joined(server.endpoint());
    let ben = LineClient::joined(server.endpoint());
    ann.wait_for(|line| line.contains("guest") && line.contains("joined"));
    drop(ben);
    ann.wait_for(|line| line.contains("guest") && line.contains("left"));
}

#[test]
fn lines_may_arrive_split_or_joined() {
    let server = server();
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ben.stream.write_all(b"one\r\ntwo\nthr").unwrap();
    ann.wait_for_message("one");
    ann.wait_for_message("two");
    ben.stream.write_all(b"ee\n").unwrap();
    ann.wait_for_message("three");
}

#[test]
fn overlong_line_is_rejected_and_session_continues() {
    let server = server();
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ben.send("x".repeat(4000));
    ann.wait_for_message(&"x".repeat(4000));
    ben.wait_for_line(&acknowledgement(&"x".repeat(4000)));
    ben.send("y".repeat(5000));
    ben.wait_for(|line| {
        !line.contains("yy") && ["long", "4096", "4 KiB"].iter().any(|word| line.contains(word))
    });
    ben.send("after it");
    ben.wait_for_line(&acknowledgement("after it"));
    ann.wait_for_message("after it");
    assert!(!ann.received().contains("yy"), "a part of the line was published");
}

#[test]
fn server_escapes_control_characters() {
    let server = server();
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ben.send("/nick e\u{1b}[2Jve\u{202e}");
    ben.send(
        "red \u{1b}[31m and \u{7} and \u{9b}2J and \u{202e}evil\u{2066} \
            and \u{7f} and \u{8}\r back",
    );
    ben.send(b"not utf-8: \xff\xfe\xc3( end of it");
    ann.wait_for(|line| line.contains("red "));
    ann.wait_for(|line| line.contains("end of it"));
    ben.send("the end");
    ann.wait_for_message("the end");
    let narration = String::from_utf8(server.stdout()).expect("the narration is UTF-8");
    let received = String::from_utf8(ann.lines.concat()).expect("a member receives UTF-8");
    for (sink, text) in [("a member", received), ("the narration", narration)] {
        let raw = |c: &char| {
            (c.is_control() && *c != '\n')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}')
        };
        // A line session may end its lines as telnet does.
        let text = text.replace("\r\n", "\n");
        assert_eq!(text.chars().find(raw), None, "{sink} received it unescaped: {text:?}");
    }
}

#[test]
fn frozen_reader_delays_no_member() {
    let _serial = serial::lock();
    let server = server();
    let mut frozen = LineClient::joined(server.endpoint());
    set_socket_recv_buffer_size(&frozen.stream, 4096).unwrap();
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ben.send("/ack off");
    let filling = "z".repeat(4000);
    let mut longest = Duration::ZERO;
    // Twelve megabytes exceed the kernel's buffers of a client that does not read.
    for i in 0..3000 {
        let began = Instant::now();
        let text = format!("{i} {filling}");
        ben.send(&text);
        ann.wait_for_message(&text);
        ann.lines.clear();
        longest = longest.max(began.elapsed());
    }
    assert!(longest < Duration::from_secs(3), "one line took {longest:?}");
    // It is told what it missed, or was disconnected. A large receive buffer speeds this up.
    set_socket_recv_buffer_size(&frozen.stream, 1 << 20).unwrap();
    let output = loop {
        match frozen.next_line() {
            Ok(Some(line)) if line.contains("missed") => break true,
            Ok(Some(_)) => {}
            Ok(None) => break true,
            Err(error) => break error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    };
    assert!(output, "neither told nor disconnected");
}

#[test]
fn reset_and_silent_clients_harm_no_member() {
    let server = server();
    let mut ann = LineClient::joined(server.endpoint());
    drop(connect(server.endpoint()));
    let rude = LineClient::joined(server.endpoint());
    rustix::net::sockopt::set_socket_linger(&rude.stream, Some(Duration::ZERO)).unwrap();
    drop(rude);
    let mut ben = LineClient::joined(server.endpoint());
    ben.send("still here");
    ann.wait_for_message("still here");
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn stopping_server_closes_sessions() {
    let server = server();
    let mut ann = LineClient::joined(server.endpoint());
    server.terminate();
    ann.read_to_end();
    assert_eq!(ann.stream.read(&mut [0; 1]).unwrap_or(0), 0);
    server.wait().with_code(0);
}
