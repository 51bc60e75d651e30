//! Rare cases of the chat: a late line, a peer that leaves in the middle, the first line.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::process_stats::wait_until_frozen;
use crate::support::{DEADLINE, Program, sockactors};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use rustix::process::Signal;

fn server() -> Program {
    Program::server(&["--scenario", "chat"])
}

/// Sends a chunk without a newline, and reads the lecture's acknowledgement for it.
#[track_caller]
fn lecture_says(stream: &mut (impl Read + Write), text: &str) {
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = vec![0; acknowledgement(text).len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), acknowledgement(text));
}

#[test]
fn late_first_newline_makes_line_session() {
    let server = server();
    let mut ann = LineClient::joined(server.endpoint());
    let mut late = LineClient::connect(server.endpoint());
    lecture_says(&mut late.stream, "hello");
    late.stream.write_all(b"\n/ack off\nmore\n").unwrap();
    assert_eq!(late.next_line().unwrap().as_deref(), Some(""), "the end of the acknowledgement");
    let greeting = late.next_line().unwrap().unwrap_or_default();
    assert!(greeting.starts_with("* you are guest"), "{greeting:?}");
    late.wait_for_line("* receipts are off");
    ann.wait_for_message("hello");
    ann.wait_for_message("more");
    ann.send("the end");
    late.wait_for_message("the end");
    assert!(!late.received().contains(&acknowledgement("more")), "{}", late.received());
    // A message published before the last line would have arrived before its acknowledgement.
    ann.wait_for_line(&acknowledgement("the end"));
    assert!(!ann.received().contains("/ack"), "{}", ann.received());
}

#[test]
fn lecture_client_is_not_announced() {
    let server = Program::server(&["--scenario", "chat", "--json"]);
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    let mut lecture = connect(server.endpoint());
    let peer = format!("\"{}\"", lecture.local_addr().unwrap());
    lecture_says(&mut lecture, "hello");
    drop(lecture);
    server.wait_for_line(|line| line.contains("\"disconnected\"") && line.contains(&peer));
    // The room manager has handled the leave by now.
    ben.send("after it");
    ann.wait_for_message("hello");
    ann.wait_for_message("after it");
    assert_eq!(ann.count(" left"), 0, "{}", ann.received());
    assert_eq!(ann.count(" joined"), 1, "only ben's\n{}", ann.received());
}

/// How a member ends its session.
#[derive(Clone, Copy)]
enum Leave {
    HalfClose,
    Quit,
}

/// Many long lines are sent to a member that does not read. It leaves, and then reads to the end.
/// It may receive fewer lines, but no truncated one.
fn no_line_is_cut_by(leave: Leave) {
    // Six megabytes exceed the kernel's buffers of a client that does not read.
    let count = 1500;
    let server = server();
    let mut slow = LineClient::joined(server.endpoint());
    set_socket_recv_buffer_size(&slow.stream, 4096).unwrap();
    let (mut ann, mut ben) =
        (LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint()));
    ben.send("/nick ben");
    ben.send("/ack off");
    let text = |i: usize| format!("{i} {}", "z".repeat(4000));
    for i in 0..count {
        ben.send(text(i));
        ann.wait_for_line(&format!("ben: {}", text(i)));
        ann.lines.clear();
    }
    match leave {
        Leave::HalfClose => slow.stream.shutdown(Shutdown::Write).unwrap(),
        Leave::Quit => slow.send("/quit"),
    }
    // The server has seen and announced the leave before the member reads.
    ann.wait_for(|line| line.ends_with(" left"));
    set_socket_recv_buffer_size(&slow.stream, 1 << 20).unwrap();
    slow.read_to_end();
    let said: HashSet<_> = (0..count).map(|i| format!("ben: {}\n", text(i))).collect();
    let cut = slow.lines.iter().map(|line| String::from_utf8_lossy(line)).find(|line| {
        let is_early = line.starts_with("* ") || line.ends_with(": here I am\n");
        !(line.ends_with('\n') && (is_early || said.contains(&**line)))
    });
    assert_eq!(cut, None, "after {} lines", slow.lines.len());
    let received = slow.lines.iter().filter(|line| line.starts_with(b"ben: ")).count();
    assert!((1..count).contains(&received), "{received} of {count} lines: no line was dropped");
}

#[test]
fn half_closed_slow_member_receives_whole_lines() {
    no_line_is_cut_by(Leave::HalfClose);
}

#[test]
fn quitting_slow_member_receives_whole_lines() {
    no_line_is_cut_by(Leave::Quit);
}

#[test]
fn client_that_only_quits_exits_with_0() {
    let server = server();
    let args = ["--scenario", "chat", "--connect", server.endpoint()];
    for lines in ["/quit\n", "/quit", "/QUIT see you\n"] {
        sockactors(&args, lines).with_code(0);
    }
}

