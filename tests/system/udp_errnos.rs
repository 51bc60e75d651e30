//! The UDP responder when the kernel says no: every error of its system calls, injected with `strace`.
//!
//! The responder has to stay, must not spin, and leaks nothing. What an injected error costs is one datagram, or a pause.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::support::process_stats::open_descriptors;
use crate::support::{DEADLINE, Program, directory, serial, strace};

const QUESTION: &[u8] = b"Hello UDP Server";

/// How long a client waits before it asks again: what it asked may be lost.
const AGAIN: Duration = Duration::from_millis(300);

/// A server with `strace` set at it, and what is told of it.
struct Injected {
    server: Program,
    log: std::path::PathBuf,
    _strace: Program,
    _directory: tempfile::TempDir,
}

impl Injected {
    /// Starts a server whose calls of `call` fail with `error`: those that `when` names, as strace's manual says.
    fn start(listen: &str, call: &str, error: &str, when: &str) -> Injected {
        let server = Program::server(&["--scenario", "udp", "--listen", listen]);
        let directory = directory();
        let log = directory.path().join("log");
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:error={error}:when={when}");
        let strace = strace::attach(&server, &["-ttt", "-e", &trace, "-e", &inject], &log);
        Injected { server, log, _strace: strace, _directory: directory }
    }

    /// The lines of the log that tell of an injected error, each with its time in seconds.
    fn injected(&self) -> Vec<(f64, String)> {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let injected = log.lines().filter(|line| line.contains("(INJECTED)"));
        injected
            .map(|line| {
                let time = line.split_whitespace().nth(1).unwrap().parse().unwrap();
                (time, line.to_owned())
            })
            .collect()
    }
}

/// A client's socket, over UDP or a Unix path.
trait Asks {
    fn ask(&self);
    fn hear(&self) -> bool;
}

impl Asks for UdpSocket {
    fn ask(&self) {
        self.send(QUESTION).unwrap();
    }

    fn hear(&self) -> bool {
        self.recv(&mut [0; 64]).is_ok()
    }
}

impl Asks for UnixDatagram {
    fn ask(&self) {
        self.send(QUESTION).unwrap();
    }

    fn hear(&self) -> bool {
        self.recv(&mut [0; 64]).is_ok()
    }
}

fn inet(server: &Injected) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.server.endpoint()).unwrap();
    socket.set_read_timeout(Some(AGAIN)).unwrap();
    socket
}

/// Asks until there is an answer.
fn is_served(client: &impl Asks, what: &str) {
    let tries = DEADLINE.as_millis() / AGAIN.as_millis();
    let answered = (0..tries).any(|_| {
        client.ask();
        client.hear()
    });
    assert!(answered, "nobody answers any more after {what}");
}

#[test]
fn each_error_of_a_receive_is_survived() {
    let _alone = serial::lock();
    if !strace::is_available() {
        return;
    }
    let errors = [
        "EAGAIN",
        "EINTR",
        "ECONNREFUSED",
        "EHOSTUNREACH",
        "EINVAL",
        "EIO",
        "ENETDOWN",
        "ENOBUFS",
        "ENOMEM",
        "ENOTCONN",
        "EPERM",
    ];
    // One call takes many, and one takes those that come alone.
    for (error, call) in errors.iter().flat_map(|error| [(error, "recvmmsg"), (error, "recvfrom")])
    {
        let server = Injected::start("127.0.0.1:0", call, error, "1..2");
        let client = inet(&server);
        is_served(&client, error);
        let before = open_descriptors(&server.server);
        for _ in 0..20 {
            is_served(&client, error);
        }
        // Other threads receive something else, of which the length does not matter.
        let injected = server.injected();
        let of_datagrams = injected.iter().filter(|(_, line)| line.contains("MSG_TRUNC"));
        assert_eq!(of_datagrams.count(), 2, "{error}: {injected:?}");
        assert_eq!(open_descriptors(&server.server), before, "{error}");
    }
}

