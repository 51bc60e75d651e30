//! Rooms and what belongs to them: joining and leaving, private words, topics, history, the rate.

use crate::support::Program;
use crate::support::chat_client::{Line, receipt};

fn server() -> Program {
    Program::server(&["--scenario", "chat"])
}

#[track_caller]
fn member(server: &Program, nick: &str) -> Line {
    let mut line = Line::connect(server.endpoint());
    line.say(format!("/nick {nick}"));
    line.hear(|heard| heard.starts_with(&format!("* you are {nick} in lobby, with ")));
    line
}

/// Goes to a room and returns the greeting there.
#[track_caller]
fn join(line: &mut Line, room: &str) -> String {
    line.say(format!("/join {room}"));
    line.hear(|heard| heard.contains(&format!(" in {room}, with ")))
}

#[test]
fn a_room_hears_its_own_members_alone() {
    let server = server();
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    let mut eve = member(&server, "eve");
    assert_eq!(
        join(&mut ada, "den"),
        "* you are ada in den, with 0 others; /help lists the commands"
    );
    bob.hear_line("* ada left");
    eve.say("/join DEN");
    eve.hear_line("* you are eve in den, with 1 other; /help lists the commands");
    ada.hear_line("* eve joined");
    ada.say("in the den");
    assert_eq!(eve.hear_said("in the den"), "ada");
    bob.say("in the lobby");
    bob.hear_line(&receipt("in the lobby"));
    eve.say("after it");
    assert_eq!(ada.hear_said("after it"), "eve");
    assert!(
        !ada.heard().contains("lobby, but") && !ada.heard().contains("bob: "),
        "{}",
        ada.heard()
    );
    ada.say("/who");
    ada.hear_line("* in den: ada, eve");
    bob.say("/rooms");
    bob.hear_line("* rooms: den (2), lobby (1)");
}

#[test]
fn a_room_is_gone_with_its_last_member_and_the_first_one_stays() {
    let server = server();
    let mut ada = member(&server, "ada");
    join(&mut ada, "den");
    ada.say("/rooms");
    ada.hear_line("* rooms: den (1), lobby (0)");
    ada.say("/leave");
    ada.hear_line("* you left den; /join ROOM goes to another one");
    ada.say("/rooms");
    ada.hear_line("* rooms: lobby (0)");
    ada.say("hello?");
    ada.hear_line("* you are in no room, so nobody hears it; /join ROOM goes to one");
    for (line, answer) in [("/who", "* you are in no room"), ("/leave", "* you are in no room")] {
        ada.say(line);
        ada.hear(|heard| heard.starts_with(answer));
    }
    join(&mut ada, "lobby");
    ada.say("/join lobby");
    ada.hear_line("* you are in lobby already");
    ada.say("/join two words");
    ada.hear(|heard| heard.starts_with("* the room two words cannot be had: "));
}

#[test]
fn what_is_told_to_one_is_heard_by_nobody_else_and_in_every_room() {
    let server = server();
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    let mut eve = member(&server, "eve");
    join(&mut bob, "den");
    ada.say("/msg BOB come \u{1b}[31mhere");
    bob.hear_line("* ada tells you: come \\u{1b}[31mhere");
    ada.hear_line("* you tell bob: come \\u{1b}[31mhere");
    ada.say("/msg nobody hello");
    ada.hear_line("* there is nobody called nobody");
    ada.say("the end");
    eve.hear_said("the end");
    assert!(!eve.heard().contains("come"), "{}", eve.heard());
}

#[test]
fn what_a_member_does_is_no_notice() {
    let server = server();
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    ada.say("/me left");
    bob.hear_line("** ada left");
    ada.hear_line(&receipt("left"));
}

#[test]
fn a_topic_is_told_to_those_who_come() {
    let server = server();
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    ada.say("/topic");
    ada.hear_line("* lobby is about: whatever comes");
    ada.say("/topic tea\u{202e}, and more");
    ada.hear(|heard| heard.starts_with("* lobby is about: tea"));
    let told = bob.hear(|heard| heard.starts_with("* ada set the topic: tea"));
    assert!(!told.contains('\u{202e}'), "{told:?}");
    let mut late = Line::connect(server.endpoint());
    late.say("/nick late");
    late.hear(|heard| heard.starts_with("* lobby is about: tea"));
    ada.say(format!("/topic {}", "x".repeat(301)));
    ada.hear_line("* a topic has at most 300 bytes");
}

