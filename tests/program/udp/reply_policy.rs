//! What the UDP responder does on this machine: what it refuses and tells, what it cuts, and its sockets a thread each.

use std::net::UdpSocket;

use crate::support::{DEADLINE, Program, sockactors};

const ANSWER: &[u8] = b"Hello UDP Client";

fn server(args: &[&str]) -> Program {
    Program::server(&[&["--scenario", "udp"], args].concat())
}

fn socket(server: &Program) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect(server.endpoint()).unwrap();
    socket
}

fn is_answered(socket: &UdpSocket, question: &[u8]) {
    socket.send(question).unwrap();
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).expect("an answer");
    assert_eq!(&buffer[..length], ANSWER);
}

#[test]
fn a_flood_from_loopback_is_answered_whole_unless_a_rate_is_named() {
    let lecture = server(&[]);
    let asking = socket(&lecture);
    for _ in 0..3000 {
        is_answered(&asking, b"x");
    }
    let slow = server(&["--reply-rate", "2/1h", "--json"]);
    let asking = socket(&slow);
    is_answered(&asking, b"x");
    is_answered(&asking, b"x");
    asking.send(b"x").unwrap();
    let line = slow.wait_for_line(|line| line.contains("\"event\":\"refused\""));
    assert!(
        line.contains("exceeds the reply limit") && line.contains("\"peer\":\"127.0.0.1:"),
        "{line}"
    );
    asking.set_nonblocking(true).unwrap();
    assert!(asking.recv(&mut [0; 64]).is_err(), "a third answer came");
}

#[test]
fn what_is_not_answered_is_told_and_its_words_too() {
    let server = server(&["--json"]);
    let asking = socket(&server);
    asking.send(ANSWER).unwrap();
    is_answered(&asking, b"x");
    server.wait_for_line(|line| line.contains("message") && line.contains("Hello UDP Client"));
    let line = server.wait_for_line(|line| line.contains("\"event\":\"refused\""));
    assert!(line.contains("(1 so far)"), "{line}");
}

#[test]
fn what_was_refused_soon_after_is_told_too_though_nothing_else_comes() {
    let server = server(&["--json"]);
    let asking = socket(&server);
    for count in ["(1 so far)", "(2 so far)"] {
        asking.send(ANSWER).unwrap();
        server.wait_for_line(|line| line.contains(count));
    }
}

#[test]
fn a_datagram_that_is_cut_is_told_with_its_length() {
    let server = server(&["--json", "--buffer-size", "10"]);
    let asking = socket(&server);
    is_answered(&asking, b"0123456789");
    is_answered(&asking, &[b'y'; 1400]);
    let line = server.wait_for_line(|line| line.contains("\"event\":\"cut\""));
    assert!(line.contains("\"bytes\":1400,\"kept\":10"), "{line}");
    let told = String::from_utf8(server.stdout()).unwrap();
    assert_eq!(told.matches("\"event\":\"cut\"").count(), 1, "{told}");
}

#[test]
fn each_thread_has_a_socket_and_all_of_them_answer() {
    let threads = server(&["--threads", "4"]);
    for _ in 0..64 {
        is_answered(&socket(&threads), b"x");
    }
    threads.signal(rustix::process::Signal::USR1);
    threads.wait_for_error_line(|line| line.contains("responder-4"));
    threads.terminate();
    let ended = threads.wait().with_code(0);
    let told = ended.lines().iter().filter(|line| line.starts_with("Client IP Address")).count();
    assert_eq!(told, 64, "{ended:?}");
}

#[test]
fn so_many_clients_are_served_by_all_threads_together() {
    let threads = server(&["--threads", "3", "--clients", "5"]);
    for _ in 0..5 {
        is_answered(&socket(&threads), b"x");
    }
    threads.wait().with_code(0);
}

#[test]
fn a_port_is_shared_with_nobody_unless_there_are_threads() {
    let alone = server(&[]);
    let args = ["--scenario", "udp", "--listen", alone.endpoint()];
    sockactors(&args, "").with_code(3).with_stderr("in use");
    let shared = server(&["--threads", "2"]);
    let args = ["--scenario", "udp", "--threads", "2", "--listen", shared.endpoint()];
    sockactors(&args, "").with_code(3).with_stderr("in use");
}

#[test]
fn a_rate_and_a_group_that_make_no_sense_are_told() {
    for (flag, wrong) in
        [("--reply-rate", "many"), ("--reply-rate", "0/s"), ("--join-group", "10.0.0.1")]
    {
        sockactors(&["--scenario", "udp", flag, wrong], "").with_code(2).with_stderr(flag);
    }
    sockactors(&["--scenario", "tcp", "--reply-rate", "1/s"], "").with_code(2).with_stderr("udp");
    let deaf = ["--scenario", "udp", "--listen", "127.0.0.1:0", "--join-group", "239.1.2.3"];
    sockactors(&deaf, "").with_code(3).with_stderr(":PORT");
    let server = server(&["--reply-rate", "off", "--allow-amplification"]);
    is_answered(&socket(&server), b"");
}
