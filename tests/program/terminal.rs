//! The program at a terminal, emulated by Python's `pty` module.

use std::net::TcpListener;
use std::process::Command;

use std::sync::mpsc::channel;
use std::time::Duration;

use crate::support::framed_server::{ScriptedServer, ServerFiles, script};
use crate::support::peers::require_tool;
use crate::support::{BINARY, DEADLINE, Program};

/// Starts our program at a terminal. Its screen is the program's stdout, its keyboard the stdin.
pub fn run_at_terminal(args: &[&str]) -> Program {
    let script =
        "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";
    let mut command = Command::new("python3");
    Program::start(command.args(["-c", script, BINARY]).args(args).env("TERM", "xterm"))
}

#[test]
fn client_prompts_for_file_names_until_end_of_input() {
    if !require_tool("python3") {
        return;
    }
    let directory = crate::support::directory();
    let name = directory.path().join("source");
    std::fs::write(&name, "typed by name").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let mut client = run_at_terminal(&["--scenario", "file", "--raw", "--connect", &at]);
    let (mut connection, _) = listener.accept().unwrap();
    client.wait_for("ile");
    client.write("no-such-file\n");
    // The terminal's echo, and the error message.
    client.wait_for_matches("no-such-file", 2);
    client.write(format!("{}\n", name.display()));
    let mut received = [0; 13];
    std::io::Read::read_exact(&mut connection, &mut received).unwrap();
    assert_eq!(&received, b"typed by name");
    client.write("\x04");
    client.wait_while_stdin_is_open(DEADLINE);
}

#[test]
fn no_input_without_file_is_usage_error() {
    if !require_tool("python3") {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let client = run_at_terminal(&["--scenario", "file", "--raw", "--no-input", "--connect", &at]);
    let ended = client.wait_while_stdin_is_open(DEADLINE);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.out().contains("FILE"), "{ended:?}");
}

#[test]
fn missing_file_argument_exits_with_1() {
    if !require_tool("python3") {
        return;
    }
    let directory = crate::support::directory();
    let out = directory.path().to_str().unwrap();
    let server = Program::server(&["--scenario", "file", "--out", out]);
    let good = directory.path().join("good");
    std::fs::write(&good, "good").unwrap();
    let named = [good.to_str().unwrap(), "no-such-file"];
    for raw in [&["--raw"][..], &[]] {
        let flags = [&["--scenario", "file", "--connect", server.endpoint()][..], raw, &named];
        let ended = run_at_terminal(&flags.concat()).wait_while_stdin_is_open(DEADLINE);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.out().contains("no-such-file"), "{ended:?}");
    }
}

#[test]
fn progress_bar_is_replaced_by_result() {
    if !require_tool("python3") {
        return;
    }
    let directory = crate::support::directory();
    let name = directory.path().join("moving");
    std::fs::write(&name, vec![7; 64 << 20]).unwrap();
    let (seen, resume) = channel::<()>();
    let slow = script(move |talk, store| {
        let mut talk = talk.handshake();
        let pace = Duration::from_millis(5);
        talk.before_read = Some(Box::new(move || {
            let _ = resume.recv_timeout(pace);
        }));
        talk.serve(store);
    });
    let server = ScriptedServer::new(ServerFiles::default(), vec![slow]);
    let name = name.to_str().unwrap();
    let client = run_at_terminal(&["--scenario", "file", "--connect", &server.address, name]);
    client.wait_for("% of    64 MiB");
    drop(seen);
    let ended = client.wait_while_stdin_is_open(DEADLINE);
    assert_eq!(ended.code, 0, "{ended:?}");
    let shown = ended.out();
    let (_, after) = shown.split_once("Sent ").unwrap();
    assert!(after.contains(": 64 MiB in ") && !after.contains("% of"), "{after:?}");
    server.join();
}
