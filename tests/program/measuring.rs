//! The measuring clients through the built program.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::peers::{Family, SocketKind, require_tool};
use crate::support::{BINARY, DEADLINE, Program, directory, sockactors};

/// A UDP server that the test controls.
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

    /// Receives the next request, and returns its length and sender.
    fn next(&self) -> (usize, SocketAddr) {
        loop {
            match self.0.recv_from(&mut [0; 2048]) {
                // The kernel does not restart a read with a timeout after a signal.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                received => break received.expect("a request"),
            }
        }
    }

    fn answer(&self, to: SocketAddr) {
        self.0.send_to(b"an answer", to).unwrap();
    }
}

/// Measures a server that answers request 3 before 2, request 4 twice, and not the last of ten.
fn measure_unreliable_server(more: &[&str]) -> crate::support::ProgramOutput {
    let server = Server::new();
    let at = server.at();
    let mut args =
        vec!["--scenario", "udp", "--connect", &at, "--count", "10", "--interval", "1ms"];
    args.extend(["--timeout", "3s", "--size", "20"]);
    args.extend(more);
    let client = Program::run(&args);
    let requests: Vec<_> = (0..10).map(|_| server.next().1).collect();
    for index in [0, 2, 1, 3, 3, 4, 5, 6, 7, 8] {
        server.answer(requests[index]);
    }
    client.wait()
}

