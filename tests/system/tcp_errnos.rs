//! Every error of the system calls that accept, receive and send, injected with strace into a
//! running tcp, chat or file server.
//!
//! An injected error may cost one connection, or a pause. The server must serve the next client,
//! leak nothing and not spin.

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

/// The errors of accept(2), and the network errors of a new connection that Linux passes on.
const ACCEPT_ERRORS: [&str; 24] = [
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

/// The errors of recv(2) and tcp(7), and those of a disk for a splice.
const RECV_ERRORS: [&str; 18] = [
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

/// The errors of send(2) and tcp(7).
const SEND_ERRORS: [&str; 22] = [
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

/// The number of consecutive clients that must be served at the end of a round.
const SERVED_IN_A_ROW: usize = 2;

/// Injects each error of each call once, in rounds with one error per call. Then checks for leaks.
fn inject_all(
    server: &Program,
    calls: &[(&str, &[&str])],
    client: impl Fn(usize) -> io::Result<()>,
) {
    let place = directory();
    let before = open_descriptors(server);
    (0..SERVED_IN_A_ROW).for_each(|number| client(number).unwrap());
    let rounds = calls.iter().map(|(_, errors)| errors.len()).max().unwrap();
    let mut clients = SERVED_IN_A_ROW;
    for round in 0..rounds {
        let faults: Vec<_> =
            calls.iter().map(|(call, errors)| (*call, errors[round % errors.len()])).collect();
        let log = place.path().join(round.to_string());
        clients = inject_once(server, &faults, clients, &log, &client);
    }
    // Disk threads keep some descriptors until they end.
    wait_for_descriptors(server, before);
    wait_until_idle(server);
}

/// Makes each call fail once, and connects clients until this has happened and they are served.
fn inject_once(
    server: &Program,
    faults: &[(&str, &str)],
    mut clients: usize,
    log: &Path,
    client: impl Fn(usize) -> io::Result<()>,
) -> usize {
    let calls: Vec<_> = faults.iter().map(|(call, _)| *call).collect();
    let mut flags = vec!["-e".to_owned(), format!("trace={}", calls.join(","))];
    for (call, error) in faults {
        flags.extend(["-e".to_owned(), format!("inject={call}:error={error}:when=1")]);
    }
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let strace = strace::attach(server, &flags, log);
    let (mut served, deadline) = (0, Instant::now() + DEADLINE);
    while served < SERVED_IN_A_ROW || !calls.iter().all(|call| is_injected(log, call)) {
        assert!(Instant::now() < deadline, "{faults:?}: {}", fs::read_to_string(log).unwrap());
        served = if client(clients).is_ok() { served + 1 } else { 0 };
        clients += 1;
    }
    strace::detach(strace);
    client(clients).unwrap_or_else(|error| panic!("no client is served after {faults:?}: {error}"));
    clients + 1
}

fn is_injected(log: &Path, call: &str) -> bool {
    let log = fs::read_to_string(log).unwrap_or_default();
    // If another thread's call was logged in between, the end of a call has its own line.
    let is_of = |line: &str| {
        [format!("{call}("), format!("{call} resumed")].iter().any(|of| line.contains(of))
    };
    log.lines().any(|line| line.contains("(INJECTED)") && is_of(line))
}

fn unexpected(value: impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!("{value:?}"))
}

#[test]
fn tcp_server_survives_each_error() {
    let _serial = serial::lock();
    if !strace::is_available() {
        return;
    }
    let server = Program::server(&["--scenario", "tcp"]);
    inject_all(
        &server,
        &[("accept4", &ACCEPT_ERRORS), ("sendto", &SEND_ERRORS), ("shutdown", &SEND_ERRORS)],
        |_| {
            let mut stream = try_connect(server.endpoint())?;
            // With unread input the server half-closes before it closes.
            stream.write_all(b"hello")?;
            let mut received = Vec::new();
            stream.read_to_end(&mut received)?;
            if received == b"Thank you for connecting" { Ok(()) } else { Err(unexpected(received)) }
        },
    );
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn chat_server_survives_each_error() {
    let _serial = serial::lock();
    if !strace::is_available() {
        return;
    }
    let server = Program::server(&["--scenario", "chat"]);
    let calls: [(&str, &[&str]); 4] = [
        ("accept4", &ACCEPT_ERRORS),
        ("recvfrom", &RECV_ERRORS),
        ("sendto", &SEND_ERRORS),
        ("sendmsg", &SEND_ERRORS),
    ];
    inject_all(&server, &calls, |number| {
        let mut line = LineClient::try_connect(server.endpoint())?;
        for word in ["hello", "once more"] {
            line.try_send(word)?;
            loop {
                match line.next_line()? {
                    Some(received) if received == acknowledgement(word) => break,
                    Some(_) => {}
                    None => return Err(unexpected(number)),
                }
            }
        }
        Ok(())
    });
    server.terminate();
    server.wait().with_code(0);
}

/// Uploads a framed file and a raw one.
fn upload(server: &Program, out: &Path, number: usize) -> io::Result<()> {
    let file = seeded_bytes(number.to_string(), 100_000);
    let mut client = FramedClient::try_open(try_connect(server.endpoint())?)?;
    match client.upload(&format!("file-{number}"), &file) {
        FramedReply::Stored(..) => {}
        reply => return Err(unexpected(reply)),
    }
    let raw = seeded_bytes(format!("raw {number}"), 100_000);
    let mut stream = try_connect(server.endpoint())?;
    stream.write_all(&raw)?;
    stream.shutdown(Shutdown::Write)?;
    stream.read(&mut [0]).map(drop)?;
    match files_below(out).iter().any(|(name, file)| name.starts_with("output") && *file == raw) {
        true => Ok(()),
        false => Err(unexpected("the raw file was not stored")),
    }
}

#[test]
fn file_server_survives_each_error() {
    let _serial = serial::lock();
    if !strace::is_available() {
        return;
    }
    // With JSON the server reports a raw upload's digest, so its bytes take another path.
    for json in [false, true] {
        let out = directory();
        let server =
            crate::support::files::server(out.path(), if json { &["--json"] } else { &[] });
        let calls: [(&str, &[&str]); 4] = [
            ("accept4", &ACCEPT_ERRORS),
            ("recvfrom", &RECV_ERRORS),
            ("sendto", &SEND_ERRORS),
            ("splice", &RECV_ERRORS),
        ];
        let calls = if json { &calls[..3] } else { &calls[..] };
        inject_all(&server, calls, |number| upload(&server, out.path(), number));
        server.terminate();
        server.wait().with_code(0);
    }
}

#[test]
fn permanent_accept_error_does_not_spin() {
    let _serial = serial::lock();
    if !strace::is_available() {
        return;
    }
    for error in ["EMFILE", "EPERM", "ECONNABORTED", "EIO"] {
        let server = Program::server(&["--scenario", "tcp"]);
        let place = directory();
        let log = place.path().join("log");
        let inject = format!("inject=accept4:error={error}:when=1+");
        let strace = strace::attach(&server, &["-e", "trace=accept4", "-e", &inject], &log);
        let mut pending = try_connect(server.endpoint()).unwrap();
        // A loop that spins makes these attempts at once, and is never idle.
        let tries = || fs::read_to_string(&log).unwrap_or_default().lines().count();
        let deadline = Instant::now() + DEADLINE;
        while tries() < 3 {
            assert!(Instant::now() < deadline, "{error}: accept is not retried");
        }
        wait_until_paused(&server, error);
        strace::detach(strace);
        let mut received = Vec::new();
        let _ = pending.read_to_end(&mut received);
        let mut received = String::new();
        try_connect(server.endpoint()).unwrap().read_to_string(&mut received).unwrap();
        assert_eq!(received, "Thank you for connecting", "{error}");
        server.terminate();
        server.wait().with_code(0);
    }
}

/// Waits until a server does nothing for a time that is shorter than its pauses.
#[track_caller]
fn wait_until_paused(server: &Program, error: &str) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let before = cpu_time(server);
        thread::sleep(Duration::from_millis(20));
        if cpu_time(server) == before {
            return;
        }
        assert!(Instant::now() < deadline, "{error}: it is never idle");
    }
}
