//! Every scenario on a network that loses a fifth of its packets, and with peers that vanish.
//!
//! Each test has a network namespace. Its `lo` carries packets of 1500 bytes and drops one in five
//! on input. TCP retransmits them with the shortest timeouts that the kernel allows, but a lost
//! handshake packet still costs a second. The dropped packets are counted, so that no test passes
//! on a network that lost nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::support::chat_client::{LineClient, connect};
use crate::support::files::distinct_chunks;
use crate::support::framed_client::{FramedClient, FramedReply};
use crate::support::netns::NetworkNamespace;
use crate::support::peers::{PeerAddress, lecture, require_tool};
use crate::support::{DEADLINE, Program, directory, sockactors};
use futures_lite::future::{block_on, or};
use sockactors::net::Stream;

/// The time limit of a program. Each packet of a handshake may be lost several times.
const LONG_TIMEOUT: Duration = Duration::from_secs(60);

/// A network with packets of Ethernet's size, and a table for drop rules. Older kernels cannot
/// limit the retransmission timeout, so the tests take longer there.
const LINK: &str = "
    ip link set lo mtu 1500 gso_max_segs 1
    ip route replace local 127.0.0.1 dev lo table local proto kernel scope host \\
        src 127.0.0.1 rto_min 10ms
    { echo 1000 > /proc/sys/net/ipv4/tcp_rto_max_ms; } 2> /dev/null || true
    for what in syn synack orphan; do echo 20 > /proc/sys/net/ipv4/tcp_${what}_retries; done
    nft add table inet lossy
    nft add chain inet lossy input '{ type filter hook input priority 0; }'";

/// Drops one in five packets, in both directions.
const LOSSES: &str = "
    nft add rule inet lossy input numgen random mod 100 \\< 20 counter drop";

/// Never drops a client's pure acknowledgements. The last packet of a handshake is one of them, and
/// TCP repeats it only when the server asks, after 1, 2, 4, 8, ... seconds. One greeting in 300
/// would take half a minute.
const KEEP_ACKS: &str = "
    nft add rule inet lossy input tcp dport 7000 tcp flags == ack accept";

/// Lets the kernel retransmit for longer than a test waits.
const MANY_RETRIES: &str = "
    echo 100 > /proc/sys/net/ipv4/tcp_retries2";

/// Socket buffers that are too small for a long greeting.
const SMALL_BUFFERS: &str = "
    echo 4096 8192 8192 > /proc/sys/net/ipv4/tcp_rmem
    echo 4096 8192 8192 > /proc/sys/net/ipv4/tcp_wmem";

fn run_in_network(setup: &[&str], test: impl FnOnce() + Send + 'static) {
    if require_tool("nft") {
        NetworkNamespace::run(&[&[LINK], setup].concat().concat(), test);
    }
}

