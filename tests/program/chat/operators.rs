//! What a chat's operators do, from their sessions and at the server's own terminal.

use std::io::Read;

use crate::support::chat_client::{Line, connect, receipt};
use crate::support::terminal::Terminal;
use crate::support::{BINARY, Program, directory, sockactors};

const PASSWORD: &str = "open sesame";

/// A server whose operators know the password, which listens on a Unix socket in the directory, too.
fn server() -> (Program, tempfile::TempDir) {
    let directory = directory();
    let file = directory.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let file = file.to_str().unwrap();
    let unix = format!("unix:{}/chat", directory.path().display());
    let args = ["--scenario", "chat", "--operator-password-file", file];
    let listen = ["--listen", "127.0.0.1:0", "--listen", &unix];
    (Program::server(&[&args[..], &listen].concat()), directory)
}

fn member(server: &Program, nick: &str) -> Line {
    let mut line = Line::connect(server.endpoint());
    line.say(format!("/nick {nick}"));
    line.say("/ack off");
    line.hear_line("* receipts are off");
    line
}

fn operator(server: &Program) -> Line {
    let mut line = member(server, "op");
    line.say(format!("/operator {PASSWORD}"));
    line.hear_line("* you are an operator; /help lists what you may");
    line
}

#[test]
fn orders_are_for_operators_alone() {
    let (server, _directory) = server();
    let mut bob = member(&server, "bob");
    let mut eve = member(&server, "eve");
    eve.say("/kick bob");
    eve.hear_line("* only an operator may; /operator PASSWORD makes you one");
    for _ in 0..2 {
        eve.say("/operator sesame");
        eve.hear_line("* that is not the password");
    }
    eve.say("/operator sesame");
    eve.hear_line("* you were wrong about the password too often; good bye");
    eve.hear_end();
    bob.hear_line("* eve left");
    server.wait_for_error_line(|line| line.contains("wrong operator's password"));
    // No password was said to anybody.
    assert!(!String::from_utf8_lossy(&server.stdout()).contains("sesame"));
}

#[test]
fn without_a_password_file_there_are_no_operators() {
    let server = Program::server(&["--scenario", "chat"]);
    let mut eve = member(&server, "eve");
    eve.say("/operator ");
    eve.hear_line("* /operator needs the password: /operator PASSWORD");
    eve.say("/operator x");
    eve.hear_line("* this chat has no operators but at its own terminal");
}

#[test]
fn a_kicked_member_is_told_why_and_so_is_the_room() {
    let (server, _directory) = server();
    let (mut op, mut eve, mut bob) =
        (operator(&server), member(&server, "eve"), member(&server, "bob"));
    op.say("/kick EVE too \x1b[1mloud");
    eve.hear_line("* you were kicked by op: too \\u{1b}[1mloud; good bye");
    eve.hear_end();
    bob.hear_line("* eve was kicked by op: too \\u{1b}[1mloud");
    bob.hear_line("* eve left");
    op.hear_line("* eve is kicked");
    op.say("/kick eve");
    op.hear_line("* there is nobody called eve; /members lists everybody");
    let mut again = member(&server, "eve");
    again.say("here I am again");
    bob.hear_line("eve: here I am again");
}

#[test]
fn a_lecture_client_can_be_kicked_and_muted() {
    let (server, _directory) = server();
    let mut op = operator(&server);
    let mut lecture = connect(server.endpoint());
    let mut said = |text: &str| {
        std::io::Write::write_all(&mut lecture, text.as_bytes()).unwrap();
        let mut answer = vec![0; receipt(text).len()];
        lecture.read_exact(&mut answer).unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), receipt(text));
    };
    said("one");
    let line = op.hear(|line| line.ends_with(": one"));
    let nick = line.split(':').next().unwrap();
    op.say(format!("/mute {nick}"));
    op.hear_line(&format!("* {nick} is muted"));
    said("two");
    op.say(format!("/unmute {nick}"));
    op.hear_line(&format!("* {nick} is heard again"));
    said("three");
    op.hear_line(&format!("{nick}: three"));
    assert_eq!(op.count(": two"), 0);
    op.say(format!("/kick {nick}"));
    // It is sent nothing but the end.
    let mut rest = Vec::new();
    lecture.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn a_muted_member_is_told_and_heard_by_nobody() {
    let (server, _directory) = server();
    let (mut op, mut eve, mut bob) =
        (operator(&server), member(&server, "eve"), member(&server, "bob"));
    op.say("/mute eve");
    eve.hear_line("* op has muted you; nobody hears what you say");
    for say in ["hello", "/me waves", "/msg bob psst", "/topic mine"] {
        eve.say(say);
        eve.hear_line("* an operator has muted you; nobody hears what you say");
    }
    op.say("/members");
    op.hear(|line| line.contains("eve (lobby, 127.0.0.1, muted)") && line.contains("bob (lobby"));
    op.say("/unmute eve");
    eve.hear_line("* op has unmuted you; you are heard again");
    eve.say("thanks");
    bob.hear_line("eve: thanks");
    let heard = bob.heard();
    assert!(!["hello", "waves", "psst", "mine"].iter().any(|word| heard.contains(word)), "{heard}");
}

