//! The command line: flags, environment, help, JSON lines, exit codes.

use std::net::{TcpListener, UdpSocket};
use std::process::Command;

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::peers::{Family, SocketKind, require_tool};
use crate::support::{BINARY, Program, directory, sockactors};

/// Asserts exit code 2, an empty stdout, and that stderr contains all of `words`.
#[track_caller]
fn check_usage_error(args: &[&str], words: &[&str]) {
    let ended = sockactors(args, "").with_code(2);
    assert_eq!(ended.out(), "", "{args:?}");
    for word in words {
        assert!(ended.err().contains(word), "{args:?}: stderr does not name {word:?}\n{ended:?}");
    }
}

#[test]
fn usage_error_exits_with_2_and_names_flag() {
    check_usage_error(&[], &["--scenario"]);
    check_usage_error(&["--scenario"], &["--scenario"]);
    check_usage_error(&["--scenario", "smtp"], &["smtp", "tcp", "udp", "file", "chat"]);
    check_usage_error(
        &["--scenario", "tcp", "--role", "judge"],
        &["judge", "server", "client", "both"],
    );
    check_usage_error(&["--scenario", "tcp", "--bogus"], &["--bogus"]);
    check_usage_error(&["--scenario", "tcp", "--clients", "many"], &["--clients", "many"]);
    check_usage_error(&["--scenario", "tcp", "--clients"], &["--clients"]);
    check_usage_error(&["--scenario", "tcp", "--max-conns", "-1"], &["--max-conns"]);
    check_usage_error(
        &["--scenario", "tcp", "--connect", "127.0.0.1:1", "--timeout", "soon"],
        &["--timeout", "soon"],
    );
    check_usage_error(&["--scenario", "udp", "--buffer-size", "0"], &["--buffer-size"]);
}

#[test]
fn invalid_endpoint_is_usage_error() {
    for endpoint in ["non sense", "12345", "127.0.0.1:99999", "::1", "[::1:80", "unix:", ""] {
        check_usage_error(&["--scenario", "tcp", "--listen", endpoint], &["--listen"]);
        check_usage_error(&["--scenario", "tcp", "--connect", endpoint], &["--connect"]);
    }
}

#[test]
fn flag_of_other_scenario_is_usage_error() {
    check_usage_error(&["--scenario", "tcp", "--buffer-size", "10"], &["--buffer-size", "udp"]);
    check_usage_error(&["--scenario", "chat", "--out", "."], &["--out", "file"]);
    check_usage_error(&["--scenario", "udp", "--nick", "ann"], &["--nick", "chat"]);
    check_usage_error(&["--scenario", "tcp", "README.md"], &["README.md"]);
}

#[test]
fn flag_of_other_role_is_usage_error() {
    check_usage_error(
        &["--scenario", "tcp", "--connect", "127.0.0.1:1", "--clients", "1"],
        &["--clients", "server"],
    );
    check_usage_error(
        &["--scenario", "file", "--connect", "127.0.0.1:1", "--out", "."],
        &["--out", "server"],
    );
    check_usage_error(
        &["--scenario", "tcp", "--role", "server", "--connect", "127.0.0.1:1"],
        &["--connect"],
    );
}

#[test]
fn longest_duration_of_each_flag_does_not_panic() {
    const LONGEST: &str = "18446744073709551615s";
    let rate = format!("1000000/{LONGEST}");
    let dir = directory();
    let (out, file) = (dir.path().to_str().unwrap(), dir.path().join("sent.txt"));
    std::fs::write(&file, "text").unwrap();
    let file = file.to_str().unwrap();
    let servers: [(&str, &[&str], &[&str]); 4] = [
        ("tcp", &["--drain-timeout", LONGEST], &["--count", "2", "--interval", "0"]),
        ("udp", &["--drain-timeout", LONGEST, "--reply-rate", &rate], &["--max-loss", "0"]),
        (
            "file",
            &["--idle-timeout", LONGEST, "--part-ttl", LONGEST, "--on-conflict", "rename"],
            &[file],
        ),
        ("chat", &["--idle-timeout", LONGEST, "--rate", &rate], &["--message", "hi"]),
    ];
    for (scenario, server_args, client_args) in servers {
        let mut args = [&["--scenario", scenario], server_args].concat();
        match scenario {
            "file" => args.extend(["--out", out, "--first-timeout", LONGEST]),
            "chat" => args.extend(["--first-timeout", LONGEST]),
            _ => {}
        }
        let server = Program::server(&args);
        let client = ["--scenario", scenario, "--timeout", LONGEST, "--connect", server.endpoint()];
        sockactors(&[&client, client_args].concat(), "").with_code(0);
        if let "tcp" | "udp" = scenario {
            let pause = ["--count", "2", "--interval", LONGEST];
            let waiting = Program::run(&[&client[..], &pause].concat());
            match scenario {
                "tcp" => server.wait_for_matches("Got connection from", 3),
                _ => server.wait_for_matches("Message from Client", 2),
            }
            waiting.interrupt();
            waiting.wait().with_code(130);
        }
        if scenario == "udp" {
            let flood = Program::run(&[&client[..], &["--rate", &rate, "-v"]].concat());
            flood.wait_for_error_line(|line| line.contains("client") && line.contains("start"));
            flood.interrupt();
            flood.wait().with_code(130);
        }
        server.terminate();
        server.wait().with_code(0);
    }
}

