//! Chat operators, in their sessions and at the server's own terminal.

use std::io::Read;

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::terminal::Terminal;
use crate::support::{BINARY, Program, directory, sockactors};

const PASSWORD: &str = "open sesame";

/// Starts a server with an operator password, which also listens on a Unix socket.
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

fn member(server: &Program, nick: &str) -> LineClient {
    let mut line = LineClient::connect(server.endpoint());
    line.send(format!("/nick {nick}"));
    line.send("/ack off");
    line.wait_for_line("* receipts are off");
    line
}

fn operator(server: &Program) -> LineClient {
    let mut line = member(server, "op");
    line.send(format!("/operator {PASSWORD}"));
    line.wait_for_line("* you are an operator; /help lists your commands");
    line
}

#[test]
fn operator_commands_need_operator() {
    let (server, _directory) = server();
    let mut bob = member(&server, "bob");
    let mut eve = member(&server, "eve");
    eve.send("/kick bob");
    eve.wait_for_line("* this command needs an operator; /operator PASSWORD makes you one");
    eve.send("/operator sesame");
    eve.wait_for_line("* wrong password");
    bob.wait_for_line("* eve joined");
    server.wait_for_error_line(|line| line.contains("wrong operator password"));
    // The password was not published.
    assert!(!String::from_utf8_lossy(&server.stdout()).contains("sesame"));
}

#[test]
fn operator_login_needs_password_file() {
    let server = Program::server(&["--scenario", "chat"]);
    let mut eve = member(&server, "eve");
    eve.send("/operator ");
    eve.wait_for_line("* /operator needs the password: /operator PASSWORD");
    eve.send("/operator x");
    eve.wait_for_line("* this server has no operator password");
}

#[test]
fn kick_reports_reason_to_member_and_room() {
    let (server, _directory) = server();
    let (mut op, mut eve, mut bob) =
        (operator(&server), member(&server, "eve"), member(&server, "bob"));
    op.send("/kick EVE too \x1b[1mloud");
    eve.wait_for_line("* you were kicked by op: too \\u{1b}[1mloud; good bye");
    eve.read_to_end();
    bob.wait_for_line("* eve was kicked by op: too \\u{1b}[1mloud");
    bob.wait_for_line("* eve left");
    op.wait_for_line("* kicked eve");
    op.send("/kick eve");
    op.wait_for_line("* there is no member named eve; /members lists all");
    let logged = |text: &str| {
        let line = server.wait_for_error_line(|line| line.ends_with(text));
        assert!(line.contains("operator op 127.0.0.1:"), "{line}");
    };
    logged(": logged in");
    logged(": /kick EVE too \\u{1b}[1mloud");
    logged(": /kick eve (failed)");
    let mut again = member(&server, "eve");
    again.send("here I am again");
    bob.wait_for_line("eve: here I am again");
}

#[test]
fn lecture_client_can_be_kicked_and_muted() {
    let (server, _directory) = server();
    let mut op = operator(&server);
    let mut lecture = connect(server.endpoint());
    let mut said = |text: &str| {
        std::io::Write::write_all(&mut lecture, text.as_bytes()).unwrap();
        let mut answer = vec![0; acknowledgement(text).len()];
        lecture.read_exact(&mut answer).unwrap();
        assert_eq!(String::from_utf8(answer).unwrap(), acknowledgement(text));
    };
    said("one");
    let line = op.wait_for(|line| line.ends_with(": one"));
    let nick = line.split(':').next().unwrap();
    op.send(format!("/mute {nick}"));
    op.wait_for_line(&format!("* muted {nick}"));
    said("two");
    op.send(format!("/unmute {nick}"));
    op.wait_for_line(&format!("* unmuted {nick}"));
    said("three");
    op.wait_for_line(&format!("{nick}: three"));
    assert_eq!(op.count(": two"), 0);
    op.send(format!("/kick {nick}"));
    // It receives nothing before the end.
    let mut rest = Vec::new();
    lecture.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"");
}

#[test]
fn muted_member_is_told_and_not_delivered() {
    let (server, _directory) = server();
    let (mut op, mut eve, mut bob) =
        (operator(&server), member(&server, "eve"), member(&server, "bob"));
    op.send("/mute eve");
    eve.wait_for_line("* op has muted you; your messages are not delivered");
    for say in
        ["hello", "/me waves", "/msg bob psst", "/topic mine", "/nick shout", "/join new-room"]
    {
        eve.send(say);
        eve.wait_for_line("* an operator has muted you; your messages are not delivered");
    }
    op.send("/members");
    op.wait_for(|line| {
        line.contains("eve (lobby, 127.0.0.1, muted)") && line.contains("bob (lobby")
    });
    // Its joins and leaves are not announced.
    op.send("/join den");
    op.wait_for(|line| line.starts_with("* you are op in den"));
    eve.send("/join DEN");
    eve.wait_for(|line| line.starts_with("* you are eve in den"));
    eve.send("/join lobby");
    eve.wait_for(|line| line.starts_with("* you are eve in lobby"));
    op.send("/unmute eve");
    eve.wait_for_line("* op has unmuted you; your messages are delivered again");
    eve.send("thanks");
    bob.wait_for_line("eve: thanks");
    let received = bob.received();
    let words = ["hello", "waves", "psst", "mine", "shout", "eve left", "eve is now"];
    assert!(!words.iter().any(|word| received.contains(word)), "{received}");
    assert_eq!(received.matches("eve joined").count(), 0, "{received}");
    op.send("/rooms");
    let rooms = op.wait_for(|line| line.starts_with("* rooms: "));
    assert!(!rooms.contains("new-room"), "{rooms}");
}