#[test]
fn history_shows_what_was_said_before_one_came() {
    let server = Program::server(&["--scenario", "chat", "--history", "3"]);
    let mut ada = member(&server, "ada");
    for k in 0..5 {
        ada.say(format!("line {k}"));
    }
    ada.hear_line(&receipt("line 4"));
    let mut bob = member(&server, "bob");
    bob.say("/history 2");
    bob.hear_line("* the last 2 lines:");
    // The last line is that bob joined.
    bob.hear(|heard| heard.starts_with('[') && heard.ends_with("] ada: line 4"));
    bob.say("/history");
    bob.hear_line("* the last 3 lines:");
    bob.hear(|heard| heard.ends_with("] ada: line 3"));
    bob.say("/time on");
    bob.hear_line("* the time of day is shown, in UTC");
    ada.say("now");
    let line = bob.hear(|heard| heard.ends_with("] ada: now"));
    assert_eq!((line.find(':'), line.find(']')), (Some(3), Some(6)), "{line}");
}

#[test]
fn the_first_room_has_the_name_that_it_is_given() {
    let server = Program::server(&["--scenario", "chat", "--room", "kitchen"]);
    let mut ada = Line::connect(server.endpoint());
    ada.say("hello");
    ada.hear(|heard| heard.starts_with("* you are guest1 in kitchen, with 0 others"));
}

#[test]
fn who_says_more_than_it_may_waits_and_loses_nothing() {
    let server = Program::server(&["--scenario", "chat", "--rate", "20/100ms"]);
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    let paste: String = (0..60).map(|k| format!("line {k}\n")).collect();
    ada.say(paste.trim_end());
    for k in 0..60 {
        assert_eq!(bob.hear_said(&format!("line {k}")), "ada");
    }
    ada.hear_line(&receipt("line 59"));
}

#[test]
fn a_history_of_long_lines_shows_the_last_ones() {
    let server = server();
    let mut ada = member(&server, "ada");
    for k in 0..20 {
        ada.say(format!("{k} {}", "x".repeat(4000)));
    }
    ada.hear(|heard| heard.starts_with(&receipt("19 xxx")));
    ada.say("/history 20");
    ada.hear_line("* the last 8 lines:");
    ada.hear(|heard| heard.contains("] ada: 12 xxx"));
    ada.hear(|heard| heard.contains("] ada: 19 xxx"));
}

#[test]
fn who_does_not_read_is_told_how_much_it_missed_of_what_was_for_it_alone() {
    let server = server();
    let (mut ada, mut deaf) = (member(&server, "ada"), member(&server, "deaf"));
    rustix::net::sockopt::set_socket_recv_buffer_size(&deaf.stream, 4096).unwrap();
    let text = "x".repeat(4000);
    // More than the kernel takes for somebody who does not read, and more than waits for it besides.
    for _ in 0..2000 {
        ada.say(format!("/msg deaf {text}"));
        ada.hear(|heard| {
            heard.starts_with("* you tell deaf: ") || heard.contains("takes no messages")
        });
        ada.seen.clear();
    }
    rustix::net::sockopt::set_socket_recv_buffer_size(&deaf.stream, 1 << 20).unwrap();
    let missed = deaf.hear(|heard| heard.ends_with(" messages for you alone"));
    assert!(missed.starts_with("* you missed "), "{missed}");
}

#[test]
fn who_ends_its_side_after_a_paste_is_heard_to_the_last_line_at_its_rate() {
    let server = Program::server(&["--scenario", "chat", "--rate", "20/50ms"]);
    let (mut ada, mut bob) = (member(&server, "ada"), member(&server, "bob"));
    let paste: String = (0..60).map(|k| format!("line {k}\n")).collect();
    ada.say(paste.trim_end());
    ada.stream.shutdown(std::net::Shutdown::Write).unwrap();
    for k in 0..60 {
        assert_eq!(bob.hear_said(&format!("line {k}")), "ada");
    }
    bob.hear_line("* ada left");
}
