//! Keys, pastes and the prompt of the chat at a terminal.

use std::io::Write;
use std::net::TcpListener;

use crate::support::chat_client::LineClient;
use crate::support::peers::require_tool;
use crate::support::terminal::Terminal;
use crate::support::{DEADLINE, Program, directory};
use crate::terminal::run_at_terminal;
use rustix::process::{Signal, kill_process};

fn server() -> Program {
    Program::server(&["--scenario", "chat"])
}

/// Starts a chat at a terminal to which any bytes can be written.
fn run_chat(args: &[&str]) -> Program {
    run_at_terminal(&[&["--scenario", "chat", "--color", "never"], args].concat())
}

fn client(at: &str) -> Option<Terminal> {
    let ada = Terminal::run(&["--scenario", "chat", "--connect", at, "--nick", "ada"])?;
    ada.wait_for_last_line("ada@lobby>");
    Some(ada)
}

#[test]
fn invalid_bytes_keep_the_typed_line() {
    if !require_tool("python3") {
        return;
    }
    let server = server();
    let mut bob = LineClient::joined(server.endpoint());
    let mut ada = run_chat(&["--connect", server.endpoint(), "--nick", "ada"]);
    bob.wait_for_line("* ada joined");
    ada.wait_for("ada@lobby> ");
    // A stray byte, a Latin-1 letter, a truncated character, a surrogate and reports of the mouse.
    for (typed, received) in [
        (&b"one \xff byte\r"[..], "ada: one \u{fffd} byte"),
        (b"caf\xe9\r", "ada: caf\u{fffd}"),
        (b"half \xf0\x9f\xa6\r", "ada: half \u{fffd}"),
        (b"\xed\xa0\x80 here\r", "ada: \u{fffd}\u{fffd}\u{fffd} here"),
        (b"click\x1b[M \xe4\xa1 old\r", "ada: click old"),
        (b"click\x1b[<0;132;7M new\r", "ada: click new"),
        ("Zürich\r".as_bytes(), "ada: Zürich"),
    ] {
        ada.write(typed);
        bob.wait_for_line(received);
    }
    ada.write("/quit\r");
    ada.wait_while_stdin_is_open(DEADLINE).with_code(0);
}

#[test]
fn invalid_byte_keeps_operator_console() {
    if !require_tool("python3") {
        return;
    }
    let mut server = run_chat(&["--listen", "127.0.0.1:0"]);
    server.wait_for("operator> ");
    server.write(b"\xff\r");
    server.wait_for("this terminal takes operator commands only");
    server.write(b"/help\r");
    server.wait_for("* /ban");
    server.write(b"\x03");
    server.wait_while_stdin_is_open(DEADLINE).with_code(0);
}

#[test]
fn pasted_lines_are_text() {
    let server = server();
    let Some(ada) = client(server.endpoint()) else { return };
    let mut bob = LineClient::connect(server.endpoint());
    bob.send("/nick bobby");
    ada.wait_for_line("* bobby joined");
    ada.paste_with_marks("/quit\n\tbob\n/kick bobby\nand \x1b[2J more");
    for line in ["ada: /quit", "ada: \\tbob", "ada: /kick bobby"] {
        bob.wait_for_line(line);
    }
    ada.wait_for_last_line("ada@lobby> and [2J more");
    ada.press("Enter");
    bob.wait_for_line("ada: and [2J more");
    ada.type_text("tab: ");
    ada.paste_with_marks("bob\t");
    ada.press("Enter");
    bob.wait_for_line("ada: tab: bob\\t");
}

#[test]
fn single_pasted_line_can_be_a_command() {
    let server = server();
    let Some(ada) = client(server.endpoint()) else { return };
    ada.paste_with_marks("/join den");
    ada.wait_for_last_line("ada@lobby> /join den");
    ada.press("Enter");
    ada.wait_for_last_line("ada@den>");
    ada.paste_with_marks("/nick eve\n");
    ada.wait_for_last_line("eve@den>");
    // The beginning of the line was typed, so its slash is a command's.
    let mut bob = LineClient::joined(server.endpoint());
    bob.send("/nick bob");
    bob.wait_for_line("* you are now bob");
    ada.type_text("/msg bob ");
    ada.paste_with_marks("/etc\n/usr\n");
    bob.wait_for_line("* eve tells you: /etc");
    bob.send("/join den");
    bob.send("/history");
    bob.wait_for(|line| line.ends_with("eve: /usr"));
}

#[test]
fn long_paste_is_confirmed_once() {
    let server = server();
    let Some(ada) = client(server.endpoint()) else { return };
    let mut bob = LineClient::joined(server.endpoint());
    let lines: Vec<String> = (0..40).map(|k| format!("{k} Zürich, 東京")).collect();
    let text = lines.join("\n") + "\n";
    let question = "paste of 40 lines: Enter sends them, any other key drops them";
    ada.paste_with_marks(&text);
    ada.wait_for_line(question);
    ada.press("n");
    ada.wait_for_line("the paste was dropped");
    ada.type_text("only this\n");
    bob.wait_for_line("ada: only this");
    ada.paste_with_marks(&text);
    let count = |screen: &str| screen.lines().filter(|line| *line == question).count();
    ada.wait_for("the second question", |screen| count(screen) == 2);
    ada.press("Enter");
    for line in &lines {
        bob.wait_for_line(&format!("ada: {line}"));
    }
    assert!(!bob.received().contains("ada: n"));
    ada.wait_for_last_line("ada@lobby>");
    assert_eq!(count(&ada.screen()), 2);
}

