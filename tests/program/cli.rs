//! The program's contract at the terminal: flags, environment, help, JSON lines, exit codes.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::peers::{Family, SocketKind, require_tool};
use crate::support::{BINARY, Program, directory, sockactors};

/// Wrong usage: exit code 2, nothing on stdout, and stderr names every one of these words.
#[track_caller]
fn is_wrong_usage(args: &[&str], named: &[&str]) {
    let ended = sockactors(args, "").with_code(2);
    assert_eq!(ended.out(), "", "{args:?}");
    for word in named {
        assert!(ended.err().contains(word), "{args:?}: stderr does not name {word:?}\n{ended:?}");
    }
}

#[test]
fn wrong_usage_ends_with_2_and_names_the_flag() {
    is_wrong_usage(&[], &["--scenario"]);
    is_wrong_usage(&["--scenario"], &["--scenario"]);
    is_wrong_usage(&["--scenario", "smtp"], &["smtp", "tcp", "udp", "file", "chat"]);
    is_wrong_usage(
        &["--scenario", "tcp", "--role", "judge"],
        &["judge", "server", "client", "both"],
    );
    is_wrong_usage(&["--scenario", "tcp", "--bogus"], &["--bogus"]);
    is_wrong_usage(&["--scenario", "tcp", "--clients", "many"], &["--clients", "many"]);
    is_wrong_usage(&["--scenario", "tcp", "--clients"], &["--clients"]);
    is_wrong_usage(&["--scenario", "tcp", "--max-conns", "-1"], &["--max-conns"]);
    is_wrong_usage(
        &["--scenario", "tcp", "--connect", "127.0.0.1:1", "--timeout", "soon"],
        &["--timeout", "soon"],
    );
    is_wrong_usage(&["--scenario", "udp", "--buffer-size", "0"], &["--buffer-size"]);
}

#[test]
fn an_endpoint_that_is_none_is_wrong_usage() {
    for endpoint in ["nonsense", "127.0.0.1", "127.0.0.1:99999", "[::1]", "[::1:80", "unix:", ""] {
        is_wrong_usage(&["--scenario", "tcp", "--listen", endpoint], &["--listen"]);
        is_wrong_usage(&["--scenario", "tcp", "--connect", endpoint], &["--connect"]);
    }
}

#[test]
fn a_flag_of_another_scenario_is_an_error_that_says_so() {
    is_wrong_usage(&["--scenario", "tcp", "--buffer-size", "10"], &["--buffer-size", "udp"]);
    is_wrong_usage(&["--scenario", "chat", "--out", "."], &["--out", "file"]);
    is_wrong_usage(&["--scenario", "udp", "--nick", "ann"], &["--nick", "chat"]);
    is_wrong_usage(&["--scenario", "tcp", "README.md"], &["README.md"]);
}

#[test]
fn a_flag_of_another_role_is_an_error_that_says_so() {
    is_wrong_usage(
        &["--scenario", "tcp", "--connect", "127.0.0.1:1", "--clients", "1"],
        &["--clients", "server"],
    );
    is_wrong_usage(
        &["--scenario", "file", "--connect", "127.0.0.1:1", "--out", "."],
        &["--out", "server"],
    );
    is_wrong_usage(
        &["--scenario", "tcp", "--role", "server", "--connect", "127.0.0.1:1"],
        &["--connect"],
    );
}

#[test]
fn help_and_version_are_on_stdout() {
    for flag in ["-h", "--help"] {
        let ended = sockactors(&[flag], "").with_code(0);
        for word in [
            "tcp",
            "udp",
            "file",
            "chat",
            "--scenario",
            "--role",
            "--listen",
            "--connect",
            "--json",
        ] {
            assert!(ended.out().contains(word), "the help does not name {word}\n{ended:?}");
        }
    }
    for flag in ["-V", "--version"] {
        let ended = sockactors(&[flag], "").with_code(0);
        assert_eq!(ended.out(), concat!("sockactors ", env!("CARGO_PKG_VERSION"), "\n"));
    }
}

#[test]
fn a_value_may_follow_an_equals_sign() {
    let mut command = Command::new(BINARY);
    command.args(["--scenario=tcp", "--listen=127.0.0.1:0", "--clients=1", "--message=a=b"]);
    let server = Program::start(&mut command).listening();
    let connect = format!("--connect={}", server.endpoint());
    let ended = sockactors(&["--scenario=tcp", &connect], "").with_code(0);
    assert_eq!(ended.lines(), ["a=b"]);
    server.wait().with_code(0);
}

