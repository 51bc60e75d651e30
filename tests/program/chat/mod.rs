//! The chat scenario's rooms, through the built program: what members in line sessions say and hear.

// Rare cases.
mod edge_cases;
// The log of a room, kept over restarts.
mod history;
// Other programs as clients and servers.
mod interop;
// What operators of a server can do.
mod operators;
// Clients that reconnect.
mod reconnect;
// Rooms.
mod rooms;
// The chat at a terminal.
mod terminal;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use crate::support::chat_client::{Line, connect, receipt};
use crate::support::{Program, serial};
use rustix::net::sockopt::set_socket_recv_buffer_size;

fn server() -> Program {
    Program::server(&["--scenario", "chat"])
}

#[test]
fn members_hear_each_other_by_name() {
    let server = server();
    let (mut ann, mut ben) = (Line::joined(server.endpoint()), Line::joined(server.endpoint()));
    ben.say("salut");
    let name = ann.hear_said("salut");
    assert!(name.starts_with("guest"), "{name:?}");
    ann.say("good day");
    let other = ben.hear_said("good day");
    assert!(other.starts_with("guest") && other != name, "{other:?} and {name:?}");
    server.wait_for_line(|line| line.starts_with("Accepted connection from 127.0.0.1"));
    server.wait_for_line(|line| line == "Received message: salut");
}

#[test]
fn the_sender_gets_a_receipt_and_not_its_own_line() {
    let server = server();
    let (mut ann, mut ben) = (Line::joined(server.endpoint()), Line::joined(server.endpoint()));
    ben.say("only for others");
    ben.hear_line(&receipt("only for others"));
    ann.hear_said("only for others");
    // What ann says next comes after anything that ben was owed for his own line.
    ann.say("the end");
    ben.hear_said("the end");
    assert_eq!(ben.count("only for others"), 1, "{}", ben.heard());
}

#[test]
fn receipts_can_be_switched_off_and_on() {
    let server = server();
    let (mut ann, mut ben) = (Line::joined(server.endpoint()), Line::joined(server.endpoint()));
    ben.say("/ack off");
    ben.say("without");
    ann.hear_said("without");
    ben.say("/ack on");
    ben.say("with");
    ben.hear_line(&receipt("with"));
    assert_eq!(ben.count(&receipt("without")), 0, "{}", ben.heard());
}

#[test]
fn a_member_can_change_its_name() {
    let server = server();
    let (mut ann, mut ben) = (Line::joined(server.endpoint()), Line::joined(server.endpoint()));
    ben.say("/nick benedikt");
    ben.say("it is me");
    assert_eq!(ann.hear_said("it is me"), "benedikt");
    assert!(
        ann.heard().lines().any(|line| line.contains("benedikt") && !line.ends_with("it is me")),
        "the new name is announced\n{}",
        ann.heard()
    );
}

#[test]
fn a_name_that_is_taken_is_refused() {
    let server = server();
    let (mut ann, mut ben) = (Line::joined(server.endpoint()), Line::joined(server.endpoint()));
    ann.say("/nick ann");
    ann.say("I am ann");
    assert_eq!(ben.hear_said("I am ann"), "ann");
    ben.say("/nick ann");
    ben.say("me too");
    assert_ne!(ann.hear_said("me too"), "ann");
}

#[test]
fn who_names_everybody_and_no_silent_session() {
    let server = server();
    let _silent = Line::connect(server.endpoint());
    let (mut ann, mut ben) = (Line::joined(server.endpoint()), Line::joined(server.endpoint()));
    ann.say("/nick ann");
    ben.hear(|line| line.contains("ann"));
    ben.say("/nick ben");
    ann.hear(|line| line.contains("ben"));
    let before = ann.seen.len();
    ann.say("/who");
    ann.say("asked");
    ann.hear_line(&receipt("asked"));
    let answer = String::from_utf8(ann.seen[before..].concat()).unwrap();
    assert!(answer.contains("ann") && answer.contains("ben"), "{answer}");
    assert!(!answer.contains("guest"), "a silent session is in no room yet: {answer}");
}

#[test]
fn help_names_the_commands() {
    let server = server();
    let mut ann = Line::joined(server.endpoint());
    ann.say("/help");
    ann.say("asked");
    ann.hear_line(&receipt("asked"));
    for command in ["/nick", "/who", "/ack", "/help", "/quit"] {
        assert!(ann.heard().contains(command), "{command} is not in\n{}", ann.heard());
    }
}

#[test]
fn a_command_that_does_not_exist_is_not_said_to_the_room() {
    let server = server();
    let (mut ann, mut ben) = (Line::joined(server.endpoint()), Line::joined(server.endpoint()));
    ben.say("/nonsense now");
    ben.hear(|line| line.contains("/nonsense"));
    ben.say("after");
    ann.hear_said("after");
    assert!(!ann.heard().contains("nonsense"), "{}", ann.heard());
}

