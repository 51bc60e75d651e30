//! Every scenario on a network that loses a fifth of its packets, and with peers that fall silent for good.
//!
//! The network is a namespace of the test's own, whose `lo` carries packets of 1500 bytes and drops one in five of them as
//! they come in. TCP sends again what was lost; its waits are made as short there as the kernel lets them be,
//! but a lost packet of a handshake still costs a second. How much was dropped is counted, so that no test passes
//! on a network that lost nothing.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Read};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use crate::netns::NetworkNamespace;
use crate::support::chat_client::{LineClient, connect};
use crate::support::files::distinct_chunks;
use crate::support::framed_client::{FramedClient, FramedReply};
use crate::support::peers::{PeerAddress, lecture, require_tool};
use crate::support::{DEADLINE, Program, directory, sockactors};
use futures_lite::future::{block_on, or};
use sockactors::net::Stream;

/// How long a program may take, where each packet of a handshake may be lost several times.
const PATIENCE: Duration = Duration::from_secs(60);

/// A network with packets as they are on a wire, and a table for what is to be dropped. Older kernels have no limit for how
/// rarely a packet is sent again; they only take longer.
const LINK: &str = "
    ip link set lo mtu 1500 gso_max_segs 1
    ip route replace local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1 rto_min 10ms
    { echo 1000 > /proc/sys/net/ipv4/tcp_rto_max_ms; } 2> /dev/null || true
    for what in syn synack orphan; do echo 20 > /proc/sys/net/ipv4/tcp_${what}_retries; done
    nft add table inet lossy
    nft add chain inet lossy input '{ type filter hook input priority 0; }'";

/// One in five packets is lost, on either way.
const LOSSES: &str = "
    nft add rule inet lossy input numgen random mod 100 \\< 20 counter drop";

/// What a client that only listens acknowledges is not lost. The end of a handshake is among it, and that packet TCP sends again
/// only when the server asks, after 1, 2, 4, 8, ... seconds: one greeting in 300 would take half a minute.
const ANSWERS: &str = "
    nft add rule inet lossy input tcp dport 7000 tcp flags == ack accept";

/// As often as the kernel sends something again by itself, it goes on for longer than a test waits.
const STUBBORN: &str = "
    echo 100 > /proc/sys/net/ipv4/tcp_retries2";

/// Buffers so small that a longer greeting does not fit.
const NARROW: &str = "
    echo 4096 8192 8192 > /proc/sys/net/ipv4/tcp_rmem
    echo 4096 8192 8192 > /proc/sys/net/ipv4/tcp_wmem";

fn within(setup: &[&str], test: impl FnOnce() + Send + 'static) {
    if require_tool("nft") {
        NetworkNamespace::run(&[&[LINK], setup].concat().concat(), test);
    }
}