fn nft(command: &str) -> String {
    let output = Command::new("nft").args(command.split(' ')).output().unwrap();
    assert!(output.status.success(), "nft {command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the number of packets dropped so far.
fn dropped_packets() -> usize {
    let rules = nft("list chain inet lossy input");
    let (_, rest) = rules.split_once("counter packets ").expect("a counter");
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// Starts our client with a long timeout.
fn client(server: &Program, scenario: &str, more: &[&str]) -> Program {
    let args = ["--scenario", scenario, "--connect", server.endpoint(), "--timeout", "60s"];
    Program::run(&[&args, more].concat())
}

#[test]
fn lossy_network_delivers_each_greeting_once() {
    run_in_network(&[KEEP_ACKS, LOSSES], || {
        let server = Program::server(&["--scenario", "tcp", "--listen", "127.0.0.1:7000"]);
        let at = PeerAddress::parse(server.endpoint());
        let start = || Program::start(&mut lecture("tcp_client.py", &at));
        let lecture_clients: Vec<_> =
            (0..if require_tool("python3") { 12 } else { 0 }).map(|_| start()).collect();
        let many = ["--count", "60", "--concurrency", "30", "--interval", "1ms"];
        let ours = client(&server, "tcp", &many).wait_within(LONG_TIMEOUT).with_code(0);
        assert!(ours.out().contains("60 sent, 60 received"), "{ours:?}");
        let expected = lecture_clients.len() + 60;
        for client in lecture_clients {
            let ended = client.wait_within(LONG_TIMEOUT).with_code(0);
            assert_eq!(ended.out(), "Thank you for connecting\n");
        }
        server.terminate();
        let ended = server.wait().with_code(0);
        assert_eq!(ended.out().matches("Got connection from ").count(), expected, "{ended:?}");
        assert!(dropped_packets() > 0);
    });
}

#[test]
fn lost_datagrams_are_counted_and_max_loss_applies() {
    run_in_network(&[LOSSES], || {
        let server = Program::server(&["--scenario", "udp"]);
        for (allowed, code) in [("1%", 4), ("100%", 0)] {
            let before = dropped_packets();
            let args = ["--scenario", "udp", "--connect", server.endpoint(), "--timeout", "1s"];
            let more = ["--json", "--count", "60", "--interval", "5ms", "--max-loss", allowed];
            let ended = Program::run(&[&args[..], &more].concat());
            let ended = ended.wait_within(LONG_TIMEOUT).with_code(code);
            let lost = dropped_packets() - before;
            let summary = ended.lines().into_iter().find(|line| line.contains("\"summary\""));
            let summary = summary.unwrap_or_else(|| panic!("{ended:?}"));
            // Either a request or its reply was dropped, never both.
            assert!(summary.contains(&format!("\"lost\":{lost},")), "{lost}: {summary}");
            assert!((1..60).contains(&lost), "{lost}");
            server.wait_for_line(|line| line.contains("Hello UDP Server"));
        }
    });
}

#[test]
fn lossy_network_delivers_files_whole() {
    run_in_network(&[LOSSES], || {
        let (from, to) = (directory(), directory());
        let files = ["one", "two", "raw", "theirs"].map(|name| from.path().join(name));
        for (file, more) in files.iter().zip(0..) {
            fs::write(file, distinct_chunks((256 << 10) + more)).unwrap();
        }
        let [one, two, raw, theirs] = files.each_ref().map(|file| file.to_str().unwrap());
        let server = Program::server(&["--scenario", "file", "--out", to.path().to_str().unwrap()]);
        let mut sending =
            vec![client(&server, "file", &[one, two]), client(&server, "file", &["--raw", raw])];
        let mut length = 2;
        if require_tool("python3") {
            let at = PeerAddress::parse(server.endpoint());
            let mut program = Program::start(&mut lecture("file_client.py", &at));
            program.write(format!("{theirs}\n"));
            program.close_stdin();
            sending.push(program);
            length += 1;
        }
        for program in sending {
            program.wait_within(LONG_TIMEOUT).with_code(0);
        }
        // A raw sender exits while its last packets are in flight.
        server.wait_for_matches("Received successfully!", length + 1);
        let received: BTreeSet<_> = fs::read_dir(to.path())
            .unwrap()
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect();
        let sent = files.iter().take(length + 1).map(|file| fs::read(file).unwrap()).collect();
        assert!(received == sent, "the content of {} files differs", received.len());
        assert!(dropped_packets() > 0);
    });
}

#[test]
fn lossy_network_delivers_lines_once_in_order() {
    run_in_network(&[LOSSES], || {
        let server = Program::server(&["--scenario", "chat"]);
        let mut members = ["ann", "ben"].map(|nick| client(&server, "chat", &["--nick", nick]));
        for member in &members {
            member.wait_for("* you are ");
        }
        // First one line per packet, in turns, and then many lines per packet.
        let mut sent = [Vec::new(), Vec::new()];
        let text = |number: usize| format!("line {number} {}", "word ".repeat(number % 40));
        for turn in 0..40 {
            let (sender, receiver) = (turn % 2, 1 - turn % 2);
            members[sender].write(text(turn) + "\n");
            members[receiver].wait_for(&format!("line {turn} "));
            sent[sender].push(text(turn));
        }
        for (member, sent) in members.iter_mut().zip(&mut sent) {
            let more: Vec<_> = (40..240).map(text).collect();
            member.write(more.join("\n") + "\n");
            sent.extend(more);
        }
        for member in &members {
            member.wait_for("line 239 ");
        }
        let sent: [Vec<String>; 2] =
            sent.map(|sent| sent.iter().map(|text| text.trim_end().into()).collect());
        for (mut member, (other, sent)) in
            members.into_iter().zip([("ben: ", &sent[1]), ("ann: ", &sent[0])])
        {
            member.write("/quit\n");
            let ended = member.wait_while_stdin_is_open(LONG_TIMEOUT).with_code(0);
            let lines = ended.lines();
            let received =
                lines.iter().filter_map(|line| line.strip_prefix(other)).map(str::trim_end);
            assert!(received.eq(sent.iter()), "{ended:?}");
        }
        assert!(dropped_packets() > 0);
    });
}

/// The state of a vanished peer.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Vanished {
    /// It sends no packet, and nothing was written to it.
    Idle,
    /// It sends no packet, and has not acknowledged written data.
    Unacknowledged,
    /// Its kernel acknowledges, but it never reads.
    NotReading,
}

#[test]
fn keepalive_detects_vanished_peers() {
    run_in_network(&[MANY_RETRIES], || {
        std::thread::scope(|scope| {
            for vanished in [Vanished::Idle, Vanished::Unacknowledged, Vanished::NotReading] {
                scope.spawn(move || block_on(check_detected(vanished)));
            }
        });
    });
}

async fn check_detected(vanished: Vanished) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let stream = Stream::connect(&at.to_string().parse().unwrap(), DEADLINE).await.unwrap();
    let _peer = listener.accept().unwrap();
    stream.set_keepalive(Duration::from_secs(1)).unwrap();
    if vanished != Vanished::NotReading {
        nft(&format!("add rule inet lossy input tcp dport {} drop", at.port()));
    }
    if vanished == Vanished::Unacknowledged {
        stream.write_all(b"are you there?").await.unwrap();
    }
    let fails = async {
        // A write fails with the connection, too. The buffers never have room for all of this.
        let wrote = async { stream.write_all(&vec![0; 64 << 20]).await.map(|()| 0) };
        let read = async { stream.read(&mut [0]).await };
        if vanished == Vanished::NotReading { or(wrote, read).await } else { read.await }
    };
    let late = async {
        smol::Timer::after(DEADLINE).await;
        panic!("not detected: {vanished:?}");
    };
    let failed = or(fails, late).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::TimedOut, "{vanished:?}");
}

