//! The chat client at a terminal, with its peers.

use crate::support::chat_client::{LineClient, acknowledgement};
use crate::support::peers::{Peer, PeerAddress, SocketKind, require_tool};
use crate::support::terminal::Terminal;
use crate::support::{BINARY, DEADLINE, Program, directory};
use rustix::process::Signal;

fn server(listen: &str) -> Program {
    Program::server(&["--scenario", "chat", "--listen", listen])
}

fn client(at: &str, nick: &str) -> Option<Terminal> {
    Terminal::run(&["--scenario", "chat", "--connect", at, "--nick", nick])
}

/// Kills the server, and restarts it at the same endpoint.
fn killed_and_started_again(server: Program, meanwhile: impl FnOnce()) -> Program {
    let at = server.endpoint().to_owned();
    server.signal(Signal::KILL);
    server.wait_while_stdin_is_open(DEADLINE);
    meanwhile();
    self::server(&at)
}

#[test]
fn mixed_clients_chat_across_server_restart() {
    if !(require_tool("python3") && require_tool("nc")) {
        return;
    }
    let first = server("127.0.0.1:0");
    let at = first.endpoint().to_owned();
    let Some(ada) = client(&at, "ada") else { return };
    ada.wait_for_last_line("ada@lobby>");
    let bob = client(&at, "bob").unwrap();
    bob.wait_for_last_line("bob@lobby>");
    bob.wait_for_line("* in lobby: ada, bob");
    ada.wait_for_line("* bob joined");

    let place = PeerAddress::parse(&at);
    let mut netcat = Program::start(&mut Peer::Netcat.client("chat", SocketKind::Stream, &place));
    netcat.write("/nick cy\n");
    netcat.wait_for_line(|line| line.starts_with("* you are cy in lobby"));
    let mut lecture = Program::start(&mut Peer::Python.client("chat", SocketKind::Stream, &place));
    lecture.write("from the lecture\n");
    lecture.wait_for(&format!("Server response: {}", acknowledgement("from the lecture")));
    ada.type_text("hello, all\n");
    netcat.wait_for_line(|line| line == "ada: hello, all");
    netcat.write("hello, ada\n");
    for terminal in [&ada, &bob] {
        terminal.wait_for_line("cy: hello, ada");
        terminal.wait_for("the lecture's words", |screen| {
            screen.lines().any(|line| line.ends_with(": from the lecture"))
        });
    }
    bob.type_text("/join den\n");
    bob.wait_for_last_line("bob@den>");

    let second = killed_and_started_again(first, || {
        for terminal in [&ada, &bob] {
            terminal.wait_for("the loss", |screen| screen.contains("trying again"));
        }
        ada.type_text("sent by ada without a server\n");
        bob.type_text("said by bob\nand once more\n");
        ada.wait_for_line("ada@lobby> sent by ada without a server");
        bob.wait_for_line("bob@den> and once more");
    });
    let mut line = LineClient::connect(second.endpoint());
    line.send("/nick dee");
    for (room, words, terminal) in [
        ("lobby", &["ada: sent by ada without a server"][..], &ada),
        ("den", &["bob: said by bob", "bob: and once more"][..], &bob),
    ] {
        terminal.wait_for("its return", |screen| screen.contains(" again\n"));
        if room != "lobby" {
            line.send(format!("/join {room}"));
        }
        for words in words {
            // Its own lines may still be in flight.
            while !line.received().contains(words) {
                line.send("/history");
                line.send("/ack off");
                line.wait_for_line("* receipts are off");
            }
        }
    }
    bob.type_text("/join lobby\n");
    // Ada's screen still shows that bob joined before the restart.
    bob.wait_for_last_line("bob@lobby>");
    ada.type_text("there you are\n");
    bob.wait_for_line("ada: there you are");
}

#[test]
fn incoming_line_keeps_typed_text() {
    let server = server("127.0.0.1:0");
    let Some(ada) = client(server.endpoint(), "ada") else { return };
    ada.wait_for_last_line("ada@lobby>");
    let mut bob = LineClient::connect(server.endpoint());
    bob.send("/nick Bobby");
    ada.wait_for_line("* Bobby joined");
    ada.type_text("I am writ");
    ada.wait_for_last_line("ada@lobby> I am writ");
    bob.send("a first word");
    bob.send("and a \x1b[2J second");
    ada.wait_for_line("Bobby: and a \\u{1b}[2J second");
    ada.wait_for_last_line("ada@lobby> I am writ");
    ada.type_text("ing, bo");
    ada.press("Tab");
    ada.wait_for_last_line("ada@lobby> I am writing, Bobby");
    ada.press("Enter");
    bob.wait_for(|line| line.trim_end() == "ada: I am writing, Bobby");
    ada.type_text("/le");
    ada.press("Tab");
    ada.wait_for_last_line("ada@lobby> /leave");
    ada.press("Enter");
    ada.wait_for_last_line("ada>");
    ada.type_text("/join den\n/nick eve\n");
    ada.wait_for_last_line("eve@den>");
    ada.press("Up");
    ada.wait_for_last_line("eve@den> /nick eve");
}