#[test]
fn ctrl_c_clears_text_and_leaves_empty_line() {
    let server = server();
    let Some(ada) = client(server.endpoint()) else { return };
    let mut bob = LineClient::joined(server.endpoint());
    for text in ["half a li", "/nick", "東京"] {
        ada.type_text(text);
        ada.wait_for_last_line(&format!("ada@lobby> {text}"));
        ada.press("C-c");
        ada.wait_for_last_line("ada@lobby>");
    }
    ada.type_text("whole\n");
    bob.wait_for_line("ada: whole");
    assert!(!bob.received().contains("half"));
    ada.press("C-c");
    bob.wait_for_line("* ada left");
}

#[test]
fn sigint_ends_console_with_text() {
    let directory = directory();
    let at = format!("unix:{}/chat", directory.path().display());
    let Some(server) = Terminal::run(&["--scenario", "chat", "--listen", &at]) else { return };
    server.wait_for_last_line("operator>");
    let mut bob = LineClient::joined(&at);
    server.type_text("/announce ha");
    server.press("C-c");
    server.wait_for_last_line("operator>");
    server.type_text("/announce half");
    server.wait_for_last_line("operator> /announce half");
    kill_process(server.find_process("--listen"), Signal::INT).unwrap();
    bob.wait_for(|line| line.contains("good bye"));
}

/// Waits until the screen ends with a text, which may fill several rows.
fn wait_for_end(terminal: &Terminal, text: &str) {
    terminal.wait_for(text, |screen| screen.replace('\n', "").ends_with(text));
}

#[test]
fn prompt_shows_new_nick_while_text_is_typed() {
    let server = server();
    let (short, long) = ("half a line".to_owned(), "more-than-a-row-".repeat(20));
    for (color, text) in [("auto", short), ("never", long)] {
        let Some(ada) = Terminal::run(&[
            "--scenario",
            "chat",
            "--connect",
            server.endpoint(),
            "--nick",
            "ada",
            "--color",
            color,
        ]) else {
            return;
        };
        ada.wait_for_last_line("ada@lobby>");
        // The notice reaches the client after the next line is begun.
        ada.paste(&format!("/nick eve\n{text}"));
        ada.press("Left");
        wait_for_end(&ada, &format!("eve@lobby> {text}"));
        ada.type_text("X");
        let (start, end) = text.split_at(text.len() - 1);
        wait_for_end(&ada, &format!("eve@lobby> {start}X{end}"));
        let screen = ada.screen();
        let prompts: Vec<&str> = screen.lines().filter(|line| line.contains("@lobby>")).collect();
        assert_eq!(prompts.len(), 2, "{screen}");
        ada.press("Enter");
        ada.type_text("/quit\n");
    }
}

#[test]
fn chat_with_own_server_shows_each_message_once() {
    let listen = ["--listen", "127.0.0.1:0", "--nick", "ada"];
    let args = [&["--scenario", "chat", "--role", "both"], &listen[..]].concat();
    let Some(ada) = Terminal::run(&args) else { return };
    let screen = ada.wait_for("the endpoint and the prompt", |screen| {
        screen.contains("listening on ") && screen.lines().last() == Some("ada@lobby>")
    });
    let (_, rest) = screen.split_once("listening on ").unwrap();
    let mut bob = LineClient::joined(rest.lines().next().unwrap());
    bob.send("/nick bob");
    bob.send("only once");
    ada.wait_for_line("bob: only once");
    ada.type_text("my own\n");
    bob.wait_for_line("ada: my own");
    bob.send("the end");
    let screen = ada.wait_for_line("bob: the end");
    for text in ["only once", "my own", "the end", "* bob joined"] {
        let count = screen.matches(text).count();
        assert!(count <= 1, "{text}: {screen}");
    }
    assert!(!screen.contains("Accepted connection") && !screen.contains("Received message"));
}

#[test]
fn flood_of_new_nicks_does_not_block_keys() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let flood = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let welcome = "* you are ada in lobby, with 0 others; /help lists the commands\n";
        stream.write_all(welcome.as_bytes()).unwrap();
        let mut number = 0;
        // The client's end stops it.
        while stream.write_all(format!("* you are now n{number}\n").as_bytes()).is_ok() {
            number += 1;
        }
    });
    let Some(ada) = Terminal::run(&["--scenario", "chat", "--connect", &at, "--nick", "ada"])
    else {
        return;
    };
    ada.wait_for("a new nick", |screen| screen.contains("* you are now n"));
    ada.press("C-c");
    flood.join().unwrap();
}
