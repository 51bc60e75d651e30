//! The clients as instruments, through the built program: what they measure, and what they say of it.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::peers::{Family, SocketKind, require_tool};
use crate::support::{BINARY, DEADLINE, Program, directory, sockactors};

/// A server in the test's own hands.
struct Server(UdpSocket);

impl Server {
    fn new() -> Server {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Server(socket)
    }

    fn at(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// The next request: how long it is, and where it came from.
    fn next(&self) -> (usize, SocketAddr) {
        loop {
            match self.0.recv_from(&mut [0; 2048]) {
                // A read with a time limit is not taken up again by the kernel after a signal.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.expect("a request"),
            }
        }
    }

    fn answer(&self, to: SocketAddr) {
        self.0.send_to(b"an answer", to).unwrap();
    }
}

/// Answers ten requests: the third before the second, the fourth twice, and not the last.
fn unreliable(more: &[&str]) -> crate::support::ProgramOutput {
    let server = Server::new();
    let at = server.at();
    let mut args =
        vec!["--scenario", "udp", "--connect", &at, "--count", "10", "--interval", "1ms"];
    args.extend(["--timeout", "3s", "--size", "20"]);
    args.extend(more);
    let client = Program::run(&args);
    let requests: Vec<_> = (0..10).map(|_| server.next().1).collect();
    for which in [0, 2, 1, 3, 3, 4, 5, 6, 7, 8] {
        server.answer(requests[which]);
    }
    client.wait()
}

#[test]
fn a_lost_a_second_and_an_overtaken_answer_are_told_apart() {
    let ended = unreliable(&["--json"]).with_code(4);
    let lines = ended.lines();
    let summary = lines.last().expect("a summary");
    for field in [
        r#""event":"summary","sent":10,"received":9,"lost":1,"loss_percent":10.000,"#,
        r#""duplicated":1,"reordered":1,"failures":{}"#,
        r#","rtt_min_us":"#,
        r#","rtt_median_us":"#,
        r#","rtt_p99_us":"#,
    ] {
        assert!(summary.contains(field), "{field}\n{ended:?}");
    }
    let count = |what: &str| lines.iter().filter(|line| line.contains(what)).count();
    assert_eq!(count(r#""again":false"#), 9, "{ended:?}");
    assert_eq!(count(r#""again":true"#), 1, "{ended:?}");
    assert!(ended.err().contains("1 of 10 requests got no answer"), "{ended:?}");
}

#[test]
fn a_loss_within_the_limit_is_well_and_the_table_tells_it() {
    let ended = unreliable(&["--max-loss", "10%"]).with_code(0);
    let out = ended.out();
    let line = "10 sent, 9 received, 10% lost, 1 duplicated, 1 reordered";
    assert!(out.lines().any(|said| said == line), "{ended:?}");
    assert!(out.contains("\n9 bytes for request 3 after "), "{ended:?}");
    assert!(out.contains("\nround trip ") && out.contains("\nup to "), "{ended:?}");
}

#[test]
fn each_request_has_its_size() {
    for size in ["0", "1", "1400"] {
        let server = Server::new();
        let at = server.at();
        let args = ["--scenario", "udp", "--connect", &at, "--size", size];
        let client = Program::run(&args);
        let (length, from) = server.next();
        assert_eq!(length.to_string(), size);
        server.answer(from);
        client.wait().with_code(0);
    }
}

#[test]
fn a_flood_sends_as_many_as_it_was_told() {
    let server = Program::server(&["--scenario", "udp", "-v", "--json"]);
    let mut args = vec!["--scenario", "udp", "--connect", server.endpoint(), "--count", "2000"];
    args.extend(["--rate", "20000/s", "--timeout", "1s", "--max-loss", "99", "--json"]);
    let ended = sockactors(&args, "").with_code(0);
    let lines = ended.lines();
    let summary = lines.last().expect("a summary");
    assert!(summary.contains(r#""event":"summary","sent":2000,"received":"#), "{ended:?}");
    assert!(!summary.contains("rtt_"), "{ended:?}");
}

#[test]
fn a_probe_measures_over_unix_datagrams_too() {
    let directory = directory();
    let listen = format!("unix:{}/socket", directory.path().display());
    let server = Program::server(&["--scenario", "udp", "--listen", &listen]);
    let args = ["--scenario", "udp", "--connect", server.endpoint(), "--count", "50"];
    let ended = sockactors(&[&args[..], &["--interval", "0"]].concat(), "").with_code(0);
    let line = "50 sent, 50 received, 0% lost, 0 duplicated, 0 reordered";
    assert!(ended.lines().iter().any(|said| said == line), "{ended:?}");
}

#[test]
fn answers_that_are_read_together_are_all_counted_and_the_client_ends() {
    let server = Server::new();
    let at = server.at();
    let args = ["--scenario", "udp", "--connect", &at, "--count", "40", "--interval", "1ms"];
    let client = Program::run(&args);
    let asked: Vec<_> = (0..40).map(|_| server.next().1).collect();
    client.signal(rustix::process::Signal::STOP);
    asked.into_iter().for_each(|from| server.answer(from));
    client.signal(rustix::process::Signal::CONT);
    let ended = client.wait().with_code(0);
    assert!(ended.out().contains("40 sent, 40 received, 0% lost"), "{ended:?}");
}

#[test]
fn nobody_there_is_told_as_nobody_there() {
    let (udp, tcp) = ((SocketKind::Datagram, "udp"), (SocketKind::Stream, "tcp"));
    for (kind, scenario) in [udp, tcp] {
        let at = Family::V4.free_address(kind, "/".as_ref()).unwrap().endpoint();
        let args = ["--scenario", scenario, "--connect", &at, "--timeout", "2s"];
        let ended = sockactors(&[&args[..], &["--count", "3", "--interval", "1ms"]].concat(), "");
        let ended = ended.with_code(3).with_stderr("refused the connection");
        assert!(ended.lines().iter().any(|said| said == "failures: 3 refused"), "{ended:?}");
        assert!(!ended.err().contains("was lost"), "{ended:?}");
    }
}

#[test]
fn one_request_alone_is_the_lectures() {
    for (scenario, said) in [
        ("udp", "Message from Server \"Hello UDP Client\"\n"),
        ("tcp", "Thank you for connecting\n"),
    ] {
        let server = Program::server(&["--scenario", scenario]);
        let ended = sockactors(&["--scenario", scenario, "--connect", server.endpoint()], "");
        let ended = ended.with_code(0);
        assert_eq!((ended.out().as_str(), ended.err().as_str()), (said, ""), "{ended:?}");
    }
}

#[test]
fn connections_are_tried_several_at_once_and_each_is_measured() {
    let server = Program::server(&["--scenario", "tcp"]);
    let args = ["--scenario", "tcp", "--connect", server.endpoint(), "--count", "20"];
    let ended = sockactors(&[&args[..], &["--concurrency", "4"]].concat(), "").with_code(0);
    let out = ended.out();
    assert!(out.starts_with("20 sent, 20 received, 0% lost\n"), "{ended:?}");
    for row in ["\nconnect ", "\ngreeting ", "\nup to "] {
        assert!(out.contains(row), "{row}\n{ended:?}");
    }
    server.wait_for_matches("Got connection from ", 20);
}

#[test]
fn what_fails_is_counted_by_its_kind_and_the_rest_goes_on() {
    let rude = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = rude.local_addr().unwrap().to_string();
    let args = ["--scenario", "tcp", "--connect", &at, "--count", "4", "--interval", "0"];
    for (max_loss, code) in [("50", 0), ("49.9", 4)] {
        let client = Program::run(&[&args[..], &["--max-loss", max_loss]].concat());
        for turn in 0..4 {
            let mut accepted = rude.accept().unwrap().0;
            if turn % 2 == 0 {
                accepted.write_all(b"hello").unwrap();
            }
        }
        let ended = client.wait().with_code(code);
        let lines = ended.lines();
        assert_eq!(lines.iter().filter(|said| *said == "hello").count(), 2, "{ended:?}");
        assert!(lines.contains(&"failures: 2 closed without a word".to_owned()), "{ended:?}");
    }
}

#[test]
fn an_interrupted_measurement_tells_what_it_has() {
    let server = Program::server(&["--scenario", "udp"]);
    let args = ["--scenario", "udp", "--connect", server.endpoint(), "--count", "1000"];
    let client = Program::run(&[&args[..], &["--size", "9", "--interval", "20ms"]].concat());
    client.wait_for("bytes for request 2 after");
    client.interrupt();
    let ended = client.wait().with_code(130);
    assert!(ended.out().contains("received, 0% lost"), "{ended:?}");
}

#[test]
fn what_was_long_unanswered_when_a_measurement_is_interrupted_is_lost() {
    let server = Server::new();
    let at = server.at();
    let args = ["--scenario", "udp", "--connect", &at, "--count", "100000", "--interval", "20ms"];
    let client = Program::run(&args);
    server.next();
    let first = Instant::now();
    while first.elapsed() < Duration::from_millis(1200) {
        server.next();
    }
    client.interrupt();
    let ended = client.wait();
    assert!(ended.out().contains(" sent, 0 received, 100% lost"), "{ended:?}");
}

#[test]
fn a_measurement_that_never_has_to_wait_can_be_interrupted_too() {
    for fast in
        [&["--count", "1000000000", "--interval", "0", "--size", "3"][..], &["--rate", "999999"]]
    {
        let server = Program::server(&["--scenario", "udp"]);
        let args = ["--scenario", "udp", "--connect", server.endpoint(), "-q", "--message", "abc"];
        let client = Program::run(&[&args[..], fast].concat());
        server.wait_for_line(|line| line == "Message from Client: abc");
        client.interrupt();
        let ended = client.wait().with_code(130);
        assert!(ended.out().contains(" received, "), "{ended:?}");
    }
}

#[test]
fn a_rate_and_a_pause_together_are_refused() {
    let args = ["--scenario", "udp", "--connect", "127.0.0.1:9", "--rate", "5/s", "--interval"];
    sockactors(&[&args[..], &["1s"]].concat(), "").with_code(2).with_stderr("--interval");
    let args = ["--scenario", "udp", "--connect", "127.0.0.1:9", "--concurrency", "2"];
    sockactors(&args, "").with_code(2).with_stderr("--scenario tcp");
}

#[test]
fn a_request_that_cannot_be_sent_is_counted_and_the_others_are_sent() {
    if !require_tool("strace") {
        return;
    }
    let server = Program::server(&["--scenario", "udp"]);
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=sendto"]);
    command.args(["-e", "inject=sendto:error=ENOBUFS:when=1", BINARY, "--scenario", "udp"]);
    command.args(["--connect", server.endpoint(), "--count", "3", "--interval", "1ms"]);
    let ended = Program::start(command.args(["--max-loss", "34"])).wait().with_code(0);
    assert!(ended.out().contains("3 sent, 2 received, 33.3% lost"), "{ended:?}");
    assert!(ended.out().contains("failures: 1 not sent"), "{ended:?}");
}