#[test]
fn paste_is_sent_line_by_line() {
    let server = server("127.0.0.1:0");
    let Some(ada) = client(server.endpoint(), "ada") else { return };
    ada.wait_for_last_line("ada@lobby>");
    let mut bob = LineClient::joined(server.endpoint());
    let lines: Vec<_> = (0..40).map(|k| format!("{k} Zürich, 東京 and more")).collect();
    ada.paste(&format!("{}\nand a last one", lines.join("\n")));
    for line in &lines {
        bob.wait_for_line(&format!("ada: {line}"));
    }
    ada.wait_for_last_line("ada@lobby> and a last one");
    ada.press("Enter");
    bob.wait_for_line("ada: and a last one");
}

#[test]
fn nicks_have_colors_unless_disabled() {
    let server = server("127.0.0.1:0");
    let at = server.endpoint();
    let Some(ada) = client(at, "ada") else { return };
    let plain = Terminal::run(&[
        "--scenario",
        "chat",
        "--connect",
        at,
        "--nick",
        "bob",
        "--color",
        "never",
    ]);
    let plain = plain.unwrap();
    plain.wait_for_last_line("bob@lobby>");
    ada.wait_for_last_line("ada@lobby>");
    let mut cy = LineClient::connect(at);
    cy.send("/nick cy");
    cy.send("in colour?");
    ada.wait_for_line("cy: in colour?");
    plain.wait_for_line("cy: in colour?");
    let (painted, plain) = (ada.screen_with_colors(), plain.screen_with_colors());
    assert!(!painted.contains("\ncy: in colour?") && painted.contains("cy\x1b["), "{painted:?}");
    assert!(plain.contains("\ncy: in colour?") && !plain.contains('\x1b'), "{plain:?}");
}

/// Compares the terminal's mode before and after a client, and returns the client's exit code.
fn mode_is_kept_by(at: &str, end: impl FnOnce(&Terminal)) -> Option<String> {
    let command = format!(
        "stty -g >before; '{BINARY}' --scenario chat --connect {at} --nick ada; echo code $?; \
         stty -g >after; cmp before after && echo as it was; sleep 600"
    );
    let directory = directory();
    let terminal = Terminal::shell(&format!("cd '{}'; {command}", directory.path().display()))?;
    terminal.wait_for_last_line("ada@lobby>");
    end(&terminal);
    let screen = terminal.wait_for_line("as it was");
    screen.lines().find_map(|line| line.strip_prefix("code ")).map(str::to_owned)
}

#[test]
fn terminal_is_restored_at_every_exit() {
    let server = server("127.0.0.1:0");
    let at = server.endpoint();
    let Some(code) = mode_is_kept_by(at, |ada| ada.type_text("/quit\n")) else { return };
    assert_eq!(code, "0");
    assert_eq!(mode_is_kept_by(at, |ada| ada.press("C-d")).as_deref(), Some("0"));
    let interrupted = |ada: &Terminal| {
        ada.type_text("half a li");
        ada.wait_for_last_line("ada@lobby> half a li");
        ada.press("C-c");
        ada.wait_for_last_line("ada@lobby>");
        ada.press("C-c");
    };
    assert_eq!(mode_is_kept_by(at, interrupted).as_deref(), Some("130"));
}

#[test]
fn ctrl_z_restores_terminal_and_fg_resumes() {
    let server = server("127.0.0.1:0");
    let at = server.endpoint();
    let command = format!(
        "bash --norc -ic \"PS1='\\$ '; '{BINARY}' --scenario chat --connect {at} --nick ada; \
         stty -a | grep -o ' icanon'; fg; sleep 600\""
    );
    let Some(ada) = Terminal::shell(&command) else { return };
    ada.wait_for_last_line("ada@lobby>");
    ada.type_text("half a li");
    ada.wait_for_last_line("ada@lobby> half a li");
    ada.press("C-z");
    ada.wait_for_line(" icanon");
    ada.wait_for_last_line("ada@lobby> half a li");
    let mut bob = LineClient::joined(at);
    ada.type_text("ne\n");
    bob.wait_for_line("ada: half a line");
}

#[test]
fn client_without_server_reports_and_exits() {
    let Some(ada) = Terminal::shell(&format!(
        "'{BINARY}' --scenario chat --connect 127.0.0.1:1 --nick ada; echo code $?; sleep 600"
    )) else {
        return;
    };
    let screen = ada.wait_for_line("code 3");
    assert!(screen.contains("127.0.0.1:1"), "{screen}");
}
