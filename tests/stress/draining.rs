//! A stop while hundreds of clients are connected. Connected clients are served, acknowledged files
//! exist, silent clients are disconnected at once, and no new client is accepted.
//!
//! `--nocapture` prints the time until the listening socket is closed. No test depends on it.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::files::{distinct_chunks, stored_reply};
use crate::support::framed_client::{FramedClient, FramedReply, end_frame};
use crate::support::process_stats::wait_until_frozen;
use crate::support::uploads::{seeded_bytes, try_connect};
use crate::support::{DEADLINE, Program, ProgramOutput, directory, serial};
use rustix::process::Signal;
use sockactors::wire::file::digest::hash_chunk;
use sockactors::wire::file::{CHUNK_SIZE, Frame};

const GREETING: &[u8] = b"Thank you for connecting";

const GREETINGS: usize = 500;
/// Uploads of each dialect.
const UPLOADS: usize = 100;
const SESSIONS: usize = 200;

/// Additional clients that send nothing.
const SILENT: usize = 20;

/// Starts a server whose backlog and connection limit fit all clients.
fn server(scenario: &str, more: &[&str]) -> Program {
    let args = ["--json", "--scenario", scenario, "--backlog", "600", "--max-conns", "600"];
    Program::server(&[&args, more].concat())
}

/// Stops a server, and prints the time until its listening socket is closed.
#[track_caller]
fn stop(server: &Program, what: &str) {
    let since = Instant::now();
    server.terminate();
    server.signal(Signal::CONT);
    // Connecting without a pause would fill the backlog, and an attempt would then hang for a
    // second.
    while TcpStream::connect(server.endpoint()).is_ok() {
        assert!(since.elapsed() < DEADLINE, "{what}: the listening socket stays open");
        thread::sleep(Duration::from_millis(1));
    }
    println!("{what}: listening socket closed {:?} after the signal", since.elapsed());
}

/// Waits for a server's exit, and returns the number of connections that it reports as cut.
#[track_caller]
fn wait_for_drain(server: Program, within: f64) -> (u64, ProgramOutput) {
    let ended = server.wait().with_code(0);
    let line = ended.lines().into_iter().find(|line| line.contains("\"drained\""));
    let line = line.unwrap_or_else(|| panic!("no `drained` event\n{ended:?}"));
    let number = |name: &str| {
        let (_, rest) = line.split_once(&format!("\"{name}\":")).unwrap();
        rest.split([',', '}']).next().unwrap().parse::<f64>().unwrap()
    };
    assert!(number("seconds") < within, "{line}");
    println!("{line}");
    (number("left") as u64, ended)
}

#[test]
fn stop_greets_all_pending_clients() {
    let _serial = serial::lock();
    let server = server("tcp", &[]);
    // The socket listens before the tree runs, and an earlier stop would find no pending client.
    connect(server.endpoint()).read_to_end(&mut Vec::new()).unwrap();
    server.signal(Signal::STOP);
    wait_until_frozen(&server);
    // All clients are pending when the stop arrives.
    let clients: Vec<_> = (0..GREETINGS).map(|_| connect(server.endpoint())).collect();
    stop(&server, "greetings");
    for (number, mut stream) in clients.into_iter().enumerate() {
        let mut received = Vec::new();
        let read = stream.read_to_end(&mut received);
        assert!(read.is_ok() && received == GREETING, "{number}: {read:?}, {received:?}");
    }
    assert_eq!(wait_for_drain(server, 10.0).0, 0);
}

#[test]
fn stop_under_load_truncates_no_greeting() {
    let _serial = serial::lock();
    let server = server("tcp", &[]);
    let endpoint = server.endpoint().to_owned();
    let is_lost = |error: &io::Error| {
        [ErrorKind::ConnectionReset, ErrorKind::WouldBlock].contains(&error.kind())
    };
    let connect_repeatedly = move || {
        let (mut greeted, mut lost) = (0, 0);
        loop {
            let Ok(mut stream) = TcpStream::connect(&endpoint) else { return (greeted, lost) };
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut received = Vec::new();
            match stream.read_to_end(&mut received) {
                Ok(_) if received == GREETING => greeted += 1,
                // It connected between the last accept and the close of the socket.
                Err(error) if is_lost(&error) && received.is_empty() => lost += 1,
                other => panic!("{other:?}, {received:?}"),
            }
        }
    };
    let threads: Vec<_> = (0..4).map(|_| thread::spawn(connect_repeatedly.clone())).collect();
    server.wait_for_matches("\"connected\"", 200);
    stop(&server, "load");
    let results: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    println!("greeted and lost per thread: {results:?}");
    assert!(results.iter().all(|(_, lost)| *lost <= 1));
    assert!(results.iter().map(|(greeted, _)| greeted).sum::<usize>() >= 200);
    assert_eq!(wait_for_drain(server, 10.0).0, 0);
}

/// Starts a framed upload and sends its first chunk.
fn start_upload(server: &Program, name: &str, file: &[u8]) -> FramedClient {
    let mut client = FramedClient::open(connect(server.endpoint()));
    assert!(matches!(
        client.send_offer(name, Some(file.len() as u64)),
        FramedReply::ResumeAt(0, _)
    ));
    client.send_chunks(file, 0, 1).unwrap();
    client
}

/// Waits until `count` raw uploads have started.
#[track_caller]
fn wait_for_partial_files(out: &Path, count: usize) {
    let deadline = Instant::now() + DEADLINE;
    let is_partial = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().contains("output");
    while fs::read_dir(out).unwrap().filter_map(Result::ok).filter(is_partial).count() < count {
        assert!(Instant::now() < deadline, "the uploads do not start");
        thread::yield_now();
    }
}

