//! The UDP responder on loopback: rejections, truncation, and one socket per thread.

use std::net::UdpSocket;

use crate::support::{DEADLINE, Program, sockactors};

const REPLY: &[u8] = b"Hello UDP Client";

fn server(args: &[&str]) -> Program {
    Program::server(&[&["--scenario", "udp"], args].concat())
}

fn socket(server: &Program) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect(server.endpoint()).unwrap();
    socket
}

fn check_answered(socket: &UdpSocket, request: &[u8]) {
    socket.send(request).unwrap();
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).expect("a reply");
    assert_eq!(&buffer[..length], REPLY);
}

#[test]
fn loopback_is_limited_only_by_reply_rate_flag() {
    let lecture = server(&[]);
    let client = socket(&lecture);
    for _ in 0..3000 {
        check_answered(&client, b"x");
    }
    let slow = server(&["--reply-rate", "2/1h", "--json"]);
    let client = socket(&slow);
    check_answered(&client, b"x");
    check_answered(&client, b"x");
    client.send(b"x").unwrap();
    let line = slow.wait_for_line(|line| line.contains("\"event\":\"refused\""));
    assert!(
        line.contains("exceeds the reply limit") && line.contains("\"peer\":\"127.0.0.1:"),
        "{line}"
    );
    client.set_nonblocking(true).unwrap();
    assert!(client.recv(&mut [0; 64]).is_err(), "a third reply arrived");
}

#[test]
fn unanswered_datagram_is_reported_with_text() {
    let server = server(&["--json"]);
    let client = socket(&server);
    client.send(REPLY).unwrap();
    check_answered(&client, b"x");
    server.wait_for_line(|line| line.contains("message") && line.contains("Hello UDP Client"));
    let line = server.wait_for_line(|line| line.contains("\"event\":\"refused\""));
    assert!(line.contains("(1 so far)"), "{line}");
}

#[test]
fn second_rejection_is_reported_without_traffic() {
    let server = server(&["--json"]);
    let client = socket(&server);
    for count in ["(1 so far)", "(2 so far)"] {
        client.send(REPLY).unwrap();
        server.wait_for_line(|line| line.contains(count));
    }
}

#[test]
fn truncated_datagram_is_reported_with_length() {
    let server = server(&["--json", "--buffer-size", "10"]);
    let client = socket(&server);
    check_answered(&client, b"0123456789");
    check_answered(&client, &[b'y'; 1400]);
    let line = server.wait_for_line(|line| line.contains("\"event\":\"cut\""));
    assert!(line.contains("\"bytes\":1400,\"kept\":10"), "{line}");
    let output = String::from_utf8(server.stdout()).unwrap();
    assert_eq!(output.matches("\"event\":\"cut\"").count(), 1, "{output}");
}

#[test]
fn each_thread_answers_on_own_socket() {
    let threads = server(&["--threads", "4"]);
    for _ in 0..64 {
        check_answered(&socket(&threads), b"x");
    }
    threads.signal(rustix::process::Signal::USR1);
    threads.wait_for_error_line(|line| line.contains("responder-4"));
    threads.terminate();
    let ended = threads.wait().with_code(0);
    let lines = ended.lines().iter().filter(|line| line.starts_with("Client IP Address")).count();
    assert_eq!(lines, 64, "{ended:?}");
}

#[test]
fn clients_limit_counts_all_threads() {
    let threads = server(&["--threads", "3", "--clients", "5"]);
    for _ in 0..5 {
        check_answered(&socket(&threads), b"x");
    }
    threads.wait().with_code(0);
}

#[test]
fn port_is_not_shared_between_processes() {
    let single = server(&[]);
    let args = ["--scenario", "udp", "--listen", single.endpoint()];
    sockactors(&args, "").with_code(3).with_stderr("in use");
    let shared = server(&["--threads", "2"]);
    let args = ["--scenario", "udp", "--threads", "2", "--listen", shared.endpoint()];
    sockactors(&args, "").with_code(3).with_stderr("in use");
}

#[test]
fn invalid_rate_and_group_are_usage_errors() {
    for (flag, wrong) in
        [("--reply-rate", "many"), ("--reply-rate", "0/s"), ("--join-group", "10.0.0.1")]
    {
        sockactors(&["--scenario", "udp", flag, wrong], "").with_code(2).with_stderr(flag);
    }
    sockactors(&["--scenario", "tcp", "--reply-rate", "1/s"], "").with_code(2).with_stderr("udp");
    let loopback = ["--scenario", "udp", "--listen", "127.0.0.1:0", "--join-group", "239.1.2.3"];
    sockactors(&loopback, "").with_code(3).with_stderr(":PORT");
    let server = server(&["--reply-rate", "off", "--allow-amplification"]);
    check_answered(&socket(&server), b"");
}