#[test]
fn tab_in_first_line_hides_acknowledgement() {
    let server = server();
    let mut ann = LineClient::joined(server.endpoint());
    let args = ["--scenario", "chat", "--connect", server.endpoint()];
    let ended = sockactors(&args, "one\ttwo\nthree\n").with_code(0);
    assert!(!ended.out().contains("Server received"), "{ended:?}");
    ann.wait_for(|line| line.contains("one") && line.contains("two"));
    ann.wait_for_message("three");
}

#[test]
fn late_acknowledgement_is_hidden() {
    // A server that takes the first chunk for a lecture client's, as ours does when the rest is
    // late.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let mut client = Program::run(&["--scenario", "chat", "--connect", &at]);
    client.write("one\ttwo\n");
    let (mut peer, _) = listener.accept().unwrap();
    peer.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut opening = [0; "one\ttwo\n/ack off\n".len()];
    peer.read_exact(&mut opening).unwrap();
    assert_eq!(&opening, b"one\ttwo\n/ack off\n");
    let answers =
        [&acknowledgement("one\ttwo"), "* you are guest1", "* receipts are off", "ann: hello", ""];
    peer.write_all(answers.join("\n").as_bytes()).unwrap();
    client.wait_for_line(|line| line == "ann: hello");
    drop(peer);
    let ended = client.wait();
    assert!(!ended.out().contains("Server received"), "{ended:?}");
    assert!(!ended.out().contains("receipts are off"), "{ended:?}");
}

#[test]
fn max_per_ip_limits_connections() {
    let server = Program::server(&["--scenario", "chat", "--json", "--max-per-ip", "2"]);
    let first = LineClient::joined(server.endpoint());
    let mut second = LineClient::joined(server.endpoint());
    // The server rejects it before it sends anything, and tells it the reason.
    let mut third = LineClient::connect(server.endpoint());
    let why = "connection limit of 2 per address reached (--max-per-ip)";
    third.wait_for_line(&format!("* you were turned away: {why}; good bye"));
    third.read_to_end();
    server
        .wait_for_line(|line| line.contains("\"refused\"") && line.contains("per address reached"));
    drop(first);
    second.wait_for(|line| line.ends_with(" left"));
    server.wait_for_line(|line| line.contains("\"disconnected\""));
    let mut fourth = LineClient::joined(server.endpoint());
    fourth.send("here");
    second.wait_for_message("here");
}

#[test]
fn rejected_early_sender_reads_reason() {
    let server = Program::server(&["--scenario", "chat", "--max-per-ip", "1"]);
    let _member = LineClient::joined(server.endpoint());
    server.signal(Signal::STOP);
    wait_until_frozen(&server);
    let mut second = connect(server.endpoint());
    second.write_all(b"may I come in?\n").unwrap();
    server.signal(Signal::CONT);
    let mut received = String::new();
    second.read_to_string(&mut received).unwrap();
    assert!(received.contains("you were turned away"), "{received}");
}

#[test]
fn rejections_are_reported_in_groups() {
    let server = Program::server(&["--scenario", "chat", "--json", "--max-per-ip", "1"]);
    let _member = LineClient::joined(server.endpoint());
    for _ in 0..50 {
        LineClient::connect(server.endpoint()).read_to_end();
    }
    server.wait_for_line(|line| line.contains("\"refused\"") && line.contains("(50 so far)"));
    let lines = String::from_utf8(server.stdout()).unwrap().matches("\"refused\"").count();
    assert!(lines < 25, "{lines} lines");
}

#[test]
fn lecture_dialect_rejection_sends_nothing() {
    let server =
        Program::server(&["--scenario", "chat", "--dialect", "lecture", "--max-per-ip", "1"]);
    let mut first = connect(server.endpoint());
    first.write_all(b"hello").unwrap();
    assert!(first.read(&mut [0; 64]).unwrap() > 0);
    let mut second = connect(server.endpoint());
    assert_eq!(second.read(&mut [0; 64]).unwrap(), 0);
}

#[test]
fn line_dialect_accepts_unterminated_first_line_at_eof() {
    let server = Program::server(&["--scenario", "chat", "--dialect", "line"]);
    let mut member = LineClient::joined(server.endpoint());
    let mut done = LineClient::connect(server.endpoint());
    done.stream.write_all(b"all I say").unwrap();
    done.stream.shutdown(Shutdown::Write).unwrap();
    member.wait_for_message("all I say");
    done.wait_for_line(&acknowledgement("all I say"));
    done.read_to_end();
}

#[test]
fn line_dialect_unterminated_line_times_out() {
    let limits = ["--scenario", "chat", "--dialect", "line", "--idle-timeout", "300ms", "--json"];
    let server = Program::server(&limits);
    let mut silent = LineClient::connect(server.endpoint());
    silent.stream.write_all(b"all I").unwrap();
    let output = |line: &str| line.contains("disconnected") && line.contains("silent for 300 ms");
    server.wait_for_line(output);
    silent.read_to_end();
}