#[test]
fn a_variable_of_the_environment_stands_for_a_flag_and_a_flag_wins() {
    let mut command = Command::new(BINARY);
    command.env("SOCKACTORS_SCENARIO", "tcp").env("SOCKACTORS_LISTEN", "127.0.0.1:0");
    command.env("SOCKACTORS_CLIENTS", "1").env("SOCKACTORS_MESSAGE", "from the environment");
    command.args(["--message", "from a flag"]);
    let server = Program::start(&mut command).listening();
    let ended = sockactors(&["--scenario", "tcp", "--connect", server.endpoint()], "").with_code(0);
    assert_eq!(ended.lines(), ["from a flag"]);
    server.wait().with_code(0);
}

#[test]
fn a_wrong_variable_of_the_environment_is_named() {
    let mut command = Command::new(BINARY);
    command
        .args(["--scenario", "tcp", "--listen", "127.0.0.1:0"])
        .env("SOCKACTORS_CLIENTS", "many");
    Program::start(&mut command).wait().with_code(2).with_stderr("SOCKACTORS_CLIENTS");
}

#[test]
fn an_address_in_use_ends_with_3() {
    let stream = TcpListener::bind("127.0.0.1:0").unwrap();
    let datagram = UdpSocket::bind("127.0.0.1:0").unwrap();
    let streams = stream.local_addr().unwrap().to_string();
    let datagrams = datagram.local_addr().unwrap().to_string();
    let used = [("tcp", &streams), ("file", &streams), ("chat", &streams), ("udp", &datagrams)];
    for (scenario, at) in used {
        sockactors(&["--scenario", scenario, "--listen", at], "").with_code(3).with_stderr(at);
    }
}

#[test]
fn a_refused_connection_ends_with_3() {
    let at = Family::V4.free_address(SocketKind::Stream, "/".as_ref()).unwrap().endpoint();
    for scenario in ["tcp", "chat"] {
        sockactors(&["--scenario", scenario, "--connect", &at], "").with_code(3).with_stderr(&at);
    }
    let args = ["--scenario", "file", "--raw", "--connect", &at, "/proc/version"];
    sockactors(&args, "").with_code(3).with_stderr(&at);
    sockactors(&["--scenario", "tcp", "--connect", "unix:/no/such/socket"], "")
        .with_code(3)
        .with_stderr("/no/such/socket");
}

#[test]
fn an_unresolvable_host_ends_with_3() {
    let args = ["--scenario", "tcp", "--connect", "no-such-host.invalid:12345"];
    sockactors(&args, "").with_code(3).with_stderr("no-such-host.invalid");
    let args = ["--scenario", "tcp", "--listen", "no-such-host.invalid:12345"];
    sockactors(&args, "").with_code(3).with_stderr("no-such-host.invalid");
}

#[test]
fn a_role_of_both_is_a_whole_demonstration() {
    let directory = directory();
    let out = directory.path().to_str().unwrap();
    let both = |scenario: &str, more: &[&str], stdin: &str| {
        let mut args = vec!["--scenario", scenario, "--role", "both", "--listen", "127.0.0.1:0"];
        args.extend(more);
        sockactors(&args, stdin).with_code(0).out()
    };
    assert!(both("tcp", &[], "").contains("Thank you for connecting"));
    assert!(both("udp", &[], "").contains("Message from Server \"Hello UDP Client\""));
    both("file", &["--out", out, "/proc/version"], "");
    let stored = std::fs::read(directory.path().join("version")).unwrap();
    assert_eq!(stored, std::fs::read("/proc/version").unwrap());
    assert!(both("chat", &[], "hello\n").contains("hello"));
}

#[test]
fn a_demonstration_for_one_client_shows_what_came_back() {
    let came_back =
        [("tcp", "Thank you for connecting"), ("udp", "Message from Server \"Hello UDP Client\"")];
    // The server is finished as soon as it has answered, and the client's words come after that.
    for (scenario, words) in came_back.repeat(5) {
        let args = ["--role", "both", "--listen", "127.0.0.1:0", "--clients", "1"];
        let ended = sockactors(&[&["--scenario", scenario], &args[..]].concat(), "").with_code(0);
        assert!(ended.lines().iter().any(|line| line == words), "{scenario}\n{ended:?}");
    }
}