fn nft(command: &str) -> String {
    let output = Command::new("nft").args(command.split(' ')).output().unwrap();
    assert!(output.status.success(), "nft {command}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// How many packets have been dropped so far.
fn dropped() -> usize {
    let rules = nft("list chain inet lossy input");
    let (_, rest) = rules.split_once("counter packets ").expect("a counter");
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// Starts our client, with patience.
fn client(server: &Program, scenario: &str, more: &[&str]) -> Program {
    let args = ["--scenario", scenario, "--connect", server.endpoint(), "--timeout", "60s"];
    Program::run(&[&args, more].concat())
}

#[test]
fn a_greeting_is_said_once_to_each_of_many_clients() {
    within(&[ANSWERS, LOSSES], || {
        let server = Program::server(&["--scenario", "tcp", "--listen", "127.0.0.1:7000"]);
        let at = PeerAddress::parse(server.endpoint());
        let start = || Program::start(&mut lecture("tcp_client.py", &at));
        let theirs: Vec<_> =
            (0..if require_tool("python3") { 12 } else { 0 }).map(|_| start()).collect();
        let many = ["--count", "60", "--concurrency", "30", "--interval", "1ms"];
        let ours = client(&server, "tcp", &many).wait_within(PATIENCE).with_code(0);
        assert!(ours.out().contains("60 sent, 60 received"), "{ours:?}");
        let told = theirs.len() + 60;
        for client in theirs {
            let ended = client.wait_within(PATIENCE).with_code(0);
            assert_eq!(ended.out(), "Thank you for connecting\n");
        }
        server.terminate();
        let ended = server.wait().with_code(0);
        assert_eq!(ended.out().matches("Got connection from ").count(), told, "{ended:?}");
        assert!(dropped() > 0);
    });
}

#[test]
fn each_lost_datagram_is_told_and_may_be_allowed() {
    within(&[LOSSES], || {
        let server = Program::server(&["--scenario", "udp"]);
        for (allowed, code) in [("1%", 4), ("100%", 0)] {
            let before = dropped();
            let args = ["--scenario", "udp", "--connect", server.endpoint(), "--timeout", "1s"];
            let more = ["--json", "--count", "60", "--interval", "5ms", "--max-loss", allowed];
            let ended = Program::run(&[&args[..], &more].concat());
            let ended = ended.wait_within(PATIENCE).with_code(code);
            let lost = dropped() - before;
            let summary = ended.lines().into_iter().find(|line| line.contains("\"summary\""));
            let summary = summary.unwrap_or_else(|| panic!("{ended:?}"));
            // Either its request was dropped or the reply to that, and none of both twice.
            assert!(summary.contains(&format!("\"lost\":{lost},")), "{lost}: {summary}");
            assert!((1..60).contains(&lost), "{lost}");
            server.wait_for_line(|line| line.contains("Hello UDP Server"));
        }
    });
}

#[test]
fn files_arrive_whole_framed_and_raw() {
    within(&[LOSSES], || {
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
            program.wait_within(PATIENCE).with_code(0);
        }
        // A raw sender goes when the last packets are on their way.
        server.wait_for_matches("Received successfully!", length + 1);
        let received: BTreeSet<_> = fs::read_dir(to.path())
            .unwrap()
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .collect();
        let sent = files.iter().take(length + 1).map(|file| fs::read(file).unwrap()).collect();
        assert!(received == sent, "{} files are not those that were sent", received.len());
        assert!(dropped() > 0);
    });
}

#[test]
fn lines_of_two_members_come_once_and_in_order() {
    within(&[LOSSES], || {
        let server = Program::server(&["--scenario", "chat"]);
        let mut members = ["ann", "ben"].map(|nick| client(&server, "chat", &["--nick", nick]));
        for member in &members {
            member.wait_for("* you are ");
        }
        // Each on its own while they take turns, and many a packet in the end.
        let mut said = [Vec::new(), Vec::new()];
        let text = |number: usize| format!("line {number} {}", "word ".repeat(number % 40));
        for turn in 0..40 {
            let (speaker, hearer) = (turn % 2, 1 - turn % 2);
            members[speaker].write(text(turn) + "\n");
            members[hearer].wait_for(&format!("line {turn} "));
            said[speaker].push(text(turn));
        }
        for (member, said) in members.iter_mut().zip(&mut said) {
            let more: Vec<_> = (40..240).map(text).collect();
            member.write(more.join("\n") + "\n");
            said.extend(more);
        }
        for member in &members {
            member.wait_for("line 239 ");
        }
        let said: [Vec<String>; 2] =
            said.map(|said| said.iter().map(|text| text.trim_end().into()).collect());
        for (mut member, (other, said)) in
            members.into_iter().zip([("ben: ", &said[1]), ("ann: ", &said[0])])
        {
            member.write("/quit\n");
            let ended = member.wait_while_stdin_is_open(PATIENCE).with_code(0);
            let lines = ended.lines();
            let heard = lines.iter().filter_map(|line| line.strip_prefix(other)).map(str::trim_end);
            assert!(heard.eq(said.iter()), "{ended:?}");
        }
        assert!(dropped() > 0);
    });
}

/// How a peer is gone, as far as its kernel tells.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Gone {
    /// It answers nothing, and nothing was written to it.
    Silent,
    /// It answers nothing, and has not acknowledged what was written to it.
    Deaf,
    /// It answers, but never reads what was written to it.
    Stuffed,
}

#[test]
fn a_peer_that_is_gone_without_a_word_is_found_out_whether_or_not_something_was_written_to_it() {
    within(&[STUBBORN], || {
        std::thread::scope(|scope| {
            for gone in [Gone::Silent, Gone::Deaf, Gone::Stuffed] {
                scope.spawn(move || block_on(found_out(gone)));
            }
        });
    });
}

async fn found_out(gone: Gone) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let stream = Stream::connect(&at.to_string().parse().unwrap(), DEADLINE).await.unwrap();
    let _peer = listener.accept().unwrap();
    stream.set_keepalive(Duration::from_secs(1)).unwrap();
    if gone != Gone::Stuffed {
        nft(&format!("add rule inet lossy input tcp dport {} drop", at.port()));
    }
    if gone == Gone::Deaf {
        stream.write_all(b"is anybody there?").await.unwrap();
    }
    let fails = async {
        // What is written fails once the connection does, too; there is never room for all of this.
        let wrote = async { stream.write_all(&vec![0; 64 << 20]).await.map(|()| 0) };
        let read = async { stream.read(&mut [0]).await };
        if gone == Gone::Stuffed { or(wrote, read).await } else { read.await }
    };
    let late = async {
        smol::Timer::after(DEADLINE).await;
        panic!("taken for alive: {gone:?}");
    };
    let failed = or(fails, late).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::TimedOut, "{gone:?}");
}

#[test]
fn every_scenario_lets_go_of_a_peer_that_nothing_comes_from_any_more() {
    within(&[NARROW], || {
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
        for (server, why) in [
            (&chat, "silent for 1s"),
            (&file, "silent for 1s"),
            (&tcp, "does not take the greeting"),
        ] {
            server.wait_for_line(|line| line.contains("\"disconnected\"") && line.contains(why));
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
