//! Many clients that send one byte or none. They are disconnected at their timeout, and the other
//! clients are served meanwhile.
//!
//! `SOCKACTORS_SLOW` sets their number.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::files::stored_reply;
use crate::support::framed_client::{FramedClient, FramedReply};
use crate::support::process_stats::wait_until_frozen;
use crate::support::uploads::{env_number, files_below, seeded_bytes, upload_raw};
use crate::support::{DEADLINE, Program, directory, serial};
use rustix::process::Signal;
use sockactors::wire::file::{SIGNATURE, client_hello};

/// The timeouts of the servers.
const TIMEOUT: &str = "1s";

/// The pause between two actions of a well-behaved client.
const PACE: Duration = Duration::from_millis(20);

fn count() -> usize {
    env_number("SOCKACTORS_SLOW", 200)
}

/// Starts a server for the slow clients and a hundred more.
fn server(scenario: &str, more: &[&str]) -> Program {
    let max_conns = (count() + 100).to_string();
    let args = ["--json", "--scenario", scenario, "--max-conns", &max_conns, "--backlog", "4096"];
    Program::server(&[&args, more].concat())
}

/// Connects the slow clients. Each sends one of these words.
fn connect_slow_clients(server: &Program, words: &[&[u8]]) -> Vec<TcpStream> {
    let clients = (0..count()).map(|number| {
        let mut stream = connect(server.endpoint());
        stream.write_all(words[number % words.len()]).unwrap();
        stream
    });
    clients.collect()
}

/// Counts the connections that the server reports as ended for this reason.
fn count_ended(server: &Program, reason: &str) -> usize {
    let events = String::from_utf8(server.stdout()).unwrap();
    events.lines().filter(|line| line.contains("\"disconnected\"") && line.contains(reason)).count()
}

/// Repeats `act` until all slow clients are disconnected for this reason, and returns the number of
/// repetitions. Each one ends `more` further connections for the same reason.
#[track_caller]
fn repeat_until_gone(
    server: &Program,
    reason: &str,
    more: usize,
    mut act: impl FnMut(usize),
) -> usize {
    let deadline = Instant::now() + DEADLINE;
    let mut times = 0;
    while count_ended(server, reason) < count() + more * times {
        assert!(
            Instant::now() < deadline,
            "{} of {} are disconnected",
            count_ended(server, reason),
            count()
        );
        act(times);
        times += 1;
        thread::sleep(PACE);
    }
    times
}

/// Asserts that the server has closed each connection.
fn check_disconnected(clients: Vec<TcpStream>) {
    for (number, mut stream) in clients.into_iter().enumerate() {
        let result = stream.read_to_end(&mut Vec::new());
        let is_open = result.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!is_open, "{number} is still connected");
    }
}

#[test]
fn slow_tcp_clients_delay_no_greeting() {
    let _serial = serial::lock();
    let server = server("tcp", &[]);
    // Their bytes arrive before the greeting and stay unread. That must not destroy the greeting.
    server.signal(Signal::STOP);
    wait_until_frozen(&server);
    let slow = connect_slow_clients(&server, &[b"x", b""]);
    server.signal(Signal::CONT);
    let times = repeat_until_gone(&server, "greeted", 1, |_| {
        let mut received = String::new();
        connect(server.endpoint()).read_to_string(&mut received).unwrap();
        assert_eq!(received, "Thank you for connecting");
    });
    println!("{times} clients were greeted meanwhile");
    check_disconnected(slow);
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn slow_chat_members_time_out_while_others_talk() {
    let _serial = serial::lock();
    let server = server("chat", &["--first-timeout", TIMEOUT, "--idle-timeout", TIMEOUT]);
    // Nothing, a byte, an unterminated line, and a line with the beginning of the next one.
    let slow = connect_slow_clients(&server, &[b"", b"x", b"a line that does", b"hello\nand"]);
    let mut ann = LineClient::joined(server.endpoint());
    let mut ben = LineClient::joined(server.endpoint());
    let times = repeat_until_gone(&server, "silent", 0, |number| {
        let text = format!("words {number}");
        ann.send(&text);
        ann.wait_for_line(&acknowledgement(&text));
        ben.wait_for_message(&text);
        ben.send("yes");
        ann.wait_for_message("yes");
    });
    println!("{times} messages were exchanged meanwhile");
    check_disconnected(slow);
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn slow_uploads_time_out_while_others_arrive() {
    let _serial = serial::lock();
    let out = directory();
    let path = out.path().to_str().unwrap();
    let limits = ["--first-timeout", TIMEOUT, "--idle-timeout", TIMEOUT, "--out", path];
    let server = server("file", &limits);
    // Nothing, a raw byte, a part of the signature, all of it, and all of it with half a frame.
    let (hello, half) = (client_hello(), &SIGNATURE[..5]);
    let frame = [&hello[..], &[1, 0]].concat();
    let slow = connect_slow_clients(&server, &[b"", b"x", half, &hello, &frame]);
    let times = repeat_until_gone(&server, "silent", 0, |number| {
        let file = seeded_bytes(number.to_string(), 100_000);
        let name = format!("file-{number}");
        let reply = FramedClient::open(connect(server.endpoint())).upload(&name, &file);
        assert_eq!(reply, stored_reply(file.len(), &name));
        upload_raw(server.endpoint(), &file).unwrap();
    });
    println!("{times} files of each kind arrived meanwhile");
    let files = files_below(out.path());
    for number in 0..times {
        let file = seeded_bytes(number.to_string(), 100_000);
        assert_eq!(files.iter().filter(|(_, held)| *held == file).count(), 2, "{number}");
    }
    check_disconnected(slow);
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn slow_signature_does_not_extend_first_timeout() {
    let _serial = serial::lock();
    let out = directory();
    let path = out.path().to_str().unwrap();
    let server = server("file", &["--first-timeout", "500ms", "--out", path]);
    let mut slow = connect(server.endpoint());
    slow.set_nonblocking(true).unwrap();
    let mut sent = 0;
    // The whole signature would take five times as long as the timeout.
    let is_closed = |stream: &mut TcpStream| match stream.read(&mut [0; 9]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    while !is_closed(&mut slow) && sent < SIGNATURE.len() {
        let _ = slow.write_all(&SIGNATURE[sent..=sent]);
        sent += 1;
        thread::sleep(Duration::from_millis(300));
    }
    assert!(sent < SIGNATURE.len(), "the whole signature was awaited");
    server
        .wait_for_line(|line| line.contains("disconnected") && line.contains("silent for 500 ms"));
}

#[test]
fn slow_upload_within_idle_timeout_is_stored() {
    let _serial = serial::lock();
    let out = directory();
    let path = out.path().to_str().unwrap();
    let server = server("file", &["--idle-timeout", TIMEOUT, "--out", path]);
    let mut slow = connect(server.endpoint());
    for byte in b"slowly" {
        slow.write_all(&[*byte]).unwrap();
        thread::sleep(Duration::from_millis(300));
    }
    slow.shutdown(Shutdown::Write).unwrap();
    assert_eq!(slow.read(&mut [0]).unwrap(), 0);
    assert_eq!(std::fs::read(out.path().join("output0.txt")).unwrap(), b"slowly");
    // A framed client that sends nothing is disconnected.
    let mut idle = FramedClient::open(connect(server.endpoint()));
    assert_eq!(idle.recv(), FramedReply::Closed);
}