#[test]
fn a_server_listens_at_as_many_places_as_it_is_told() {
    let places = ["--listen", "127.0.0.1:0"].repeat(70);
    let server = Program::run(&[&["--scenario", "tcp", "--json"], &places[..]].concat());
    server.wait_for_matches("\"event\":\"listening\"", 70);
    server.terminate();
    let ended = server.wait().with_code(0);
    assert_eq!(ended.err().matches("listening on ").count(), 70, "{ended:?}");
}

#[test]
fn quiet_leaves_the_results() {
    let server = Program::server(&["--scenario", "tcp"]);
    let ended =
        sockactors(&["--scenario", "tcp", "-q", "--connect", server.endpoint()], "").with_code(0);
    assert_eq!((ended.out().trim_end(), ended.err().as_str()), ("Thank you for connecting", ""));
}

#[test]
fn listening_wider_than_loopback_is_warned_of() {
    let server = Program::server(&["--scenario", "tcp", "--listen", "0.0.0.0:0"]);
    server.wait_for_error_line(|line| line.to_lowercase().contains("warning"));
    let narrow = Program::server(&["--scenario", "tcp"]);
    narrow.terminate();
    let ended = narrow.wait().with_code(0);
    assert!(!ended.err().to_lowercase().contains("warning"), "{ended:?}");
}

/// Asserts that each line is a JSON object with a version and an event, and returns the events in order.
#[track_caller]
fn events(stdout: &str) -> Vec<String> {
    let script = "import json, sys\n\
        for line in sys.stdin:\n    \
            object = json.loads(line)\n    \
            assert object['v'] == 1, line\n    \
            print(object['event'])\n";
    let mut python = Program::start(Command::new("python3").args(["-c", script]));
    python.write(stdout);
    python.wait().with_code(0).lines()
}

#[test]
fn json_is_one_object_a_line_for_every_scenario() {
    if !require_tool("python3") {
        return;
    }
    let directory = directory();
    let out = directory.path().to_str().unwrap();
    let ask = |server: &Program, more: &[&str], stdin: &str| {
        let mut args = vec!["--json", "--connect", server.endpoint()];
        args.extend(more);
        events(&sockactors(&args, stdin).with_code(0).out())
    };
    let end = |server: Program| {
        server.terminate();
        events(&server.wait().with_code(0).out())
    };
    let has = |events: Vec<String>, wanted: &[&str]| {
        let lacking = wanted.iter().find(|name| !events.iter().any(|event| event == *name));
        assert_eq!(lacking, None, "in {events:?}");
    };

    let server = Program::server(&["--scenario", "tcp", "--json"]);
    has(ask(&server, &["--scenario", "tcp"], ""), &["reply"]);
    has(end(server), &["listening", "connected", "disconnected", "drained"]);

    let server = Program::server(&["--scenario", "udp", "--json"]);
    has(ask(&server, &["--scenario", "udp"], ""), &["reply", "summary"]);
    has(end(server), &["listening", "message", "drained"]);

    let server = Program::server(&["--scenario", "file", "--json", "--out", out]);
    ask(&server, &["--scenario", "file", "--raw", "/proc/version"], "");
    server.wait_for_line(|line| line.contains("\"file\"") && line.contains("\"output0.txt\""));
    has(end(server), &["listening", "connected", "file", "disconnected", "drained"]);

    let server = Program::server(&["--scenario", "chat", "--json"]);
    let mut ann = LineClient::joined(server.endpoint());
    ann.send("quotes \" and \\ and \u{1b} and \u{202e}, and the end");
    ann.wait_for(|line| line.starts_with(&acknowledgement("quotes")));
    has(end(server), &["listening", "connected", "message", "drained"]);
}

#[test]
fn a_connection_is_told_in_json_as_it_happens() {
    let server = Program::server(&["--scenario", "tcp", "--json"]);
    let client = connect(server.endpoint());
    let port = client.local_addr().unwrap().port().to_string();
    server.wait_for_line(|line| line.contains("\"event\":\"connected\"") && line.contains(&port));
}