#[test]
fn stop_lets_started_uploads_finish() {
    let _serial = serial::lock();
    let out = directory();
    let path = out.path().to_str().unwrap();
    let server = server("file", &["--out", path, "--drain-timeout", "19s"]);
    let file = |name: &str| seeded_bytes(name, 2 * CHUNK_SIZE + 100);
    let names: Vec<_> = (0..UPLOADS).map(|number| format!("file-{number}")).collect();
    let mut raw: Vec<_> = (0..UPLOADS).map(|_| connect(server.endpoint())).collect();
    for (stream, name) in raw.iter_mut().zip(&names) {
        stream.write_all(&file(name)[..CHUNK_SIZE]).unwrap();
    }
    let mut framed: Vec<_> =
        names.iter().map(|name| start_upload(&server, name, &file(name))).collect();
    // A client between two files: one is stored, and none is being sent.
    let mut between = FramedClient::open(connect(server.endpoint()));
    assert_eq!(between.upload("before", &distinct_chunks(1000)), stored_reply(1000, "before"));
    let silent: Vec<_> = (0..SILENT).map(|_| connect(server.endpoint())).collect();
    wait_for_partial_files(out.path(), UPLOADS);
    server.wait_for_matches("\"connected\"", 2 * UPLOADS + SILENT + 1);
    // A client that has sent everything and disconnected before it is accepted.
    server.signal(Signal::STOP);
    wait_until_frozen(&server);
    connect(server.endpoint()).write_all(b"sent before the stop").unwrap();
    stop(&server, "uploads");
    // Silent clients are disconnected before the uploads finish.
    for mut stream in silent {
        assert!(!matches!(stream.read(&mut [0]), Ok(1)));
    }
    assert_eq!(between.recv(), FramedReply::Closed);

    for (stream, name) in raw.iter_mut().zip(&names) {
        stream.write_all(&file(name)[CHUNK_SIZE..]).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    }
    for (client, name) in framed.iter_mut().zip(&names) {
        let file = file(name);
        for (number, bytes) in (0..).zip(file.chunks(CHUNK_SIZE)).skip(1) {
            client
                .send_frames(&[Frame::Data { number, hash: hash_chunk(number, bytes), bytes }])
                .unwrap();
        }
        client.send_frames(&[end_frame(&file)]).unwrap();
        assert_eq!(client.recv(), stored_reply(file.len(), name));
    }
    assert_eq!(wait_for_drain(server, 19.0).0, 0);
    assert!(fs::read(out.path().join("before")).unwrap() == distinct_chunks(1000));
    let outputs = (0..=UPLOADS).map(|number| {
        fs::read(out.path().join(format!("output{number}.txt")))
            .expect("every raw upload is stored")
    });
    let outputs: Vec<_> = outputs.collect();
    for name in &names {
        assert!(fs::read(out.path().join(name)).unwrap() == file(name), "{name}");
        assert!(outputs.contains(&file(name)), "{name}, raw");
    }
    assert!(outputs.contains(&b"sent before the stop".to_vec()));
}

#[test]
fn unfinished_uploads_are_cut_counted_and_resumable() {
    let _serial = serial::lock();
    let out = directory();
    let path = out.path().to_str().unwrap();
    let server = server("file", &["--out", path, "--drain-timeout", "300ms"]);
    let file = seeded_bytes("late", 3 * CHUNK_SIZE);
    let clients: Vec<_> =
        (0..5).map(|number| start_upload(&server, &format!("late-{number}"), &file)).collect();
    let mut raw = try_connect(server.endpoint()).unwrap();
    raw.write_all(&file).unwrap();
    wait_for_partial_files(out.path(), 1);
    stop(&server, "unfinished uploads");
    let (left, _) = wait_for_drain(server, 10.0);
    assert_eq!(left, 6);
    drop(clients);
    let again = crate::support::files::server(out.path(), &[]);
    let mut client = crate::support::files::open_framed(&again);
    let FramedReply::ResumeAt(held, _) = client.send_offer("late-3", Some(file.len() as u64))
    else {
        panic!("the offer was rejected")
    };
    client.send_chunks(&file, held, u64::MAX).unwrap();
    client.send_frames(&[end_frame(&file)]).unwrap();
    assert_eq!(client.recv(), stored_reply(file.len(), "late-3"));
}

#[test]
fn stop_ends_all_chat_sessions_at_once() {
    let _serial = serial::lock();
    let server = server("chat", &["--drain-timeout", "19s"]);
    let silent: Vec<_> = (0..SILENT).map(|_| connect(server.endpoint())).collect();
    let (lecture, lines) = (SESSIONS / 4, SESSIONS - SESSIONS / 4);
    let mut lecture: Vec<_> = (0..lecture).map(|_| connect(server.endpoint())).collect();
    let mut lines: Vec<_> = (0..lines).map(|_| LineClient::joined(server.endpoint())).collect();
    // The dialect of a lecture client is detected after a moment without more bytes.
    lecture.iter_mut().for_each(|stream| stream.write_all(b"hello").unwrap());
    for stream in &mut lecture {
        let mut answer = vec![0; acknowledgement("hello").len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, acknowledgement("hello").as_bytes());
    }
    // These lines are in flight when the stop arrives.
    for (number, line) in lines.iter_mut().enumerate() {
        line.send(format!("last words {number}"));
    }
    stop(&server, "sessions");
    for mut stream in silent.into_iter().chain(lecture) {
        assert!(!matches!(stream.read(&mut [0]), Ok(1)), "a lecture client received a notice");
    }
    for line in &mut lines {
        line.wait_for_line("* the server is shutting down; good bye");
        // Lines that the server did not read may reset the connection after the notice.
        assert!(!matches!(line.next_line(), Ok(Some(_))));
    }
    drop(lines);
    assert_eq!(wait_for_drain(server, 19.0).0, 0);
}
