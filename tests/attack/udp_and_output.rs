//! Loops of responders, and floods of output.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Program, serial};

/// The bound of a server's lines on stdout in any second.
const MAX_LINES_PER_SECOND: usize = 1000;

/// The number of answered datagrams in a flood. A build without optimisation answers them within
/// two seconds.
const FLOOD: usize = 20_000;

/// Returns the sum of the numbers after `prefix` in a text.
fn sum_after(text: &str, prefix: &str) -> usize {
    let numbers = text.split(prefix).skip(1).map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse::<usize>().unwrap()
    });
    numbers.sum()
}

/// Sends datagrams of 300 bytes until [`FLOOD`] are answered. Returns the number of replies.
fn flood(server: &Program) -> usize {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.endpoint()).unwrap();
    client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let mut received = 0;
    while received < FLOOD {
        // A short window of requests, so that the kernel drops none.
        (0..16).for_each(|_| drop(client.send(&[b'x'; 300])));
        received += (0..16).filter(|_| client.recv(&mut [0; 64]).is_ok()).count();
    }
    received
}

#[test]
fn flood_of_datagrams_prints_at_most_1000_lines_per_second() {
    let _serial = serial::lock();
    for (args, lines_each, dropped) in [
        (&["--json"][..], 1, "\"event\":\"dropped\",\"lines\":"),
        (&[], 2, "dropped lines of output: "),
    ] {
        let server = Program::server(&[&["--scenario", "udp"], args].concat());
        let start = Instant::now();
        let received = flood(&server);
        server.signal(Signal::TERM);
        let ended = server.wait().with_code(0);
        let seconds = start.elapsed().as_secs_f64().ceil() as usize;
        let is_event = |line: &String| !line.contains("listening") && !line.contains("drained");
        let lines = ended.lines().iter().filter(|line| is_event(line)).count();
        assert!(lines <= MAX_LINES_PER_SECOND * seconds, "{lines} lines in {seconds} s");
        // Every line was printed or counted.
        let printed = ended.lines().iter().filter(|line| line.contains("xxx")).count();
        let log = if args.is_empty() { ended.err() } else { ended.out() };
        let total = printed + sum_after(&log, dropped) / lines_each;
        assert!(total >= received, "{printed} printed, {total} in total of {received}");
        if !args.is_empty() {
            assert!(ended.out().contains("\"event\":\"drained\""), "{ended:?}");
        }
    }
}

#[test]
fn truncated_datagrams_fill_neither_stdout_nor_log() {
    let _serial = serial::lock();
    let server = Program::server(&["--scenario", "udp", "--buffer-size", "100"]);
    let start = Instant::now();
    flood(&server);
    server.signal(Signal::TERM);
    let ended = server.wait().with_code(0);
    let seconds = start.elapsed().as_secs_f64().ceil() as usize;
    let lines = ended.lines().len() + ended.err().lines().count();
    assert!(lines <= MAX_LINES_PER_SECOND * seconds + 10, "{lines} lines in {seconds} s");
}
