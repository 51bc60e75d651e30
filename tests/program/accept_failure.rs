//! A listener without free file descriptors. Connected clients stay, new clients are rejected, and
//! the server accepts again once descriptors are free.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Instant;

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::process_stats::limit_free_descriptors;
use crate::support::{DEADLINE, Program};

/// The number of clients that connect while few descriptors are free.
const CLIENTS: usize = 100;

/// The number of free descriptors.
const FREE: u64 = 10;

/// Returns whether the server has closed a connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 99]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn server_without_descriptors_rejects_new_clients_only() {
    let server = Program::server(&["--scenario", "chat"]);
    let mut member = LineClient::joined(server.endpoint());
    limit_free_descriptors(&server, FREE);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| connect(server.endpoint())).collect();
    clients.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    let deadline = Instant::now() + DEADLINE;
    // The limit is a highest number, so a lower descriptor that was closed since may still be free.
    while clients.len() as u64 > 2 * FREE {
        assert!(Instant::now() < deadline, "{} are neither accepted nor rejected", clients.len());
        clients.retain_mut(|stream| !is_closed(stream));
    }
    assert!(!clients.is_empty());
    server.wait_for_error_line(|line| {
        line.contains("cannot accept connections: ") && line.contains("rejected so far")
    });
    member.send("still here");
    member.wait_for_line(&acknowledgement("still here"));
    drop(clients);
    // The server rejects clients until it notices the free descriptors.
    loop {
        assert!(Instant::now() < deadline, "no client is accepted again");
        let mut next = LineClient::connect(server.endpoint());
        next.send("hello");
        if let Ok(Some(_)) = next.next_line() {
            break;
        }
    }
    member.wait_for_message("hello");
    server.terminate();
    server.wait().with_code(0);
}
