//! Signals, closed pipes and crashes.

use std::io::Read;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use crate::support::chat_client::{LineClient, connect};
use crate::support::peers::{Family, SocketKind, require_tool};
use crate::support::terminal::Terminal;
use crate::support::{BINARY, DEADLINE, Program, directory, sockactors};

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
    let out = directory();
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

/// Starts a server in a session of its own, which has no controlling terminal. Returns it with its
/// process: `setsid` is the one that the test waits for.
fn detached_server(args: &[&str]) -> (Program, Pid) {
    let mut command = Command::new("setsid");
    command.args(["-w", BINARY, "--listen", "127.0.0.1:0"]).args(args);
    let server = Program::start(&mut command).listening();
    let pid = server.pid();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let server_pid = children.trim().parse().ok().and_then(Pid::from_raw);
    (server, server_pid.expect("the process of the server"))
}

#[test]
fn hangup_without_terminal_reloads_password_and_server_continues() {
    if !require_tool("setsid") {
        return;
    }
    let dir = directory();
    let file = dir.path().join("password");
    let set_password = |text: &str| {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    };
    set_password("old\n");
    let path = file.to_str().unwrap();
    let (server, pid) = detached_server(&["chat", "--operator-password-file", path]);
    let log_in = |password: &str| {
        let mut client = LineClient::joined(server.endpoint());
        client.send(format!("/operator {password}"));
        client.wait_for(|line| line.contains("you are an operator") || line.contains("wrong"))
    };
    assert!(log_in("old").contains("you are an operator"));
    set_password("new\n");
    kill_process(pid, Signal::HUP).unwrap();
    server.wait_for_error_line(|line| {
        line.contains("SIGHUP: reloaded the operators' password") && line.contains(path)
    });
    assert!(log_in("new").contains("you are an operator"));
    set_password("two\nlines\n");
    kill_process(pid, Signal::HUP).unwrap();
    server.wait_for_error_line(|line| line.contains("the old password stays in use"));
    assert!(log_in("new").contains("you are an operator"));
    kill_process(pid, Signal::TERM).unwrap();
    server.wait().with_code(0).with_stderr("drained");
}

#[test]
fn hangup_without_terminal_and_files_changes_nothing() {
    if !require_tool("setsid") {
        return;
    }
    for scenario in ["tcp", "udp", "file", "chat"] {
        let (server, pid) = detached_server(&[scenario]);
        kill_process(pid, Signal::HUP).unwrap();
        server.wait_for_error_line(|line| line.contains("SIGHUP: there is nothing to reload"));
        kill_process(pid, Signal::INT).unwrap();
        server.wait().with_code(0).with_stderr("drained");
    }
}

#[test]
fn hangup_of_terminal_drains_upload_in_progress() {
    use std::io::Write;
    let out = directory();
    let port = Family::V4.free_address(SocketKind::Stream, out.path()).unwrap().endpoint();
    let status = out.path().join("status");
    // The shell passes the hangup on, as an interactive one does, and reports the exit code.
    let command = format!(
        "'{BINARY}' file --listen {port} --out '{}' & trap \"kill -HUP $!\" HUP; \
         wait $!; wait $!; echo $? > '{}'",
        out.path().display(),
        status.display()
    );
    let Some(terminal) = Terminal::shell(&command) else { return };
    terminal.wait_for("the endpoint", |screen| screen.contains("listening on"));
    let mut client = connect(&port);
    client.write_all(b"first half, ").unwrap();
    terminal.wait_for("a client", |screen| screen.contains("Connected with client"));
    terminal.close_window();
    let deadline = Instant::now() + DEADLINE;
    while TcpStream::connect(&port).is_ok() {
        assert!(Instant::now() < deadline, "the server still accepts");
    }
    client.write_all(b"second half").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    // The server closes the connection after the file has its name.
    client.read_to_end(&mut Vec::new()).unwrap();
    terminal.wait_until_empty();
    let stored = std::fs::read_to_string(out.path().join("output0.txt")).unwrap();
    assert_eq!(stored, "first half, second half");
    assert_eq!(std::fs::read_to_string(status).unwrap(), "0\n");
}

#[test]
fn signals_ignored_at_start_stay_ignored() {
    let script = format!("trap '' HUP INT; exec '{BINARY}' tcp --listen 127.0.0.1:0");
    let server = Program::start(Command::new("sh").args(["-c", &script])).listening();
    server.signal(Signal::HUP);
    server.signal(Signal::INT);
    check_greeting(server.endpoint());
    server.terminate();
    let ended = server.wait().with_code(0).with_stderr("drained");
    assert!(!ended.err().contains("SIGHUP"), "{ended:?}");
}

#[test]
fn usr1_prints_tree_and_server_continues() {
    let server = Program::server(&["--scenario", "tcp"]);
    server.signal(Signal::USR1);
    server.wait_for_error_line(|line| line.contains("listener"));
    check_greeting(server.endpoint());
}

#[test]
fn usr1_counts_connections_and_datagrams() {
    // Returns the last column of an actor's row.
    let handled = |server: &Program, actor: &str| {
        server.signal(Signal::USR1);
        let row = server.wait_for_error_line(|line| line.contains(&format!("─ {actor} ")));
        row.split_whitespace().last().map(str::to_owned)
    };
    let server = Program::server(&["tcp"]);
    (0..3).for_each(|_| check_greeting(server.endpoint()));
    assert_eq!(handled(&server, "listener").as_deref(), Some("3"));
    let server = Program::server(&["udp"]);
    let args = ["udp", "--connect", server.endpoint(), "--count", "5", "--interval", "0"];
    sockactors(&args, "").with_code(0);
    assert_eq!(handled(&server, "responder").as_deref(), Some("5"));
}

#[test]
fn interrupted_client_exits_with_130() {
    for scenario in ["tcp", "chat"] {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = silent.local_addr().unwrap().to_string();
        let client = Program::run(&["--scenario", scenario, "--connect", &at]);
        let _connection = silent.accept().unwrap();
        client.interrupt();
        client.wait_while_stdin_is_open(DEADLINE).with_code(130);
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
