//! Rooms: joining and leaving, direct messages, topics, history, rate limits.

use crate::support::Program;
use crate::support::chat_client::{LineClient, acknowledgement};

fn server() -> Program {
    Program::server(&["--scenario", "chat"])
}

#[track_caller]
fn member(server: &Program, nick: &str) -> LineClient {
    let mut line = LineClient::connect(server.endpoint());
    line.send(format!("/nick {nick}"));
    line.wait_for(|line| line.starts_with(&format!("* you are {nick} in lobby, with ")));
    line
}

/// Joins a room, and returns its welcome line.
#[track_caller]
fn join(line: &mut LineClient, room: &str) -> String {
    line.send(format!("/join {room}"));
    line.wait_for(|line| line.contains(&format!(" in {room}, with ")))
}

#[test]
fn room_delivers_to_own_members_only() {
    let server = server();
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    let mut eve = member(&server, "eve");
    assert_eq!(
        join(&mut ada, "den"),
        "* you are ada in den, with 0 others; /help lists the commands"
    );
    bob.wait_for_line("* ada left");
    eve.send("/join DEN");
    eve.wait_for_line("* you are eve in den, with 1 other; /help lists the commands");
    ada.wait_for_line("* eve joined");
    ada.send("in the den");
    assert_eq!(eve.wait_for_message("in the den"), "ada");
    bob.send("in the lobby");
    bob.wait_for_line(&acknowledgement("in the lobby"));
    eve.send("after it");
    assert_eq!(ada.wait_for_message("after it"), "eve");
    assert!(
        !ada.received().contains("lobby, but") && !ada.received().contains("bob: "),
        "{}",
        ada.received()
    );
    ada.send("/who");
    ada.wait_for_line("* in den: ada, eve");
    bob.send("/rooms");
    bob.wait_for_line("* rooms: den (2), lobby (1)");
}

#[test]
fn empty_room_is_removed_except_default() {
    let server = server();
    let mut ada = member(&server, "ada");
    join(&mut ada, "den");
    ada.send("/rooms");
    ada.wait_for_line("* rooms: den (1), lobby (0)");
    ada.send("/leave");
    ada.wait_for_line("* you left den; /join ROOM goes to another one");
    ada.send("/rooms");
    ada.wait_for_line("* rooms: lobby (0)");
    ada.send("hello?");
    ada.wait_for_line("* you are not in a room; /join ROOM enters one");
    for (line, answer) in
        [("/who", "* you are not in a room"), ("/leave", "* you are not in a room")]
    {
        ada.send(line);
        ada.wait_for(|line| line.starts_with(answer));
    }
    join(&mut ada, "lobby");
    ada.send("/join lobby");
    ada.wait_for_line("* you are already in lobby");
    ada.send("/join two words");
    ada.wait_for(|line| line.starts_with("* \"two words\" is not a valid room name: "));
}

#[test]
fn direct_message_reaches_one_member_in_any_room() {
    let server = server();
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    let mut eve = member(&server, "eve");
    join(&mut bob, "den");
    ada.send("/msg BOB come \u{1b}[31mhere");
    bob.wait_for_line("* ada tells you: come \\u{1b}[31mhere");
    ada.wait_for_line("* you tell bob: come \\u{1b}[31mhere");
    ada.send("/msg zoe hello");
    ada.wait_for_line("* there is no member named zoe");
    ada.send("the end");
    eve.wait_for_message("the end");
    assert!(!eve.received().contains("come"), "{}", eve.received());
}

#[test]
fn action_cannot_look_like_notice() {
    let server = server();
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    ada.send("/me left");
    bob.wait_for_line("** ada left");
    ada.wait_for_line(&acknowledgement("left"));
}

#[test]
fn topic_is_shown_to_joining_members() {
    let server = server();
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    ada.send("/topic");
    ada.wait_for_line("* lobby has no topic");
    ada.send("/topic tea\u{202e}, and more");
    ada.wait_for(|line| line.starts_with("* topic of lobby: tea"));
    let output = bob.wait_for(|line| line.starts_with("* ada set the topic: tea"));
    assert!(!output.contains('\u{202e}'), "{output:?}");
    let mut late = LineClient::connect(server.endpoint());
    late.send("/nick late");
    late.wait_for(|line| line.starts_with("* topic of lobby: tea"));
    ada.send(format!("/topic {}", "x".repeat(301)));
    ada.wait_for_line("* a topic has at most 300 bytes");
}