#[test]
fn every_scenario_disconnects_vanished_peers() {
    run_in_network(&[SMALL_BUFFERS], || {
        let out = directory();
        let long = "a greeting that is too long ".repeat(4000);
        let limits = ["--json", "--idle-timeout", "1s"];
        let tcp = Program::server(&["--scenario", "tcp", "--json", "--message", &long]);
        let chat = Program::server(&[&["--scenario", "chat"], &limits[..]].concat());
        let files = ["--scenario", "file", "--out", out.path().to_str().unwrap()];
        let file = Program::server(&[&files[..], &limits].concat());

        let mut greeted = connect(tcp.endpoint());
        greeted.read_exact(&mut [0; 1000]).unwrap();
        let member = LineClient::joined(chat.endpoint());
        let mut sender = FramedClient::open(connect(file.endpoint()));
        assert!(matches!(sender.send_offer("a file", Some(1000)), FramedReply::ResumeAt(0, _)));
        nft("add rule inet lossy input counter drop");
        for (server, reason) in [
            (&chat, "silent for 1 s"),
            (&file, "silent for 1 s"),
            (&tcp, "timed out while sending the greeting"),
        ] {
            server.wait_for_line(|line| line.contains("\"disconnected\"") && line.contains(reason));
        }
        drop((greeted, member, sender));

        nft("flush chain inet lossy input");
        LineClient::joined(chat.endpoint());
        let (one, file_at) = (out.path().join("one"), file.endpoint());
        fs::write(&one, "still served").unwrap();
        let args = ["--scenario", "file", "--connect", file_at, "--raw", one.to_str().unwrap()];
        sockactors(&args, "").with_code(0);
        for server in [tcp, chat, file] {
            server.terminate();
            server.wait().with_code(0);
        }
    });
}
