//! A crowd that says a byte or none and then takes its time: it is gone when its time is up, and meanwhile everybody else is
//! served.
//!
//! `SOCKACTORS_SLOW` sets how many they are.

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

/// How long anybody may be silent.
const SILENCE: &str = "1s";

/// Between two things that somebody who behaves well does.
const PACE: Duration = Duration::from_millis(20);

fn count() -> usize {
    env_number("SOCKACTORS_SLOW", 200)
}

/// Starts a server that lets in the crowd, and a hundred more.
fn server(scenario: &str, more: &[&str]) -> Program {
    let most = (count() + 100).to_string();
    let args = ["--json", "--scenario", scenario, "--max-conns", &most, "--backlog", "4096"];
    Program::server(&[&args, more].concat())
}

/// Has a crowd come, each of which says one of these words and nothing more.
fn crowd(server: &Program, words: &[&[u8]]) -> Vec<TcpStream> {
    let crowd = (0..count()).map(|number| {
        let mut stream = connect(server.endpoint());
        stream.write_all(words[number % words.len()]).unwrap();
        stream
    });
    crowd.collect()
}

/// How many connections the server says have ended for a reason with these words.
fn ended(server: &Program, why: &str) -> usize {
    let told = String::from_utf8(server.stdout()).unwrap();
    told.lines().filter(|line| line.contains("\"disconnected\"") && line.contains(why)).count()
}

/// Does something again and again until the crowd is gone for this reason, as are so many more each time; returns how often.
#[track_caller]
fn until_gone(server: &Program, why: &str, more: usize, mut act: impl FnMut(usize)) -> usize {
    let until = Instant::now() + DEADLINE;
    let mut times = 0;
    while ended(server, why) < count() + more * times {
        assert!(Instant::now() < until, "{} of {} are gone", ended(server, why), count());
        act(times);
        times += 1;
        thread::sleep(PACE);
    }
    times
}

/// Sees that the server has ended each connection of a crowd.
fn all_are_over(crowd: Vec<TcpStream>) {
    for (number, mut stream) in crowd.into_iter().enumerate() {
        let over = stream.read_to_end(&mut Vec::new());
        let is_late = over.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!is_late, "{number} is still there");
    }
}

#[test]
fn slow_clients_of_greetings_hold_up_nobody_and_are_gone_soon() {
    let _alone = serial::lock();
    let server = server("tcp", &[]);
    // Their bytes are there before they are greeted: nobody reads them, and the greeting must not be lost by that.
    server.signal(Signal::STOP);
    wait_until_frozen(&server);
    let crowd = crowd(&server, &[b"x", b""]);
    server.signal(Signal::CONT);
    let times = until_gone(&server, "greeted", 1, |_| {
        let mut heard = String::new();
        connect(server.endpoint()).read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "Thank you for connecting");
    });
    println!("{times} were greeted meanwhile");
    all_are_over(crowd);
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn slow_members_of_a_chat_are_gone_when_their_time_is_up_and_others_talk() {
    let _alone = serial::lock();
    let server = server("chat", &["--first-timeout", SILENCE, "--idle-timeout", SILENCE]);
    // Nothing, a byte, a line without an end, and a line with the beginning of the next one.
    let crowd = crowd(&server, &[b"", b"x", b"a line that does", b"hello\nand"]);
    let mut ann = LineClient::joined(server.endpoint());
    let mut ben = LineClient::joined(server.endpoint());
    let times = until_gone(&server, "silent", 0, |number| {
        let text = format!("words {number}");
        ann.send(&text);
        ann.wait_for_line(&acknowledgement(&text));
        ben.wait_for_message(&text);
        ben.send("yes");
        ann.wait_for_message("yes");
    });
    println!("{times} times was talked meanwhile");
    all_are_over(crowd);
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn slow_senders_of_files_are_gone_when_their_time_is_up_and_others_arrive() {
    let _alone = serial::lock();
    let out = directory();
    let path = out.path().to_str().unwrap();
    let limits = ["--first-timeout", SILENCE, "--idle-timeout", SILENCE, "--out", path];
    let server = server("file", &limits);
    // Nothing, a raw byte, a part of the signature, all of it, and the beginning of a frame behind it.
    let (hello, half) = (client_hello(), &SIGNATURE[..5]);
    let frame = [&hello[..], &[1, 0]].concat();
    let crowd = crowd(&server, &[b"", b"x", half, &hello, &frame]);
    let times = until_gone(&server, "silent", 0, |number| {
        let file = seeded_bytes(number.to_string(), 100_000);
        let name = format!("file-{number}");
        let said = FramedClient::open(connect(server.endpoint())).upload(&name, &file);
        assert_eq!(said, stored_reply(file.len(), &name));
        upload_raw(server.endpoint(), &file).unwrap();
    });
    println!("{times} of each kind arrived meanwhile");
    let there = files_below(out.path());
    for number in 0..times {
        let file = seeded_bytes(number.to_string(), 100_000);
        assert_eq!(there.iter().filter(|(_, held)| *held == file).count(), 2, "{number}");
    }
    all_are_over(crowd);
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn a_signature_that_comes_a_byte_at_a_time_does_not_put_off_the_time_for_it() {
    let _alone = serial::lock();
    let out = directory();
    let path = out.path().to_str().unwrap();
    let server = server("file", &["--first-timeout", "500ms", "--out", path]);
    let mut slow = connect(server.endpoint());
    slow.set_nonblocking(true).unwrap();
    let mut taken = 0;
    // All of it would take five times as long as it may.
    let is_over = |stream: &mut TcpStream| match stream.read(&mut [0; 9]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    };
    while !is_over(&mut slow) && taken < SIGNATURE.len() {
        let _ = slow.write_all(&SIGNATURE[taken..=taken]);
        taken += 1;
        thread::sleep(Duration::from_millis(300));
    }
    assert!(taken < SIGNATURE.len(), "it was waited for to the end");
    server.wait_for_line(|line| line.contains("disconnected") && line.contains("silent for 500ms"));
}

#[test]
fn a_file_that_comes_a_byte_now_and_then_arrives() {
    let _alone = serial::lock();
    let out = directory();
    let path = out.path().to_str().unwrap();
    let server = server("file", &["--idle-timeout", SILENCE, "--out", path]);
    let mut slow = connect(server.endpoint());
    for byte in b"slowly" {
        slow.write_all(&[*byte]).unwrap();
        thread::sleep(Duration::from_millis(300));
    }
    slow.shutdown(Shutdown::Write).unwrap();
    assert_eq!(slow.read(&mut [0]).unwrap(), 0);
    assert_eq!(std::fs::read(out.path().join("output0.txt")).unwrap(), b"slowly");
    // One who has nothing to say to anybody is told so, and a sender of frames that it is over.
    let mut idle = FramedClient::open(connect(server.endpoint()));
    assert_eq!(idle.recv(), FramedReply::Closed);
}