#[test]
fn history_shows_earlier_messages() {
    let server = Program::server(&["--scenario", "chat", "--history", "3"]);
    let mut ada = member(&server, "ada");
    for k in 0..5 {
        ada.send(format!("line {k}"));
    }
    ada.wait_for_line(&acknowledgement("line 4"));
    let mut bob = member(&server, "bob");
    bob.send("/history 2");
    bob.wait_for_line("* the last 2 lines:");
    // The announcement that bob joined does not count.
    bob.wait_for(|line| line.starts_with('[') && line.ends_with("] ada: line 3"));
    bob.send("/history");
    bob.wait_for_line("* the last 3 lines:");
    bob.wait_for(|line| line.ends_with("] ada: line 2"));
    bob.send("/time on");
    bob.wait_for_line("* times are shown, in UTC");
    ada.send("now");
    let line = bob.wait_for(|line| line.ends_with("] ada: now"));
    assert_eq!((line.find(':'), line.find(']')), (Some(3), Some(6)), "{line}");
}

#[test]
fn room_flag_names_default_room() {
    let server = Program::server(&["--scenario", "chat", "--room", "kitchen"]);
    let mut ada = LineClient::connect(server.endpoint());
    ada.send("hello");
    ada.wait_for(|line| line.starts_with("* you are guest1 in kitchen, with 0 others"));
}

#[test]
fn rate_limit_delays_lines_and_loses_none() {
    let server = Program::server(&["--scenario", "chat", "--rate", "20/100ms"]);
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    let paste: String = (0..60).map(|k| format!("line {k}\n")).collect();
    ada.send(paste.trim_end());
    for k in 0..60 {
        assert_eq!(bob.wait_for_message(&format!("line {k}")), "ada");
    }
    ada.wait_for_line(&acknowledgement("line 59"));
}

#[test]
fn history_of_long_lines_shows_last_ones() {
    let server = server();
    let mut ada = member(&server, "ada");
    for k in 0..20 {
        ada.send(format!("{k} {}", "x".repeat(4000)));
    }
    ada.wait_for(|line| line.starts_with(&acknowledgement("19 xxx")));
    ada.send("/history 20");
    ada.wait_for_line("* the last 8 lines (12 more do not fit):");
    ada.wait_for(|line| line.contains("] ada: 12 xxx"));
    ada.wait_for(|line| line.contains("] ada: 19 xxx"));
    // A long line does not end the list.
    ada.send("/nick short");
    let mut late = member(&server, "late");
    late.send("here");
    late.wait_for_line(&acknowledgement("here"));
    (0..9).for_each(|_| ada.send("y".repeat(4000)));
    ada.send("end");
    ada.wait_for_line(&acknowledgement("end"));
    late.send("/history 11");
    late.wait_for_line("* the last 10 lines (1 more do not fit):");
    late.wait_for(|line| line.ends_with("] late: here"));
    late.wait_for(|line| line.ends_with("] short: end"));
}

#[test]
fn slow_reader_is_told_missed_direct_messages() {
    let server = server();
    let (mut ada, mut deaf) = (member(&server, "ada"), member(&server, "deaf"));
    rustix::net::sockopt::set_socket_recv_buffer_size(&deaf.stream, 4096).unwrap();
    let text = "x".repeat(4000);
    // This exceeds the kernel's buffers of a client that does not read, and its queue.
    for _ in 0..2000 {
        ada.send(format!("/msg deaf {text}"));
        ada.wait_for(|line| {
            line.starts_with("* you tell deaf: ") || line.contains("cannot receive messages")
        });
        ada.lines.clear();
    }
    rustix::net::sockopt::set_socket_recv_buffer_size(&deaf.stream, 1 << 20).unwrap();
    let missed = deaf.wait_for(|line| line.ends_with(" private messages"));
    assert!(missed.starts_with("* you missed "), "{missed}");
}

#[test]
fn half_closed_paste_is_delivered_at_rate() {
    let server = Program::server(&["--scenario", "chat", "--rate", "20/50ms"]);
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    let paste: String = (0..60).map(|k| format!("line {k}\n")).collect();
    ada.send(paste.trim_end());
    ada.stream.shutdown(std::net::Shutdown::Write).unwrap();
    for k in 0..60 {
        assert_eq!(bob.wait_for_message(&format!("line {k}")), "ada");
    }
    bob.wait_for_line("* ada left");
}