#[test]
fn quit_ends_the_session_and_is_announced() {
    let server = server();
    let (mut ann, mut ben) = (Line::joined(server.endpoint()), Line::joined(server.endpoint()));
    ben.say("/nick benedikt");
    ann.hear(|line| line.contains("benedikt"));
    ben.say("/quit");
    ben.hear_end();
    ann.hear(|line| line.contains("benedikt") && line.contains("left"));
}

#[test]
fn coming_and_going_are_announced() {
    let server = server();
    let mut ann = Line::joined(server.endpoint());
    let ben = Line::joined(server.endpoint());
    ann.hear(|line| line.contains("guest") && line.contains("joined"));
    drop(ben);
    ann.hear(|line| line.contains("guest") && line.contains("left"));
}

#[test]
fn lines_may_come_in_pieces_or_many_at_once() {
    let server = server();
    let (mut ann, mut ben) = (Line::joined(server.endpoint()), Line::joined(server.endpoint()));
    ben.stream.write_all(b"one\r\ntwo\nthr").unwrap();
    ann.hear_said("one");
    ann.hear_said("two");
    ben.stream.write_all(b"ee\n").unwrap();
    ann.hear_said("three");
}

#[test]
fn a_line_that_is_too_long_is_refused_and_the_session_goes_on() {
    let server = server();
    let (mut ann, mut ben) = (Line::joined(server.endpoint()), Line::joined(server.endpoint()));
    ben.say("x".repeat(4000));
    ann.hear_said(&"x".repeat(4000));
    ben.hear_line(&receipt(&"x".repeat(4000)));
    ben.say("y".repeat(5000));
    ben.hear(|line| {
        !line.contains("yy") && ["long", "4096", "4 KiB"].iter().any(|word| line.contains(word))
    });
    ben.say("after it");
    ben.hear_line(&receipt("after it"));
    ann.hear_said("after it");
    assert!(!ann.heard().contains("yy"), "no part of the line was said");
}

#[test]
fn what_a_peer_sends_never_reaches_another_terminal_raw() {
    let server = server();
    let (mut ann, mut ben) = (Line::joined(server.endpoint()), Line::joined(server.endpoint()));
    ben.say("/nick e\u{1b}[2Jve\u{202e}");
    ben.say("red \u{1b}[31m and \u{7} and \u{9b}2J and \u{202e}evil\u{2066} and \u{7f} and \u{8}\r back");
    ben.say(b"not utf-8: \xff\xfe\xc3( end of it");
    ann.hear(|line| line.contains("red "));
    ann.hear(|line| line.contains("end of it"));
    ben.say("the end");
    ann.hear_said("the end");
    let narration = String::from_utf8(server.stdout()).expect("the narration is UTF-8");
    let heard = String::from_utf8(ann.seen.concat()).expect("what a member hears is UTF-8");
    for (sink, text) in [("a member", heard), ("the narration", narration)] {
        let raw = |c: &char| {
            (c.is_control() && *c != '\n')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
        };
        // A line session may end its lines as telnet does.
        let text = text.replace("\r\n", "\n");
        assert_eq!(text.chars().find(raw), None, "{sink} was shown it raw: {text:?}");
    }
}

#[test]
fn a_frozen_reader_delays_nobody() {
    let _alone = serial::lock();
    let server = server();
    let mut frozen = Line::joined(server.endpoint());
    set_socket_recv_buffer_size(&frozen.stream, 4096).unwrap();
    let (mut ann, mut ben) = (Line::joined(server.endpoint()), Line::joined(server.endpoint()));
    ben.say("/ack off");
    let filling = "z".repeat(4000);
    let mut longest = Duration::ZERO;
    // Twelve megabytes: more than the kernel takes for somebody who does not read.
    for i in 0..3000 {
        let began = Instant::now();
        let text = format!("{i} {filling}");
        ben.say(&text);
        ann.hear_said(&text);
        ann.seen.clear();
        longest = longest.max(began.elapsed());
    }
    assert!(longest < Duration::from_secs(3), "one line took {longest:?}");
    // It is told what it missed, or was cut; through a wide window, to get there in time.
    set_socket_recv_buffer_size(&frozen.stream, 1 << 20).unwrap();
    let told = loop {
        match frozen.next() {
            Ok(Some(line)) if line.contains("missed") => break true,
            Ok(Some(_)) => {}
            Ok(None) => break true,
            Err(error) => break error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    };
    assert!(told, "neither told nor cut");
}

#[test]
fn a_member_that_resets_and_one_that_says_nothing_harm_nobody() {
    let server = server();
    let mut ann = Line::joined(server.endpoint());
    drop(connect(server.endpoint()));
    let rude = Line::joined(server.endpoint());
    rustix::net::sockopt::set_socket_linger(&rude.stream, Some(Duration::ZERO)).unwrap();
    drop(rude);
    let mut ben = Line::joined(server.endpoint());
    ben.say("still here");
    ann.hear_said("still here");
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn a_server_that_stops_says_good_bye_by_closing() {
    let server = server();
    let mut ann = Line::joined(server.endpoint());
    server.terminate();
    ann.hear_end();
    assert_eq!(ann.stream.read(&mut [0; 1]).unwrap_or(0), 0);
    server.wait().with_code(0);
}