#[test]
fn each_error_of_an_answer_costs_that_answer_alone() {
    let _alone = serial::lock();
    if !strace::is_available() {
        return;
    }
    let errors = [
        "EACCES",
        "EINTR",
        "ECONNREFUSED",
        "ECONNRESET",
        "EHOSTUNREACH",
        "EINVAL",
        "EMSGSIZE",
        "ENETDOWN",
        "ENETUNREACH",
        "ENOBUFS",
        "ENOMEM",
        "ENOTCONN",
        "EPERM",
        "EPIPE",
    ];
    for error in errors {
        let server = Injected::start("127.0.0.1:0", "sendto", error, "2");
        let client = inet(&server);
        is_served(&client, error);
        let before = open_descriptors(&server.server);
        for _ in 0..20 {
            is_served(&client, error);
        }
        assert_eq!(server.injected().len(), 1, "{error}");
        assert_eq!(open_descriptors(&server.server), before, "{error}");
        if error != "EINTR" {
            server.server.wait_for_error_line(|line| line.contains("cannot send a reply"));
        }
    }
}

#[test]
fn each_error_of_an_answer_to_many_costs_one_answer_of_them() {
    let _alone = serial::lock();
    if !strace::is_available() {
        return;
    }
    for error in ["EACCES", "ECONNREFUSED", "EINVAL", "ENETDOWN", "ENOBUFS", "ENOMEM", "EPERM"] {
        let server = Injected::start("127.0.0.1:0", "sendmmsg", error, "1");
        let client = inet(&server);
        let until = Instant::now() + DEADLINE;
        while server.injected().is_empty() {
            assert!(Instant::now() < until, "{error}: no two datagrams are answered together");
            (0..8).for_each(|_| client.ask());
            client.hear();
        }
        server.server.wait_for_error_line(|line| line.contains("cannot send a reply"));
        for _ in 0..20 {
            is_served(&client, error);
        }
        assert_eq!(server.injected().len(), 1, "{error}");
    }
}

#[test]
fn each_error_of_an_answer_over_a_unix_socket_costs_that_answer_alone() {
    let _alone = serial::lock();
    if !strace::is_available() {
        return;
    }
    for error in
        ["EAGAIN", "EINTR", "ECONNREFUSED", "ENOBUFS", "ENOENT", "ENOMEM", "EPERM", "EPIPE"]
    {
        let place = directory();
        let path = place.path().join("server");
        let listen = format!("unix:{}", path.display());
        let server = Injected::start(&listen, "sendto", error, "2");
        let client = UnixDatagram::bind(place.path().join("client")).unwrap();
        client.set_read_timeout(Some(AGAIN)).unwrap();
        client.connect(&path).unwrap();
        for _ in 0..5 {
            is_served(&client, error);
        }
        assert_eq!(server.injected().len(), 1, "{error}");
    }
}

#[test]
fn a_receive_that_always_fails_is_tried_ten_times_a_second() {
    let _alone = serial::lock();
    if !strace::is_available() {
        return;
    }
    let server = Injected::start("127.0.0.1:0", "recvmmsg", "ENOMEM", "1+");
    inet(&server).ask();
    server.server.wait_for_error_line(|line| line.contains("could not be read"));
    while server.injected().len() < 5 {
        assert!(!inet(&server).hear());
    }
    let times: Vec<_> = server.injected().into_iter().map(|(time, _)| time).collect();
    // A sleep is never shorter than it was asked to be.
    assert!(times.windows(2).all(|two| two[1] - two[0] > 0.09), "{times:?}");
}

#[test]
fn an_answer_that_never_goes_is_tried_once_for_each_datagram() {
    let _alone = serial::lock();
    if !strace::is_available() {
        return;
    }
    for error in ["ENOBUFS", "EPERM", "EINVAL"] {
        let server = Injected::start("127.0.0.1:0", "sendto,sendmmsg", error, "1+");
        let client = inet(&server);
        for _ in 0..30 {
            client.ask();
        }
        // Whatever is answered in vain is counted, and told now and then.
        let told = || String::from_utf8(server.server.stderr()).unwrap();
        let until = Instant::now() + DEADLINE;
        while !told().contains("cannot send a reply (30 so far)") {
            assert!(Instant::now() < until, "{error}: {}", told());
            assert!(!client.hear());
        }
        let lines = told().matches("cannot send a reply").count();
        assert!(lines < 10, "{error}: {lines} lines");
        assert_eq!(server.injected().len(), 30, "{error}");
    }
}
