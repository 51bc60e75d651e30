//! A server that is asked to stop while hundreds are at it: who is connected is served, what was confirmed is there, who has
//! nothing to say is sent home at once, and nobody new comes in.
//!
//! How long it takes until nobody new comes in is told with `--nocapture`, and is nothing that a test would fail by.

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
/// Of each way to send a file.
const UPLOADS: usize = 100;
const SESSIONS: usize = 200;

/// Who is connected and has said nothing, beside the others.
const SILENT: usize = 20;

/// Starts a server where all of a crowd may wait and be let in.
fn server(scenario: &str, more: &[&str]) -> Program {
    let args = ["--json", "--scenario", scenario, "--backlog", "600", "--max-conns", "600"];
    Program::server(&[&args, more].concat())
}

/// Asks a server to stop, and tells how long it takes until its door is closed.
#[track_caller]
fn stop(server: &Program, what: &str) {
    let since = Instant::now();
    server.terminate();
    server.signal(Signal::CONT);
    // Whoever knocked all the time would fill the queue, and be told nothing then for a second.
    while TcpStream::connect(server.endpoint()).is_ok() {
        assert!(since.elapsed() < DEADLINE, "{what}: the door stays open");
        thread::sleep(Duration::from_millis(1));
    }
    println!("{what}: nobody new comes in {:?} after the signal", since.elapsed());
}

/// Waits for the end of a server, and returns how many connections it says were cut.
#[track_caller]
fn cut(server: Program, within: f64) -> (u64, ProgramOutput) {
    let ended = server.wait().with_code(0);
    let line = ended.lines().into_iter().find(|line| line.contains("\"drained\""));
    let line = line.unwrap_or_else(|| panic!("it does not say that it drained\n{ended:?}"));
    let number = |name: &str| {
        let (_, rest) = line.split_once(&format!("\"{name}\":")).unwrap();
        rest.split([',', '}']).next().unwrap().parse::<f64>().unwrap()
    };
    assert!(number("seconds") < within, "{line}");
    println!("{line}");
    (number("left") as u64, ended)
}

#[test]
fn every_client_that_is_connected_is_greeted_before_the_door_closes() {
    let _alone = serial::lock();
    let server = server("tcp", &[]);
    // It listens before its tree is up, and a stop until then finds nobody at the door.
    connect(server.endpoint()).read_to_end(&mut Vec::new()).unwrap();
    server.signal(Signal::STOP);
    wait_until_frozen(&server);
    // All wait, so that the stop and they are there at once.
    let crowd: Vec<_> = (0..GREETINGS).map(|_| connect(server.endpoint())).collect();
    stop(&server, "greetings");
    for (number, mut stream) in crowd.into_iter().enumerate() {
        let mut heard = Vec::new();
        let read = stream.read_to_end(&mut heard);
        assert!(read.is_ok() && heard == GREETING, "{number}: {read:?}, {heard:?}");
    }
    assert_eq!(cut(server, 10.0).0, 0);
}

#[test]
fn no_greeting_is_cut_in_two_though_a_crowd_keeps_coming() {
    let _alone = serial::lock();
    let server = server("tcp", &[]);
    let endpoint = server.endpoint().to_owned();
    let is_lost = |error: &io::Error| {
        [ErrorKind::ConnectionReset, ErrorKind::WouldBlock].contains(&error.kind())
    };
    let comes = move || {
        let (mut greeted, mut lost) = (0, 0);
        loop {
            let Ok(mut stream) = TcpStream::connect(&endpoint) else { return (greeted, lost) };
            stream.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut heard = Vec::new();
            match stream.read_to_end(&mut heard) {
                Ok(_) if heard == GREETING => greeted += 1,
                // It was connected between the last look and the close of the door, of which the kernel does not always tell.
                Err(error) if is_lost(&error) && heard.is_empty() => lost += 1,
                other => panic!("{other:?}, {heard:?}"),
            }
        }
    };
    let crowd: Vec<_> = (0..4).map(|_| thread::spawn(comes.clone())).collect();
    server.wait_for_matches("\"connected\"", 200);
    stop(&server, "a crowd");
    let came: Vec<_> = crowd.into_iter().map(|one| one.join().unwrap()).collect();
    println!("greeted and lost at the door, each of a crowd: {came:?}");
    assert!(came.iter().all(|(_, lost)| *lost <= 1));
    assert!(came.iter().map(|(greeted, _)| greeted).sum::<usize>() >= 200);
    assert_eq!(cut(server, 10.0).0, 0);
}

/// A file that is on its way in frames, up to its second chunk.
fn begin(server: &Program, name: &str, file: &[u8]) -> FramedClient {
    let mut client = FramedClient::open(connect(server.endpoint()));
    assert!(matches!(
        client.send_offer(name, Some(file.len() as u64)),
        FramedReply::ResumeAt(0, _)
    ));
    client.send_chunks(file, 0, 1).unwrap();
    client
}

/// Waits until so many files have begun to come in.
#[track_caller]
fn wait_for_parts(out: &Path, wanted: usize) {
    let until = Instant::now() + DEADLINE;
    let is_part = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().contains("output");
    while fs::read_dir(out).unwrap().filter_map(Result::ok).filter(is_part).count() < wanted {
        assert!(Instant::now() < until, "they do not come in");
        thread::yield_now();
    }
}

