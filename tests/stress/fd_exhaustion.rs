//! A server with few descriptors while hundreds want in: who is there does not notice, the others wait, and the server does
//! next to nothing meanwhile.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::files::{open_framed, stored_reply};
use crate::support::framed_client::{FramedReply, end_frame};
use crate::support::process_stats::{cpu_time, limit_free_descriptors, wait_until_idle};
use crate::support::uploads::seeded_bytes;
use crate::support::{BINARY, DEADLINE, Program, directory, serial};
use sockactors::wire::file::digest::hash_chunk;
use sockactors::wire::file::{CHUNK_SIZE, Frame};

/// How many want in.
const CROWD: usize = 500;

/// Starts a server that may have so many descriptors, and a crowd may wait at its door.
fn server(limit: usize, scenario: &str, more: &[&str]) -> Program {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\""), BINARY]);
    command.args(["--scenario", scenario, "--listen", "127.0.0.1:0", "--backlog", "600"]);
    Program::start(command.args(more)).listening()
}

fn crowd(server: &Program, word: &[u8]) -> Vec<TcpStream> {
    let crowd = (0..CROWD).map(|_| {
        let mut stream = connect(server.endpoint());
        stream.write_all(word).unwrap();
        stream
    });
    crowd.collect()
}

/// Has a member say something, and others hear it.
fn talk(members: &mut [LineClient], text: &str) {
    members[0].send(text);
    members[0].wait_for_line(&acknowledgement(text));
    for member in &mut members[1..] {
        member.wait_for_message(text);
    }
}

#[test]
fn a_chat_for_which_few_descriptors_are_there_says_so_and_a_crowd_waits_for_its_turn() {
    let _alone = serial::lock();
    // Of the limit, 64 are for everything but connections, and one connection there is always room for.
    for (limit, room) in [(64, 1), (80, 16)] {
        let server = server(limit, "chat", &[]);
        let cut = format!("--max-conns is cut from 1024 to {room}");
        server.wait_for_error_line(|line| line.contains(&cut));
        let mut members: Vec<_> =
            (0..room).map(|_| LineClient::joined(server.endpoint())).collect();
        let crowd = crowd(&server, b"let me in\n");
        server.wait_for_error_line(|line| line.contains("connection limit of"));
        wait_until_idle(&server);
        talk(&mut members, "nobody disturbs us");
        // Those who waited longest come first, one for each who leaves.
        members.pop();
        let mut heard = String::new();
        let mut first = crowd.into_iter();
        let mut next = first.next().unwrap();
        while !heard.contains(&acknowledgement("let me in")) {
            let mut piece = [0; 999];
            let length = next.read(&mut piece).unwrap();
            assert!(length > 0, "it was not let in: {heard:?}");
            heard.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
        if room > 1 {
            talk(&mut members, "we still are not disturbed");
        }
        drop((next, first));
        talk(&mut [LineClient::joined(server.endpoint())], "all have gone");
        server.terminate();
        server.wait().with_code(0);
    }
}

#[test]
fn uploads_go_on_where_few_descriptors_are_there_and_a_crowd_waits() {
    let _alone = serial::lock();
    let out = directory();
    let server = server(80, "file", &["--out", out.path().to_str().unwrap()]);
    // An upload needs two descriptors.
    server.wait_for_error_line(|line| line.contains("--max-conns is cut from 1024 to 8"));
    let file = seeded_bytes("file", 2 * CHUNK_SIZE);
    let mut senders: Vec<_> = (0..8).map(|_| open_framed(&server)).collect();
    for (number, sender) in senders.iter_mut().enumerate() {
        let said = sender.send_offer(&format!("file-{number}"), Some(file.len() as u64));
        assert!(matches!(said, FramedReply::ResumeAt(0, _)));
        sender.send_chunks(&file, 0, 1).unwrap();
    }
    let crowd = crowd(&server, b"a raw file");
    server.wait_for_error_line(|line| line.contains("connection limit of"));
    wait_until_idle(&server);
    for (number, sender) in senders.iter_mut().enumerate() {
        let bytes = &file[CHUNK_SIZE..];
        sender
            .send_frames(&[Frame::Data { number: 1, hash: hash_chunk(1, bytes), bytes }])
            .unwrap();
        sender.send_frames(&[end_frame(&file)]).unwrap();
        assert_eq!(sender.recv(), stored_reply(file.len(), &format!("file-{number}")));
    }
    drop((senders, crowd));
    // All of the crowd is let in by and by, and has sent all that it wanted.
    let last = out.path().join(format!("output{}.txt", CROWD - 1));
    let until = Instant::now() + DEADLINE;
    while !last.exists() {
        assert!(Instant::now() < until, "some are not served");
        thread::yield_now();
    }
}

/// Waits until a server has told so many times that it can accept nobody.
#[track_caller]
fn wait_until_told(server: &Program, times: usize) {
    let until = Instant::now() + DEADLINE;
    let told = || {
        let said = String::from_utf8_lossy(&server.stderr()).into_owned();
        said.matches("cannot accept connections").count()
    };
    while told() < times {
        assert!(Instant::now() < until, "it tells nothing");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_server_that_has_run_out_of_descriptors_does_next_to_nothing() {
    let _alone = serial::lock();
    let server = Program::server(&["--scenario", "chat"]);
    let mut members =
        [LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint())];
    limit_free_descriptors(&server, 0);
    // A limit counts from 0, so one that was closed since may be left for another.
    let _others: Vec<_> = (0..10).map(|_| connect(server.endpoint())).collect();
    wait_until_told(&server, 1);
    let (before, since) = (cpu_time(&server), Instant::now());
    for _ in 0..CROWD {
        let knocks = connect(server.endpoint());
        thread::sleep(Duration::from_millis(2));
        drop(knocks);
    }
    wait_until_told(&server, 2);
    let (spent, passed) = (cpu_time(&server) - before, since.elapsed());
    let share = spent.as_secs_f64() / passed.as_secs_f64();
    println!("{CROWD} turned away: {spent:?} of {passed:?}, {:.2} % of a CPU", 100.0 * share);
    assert!(share < 0.2, "{spent:?} of {passed:?}");
    talk(&mut members, "nobody disturbs us");
    server.terminate();
    server.wait().with_code(0);
}
