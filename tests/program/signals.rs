//! Signals, closed pipes and crashes.

use std::io::Read;
use std::net::TcpListener;
use std::process::Command;

use crate::support::chat_client::{LineClient, connect};
use crate::support::{BINARY, Program};
use rustix::process::Signal;

/// Connects, and asserts the greeting.
#[track_caller]
fn check_greeting(endpoint: &str) {
    let mut greeted = String::new();
    connect(endpoint).read_to_string(&mut greeted).unwrap();
    assert_eq!(greeted, "Thank you for connecting");
}

#[test]
fn signal_drains_server_and_exits_with_0() {
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
fn drain_lets_transfer_finish() {
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
fn second_signal_ends_server_at_once() {
    let server = Program::server(&["--scenario", "chat", "--drain-timeout", "10m"]);
    let _member = LineClient::joined(server.endpoint());
    let _silent = connect(server.endpoint());
    server.terminate();
    server.wait_for_closed_port();
    server.terminate();
    server.wait();
}

#[test]
fn usr1_prints_tree_and_server_continues() {
    let server = Program::server(&["--scenario", "tcp"]);
    server.signal(Signal::USR1);
    server.wait_for_error_line(|line| line.contains("listener"));
    check_greeting(server.endpoint());
}

#[test]
fn interrupted_client_exits_with_130() {
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
fn server_with_closed_stdout_does_not_panic() {
    let mut command = Command::new(BINARY);
    command.args(["--scenario", "tcp", "--listen", "127.0.0.1:0"]);
    let mut server = Program::with_unread_stdout(&mut command).listening();
    server.close_stdout();
    // The output about this connection has no reader.
    drop(connect(server.endpoint()));
    let ended = server.wait();
    assert!(!ended.err().contains("panicked") && !ended.err().contains("Broken pipe"), "{ended:?}");
    assert_ne!(ended.code, 101, "{ended:?}");
}

#[test]
fn client_with_closed_stdout_does_not_panic() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = silent.local_addr().unwrap().to_string();
    let mut client = Program::with_unread_stdout(Command::new(BINARY).args([
        "--scenario",
        "tcp",
        "--connect",
        &at,
    ]));
    client.close_stdout();
    std::io::Write::write_all(&mut silent.accept().unwrap().0, b"a greeting").unwrap();
    let ended = client.wait();
    assert!(!ended.err().contains("panicked") && !ended.err().contains("Broken pipe"), "{ended:?}");
    assert_ne!(ended.code, 101, "{ended:?}");
}

#[test]
fn full_stdout_device_does_not_panic() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let help = Command::new(BINARY).arg("--help").stdout(full).output().unwrap();
    let stderr = String::from_utf8_lossy(&help.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_ne!(help.status.code(), Some(101), "{stderr}");
}

#[test]
fn crashed_listener_is_restarted_on_same_port() {
    for scenario in ["tcp", "chat"] {
        let server = Program::server(&["--scenario", scenario, "--drill", "listener"]);
        let is_restart = |line: &str| line.contains("listener") && line.contains("restart");
        server.wait_for_error_line(is_restart);
        match scenario {
            "tcp" => check_greeting(server.endpoint()),
            _ => drop(LineClient::joined(server.endpoint())),
        }
        server.terminate();
        let ended = server.wait();
        assert_eq!(ended.code, 0, "{ended:?}");
    }
}

#[test]
fn restart_is_reported_in_json() {
    let server = Program::server(&["--scenario", "tcp", "--json", "--drill", "listener"]);
    let is_restart =
        |line: &str| line.contains("\"event\":\"restarted\"") && line.contains("listener");
    server.wait_for_line(is_restart);
    check_greeting(server.endpoint());
}

#[test]
fn crash_loop_exits_with_1_and_names_actor() {
    let args = ["--scenario", "tcp", "--listen", "127.0.0.1:0", "--drill", "listener=100"];
    let ended = Program::run(&args).wait();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.err().contains("listener"), "{ended:?}");
}