#[test]
fn lost_duplicated_and_reordered_replies_are_counted() {
    let ended = measure_unreliable_server(&["--json"]).with_code(4);
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
    let count = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(count(r#""again":false"#), 9, "{ended:?}");
    assert_eq!(count(r#""again":true"#), 1, "{ended:?}");
    assert!(ended.err().contains("1 of 10 requests got no answer"), "{ended:?}");
}

#[test]
fn loss_within_limit_exits_with_0() {
    let ended = measure_unreliable_server(&["--max-loss", "10%"]).with_code(0);
    let out = ended.out();
    let line = "10 sent, 9 received, 10% lost, 1 duplicated, 1 reordered";
    assert!(out.lines().any(|text| text == line), "{ended:?}");
    assert!(out.contains("\n9 bytes for request 3 after "), "{ended:?}");
    assert!(out.contains("\nround trip "), "{ended:?}");
}

#[test]
fn histogram_has_round_edges_from_20_replies_on() {
    let server = Program::server(&["--scenario", "tcp"]);
    let args = ["--scenario", "tcp", "--connect", server.endpoint(), "-q", "--count"];
    let edges = |count: &str| {
        let ended = sockactors(&[&args[..], &[count, "--interval", "0"]].concat(), "").with_code(0);
        let lines = ended.lines();
        let edges = lines.iter().filter_map(|line| line.strip_prefix("up to "));
        edges.map(|edge| edge.split_whitespace().next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(edges("19"), [""; 0]);
    let round = edges("20");
    assert!((1..=12).contains(&round.len()), "{round:?}");
    for edge in round {
        let digits = edge.replace('.', "");
        assert!(digits.trim_matches('0').len() <= 2, "{edge}");
    }
}

#[test]
fn size_flag_sets_request_length() {
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
fn rate_flag_sends_count_requests() {
    let server = Program::server(&["--scenario", "udp", "-v", "--json"]);
    let mut args = vec!["--scenario", "udp", "--connect", server.endpoint(), "--count", "2000"];
    args.extend(["--rate", "20000/s", "--timeout", "1s", "--max-loss", "99", "--json"]);
    let ended = sockactors(&args, "").with_code(0);
    let lines = ended.lines();
    let summary = lines.last().expect("a summary");
    assert!(summary.contains(r#""event":"summary","sent":2000,"received":"#), "{ended:?}");
    assert!(summary.contains("rtt_median_us"), "{ended:?}");
}

#[test]
fn probe_measures_unix_datagrams() {
    let directory = directory();
    let listen = format!("unix:{}/socket", directory.path().display());
    let server = Program::server(&["--scenario", "udp", "--listen", &listen]);
    let args = ["--scenario", "udp", "--connect", server.endpoint(), "--count", "50"];
    let ended = sockactors(&[&args[..], &["--interval", "0"]].concat(), "").with_code(0);
    let line = "50 sent, 50 received, 0% lost, 0 duplicated, 0 reordered";
    assert!(ended.lines().iter().any(|text| text == line), "{ended:?}");
}

#[test]
fn replies_read_together_are_all_counted() {
    let server = Server::new();
    let at = server.at();
    let args = ["--scenario", "udp", "--connect", &at, "--count", "40", "--interval", "1ms"];
    let client = Program::run(&args);
    let senders: Vec<_> = (0..40).map(|_| server.next().1).collect();
    client.signal(rustix::process::Signal::STOP);
    senders.into_iter().for_each(|from| server.answer(from));
    client.signal(rustix::process::Signal::CONT);
    let ended = client.wait().with_code(0);
    assert!(ended.out().contains("40 sent, 40 received, 0% lost"), "{ended:?}");
}

#[test]
fn missing_server_is_reported_as_refused() {
    let (udp, tcp) = ((SocketKind::Datagram, "udp"), (SocketKind::Stream, "tcp"));
    for (kind, scenario) in [udp, tcp] {
        let at = Family::V4.free_address(kind, "/".as_ref()).unwrap().endpoint();
        let args = ["--scenario", scenario, "--connect", &at, "--timeout", "2s"];
        let ended = sockactors(&[&args[..], &["--count", "3", "--interval", "1ms"]].concat(), "");
        let ended = ended.with_code(3).with_stderr("refused the connection");
        assert!(ended.lines().iter().any(|text| text == "failures: 3 refused"), "{ended:?}");
        assert!(!ended.err().contains("was lost"), "{ended:?}");
    }
}

#[test]
fn single_request_prints_lecture_output() {
    for (scenario, expected) in [
        ("udp", "Message from Server \"Hello UDP Client\"\n"),
        ("tcp", "Thank you for connecting\n"),
    ] {
        let server = Program::server(&["--scenario", scenario]);
        let ended = sockactors(&["--scenario", scenario, "--connect", server.endpoint()], "");
        let ended = ended.with_code(0);
        assert_eq!((ended.out().as_str(), ended.err().as_str()), (expected, ""), "{ended:?}");
    }
}

#[test]
fn concurrent_connections_are_measured() {
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
fn failures_are_counted_by_kind() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap().to_string();
    let args = ["--scenario", "tcp", "--connect", &at, "--count", "4", "--interval", "0"];
    for (max_loss, code) in [("50", 0), ("49.9", 4)] {
        let client = Program::run(&[&args[..], &["--max-loss", max_loss]].concat());
        for turn in 0..4 {
            let mut accepted = listener.accept().unwrap().0;
            if turn % 2 == 0 {
                accepted.write_all(b"hello").unwrap();
            }
        }
        let ended = client.wait().with_code(code);
        let lines = ended.lines();
        assert_eq!(lines.iter().filter(|text| *text == "hello").count(), 2, "{ended:?}");
        assert!(lines.contains(&"failures: 2 closed without a word".to_owned()), "{ended:?}");
    }
}

#[test]
fn interrupted_measurement_prints_results() {
    let server = Program::server(&["--scenario", "udp"]);
    let args = ["--scenario", "udp", "--connect", server.endpoint(), "--count", "1000"];
    let client = Program::run(&[&args[..], &["--size", "9", "--interval", "20ms"]].concat());
    client.wait_for("bytes for request 2 after");
    client.interrupt();
    let ended = client.wait().with_code(130);
    assert!(ended.out().contains("received, 0% lost"), "{ended:?}");
}

#[test]
fn old_unanswered_requests_are_lost_at_interrupt() {
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
fn busy_measurement_is_interruptible() {
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
fn rate_with_interval_is_usage_error() {
    let args = ["--scenario", "udp", "--connect", "127.0.0.1:9", "--rate", "5/s", "--interval"];
    sockactors(&[&args[..], &["1s"]].concat(), "").with_code(2).with_stderr("--interval");
    let args = ["--scenario", "udp", "--connect", "127.0.0.1:9", "--concurrency", "2"];
    sockactors(&args, "").with_code(2).with_stderr("--scenario tcp");
}

#[test]
fn unsent_request_is_counted_as_failure() {
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

#[test]
fn count_0_runs_until_interrupted() {
    for scenario in ["tcp", "udp"] {
        let server = Program::server(&[scenario]);
        let args = [scenario, "--count", "0", "--interval", "0", "--connect", server.endpoint()];
        let client = Program::run(&args);
        let reply = match scenario {
            "tcp" => "Thank you for connecting",
            _ => "Message from Server",
        };
        client.wait_for_matches(reply, 3);
        client.interrupt();
        let ended = client.wait().with_code(130);
        let lines = ended.lines();
        let table = lines.iter().find(|line| line.contains(" sent, ")).expect("a table");
        let sent: u64 = table.split(' ').next().and_then(|n| n.parse().ok()).expect("a number");
        assert!(sent >= 3 && table.contains("0% lost"), "{table}");
    }
}

#[test]
fn flood_reports_round_trips_and_bit_rate() {
    let server = Program::server(&["udp"]);
    let args = ["udp", "--connect", server.endpoint(), "--rate", "2000", "--count", "400"];
    let ended = sockactors(&[&args[..], &["--size", "100"]].concat(), "").with_code(0);
    let out = ended.out();
    assert!(out.contains("400 sent, 400 received, 0% lost"), "{out}");
    assert!(out.contains(" Mbit/s sent, ") && out.contains(" Mbit/s received"), "{out}");
    assert!(out.lines().any(|line| line.starts_with("round trip ")), "{out}");
    let ended = sockactors(&[&args[..], &["--size", "100", "--json"]].concat(), "").with_code(0);
    let summary = ended.lines().pop().expect("a summary");
    for field in ["\"bytes_sent\":40000,", "\"bytes_received\":6400,", "\"mbit_per_s_sent\":"] {
        assert!(summary.contains(field), "{field}\n{summary}");
    }
    assert!(summary.contains("\"rtt_median_us\":"), "{summary}");
}