#[test]
fn uploads_that_have_begun_arrive_whole_and_what_was_stored_is_there() {
    let _alone = serial::lock();
    let out = directory();
    let path = out.path().to_str().unwrap();
    let server = server("file", &["--out", path, "--drain-timeout", "19s"]);
    let file = |name: &str| seeded_bytes(name, 2 * CHUNK_SIZE + 100);
    let names: Vec<_> = (0..UPLOADS).map(|number| format!("file-{number}")).collect();
    let mut raw: Vec<_> = (0..UPLOADS).map(|_| connect(server.endpoint())).collect();
    for (stream, name) in raw.iter_mut().zip(&names) {
        stream.write_all(&file(name)[..CHUNK_SIZE]).unwrap();
    }
    let mut framed: Vec<_> = names.iter().map(|name| begin(&server, name, &file(name))).collect();
    // Between two files: one is confirmed, and none is on its way.
    let mut between = FramedClient::open(connect(server.endpoint()));
    assert_eq!(between.upload("before", &distinct_chunks(1000)), stored_reply(1000, "before"));
    let silent: Vec<_> = (0..SILENT).map(|_| connect(server.endpoint())).collect();
    wait_for_parts(out.path(), UPLOADS);
    server.wait_for_matches("\"connected\"", 2 * UPLOADS + SILENT + 1);
    // One who has sent all and is gone, and is not let in yet.
    server.signal(Signal::STOP);
    wait_until_frozen(&server);
    connect(server.endpoint()).write_all(b"sent before the stop").unwrap();
    stop(&server, "uploads");
    // Nobody else has to be done for these to be sent home.
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
    assert_eq!(cut(server, 19.0).0, 0);
    assert!(fs::read(out.path().join("before")).unwrap() == distinct_chunks(1000));
    let outputs = (0..=UPLOADS).map(|number| {
        fs::read(out.path().join(format!("output{number}.txt"))).expect("each has a number")
    });
    let outputs: Vec<_> = outputs.collect();
    for name in &names {
        assert!(fs::read(out.path().join(name)).unwrap() == file(name), "{name}");
        assert!(outputs.contains(&file(name)), "{name}, raw");
    }
    assert!(outputs.contains(&b"sent before the stop".to_vec()));
}

#[test]
fn uploads_that_do_not_end_in_time_are_cut_and_counted_and_can_go_on_later() {
    let _alone = serial::lock();
    let out = directory();
    let path = out.path().to_str().unwrap();
    let server = server("file", &["--out", path, "--drain-timeout", "300ms"]);
    let file = seeded_bytes("late", 3 * CHUNK_SIZE);
    let clients: Vec<_> =
        (0..5).map(|number| begin(&server, &format!("late-{number}"), &file)).collect();
    let mut raw = try_connect(server.endpoint()).unwrap();
    raw.write_all(&file).unwrap();
    wait_for_parts(out.path(), 1);
    stop(&server, "uploads that do not end");
    let (left, _) = cut(server, 10.0);
    assert_eq!(left, 6);
    drop(clients);
    let again = crate::support::files::server(out.path(), &[]);
    let mut client = crate::support::files::open_framed(&again);
    let FramedReply::ResumeAt(held, _) = client.send_offer("late-3", Some(file.len() as u64))
    else {
        panic!("it is not taken")
    };
    client.send_chunks(&file, held, u64::MAX).unwrap();
    client.send_frames(&[end_frame(&file)]).unwrap();
    assert_eq!(client.recv(), stored_reply(file.len(), "late-3"));
}

#[test]
fn every_session_of_a_chat_is_seen_off_at_once() {
    let _alone = serial::lock();
    let server = server("chat", &["--drain-timeout", "19s"]);
    let silent: Vec<_> = (0..SILENT).map(|_| connect(server.endpoint())).collect();
    let (lecture, lines) = (SESSIONS / 4, SESSIONS - SESSIONS / 4);
    let mut lecture: Vec<_> = (0..lecture).map(|_| connect(server.endpoint())).collect();
    let mut lines: Vec<_> = (0..lines).map(|_| LineClient::joined(server.endpoint())).collect();
    // What a lecture client says stands alone for a moment before it is answered.
    lecture.iter_mut().for_each(|stream| stream.write_all(b"hello").unwrap());
    for stream in &mut lecture {
        let mut answer = vec![0; acknowledgement("hello").len()];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer, acknowledgement("hello").as_bytes());
    }
    // What they say now is on its way when the stop comes.
    for (number, line) in lines.iter_mut().enumerate() {
        line.send(format!("last words {number}"));
    }
    stop(&server, "sessions");
    for mut stream in silent.into_iter().chain(lecture) {
        assert!(!matches!(stream.read(&mut [0]), Ok(1)), "a lecture client was told more");
    }
    for line in &mut lines {
        line.wait_for_line("* the server stops; good bye");
        // Words that nobody took any more may reset the connection behind the farewell.
        assert!(!matches!(line.next_line(), Ok(Some(_))));
    }
    drop(lines);
    assert_eq!(cut(server, 19.0).0, 0);
}
