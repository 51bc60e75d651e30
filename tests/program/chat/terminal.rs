//! The chat client at a real terminal, with the peers that it meets there.

use crate::support::chat_client::{Line, receipt};
use crate::support::peers::{Kind, Peer, Where, need};
use crate::support::terminal::Terminal;
use crate::support::{BINARY, DEADLINE, Program, directory};
use rustix::process::Signal;

fn server(listen: &str) -> Program {
    Program::server(&["--scenario", "chat", "--listen", listen])
}

fn client(at: &str, nick: &str) -> Option<Terminal> {
    Terminal::run(&["--scenario", "chat", "--connect", at, "--nick", nick])
}

/// Kills the server as a power cut would, and starts it again at the same place.
fn killed_and_started_again(server: Program, meanwhile: impl FnOnce()) -> Program {
    let at = server.endpoint().to_owned();
    server.signal(Signal::KILL);
    server.wait_while_stdin_is_open(DEADLINE);
    meanwhile();
    self::server(&at)
}

#[test]
fn two_of_ours_a_netcat_and_a_lecture_client_talk_through_a_restart_of_the_server() {
    if !(need("python3") && need("nc")) {
        return;
    }
    let first = server("127.0.0.1:0");
    let at = first.endpoint().to_owned();
    let Some(ada) = client(&at, "ada") else { return };
    ada.wait_for_last("ada@lobby>");
    let bob = client(&at, "bob").unwrap();
    bob.wait_for_last("bob@lobby>");
    bob.wait_for_line("* in lobby: ada, bob");
    ada.wait_for_line("* bob joined");

    let place = Where::of(&at);
    let mut netcat = Program::start(&mut Peer::Netcat.client("chat", Kind::Stream, &place));
    netcat.write("/nick cy\n");
    netcat.wait_for_line(|line| line.starts_with("* you are cy in lobby"));
    let mut lecture = Program::start(&mut Peer::Python.client("chat", Kind::Stream, &place));
    lecture.write("from the lecture\n");
    lecture.wait_for(&format!("Server response: {}", receipt("from the lecture")));
    ada.typed("hello, all\n");
    netcat.wait_for_line(|line| line == "ada: hello, all");
    netcat.write("hello, ada\n");
    for terminal in [&ada, &bob] {
        terminal.wait_for_line("cy: hello, ada");
        terminal.wait("the lecture's words", |screen| {
            screen.lines().any(|line| line.ends_with(": from the lecture"))
        });
    }
    bob.typed("/join den\n");
    bob.wait_for_last("bob@den>");

    let second = killed_and_started_again(first, || {
        for terminal in [&ada, &bob] {
            terminal.wait("the loss", |screen| screen.contains("trying again"));
        }
        ada.typed("said by ada while nobody listened\n");
        bob.typed("said by bob\nand once more\n");
        ada.wait_for_line("ada@lobby> said by ada while nobody listened");
        bob.wait_for_line("bob@den> and once more");
    });
    let mut line = Line::connect(second.endpoint());
    line.say("/nick dee");
    for (room, words, terminal) in [
        ("lobby", &["ada: said by ada while nobody listened"][..], &ada),
        ("den", &["bob: said by bob", "bob: and once more"][..], &bob),
    ] {
        terminal.wait("its return", |screen| screen.contains(" again\n"));
        if room != "lobby" {
            line.say(format!("/join {room}"));
        }
        for words in words {
            // Its own words may still be on their way.
            while !line.heard().contains(words) {
                line.say("/history");
                line.say("/ack off");
                line.hear_line("* receipts are off");
            }
        }
    }
    bob.typed("/join lobby\n");
    ada.wait_for_line("* bob joined");
    ada.typed("there you are\n");
    bob.wait_for_line("ada: there you are");
}

#[test]
fn what_comes_in_does_not_disturb_what_is_being_typed() {
    let server = server("127.0.0.1:0");
    let Some(ada) = client(server.endpoint(), "ada") else { return };
    ada.wait_for_last("ada@lobby>");
    let mut bob = Line::connect(server.endpoint());
    bob.say("/nick Bobby");
    ada.wait_for_line("* Bobby joined");
    ada.typed("I am writ");
    ada.wait_for_last("ada@lobby> I am writ");
    bob.say("a first word");
    bob.say("and a \x1b[2J second");
    ada.wait_for_line("Bobby: and a \\u{1b}[2J second");
    ada.wait_for_last("ada@lobby> I am writ");
    ada.typed("ing, bo");
    ada.key("Tab");
    ada.wait_for_last("ada@lobby> I am writing, Bobby");
    ada.key("Enter");
    bob.hear(|line| line.trim_end() == "ada: I am writing, Bobby");
    ada.typed("/le");
    ada.key("Tab");
    ada.wait_for_last("ada@lobby> /leave");
    ada.key("Enter");
    ada.wait_for_last("ada>");
    ada.typed("/join den\n/nick eve\n");
    ada.wait_for_last("eve@den>");
    ada.key("Up");
    ada.wait_for_last("eve@den> /nick eve");
}