#[test]
fn help_and_version_go_to_stdout() {
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
fn flag_value_may_follow_equals_sign() {
    let mut command = Command::new(BINARY);
    command.args(["--scenario=tcp", "--listen=127.0.0.1:0", "--clients=1", "--message=a=b"]);
    let server = Program::start(&mut command).listening();
    let connect = format!("--connect={}", server.endpoint());
    let ended = sockactors(&["--scenario=tcp", &connect], "").with_code(0);
    assert_eq!(ended.lines(), ["a=b"]);
    server.wait().with_code(0);
}

#[test]
fn flag_overrides_environment_variable() {
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
fn invalid_environment_variable_is_named() {
    let mut command = Command::new(BINARY);
    command
        .args(["--scenario", "tcp", "--listen", "127.0.0.1:0"])
        .env("SOCKACTORS_CLIENTS", "many");
    Program::start(&mut command).wait().with_code(2).with_stderr("SOCKACTORS_CLIENTS");
}

#[test]
fn address_in_use_exits_with_3() {
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
fn refused_connection_exits_with_3() {
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
fn unresolvable_host_exits_with_3() {
    let args = ["--scenario", "tcp", "--connect", "no-such-host.invalid:12345"];
    sockactors(&args, "").with_code(3).with_stderr("no-such-host.invalid");
    let args = ["--scenario", "tcp", "--listen", "no-such-host.invalid:12345"];
    sockactors(&args, "").with_code(3).with_stderr("no-such-host.invalid");
}

#[test]
fn role_both_runs_server_and_client() {
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
fn role_both_with_one_client_prints_reply() {
    let expected =
        [("tcp", "Thank you for connecting"), ("udp", "Message from Server \"Hello UDP Client\"")];
    // The server finishes as soon as it has answered. The client prints its reply after that.
    for (scenario, words) in expected.repeat(5) {
        let args = ["--role", "both", "--listen", "127.0.0.1:0", "--clients", "1"];
        let ended = sockactors(&[&["--scenario", scenario], &args[..]].concat(), "").with_code(0);
        assert!(ended.lines().iter().any(|line| line == words), "{scenario}\n{ended:?}");
    }
}

#[test]
fn server_listens_on_70_endpoints() {
    let endpoints = ["--listen", "127.0.0.1:0"].repeat(70);
    let server = Program::run(&[&["--scenario", "tcp", "--json"], &endpoints[..]].concat());
    server.wait_for_matches("\"event\":\"listening\"", 70);
    server.terminate();
    let ended = server.wait().with_code(0);
    assert_eq!(ended.err().matches("listening on ").count(), 70, "{ended:?}");
}

#[test]
fn quiet_prints_results_only() {
    let server = Program::server(&["--scenario", "tcp"]);
    let ended =
        sockactors(&["--scenario", "tcp", "-q", "--connect", server.endpoint()], "").with_code(0);
    assert_eq!((ended.out().trim_end(), ended.err().as_str()), ("Thank you for connecting", ""));
}

#[test]
fn listening_beyond_loopback_warns() {
    let server = Program::server(&["--scenario", "tcp", "--listen", "0.0.0.0:0"]);
    server.wait_for_error_line(|line| line.to_lowercase().contains("warning"));
    let loopback = Program::server(&["--scenario", "tcp"]);
    loopback.terminate();
    let ended = loopback.wait().with_code(0);
    assert!(!ended.err().to_lowercase().contains("warning"), "{ended:?}");
}

/// Asserts that each line is a JSON object with a version and an event, and returns the events.
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
fn json_prints_one_object_per_line() {
    if !require_tool("python3") {
        return;
    }
    let directory = directory();
    let out = directory.path().to_str().unwrap();
    let run_client = |server: &Program, more: &[&str], stdin: &str| {
        let mut args = vec!["--json", "--connect", server.endpoint()];
        args.extend(more);
        events(&sockactors(&args, stdin).with_code(0).out())
    };
    let end = |server: Program| {
        server.terminate();
        events(&server.wait().with_code(0).out())
    };
    let has = |events: Vec<String>, wanted: &[&str]| {
        let missing = wanted.iter().find(|name| !events.iter().any(|event| event == *name));
        assert_eq!(missing, None, "in {events:?}");
    };

    let server = Program::server(&["--scenario", "tcp", "--json"]);
    has(run_client(&server, &["--scenario", "tcp"], ""), &["reply"]);
    has(end(server), &["listening", "connected", "disconnected", "drained"]);

    let server = Program::server(&["--scenario", "udp", "--json"]);
    has(run_client(&server, &["--scenario", "udp"], ""), &["reply", "summary"]);
    has(end(server), &["listening", "message", "drained"]);

    let server = Program::server(&["--scenario", "file", "--json", "--out", out]);
    run_client(&server, &["--scenario", "file", "--raw", "/proc/version"], "");
    server.wait_for_line(|line| line.contains("\"file\"") && line.contains("\"output0.txt\""));
    has(end(server), &["listening", "connected", "file", "disconnected", "drained"]);

    let server = Program::server(&["--scenario", "chat", "--json"]);
    let mut ann = LineClient::joined(server.endpoint());
    ann.send("quotes \" and \\ and \u{1b} and \u{202e}, and the end");
    ann.wait_for(|line| line.starts_with(&acknowledgement("quotes")));
    has(end(server), &["listening", "connected", "message", "drained"]);
}

#[test]
fn json_reports_connection_at_once() {
    let server = Program::server(&["--scenario", "tcp", "--json"]);
    let client = connect(server.endpoint());
    let port = client.local_addr().unwrap().port().to_string();
    server.wait_for_line(|line| line.contains("\"event\":\"connected\"") && line.contains(&port));
}