#[test]
fn a_banned_address_is_cut_off_and_stays_away_until_the_ban_is_lifted() {
    let (server, directory) = server();
    // The operator comes another way than those whom it bans.
    let mut op = Line::connect(&format!("unix:{}/chat", directory.path().display()));
    op.say("/nick op");
    op.say(format!("/operator {PASSWORD}"));
    op.hear(|line| line.contains("you are an operator"));
    let tcp = server.endpoint().to_owned();
    let mut eve = Line::connect(&tcp);
    eve.say("/nick eve");
    op.hear_line("* eve joined");
    op.say("/ban op");
    op.hear_line("* op has no address to ban; /kick it");
    op.say("/ban eve");
    eve.hear_line("* you were banned by op; good bye");
    eve.hear_end();
    op.hear_line("* 127.0.0.1 is banned; 1 of its sessions are ended");
    let mut again = Line::connect(&tcp);
    again.hear_line("* you were turned away: this address is banned; good bye");
    again.hear_end();
    server.wait_for_error_line(|line| line.contains("this address is banned"));
    op.say("/bans");
    op.hear_line("* banned: 127.0.0.1");
    op.say("/unban 127.0.0.1");
    op.hear_line("* 127.0.0.1 may come again");
    Line::joined(&tcp);
    op.say("/unban 127.0.0.1");
    op.hear_line("* 127.0.0.1 is not banned; /bans lists who is");
    op.say("/unban eve");
    op.hear_line("* eve is no address; /bans lists them");
}

#[test]
fn an_announcement_is_heard_in_every_room() {
    let (server, _directory) = server();
    let (mut op, mut bob) = (operator(&server), member(&server, "bob"));
    bob.say("/join den");
    bob.hear(|line| line.starts_with("* you are bob in den"));
    op.say("/announce tea at five");
    bob.hear_line("* op announces: tea at five");
    op.hear_line("* op announces: tea at five");
}

#[test]
fn a_password_that_cannot_be_read_is_an_error_that_names_the_file() {
    let directory = directory();
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    for (file, why) in [(directory.path().join("none"), "No such file"), (empty, "it is empty")] {
        let file = file.to_str().unwrap();
        let args = ["--scenario", "chat", "--listen", "127.0.0.1:0", "--operator-password-file"];
        let ended = sockactors(&[&args[..], &[file]].concat(), "").with_code(1);
        assert!(ended.err().contains(file) && ended.err().contains(why), "{ended:?}");
    }
}

#[test]
fn the_servers_own_terminal_is_the_operators() {
    let Some(console) = Terminal::run(&["--scenario", "chat", "--listen", "127.0.0.1:0"]) else {
        return;
    };
    let screen = console.wait("where it listens", |screen| screen.contains("listening on"));
    let at = screen.lines().find_map(|line| line.split_once("listening on ")).unwrap().1.to_owned();
    let mut eve = Line::connect(&at);
    eve.say("/nick eve");
    eve.say("hello");
    console.wait_for_line("Received message: hello");
    console.typed("/members\n");
    console.wait_for_line("* members: eve (lobby, 127.0.0.1)");
    console.typed("/announce tea\n");
    eve.hear_line("* the operator announces: tea");
    console.typed("what now\n");
    console.wait_for_line("* this is the server; /help lists its orders, Ctrl-C stops it");
    console.typed("/kick eve\n");
    eve.hear_line("* you were kicked by the operator; good bye");
    eve.hear_end();
    console.wait_for_last("operator>");
    console.key("C-c");
    console.wait("its end", |screen| screen.contains("drained in"));
}

#[test]
fn a_server_behind_a_shell_in_the_background_does_not_touch_the_terminal() {
    let command = format!(
        "bash --norc -c 'set -m; \"{BINARY}\" --scenario chat --listen 127.0.0.1:0 & sleep 600'"
    );
    let Some(terminal) = Terminal::shell(&command) else { return };
    let screen = terminal.wait("where it listens", |screen| screen.contains("listening on"));
    let at = screen.lines().find_map(|line| line.split_once("listening on ")).unwrap().1.to_owned();
    Line::joined(&at);
    assert!(!terminal.screen().contains("operator>"));
}

#[test]
fn the_dialect_can_be_settled_beforehand() {
    let server = Program::server(&["--scenario", "chat", "--dialect", "lecture"]);
    let mut line = connect(server.endpoint());
    std::io::Write::write_all(&mut line, b"/nick ada\n").unwrap();
    let mut answer = vec![0; receipt("/nick ada\n").len()];
    line.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), receipt("/nick ada\n"));
    let ours = sockactors(
        &["--scenario", "chat", "--connect", server.endpoint(), "--dialect", "lecture"],
        "hello\n",
    );
    assert_eq!(ours.with_code(0).out(), format!("Server response: {}\n", receipt("hello")));

    let server = Program::server(&["--scenario", "chat", "--dialect", "line"]);
    let mut line = Line::connect(server.endpoint());
    let mut other = Line::joined(server.endpoint());
    std::io::Write::write_all(&mut line.stream, b"a slow ").unwrap();
    // Somebody else's talk takes longer than a lecture client would be waited for.
    let until = std::time::Instant::now() + std::time::Duration::from_millis(150);
    while std::time::Instant::now() < until {
        other.say("/who");
        other.hear(|line| line.starts_with("* in "));
    }
    line.say("line");
    line.hear_line(&receipt("a slow line"));
    let ended = sockactors(&["--scenario", "chat", "--dialect", "irc"], "").with_code(2);
    assert!(ended.err().contains("auto, lecture, line"), "{ended:?}");
}