#[test]
fn a_paste_is_said_line_by_line_to_its_last_letter() {
    let server = server("127.0.0.1:0");
    let Some(ada) = client(server.endpoint(), "ada") else { return };
    ada.wait_for_last("ada@lobby>");
    let mut bob = Line::joined(server.endpoint());
    let lines: Vec<_> = (0..40).map(|k| format!("{k} Zürich, 東京 and more")).collect();
    ada.paste(&format!("{}\nand a last one", lines.join("\n")));
    for line in &lines {
        bob.hear_line(&format!("ada: {line}"));
    }
    ada.wait_for_last("ada@lobby> and a last one");
    ada.key("Enter");
    bob.hear_line("ada: and a last one");
}

#[test]
fn names_have_colours_unless_they_are_not_wanted() {
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
    plain.wait_for_last("bob@lobby>");
    ada.wait_for_last("ada@lobby>");
    let mut cy = Line::connect(at);
    cy.say("/nick cy");
    cy.say("in colour?");
    ada.wait_for_line("cy: in colour?");
    plain.wait_for_line("cy: in colour?");
    let (painted, plain) = (ada.painted(), plain.painted());
    assert!(!painted.contains("\ncy: in colour?") && painted.contains("cy\x1b["), "{painted:?}");
    assert!(plain.contains("\ncy: in colour?") && !plain.contains('\x1b'), "{plain:?}");
}

/// Runs a client between two looks at the terminal's mode, has it end, and returns its code.
fn mode_is_kept_by(at: &str, end: impl FnOnce(&Terminal)) -> Option<String> {
    let command = format!(
        "stty -g >before; '{BINARY}' --scenario chat --connect {at} --nick ada; echo code $?; \
         stty -g >after; cmp before after && echo as it was; sleep 600"
    );
    let directory = directory();
    let terminal = Terminal::shell(&format!("cd '{}'; {command}", directory.path().display()))?;
    terminal.wait_for_last("ada@lobby>");
    end(&terminal);
    let screen = terminal.wait_for_line("as it was");
    screen.lines().find_map(|line| line.strip_prefix("code ")).map(str::to_owned)
}

#[test]
fn the_terminal_is_put_back_however_the_client_ends() {
    let server = server("127.0.0.1:0");
    let at = server.endpoint();
    let Some(code) = mode_is_kept_by(at, |ada| ada.typed("/quit\n")) else { return };
    assert_eq!(code, "0");
    assert_eq!(mode_is_kept_by(at, |ada| ada.key("C-d")).as_deref(), Some("0"));
    let interrupted = |ada: &Terminal| {
        ada.typed("half a li");
        ada.wait_for_last("ada@lobby> half a li");
        ada.key("C-c");
    };
    assert_eq!(mode_is_kept_by(at, interrupted).as_deref(), Some("130"));
}

#[test]
fn ctrl_z_gives_the_terminal_back_and_fg_takes_it_again() {
    let server = server("127.0.0.1:0");
    let at = server.endpoint();
    let command = format!(
        "bash --norc -ic \"PS1='\\$ '; '{BINARY}' --scenario chat --connect {at} --nick ada; \
         stty -a | grep -o ' icanon'; fg; sleep 600\""
    );
    let Some(ada) = Terminal::shell(&command) else { return };
    ada.wait_for_last("ada@lobby>");
    ada.typed("half a li");
    ada.wait_for_last("ada@lobby> half a li");
    ada.key("C-z");
    ada.wait_for_line(" icanon");
    ada.wait_for_last("ada@lobby> half a li");
    let mut bob = Line::joined(at);
    ada.typed("ne\n");
    bob.hear_line("ada: half a line");
}

#[test]
fn without_a_server_at_first_the_client_says_so_and_ends() {
    let Some(ada) = Terminal::shell(&format!(
        "'{BINARY}' --scenario chat --connect 127.0.0.1:1 --nick ada; echo code $?; sleep 600"
    )) else {
        return;
    };
    let screen = ada.wait_for_line("code 3");
    assert!(screen.contains("127.0.0.1:1"), "{screen}");
}
