//! Drills of the built program. `tests/program/signals.rs` has those of the listener.

use std::io::Write;
use std::net::{Shutdown, UdpSocket};

use crate::support::chat_client::{LineClient, connect};
use crate::support::{DEADLINE, Program, directory};

/// A scenario, one of its actors, and a line of stdout that shows the actor's work.
const ACTORS: [(&str, &str, &str); 8] = [
    ("tcp", "listener", "Got connection from"),
    ("tcp", "server-printer", "Got connection from"),
    ("udp", "responder", "Message from Client: hello"),
    ("udp", "server-printer", "Message from Client: hello"),
    ("file", "reaper", "Received successfully! New filename is: output0.txt"),
    ("file", "listener", "Received successfully! New filename is: output0.txt"),
    ("chat", "room", "Received message: here I am"),
    ("chat", "server-printer", "Received message: here I am"),
];

/// Uses the server once, as a client of its scenario would.
#[track_caller]
fn is_answered(scenario: &str, at: &str) {
    match scenario {
        "tcp" => assert_eq!(super::hear_all(connect(at)), super::GREETING),
        "udp" => {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.set_read_timeout(Some(DEADLINE)).unwrap();
            client.send_to(b"hello", at).unwrap();
            let mut answer = [0; 64];
            let n = client.recv(&mut answer).unwrap();
            assert_eq!(&answer[..n], super::ANSWER);
        }
        "file" => {
            let mut client = connect(at);
            client.write_all(b"the bytes").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(super::hear_all(client), "");
        }
        _ => drop(LineClient::joined(at)),
    }
}

#[test]
fn drill_of_every_actor_keeps_server_running() {
    for (scenario, actor, done) in ACTORS {
        let out = directory();
        let mut args = vec!["--scenario", scenario, "--drill", actor];
        if scenario == "file" {
            args.extend(["--out", out.path().to_str().unwrap()]);
        }
        let server = Program::server(&args);
        let path = format!("{scenario}/{actor}");
        server.wait_for_error_line(|line| line.contains(&path) && line.contains("panicked"));
        server.wait_for_error_line(|line| line.contains(&path) && line.contains("restarting"));
        is_answered(scenario, server.endpoint());
        server.wait_for_line(|line| line.contains(done));
        server.terminate();
        let ended = server.wait();
        assert_eq!(ended.code, 0, "{path}: {ended:?}");
        if scenario == "file" {
            let stored = std::fs::read(out.path().join("output0.txt")).unwrap();
            assert_eq!(stored, b"the bytes");
        }
    }
}

#[test]
fn crash_loop_of_any_actor_exits_with_1() {
    for (scenario, actor, _) in ACTORS {
        let out = directory();
        let drill = format!("{actor}=100");
        let mut args = vec!["--scenario", scenario, "--listen", "127.0.0.1:0", "--drill", &drill];
        if scenario == "file" {
            args.extend(["--out", out.path().to_str().unwrap()]);
        }
        let ended = Program::run(&args).wait();
        assert_eq!(ended.code, 1, "{scenario}/{actor}: {ended:?}");
        let reason = format!("last exit: {scenario}/{actor} panicked at ");
        let err = ended.err();
        let output = err.lines().filter(|line| line.contains("gave up: more than 5 restarts"));
        let output: Vec<_> = output.collect();
        assert_eq!(output.len(), 1, "the reason is printed once: {ended:?}");
        assert!(output[0].contains(&reason), "{ended:?}");
        assert!(output[0].contains("crashed on request"), "{ended:?}");
    }
}
