//! The servers of connections when the kernel says no: every error of the system calls that accept, receive and send, injected
//! with `strace` into a server that is up.
//!
//! What an injected error costs is one connection, or a pause. The server stays, serves whoever comes next, leaks nothing and
//! does not spin.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::chat_client::{LineClient, acknowledgement};
use crate::support::framed_client::{FramedClient, FramedReply};
use crate::support::process_stats::{
    cpu_time, open_descriptors, wait_for_descriptors, wait_until_idle,
};
use crate::support::uploads::{files_below, seeded_bytes, try_connect};
use crate::support::{DEADLINE, Program, directory, serial, strace};

/// What accept(2) names, and what Linux passes on of a new connection's network errors.
const ACCEPT: [&str; 24] = [
    "EAGAIN",
    "EBADF",
    "ECONNABORTED",
    "ECONNRESET",
    "EFAULT",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "EINTR",
    "EINVAL",
    "EMFILE",
    "ENETDOWN",
    "ENETUNREACH",
    "ENFILE",
    "ENOBUFS",
    "ENOMEM",
    "ENONET",
    "ENOPROTOOPT",
    "ENOSR",
    "ENOTSOCK",
    "EOPNOTSUPP",
    "EPERM",
    "EPROTO",
    "ETIMEDOUT",
    "EACCES",
];

/// What recv(2) and tcp(7) name, and a disk's for a splice.
const RECEIVE: [&str; 18] = [
    "EAGAIN",
    "EBADF",
    "ECONNREFUSED",
    "ECONNRESET",
    "EFAULT",
    "EHOSTUNREACH",
    "EINTR",
    "EINVAL",
    "EIO",
    "ENETDOWN",
    "ENETUNREACH",
    "ENOBUFS",
    "ENOMEM",
    "ENOTCONN",
    "ENOTSOCK",
    "EPERM",
    "EPIPE",
    "ETIMEDOUT",
];

/// What send(2) and tcp(7) name.
const SEND: [&str; 22] = [
    "EACCES",
    "EAGAIN",
    "EALREADY",
    "EBADF",
    "ECONNRESET",
    "EDESTADDRREQ",
    "EFAULT",
    "EHOSTUNREACH",
    "EINTR",
    "EINVAL",
    "EIO",
    "EISCONN",
    "EMSGSIZE",
    "ENETDOWN",
    "ENETUNREACH",
    "ENOBUFS",
    "ENOMEM",
    "ENOTCONN",
    "ENOTSOCK",
    "EOPNOTSUPP",
    "EPERM",
    "EPIPE",
];

/// So many clients in a row are served at the end of a round.
const SERVED: usize = 2;

/// Each error of each call, once, in rounds that have one of each call; then all is as it was before.
fn befall(server: &Program, calls: &[(&str, &[&str])], client: impl Fn(usize) -> io::Result<()>) {
    let place = directory();
    let before = open_descriptors(server);
    (0..SERVED).for_each(|number| client(number).unwrap());
    let rounds = calls.iter().map(|(_, errors)| errors.len()).max().unwrap();
    let mut clients = SERVED;
    for round in 0..rounds {
        let befalls: Vec<_> =
            calls.iter().map(|(call, errors)| (*call, errors[round % errors.len()])).collect();
        let log = place.path().join(round.to_string());
        clients = befall_once(server, &befalls, clients, &log, &client);
    }
    // Threads of the disk keep some until they end.
    wait_for_descriptors(server, before);
    wait_until_idle(server);
}

/// Has each of the calls fail once; clients come until that is done and they are served again.
fn befall_once(
    server: &Program,
    befalls: &[(&str, &str)],
    mut clients: usize,
    log: &Path,
    client: impl Fn(usize) -> io::Result<()>,
) -> usize {
    let calls: Vec<_> = befalls.iter().map(|(call, _)| *call).collect();
    let mut flags = vec!["-e".to_owned(), format!("trace={}", calls.join(","))];
    for (call, error) in befalls {
        flags.extend(["-e".to_owned(), format!("inject={call}:error={error}:when=1")]);
    }
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let strace = strace::attach(server, &flags, log);
    let (mut served, until) = (0, Instant::now() + DEADLINE);
    while served < SERVED || !calls.iter().all(|call| is_injected(log, call)) {
        assert!(Instant::now() < until, "{befalls:?}: {}", fs::read_to_string(log).unwrap());
        served = if client(clients).is_ok() { served + 1 } else { 0 };
        clients += 1;
    }
    strace::detach(strace);
    client(clients).unwrap_or_else(|error| panic!("nobody is served after {befalls:?}: {error}"));
    clients + 1
}

fn is_injected(log: &Path, call: &str) -> bool {
    let log = fs::read_to_string(log).unwrap_or_default();
    // Where another thread's call came in between, the end of a call has a line of its own.
    let is_of = |line: &str| {
        [format!("{call}("), format!("{call} resumed")].iter().any(|of| line.contains(of))
    };
    log.lines().any(|line| line.contains("(INJECTED)") && is_of(line))
}

