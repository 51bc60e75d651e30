//! Every error of the UDP responder's system calls, injected with strace.
//!
//! An injected error may cost one datagram, or a pause. The responder must not end, spin or leak.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::support::process_stats::open_descriptors;
use crate::support::{DEADLINE, Program, directory, serial, strace};

const REQUEST: &[u8] = b"Hello UDP Server";

/// A client repeats its request after this time, since the request may be lost.
const RETRY_AFTER: Duration = Duration::from_millis(300);

/// A server with strace attached, and strace's log.
struct InjectedServer {
    server: Program,
    log: std::path::PathBuf,
    _strace: Program,
    _directory: tempfile::TempDir,
}

impl InjectedServer {
    /// Starts a server whose calls of `call` fail with `error`. `when` selects them, as in
    /// strace(1).
    fn start(listen: &str, call: &str, error: &str, when: &str) -> InjectedServer {
        let server = Program::server(&["--scenario", "udp", "--listen", listen]);
        let directory = directory();
        let log = directory.path().join("log");
        let trace = format!("trace={call}");
        let inject = format!("inject={call}:error={error}:when={when}");
        let strace = strace::attach(&server, &["-ttt", "-e", &trace, "-e", &inject], &log);
        InjectedServer { server, log, _strace: strace, _directory: directory }
    }

    /// Returns the log lines of injected errors, each with its time in seconds.
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

/// A client's datagram socket, UDP or Unix.
trait ClientSocket {
    fn send_request(&self);
    fn recv_reply(&self) -> bool;
}

impl ClientSocket for UdpSocket {
    fn send_request(&self) {
        self.send(REQUEST).unwrap();
    }

    fn recv_reply(&self) -> bool {
        self.recv(&mut [0; 64]).is_ok()
    }
}

impl ClientSocket for UnixDatagram {
    fn send_request(&self) {
        self.send(REQUEST).unwrap();
    }

    fn recv_reply(&self) -> bool {
        self.recv(&mut [0; 64]).is_ok()
    }
}

fn udp_client(server: &InjectedServer) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.server.endpoint()).unwrap();
    socket.set_read_timeout(Some(RETRY_AFTER)).unwrap();
    socket
}

/// Repeats a request until it is answered.
fn check_served(client: &impl ClientSocket, error: &str) {
    let tries = DEADLINE.as_millis() / RETRY_AFTER.as_millis();
    let answered = (0..tries).any(|_| {
        client.send_request();
        client.recv_reply()
    });
    assert!(answered, "no reply after {error}");
}

#[test]
fn responder_survives_each_receive_error() {
    let _serial = serial::lock();
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
    // `recvmmsg` receives batches, `recvfrom` lone datagrams.
    for (error, call) in errors.iter().flat_map(|error| [(error, "recvmmsg"), (error, "recvfrom")])
    {
        let server = InjectedServer::start("127.0.0.1:0", call, error, "1..2");
        let client = udp_client(&server);
        check_served(&client, error);
        let before = open_descriptors(&server.server);
        for _ in 0..20 {
            check_served(&client, error);
        }
        // Other threads receive without MSG_TRUNC.
        let injected = server.injected();
        let of_datagrams = injected.iter().filter(|(_, line)| line.contains("MSG_TRUNC"));
        assert_eq!(of_datagrams.count(), 2, "{error}: {injected:?}");
        assert_eq!(open_descriptors(&server.server), before, "{error}");
    }
}

#[test]
fn send_error_loses_one_reply() {
    let _serial = serial::lock();
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
        let server = InjectedServer::start("127.0.0.1:0", "sendto", error, "2");
        let client = udp_client(&server);
        check_served(&client, error);
        let before = open_descriptors(&server.server);
        for _ in 0..20 {
            check_served(&client, error);
        }
        assert_eq!(server.injected().len(), 1, "{error}");
        assert_eq!(open_descriptors(&server.server), before, "{error}");
        if error != "EINTR" {
            server.server.wait_for_error_line(|line| line.contains("cannot send a reply"));
        }
    }
}

#[test]
fn batch_send_error_loses_one_reply() {
    let _serial = serial::lock();
    if !strace::is_available() {
        return;
    }
    for error in ["EACCES", "ECONNREFUSED", "EINVAL", "ENETDOWN", "ENOBUFS", "ENOMEM", "EPERM"] {
        let server = InjectedServer::start("127.0.0.1:0", "sendmmsg", error, "1");
        let client = udp_client(&server);
        let deadline = Instant::now() + DEADLINE;
        while server.injected().is_empty() {
            assert!(Instant::now() < deadline, "{error}: no batch was sent");
            (0..8).for_each(|_| client.send_request());
            client.recv_reply();
        }
        server.server.wait_for_error_line(|line| line.contains("cannot send a reply"));
        for _ in 0..20 {
            check_served(&client, error);
        }
        assert_eq!(server.injected().len(), 1, "{error}");
    }
}

#[test]
fn unix_send_error_loses_one_reply() {
    let _serial = serial::lock();
    if !strace::is_available() {
        return;
    }
    for error in
        ["EAGAIN", "EINTR", "ECONNREFUSED", "ENOBUFS", "ENOENT", "ENOMEM", "EPERM", "EPIPE"]
    {
        let place = directory();
        let path = place.path().join("server");
        let listen = format!("unix:{}", path.display());
        let server = InjectedServer::start(&listen, "sendto", error, "2");
        let client = UnixDatagram::bind(place.path().join("client")).unwrap();
        client.set_read_timeout(Some(RETRY_AFTER)).unwrap();
        client.connect(&path).unwrap();
        for _ in 0..5 {
            check_served(&client, error);
        }
        assert_eq!(server.injected().len(), 1, "{error}");
    }
}

#[test]
fn permanent_receive_error_is_retried_ten_times_a_second() {
    let _serial = serial::lock();
    if !strace::is_available() {
        return;
    }
    let server = InjectedServer::start("127.0.0.1:0", "recvmmsg", "ENOMEM", "1+");
    udp_client(&server).send_request();
    server.server.wait_for_error_line(|line| line.contains("cannot read a datagram"));
    while server.injected().len() < 5 {
        assert!(!udp_client(&server).recv_reply());
    }
    let times: Vec<_> = server.injected().into_iter().map(|(time, _)| time).collect();
    // A sleep is never shorter than requested.
    assert!(times.windows(2).all(|two| two[1] - two[0] > 0.09), "{times:?}");
}

#[test]
fn permanent_send_error_is_tried_once_per_datagram() {
    let _serial = serial::lock();
    if !strace::is_available() {
        return;
    }
    for error in ["ENOBUFS", "EPERM", "EINVAL"] {
        let server = InjectedServer::start("127.0.0.1:0", "sendto,sendmmsg", error, "1+");
        let client = udp_client(&server);
        for _ in 0..30 {
            client.send_request();
        }
        // Failed replies are counted, and reported now and then.
        let log = || String::from_utf8(server.server.stderr()).unwrap();
        let deadline = Instant::now() + DEADLINE;
        while !log().contains("cannot send a reply (30 so far)") {
            assert!(Instant::now() < deadline, "{error}: {}", log());
            assert!(!client.recv_reply());
        }
        let lines = log().matches("cannot send a reply").count();
        assert!(lines < 10, "{error}: {lines} lines");
        assert_eq!(server.injected().len(), 30, "{error}");
    }
}
