//! How the program ends, and how it goes on: signals, closed pipes, crashes.

use std::io::Read;
use std::net::TcpListener;
use std::process::Command;

use crate::support::chat_client::{LineClient, connect};
use crate::support::{BINARY, Program};
use rustix::process::Signal;

/// Connects, and is greeted.
#[track_caller]
fn is_greeted(endpoint: &str) {
    let mut greeted = String::new();
    connect(endpoint).read_to_string(&mut greeted).unwrap();
    assert_eq!(greeted, "Thank you for connecting");
}

#[test]
fn a_server_that_is_asked_to_stop_drains_and_ends_with_0() {
    for scenario in ["tcp", "udp", "file", "chat"] {
        for signal in [Signal::INT, Signal::TERM] {
            let server = Program::server(&["--scenario", scenario]);
            server.signal(signal);
            let ended = server.wait().with_code(0);
            assert!(
                (ended.out() + &ended.err()).contains("drained"),
                "{scenario} {signal:?}\n{ended:?}"
            );
        }
    }
}

#[test]
fn a_server_that_is_asked_to_stop_lets_a_transfer_finish() {
    use std::io::Write;
    let out = crate::support::directory();
    let args =
        ["--scenario", "file", "--out", out.path().to_str().unwrap(), "--drain-timeout", "20s"];
    let server = Program::server(&args);
    let mut client = connect(server.endpoint());
    client.write_all(b"first half, ").unwrap();
    server.wait_for_line(|line| line.starts_with("Connected with client "));
    server.terminate();
    server.wait_for_closed_port();
    client.write_all(b"second half").unwrap();
    drop(client);
    server.wait().with_code(0);
    assert_eq!(
        std::fs::read_to_string(out.path().join("output0.txt")).unwrap(),
        "first half, second half"
    );
}

#[test]
fn a_second_signal_ends_a_server_at_once() {
    let server = Program::server(&["--scenario", "chat", "--drain-timeout", "10m"]);
    let _member = LineClient::joined(server.endpoint());
    let _silent = connect(server.endpoint());
    server.terminate();
    server.wait_for_closed_port();
    server.terminate();
    server.wait();
}

#[test]
fn usr1_prints_the_tree_and_the_server_goes_on() {
    let server = Program::server(&["--scenario", "tcp"]);
    server.signal(Signal::USR1);
    server.wait_for_error_line(|line| line.contains("listener"));
    is_greeted(server.endpoint());
}

#[test]
fn a_client_that_is_interrupted_ends_with_130() {
    for scenario in ["tcp", "chat"] {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = silent.local_addr().unwrap().to_string();
        let client = Program::run(&["--scenario", scenario, "--connect", &at]);
        let _connection = silent.accept().unwrap();
        client.interrupt();
        client.wait_while_stdin_is_open(crate::support::DEADLINE).with_code(130);
    }
}

#[test]
fn a_server_whose_reader_is_gone_ends_quietly() {
    let mut command = Command::new(BINARY);
    command.args(["--scenario", "tcp", "--listen", "127.0.0.1:0"]);
    let mut server = Program::with_unread_stdout(&mut command).listening();
    server.close_stdout();
    // The narration of this connection has nowhere to go.
    drop(connect(server.endpoint()));
    let ended = server.wait();
    assert!(!ended.err().contains("panicked") && !ended.err().contains("Broken pipe"), "{ended:?}");
    assert_ne!(ended.code, 101, "{ended:?}");
}

#[test]
fn a_client_whose_reader_is_gone_ends_quietly() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    let mut client = Program::with_unread_stdout(Command::new(BINARY).args([
        "--scenario",
        "tcp",
        "--connect",
        &at,
    ]));
    client.close_stdout();
    std::io::Write::write_all(&mut silent.accept().unwrap().0, b"for nobody").unwrap();
    let ended = client.wait();
    assert!(!ended.err().contains("panicked") && !ended.err().contains("Broken pipe"), "{ended:?}");
    assert_ne!(ended.code, 101, "{ended:?}");
}

#[test]
fn a_full_device_as_stdout_is_no_panic() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let help = Command::new(BINARY).arg("--help").stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&help.stderr);
    assert!(!said.contains("panicked"), "{said}");
    assert_ne!(help.status.code(), Some(101), "{said}");
}

#[test]
fn a_listener_that_crashes_is_restarted_and_the_port_still_answers() {
    for scenario in ["tcp", "chat"] {
        let server = Program::server(&["--scenario", scenario, "--drill", "listener"]);
        let told = |line: &str| line.contains("listener") && line.contains("restart");
        server.wait_for_error_line(told);
        match scenario {
            "tcp" => is_greeted(server.endpoint()),
            _ => drop(LineClient::joined(server.endpoint())),
        }
        server.terminate();
        let ended = server.wait();
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}

#[test]
fn a_restart_is_told_in_json() {
    let server = Program::server(&["--scenario", "tcp", "--json", "--drill", "listener"]);
    let told = |line: &str| line.contains("\"event\":\"restarted\"") && line.contains("listener");
    server.wait_for_line(told);
    is_greeted(server.endpoint());
}

#[test]
fn a_crash_loop_ends_with_the_reason() {
    let args = ["--scenario", "tcp", "--listen", "127.0.0.1:0", "--drill", "listener=100"];
    let ended = Program::run(&args).wait();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err().contains("listener"), "{ended:?}");
}