fn other(what: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("{what:?}"))
}

#[test]
fn a_server_of_greetings_survives_each_error_once() {
    let _alone = serial::lock();
    if !strace::is_available() {
        return;
    }
    let server = Program::server(&["--scenario", "tcp"]);
    befall(&server, &[("accept4", &ACCEPT), ("sendto", &SEND), ("shutdown", &SEND)], |_| {
        let mut stream = try_connect(server.endpoint())?;
        // What is unread has the server end its side before it closes.
        stream.write_all(b"hello")?;
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard)?;
        if heard == b"Thank you for connecting" { Ok(()) } else { Err(other(heard)) }
    });
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn a_chat_survives_each_error_once_and_who_was_there_stays() {
    let _alone = serial::lock();
    if !strace::is_available() {
        return;
    }
    let server = Program::server(&["--scenario", "chat"]);
    let calls: [(&str, &[&str]); 4] =
        [("accept4", &ACCEPT), ("recvfrom", &RECEIVE), ("sendto", &SEND), ("sendmsg", &SEND)];
    befall(&server, &calls, |number| {
        let mut line = LineClient::try_connect(server.endpoint())?;
        for word in ["hello", "once more"] {
            line.try_send(word)?;
            loop {
                match line.next_line()? {
                    Some(heard) if heard == acknowledgement(word) => break,
                    Some(_) => {}
                    None => return Err(other(number)),
                }
            }
        }
        Ok(())
    });
    server.terminate();
    server.wait().with_code(0);
}

/// Sends a file in frames, and another one raw.
fn upload(server: &Program, out: &Path, number: usize) -> io::Result<()> {
    let file = seeded_bytes(number.to_string(), 100_000);
    let mut client = FramedClient::try_open(try_connect(server.endpoint())?)?;
    match client.upload(&format!("file-{number}"), &file) {
        FramedReply::Stored(..) => {}
        said => return Err(other(said)),
    }
    let raw = seeded_bytes(format!("raw {number}"), 100_000);
    let mut stream = try_connect(server.endpoint())?;
    stream.write_all(&raw)?;
    stream.shutdown(Shutdown::Write)?;
    stream.read(&mut [0]).map(drop)?;
    match files_below(out).iter().any(|(name, file)| name.starts_with("output") && *file == raw) {
        true => Ok(()),
        false => Err(other("nothing is stored")),
    }
}

#[test]
fn a_file_server_survives_each_error_once() {
    let _alone = serial::lock();
    if !strace::is_available() {
        return;
    }
    // With JSON the digest of a raw upload is told, which is another way for its bytes to take.
    for json in [false, true] {
        let out = directory();
        let server =
            crate::support::files::server(out.path(), if json { &["--json"] } else { &[] });
        let calls: [(&str, &[&str]); 4] =
            [("accept4", &ACCEPT), ("recvfrom", &RECEIVE), ("sendto", &SEND), ("splice", &RECEIVE)];
        let calls = if json { &calls[..3] } else { &calls[..] };
        befall(&server, calls, |number| upload(&server, out.path(), number));
        server.terminate();
        server.wait().with_code(0);
    }
}

#[test]
fn an_accept_that_always_fails_is_not_tried_all_the_time() {
    let _alone = serial::lock();
    if !strace::is_available() {
        return;
    }
    for error in ["EMFILE", "EPERM", "ECONNABORTED", "EIO"] {
        let server = Program::server(&["--scenario", "tcp"]);
        let place = directory();
        let log = place.path().join("log");
        let inject = format!("inject=accept4:error={error}:when=1+");
        let strace = strace::attach(&server, &["-e", "trace=accept4", "-e", &inject], &log);
        let mut waits = try_connect(server.endpoint()).unwrap();
        // So many of a loop that spins are there in no time, and rest comes to none.
        let tries = || fs::read_to_string(&log).unwrap_or_default().lines().count();
        let until = Instant::now() + DEADLINE;
        while tries() < 3 {
            assert!(Instant::now() < until, "{error}: nobody tries");
        }
        comes_to_rest_between(&server, error);
        strace::detach(strace);
        let mut heard = Vec::new();
        let _ = waits.read_to_end(&mut heard);
        let mut heard = String::new();
        try_connect(server.endpoint()).unwrap().read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "Thank you for connecting", "{error}");
        server.terminate();
        server.wait().with_code(0);
    }
}

/// Sees a server do nothing for a while that is shorter than its pauses.
#[track_caller]
fn comes_to_rest_between(server: &Program, what: &str) {
    let until = Instant::now() + DEADLINE;
    loop {
        let before = cpu_time(server);
        thread::sleep(Duration::from_millis(20));
        if cpu_time(server) == before {
            return;
        }
        assert!(Instant::now() < until, "{what}: it never rests");
    }
}
