//! A listener that cannot accept: who is there stays, who comes is told by the end of the connection, and all is well again
//! as soon as there are descriptors.

use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::time::Instant;

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::process_stats::limit_free_descriptors;
use crate::support::{DEADLINE, Program};

/// How many come while there are descriptors for a few.
const CROWD: usize = 100;

/// How many descriptors are left for them.
const LEFT: u64 = 10;

/// Whether the server has ended a connection.
fn is_over(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 99]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[test]
fn who_comes_when_descriptors_have_run_out_is_turned_away_and_who_is_there_stays() {
    let server = Program::server(&["--scenario", "chat"]);
    let mut member = LineClient::joined(server.endpoint());
    limit_free_descriptors(&server, LEFT);
    let mut crowd: Vec<_> = (0..CROWD).map(|_| connect(server.endpoint())).collect();
    crowd.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
    let until = Instant::now() + DEADLINE;
    // A limit counts from 0, so a descriptor that was closed since leaves room for one more.
    while crowd.len() as u64 > 2 * LEFT {
        assert!(Instant::now() < until, "{} are neither let in nor turned away", crowd.len());
        crowd.retain_mut(|stream| !is_over(stream));
    }
    assert!(!crowd.is_empty());
    server.wait_for_error_line(|line| {
        line.contains("cannot accept connections: ") && line.contains("rejected so far")
    });
    member.send("still here");
    member.wait_for_line(&acknowledgement("still here"));
    drop(crowd);
    // Whoever comes before the server has noticed is turned away, too.
    loop {
        assert!(Instant::now() < until, "nobody is accepted again");
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
