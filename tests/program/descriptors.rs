//! Servers with few file descriptors.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use crate::support::chat_client::connect;
use crate::support::{BINARY, Program};

/// The limit of open files of each server.
const LIMIT: usize = 64;

/// Starts a chat server with few descriptors and these arguments.
fn chat_server(args: &[&str]) -> Program {
    let script = format!("ulimit -n {LIMIT}; exec '{BINARY}' chat --listen 127.0.0.1:0 \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).args(args);
    Program::start(&mut command).listening()
}

/// Asks for the members of the room.
fn join(server: &Program) -> TcpStream {
    let mut client = connect(server.endpoint());
    client.write_all(b"/who\n").unwrap();
    client
}

/// Waits until a client is a member, and fails if the server closes its connection.
#[track_caller]
fn wait_for_membership(mut client: &TcpStream) {
    let (mut text, mut buf) = (Vec::new(), [0; 512]);
    while !String::from_utf8_lossy(&text).contains("in lobby:") {
        let length = client.read(&mut buf).unwrap();
        assert!(length > 0, "rejected: {}", String::from_utf8_lossy(&text));
        text.extend(&buf[..length]);
    }
}

#[test]
fn server_with_64_descriptors_serves_40_clients() {
    let server = chat_server(&[]);
    let members: Vec<_> = (0..40).map(|_| join(&server)).collect();
    members.iter().for_each(wait_for_membership);
    server.terminate();
    let ended = server.wait().with_code(0);
    assert!(!ended.err().contains("reduced"), "{ended:?}");
}

#[test]
fn clients_wait_where_listeners_and_threads_need_descriptors() {
    let listeners = ["--listen", "127.0.0.1:0"].repeat(14);
    for args in [&listeners[..], &["--threads", "16"]] {
        let server = chat_server(args);
        let clients: Vec<_> = (0..LIMIT).map(|_| join(&server)).collect();
        // Each client leaves in its turn, so that the next one is accepted.
        for client in clients {
            wait_for_membership(&client);
        }
        server.terminate();
        let ended = server.wait().with_code(0);
        assert!(!ended.err().contains("descriptors"), "{ended:?}");
    }
}

#[test]
fn reduced_limit_is_reported_only_for_flag() {
    let server = chat_server(&["--max-conns", "50"]);
    server.wait_for_error_line(|line| line.contains("--max-conns is reduced from 50 to 40"));
    let server = chat_server(&["--max-conns", "30"]);
    server.terminate();
    let ended = server.wait().with_code(0);
    assert!(!ended.err().contains("reduced"), "{ended:?}");
}
