//! Joins, leaves, notices and history of large rooms.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::chat_client::{LineClient, connect};
use crate::support::process_stats::{cpu_time, wait_until_idle};
use crate::support::{Program, serial};

/// The number of clients that join at once, as after a restart of the server. Without coalesced
/// notices they caused 500,000 deliveries.
const CROWD: usize = 1000;

/// The CPU time that the server may use to admit the crowd: a quarter of a millisecond each.
const MAX_JOIN_TIME: Duration = Duration::from_millis(250);

/// The number of lines that a client of the crowd may receive, on average.
const MAX_LINES: usize = 20;

/// Joins with a client that does not read yet, and returns its stream.
fn join(endpoint: &str, number: usize) -> TcpStream {
    let mut stream = connect(endpoint);
    stream.write_all(format!("/nick n{number}\n/ack off\n").as_bytes()).unwrap();
    stream
}

/// Counts the lines that a client has received.
fn count_lines(mut stream: &TcpStream) -> usize {
    stream.set_nonblocking(true).unwrap();
    let mut received = Vec::new();
    let error = stream.read_to_end(&mut received).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    received.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn crowd_of_joins_causes_few_notices() {
    let _serial = serial::lock();
    let args = ["--scenario", "chat", "--max-conns", "1100", "--backlog", "1100"];
    let server = Program::server(&args);
    let mut first = LineClient::joined(server.endpoint());
    let before = cpu_time(&server);
    let crowd: Vec<_> = (0..CROWD).map(|k| join(server.endpoint(), k)).collect();
    first.wait_for(|line| line.contains(" others joined"));
    wait_until_idle(&server);
    let used = cpu_time(&server) - before;
    let lines: usize = crowd.iter().map(count_lines).sum();
    assert!(lines >= 2 * CROWD, "{lines} lines, not all have joined");
    assert!(lines <= MAX_LINES * CROWD, "{lines} lines");
    assert!(used <= MAX_JOIN_TIME, "{used:?} of CPU time");
    drop(crowd);
    first.wait_for(|line| line.starts_with("* ") && line.ends_with(" others left"));
}
