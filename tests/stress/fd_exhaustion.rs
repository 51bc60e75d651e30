//! A server with few file descriptors and hundreds of clients. Connected clients notice nothing,
//! the others wait, and the server uses next to no CPU time meanwhile.

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

/// The number of clients that connect.
const CLIENTS: usize = 500;

/// Starts a server with a descriptor limit and a large backlog.
fn server(limit: usize, scenario: &str, more: &[&str]) -> Program {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\""), BINARY]);
    command.args(["--scenario", scenario, "--listen", "127.0.0.1:0", "--backlog", "600"]);
    Program::start(command.args(more)).listening()
}

fn connect_clients(server: &Program, word: &[u8]) -> Vec<TcpStream> {
    let clients = (0..CLIENTS).map(|_| {
        let mut stream = connect(server.endpoint());
        stream.write_all(word).unwrap();
        stream
    });
    clients.collect()
}

/// Sends a line from the first member, and waits until the others receive it.
fn exchange(members: &mut [LineClient], text: &str) {
    members[0].send(text);
    members[0].wait_for_line(&acknowledgement(text));
    for member in &mut members[1..] {
        member.wait_for_message(text);
    }
}

#[test]
fn chat_with_few_descriptors_queues_clients() {
    let _serial = serial::lock();
    // The server holds back 24 descriptors. One connection always fits.
    for (limit, room) in [(25, 1), (80, 56)] {
        let server = server(limit, "chat", &["--max-conns", "1024"]);
        let cut = format!("--max-conns is reduced from 1024 to {room}");
        server.wait_for_error_line(|line| line.contains(&cut));
        let mut members: Vec<_> =
            (0..room).map(|_| LineClient::joined(server.endpoint())).collect();
        let clients = connect_clients(&server, b"let me in\n");
        server.wait_for_error_line(|line| line.contains("connection limit of"));
        wait_until_idle(&server);
        exchange(&mut members, "still connected");
        // Each member that leaves admits the client that has waited longest.
        members.pop();
        let mut received = String::new();
        let mut first = clients.into_iter();
        let mut next = first.next().unwrap();
        while !received.contains(&acknowledgement("let me in")) {
            let mut piece = [0; 999];
            let length = next.read(&mut piece).unwrap();
            assert!(length > 0, "it was not admitted: {received:?}");
            received.push_str(&String::from_utf8_lossy(&piece[..length]));
        }
        if room > 1 {
            exchange(&mut members, "still connected too");
        }
        drop((next, first));
        exchange(&mut [LineClient::joined(server.endpoint())], "the others have left");
        server.terminate();
        server.wait().with_code(0);
    }
}

#[test]
fn uploads_continue_while_clients_wait() {
    let _serial = serial::lock();
    let out = directory();
    let server =
        server(64, "file", &["--max-conns", "1024", "--out", out.path().to_str().unwrap()]);
    // An upload needs four descriptors.
    server.wait_for_error_line(|line| line.contains("--max-conns is reduced from 1024 to 10"));
    let file = seeded_bytes("file", 2 * CHUNK_SIZE);
    let mut senders: Vec<_> = (0..10).map(|_| open_framed(&server)).collect();
    for (number, sender) in senders.iter_mut().enumerate() {
        let reply = sender.send_offer(&format!("file-{number}"), Some(file.len() as u64));
        assert!(matches!(reply, FramedReply::ResumeAt(0, _)));
        sender.send_chunks(&file, 0, 1).unwrap();
    }
    let clients = connect_clients(&server, b"a raw file");
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
    drop((senders, clients));
    // Every waiting client is admitted in time, and its file is stored.
    let last = out.path().join(format!("output{}.txt", CLIENTS - 1));
    let deadline = Instant::now() + DEADLINE;
    while !last.exists() {
        assert!(Instant::now() < deadline, "some clients are not served");
        thread::yield_now();
    }
}

/// Waits until a server has logged `times` times that it cannot accept connections.
#[track_caller]
fn wait_for_accept_errors(server: &Program, times: usize) {
    let deadline = Instant::now() + DEADLINE;
    let logged = || {
        let log = String::from_utf8_lossy(&server.stderr()).into_owned();
        log.matches("cannot accept connections").count()
    };
    while logged() < times {
        assert!(Instant::now() < deadline, "no error was logged");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn server_without_descriptors_uses_little_cpu() {
    let _serial = serial::lock();
    let server = Program::server(&["--scenario", "chat"]);
    let mut members =
        [LineClient::joined(server.endpoint()), LineClient::joined(server.endpoint())];
    limit_free_descriptors(&server, 0);
    // The limit is a highest number, so a lower descriptor that was closed since may still be free.
    let _others: Vec<_> = (0..10).map(|_| connect(server.endpoint())).collect();
    wait_for_accept_errors(&server, 1);
    let (before, since) = (cpu_time(&server), Instant::now());
    for _ in 0..CLIENTS {
        let pending = connect(server.endpoint());
        thread::sleep(Duration::from_millis(2));
        drop(pending);
    }
    wait_for_accept_errors(&server, 2);
    let (spent, passed) = (cpu_time(&server) - before, since.elapsed());
    let share = spent.as_secs_f64() / passed.as_secs_f64();
    println!("{CLIENTS} rejected: {spent:?} of {passed:?}, {:.2} % of a CPU", 100.0 * share);
    assert!(share < 0.2, "{spent:?} of {passed:?}");
    exchange(&mut members, "still connected");
    server.terminate();
    server.wait().with_code(0);
}
