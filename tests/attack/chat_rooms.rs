//! Joins, leaves, notices and history of large rooms.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::chown;
use std::path::Path;
use std::time::Duration;

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::peers::skip;
use crate::support::process_stats::{cpu_time, wait_until_idle};
use crate::support::{Program, directory, serial};

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

fn history_server(directory: &Path) -> Program {
    Program::server(&["--scenario", "chat", "--history-dir", directory.to_str().unwrap()])
}

/// Sends lines as one member, and stops the server after they are on disk.
fn save_lines(directory: &Path, nick: &str, lines: &[String]) {
    let server = history_server(directory);
    let mut member = LineClient::connect(server.endpoint());
    member.send(format!("/nick {nick}"));
    for line in lines {
        member.send(line);
        member.wait_for_line(&acknowledgement(line));
    }
    server.terminate();
    assert_eq!(server.wait().code, 0);
}

/// Returns the messages in the history of the default room.
fn restored_lines(server: &Program) -> Vec<String> {
    let mut member = LineClient::joined(server.endpoint());
    member.send("/history 100");
    member.wait_for(|line| line.starts_with("* the last "));
    member.send("/time off");
    member.wait_for_line("* times are hidden");
    let received = member.received();
    let messages = received.lines().filter_map(|line| line.split_once("] ")?.1.split_once(": "));
    messages.map(|(_, text)| text.to_owned()).filter(|text| text != "here I am").collect()
}

#[test]
fn flipped_bit_loses_one_line_of_history() {
    let directory = directory();
    let lines: Vec<_> = (0..50).map(|k| format!("line {k}")).collect();
    save_lines(directory.path(), "ada", &lines);
    let segment = directory.path().join("000000000001.log");
    let mut bytes = fs::read(&segment).unwrap();
    let place = bytes.windows(7).position(|window| window == b"line 10").unwrap();
    bytes[place] ^= 1;
    fs::write(&segment, bytes).unwrap();
    let server = history_server(directory.path());
    server.wait_for_error_line(|line| line.contains("corrupt bytes in "));
    let mut expected = lines;
    expected.remove(10);
    assert_eq!(restored_lines(&server), expected);
}

#[test]
fn segment_of_another_user_is_ignored() {
    let (ours, theirs) = (directory(), directory());
    save_lines(ours.path(), "ada", &["honest".to_owned()]);
    save_lines(theirs.path(), "ada", &["forged".to_owned()]);
    let forged = ours.path().join("000000000002.log");
    fs::copy(theirs.path().join("000000000001.log"), &forged).unwrap();
    let before = fs::read(&forged).unwrap();
    if chown(&forged, Some(12_345), None).is_err() {
        return skip("only root can give a file away");
    }
    let server = history_server(ours.path());
    server.wait_for_error_line(|line| line.contains("02.log belongs to another user"));
    assert_eq!(restored_lines(&server), ["honest"]);
    server.terminate();
    assert_eq!(server.wait().code, 0);
    assert_eq!(fs::read(&forged).unwrap(), before);
}

#[test]
fn acknowledged_chunk_is_saved_whole() {
    let directory = directory();
    let server = history_server(directory.path());
    // Each byte becomes six characters when it is escaped.
    let chunk = [b'\x1f'; 16_000];
    let mut lecture = connect(server.endpoint());
    lecture.write_all(&chunk).unwrap();
    let (mut received, mut buf) = (Vec::new(), [0; 4096]);
    while received.iter().filter(|byte| **byte == b'\x1f').count() < chunk.len() {
        let length = lecture.read(&mut buf).unwrap();
        assert!(length > 0, "{} bytes received", received.len());
        received.extend_from_slice(&buf[..length]);
    }
    server.terminate();
    let ended = server.wait();
    let errors = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.code == 0 && !errors.contains("not saved"), "{errors}");
    let saved = fs::read(directory.path().join("000000000001.log")).unwrap();
    let count = String::from_utf8_lossy(&saved).matches(r"\u{1f}").count();
    assert_eq!(count, chunk.len());
}