#[test]
fn banned_address_is_rejected_until_unban() {
    let (server, directory) = server();
    // The operator connects from another address than the banned members.
    let mut op = LineClient::connect(&format!("unix:{}/chat", directory.path().display()));
    op.send("/nick op");
    op.send(format!("/operator {PASSWORD}"));
    op.wait_for(|line| line.contains("you are an operator"));
    let tcp = server.endpoint().to_owned();
    let mut eve = LineClient::connect(&tcp);
    eve.send("/nick eve");
    op.wait_for_line("* eve joined");
    op.send("/ban op");
    op.wait_for_line("* op has no IP address to ban; use /kick op");
    op.send("/ban eve");
    eve.wait_for_line("* you were banned by op; good bye");
    eve.read_to_end();
    op.wait_for_line("* banned 127.0.0.1; closed 1 of its sessions");
    let mut again = LineClient::connect(&tcp);
    again.wait_for_line("* you were turned away: this address is banned; good bye");
    again.read_to_end();
    server.wait_for_error_line(|line| line.contains("this address is banned"));
    op.send("/bans");
    op.wait_for_line("* banned: 127.0.0.1");
    op.send("/unban 127.0.0.1");
    op.wait_for_line("* unbanned 127.0.0.1");
    op.send("/bans");
    op.wait_for_line("* no address is banned");
    LineClient::joined(&tcp);
    op.send("/unban 127.0.0.1");
    op.wait_for_line("* 127.0.0.1 is not banned; /bans lists the bans");
    op.send("/unban eve");
    op.wait_for_line("* \"eve\" is not an IP address; /bans lists the bans");
}

#[test]
fn announcement_reaches_every_room() {
    let (server, _directory) = server();
    let (mut op, mut bob) = (operator(&server), member(&server, "bob"));
    bob.send("/join den");
    bob.wait_for(|line| line.starts_with("* you are bob in den"));
    op.send("/announce tea at five");
    bob.wait_for_line("* op announces: tea at five");
    op.wait_for_line("* op announces: tea at five");
}

#[test]
fn unreadable_password_file_is_named() {
    let directory = directory();
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "\n").unwrap();
    for (file, why) in [(directory.path().join("none"), "No such file"), (empty, "is empty")] {
        let file = file.to_str().unwrap();
        let args = ["--scenario", "chat", "--listen", "127.0.0.1:0", "--operator-password-file"];
        let ended = sockactors(&[&args[..], &[file]].concat(), "").with_code(1);
        assert!(ended.err().contains(file) && ended.err().contains(why), "{ended:?}");
    }
}

#[test]
fn server_terminal_accepts_operator_commands() {
    let Some(console) = Terminal::run(&["--scenario", "chat", "--listen", "127.0.0.1:0"]) else {
        return;
    };
    let screen = console.wait_for("where it listens", |screen| screen.contains("listening on"));
    let at = screen.lines().find_map(|line| line.split_once("listening on ")).unwrap().1.to_owned();
    let mut eve = LineClient::connect(&at);
    eve.send("/nick eve");
    eve.send("hello");
    console.wait_for_line("Received message: hello");
    console.type_text("/members\n");
    console.wait_for_line("* members: eve (lobby, 127.0.0.1)");
    console.type_text("/announce tea\n");
    eve.wait_for_line("* the operator announces: tea");
    console.type_text("what now\n");
    console.wait_for_line(
        "* this terminal takes operator commands only; /help lists them, Ctrl-C stops the server",
    );
    console.type_text("/kick eve\n");
    console.wait_for_line("sockactors: operator at the terminal: /kick eve");
    eve.wait_for_line("* you were kicked by the operator; good bye");
    eve.read_to_end();
    console.wait_for_last_line("operator>");
    console.press("C-c");
    console.wait_for("its end", |screen| screen.contains("drained in"));
}

#[test]
fn background_server_leaves_terminal_serial() {
    let command = format!(
        "bash --norc -c 'set -m; \"{BINARY}\" --scenario chat --listen 127.0.0.1:0 & sleep 600'"
    );
    let Some(terminal) = Terminal::shell(&command) else { return };
    let screen = terminal.wait_for("where it listens", |screen| screen.contains("listening on"));
    let at = screen.lines().find_map(|line| line.split_once("listening on ")).unwrap().1.to_owned();
    LineClient::joined(&at);
    assert!(!terminal.screen().contains("operator>"));
}

#[test]
fn dialect_flag_fixes_dialect() {
    let server = Program::server(&["--scenario", "chat", "--dialect", "lecture"]);
    let mut line = connect(server.endpoint());
    std::io::Write::write_all(&mut line, b"/nick ada\n").unwrap();
    let mut answer = vec![0; acknowledgement("/nick ada\n").len()];
    line.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8(answer).unwrap(), acknowledgement("/nick ada\n"));
    let ours = sockactors(
        &["--scenario", "chat", "--connect", server.endpoint(), "--dialect", "lecture"],
        "hello\n",
    );
    assert_eq!(ours.with_code(0).out(), format!("Server response: {}\n", acknowledgement("hello")));

    let server = Program::server(&["--scenario", "chat", "--dialect", "line"]);
    let mut line = LineClient::connect(server.endpoint());
    let mut other = LineClient::joined(server.endpoint());
    std::io::Write::write_all(&mut line.stream, b"a slow ").unwrap();
    // The delay exceeds the time after which a lecture client would be detected.
    let deadline = std::time::Instant::now() + std::time::Duration::from_millis(150);
    while std::time::Instant::now() < deadline {
        other.send("/who");
        other.wait_for(|line| line.starts_with("* in "));
    }
    line.send("line");
    line.wait_for_line(&acknowledgement("a slow line"));
    let ended = sockactors(&["--scenario", "chat", "--dialect", "irc"], "").with_code(2);
    assert!(ended.err().contains("auto, lecture, line"), "{ended:?}");
}
