//! The UDP responder against what comes from beyond this machine, in a network of the test's own.
//!
//! All addresses of a namespace's interfaces that are not of 127.0.0.0/8 are beyond loopback for the responder,
//! wherever the sender really is.

use std::net::{SocketAddrV4, UdpSocket};
use std::time::Duration;

use crate::netns::{NetworkNamespace, send_forged, sent_packets};
use crate::support::peers::require_tool;
use crate::support::{DEADLINE, Program, sockactors};

const ANSWER: &[u8] = b"Hello UDP Client";

/// Two hosts and a third on another network.
const HOSTS: &str = "
    ip addr add 10.9.0.1/24 dev lo
    ip addr add 10.9.0.2/24 dev lo
    ip addr add 10.9.1.2/24 dev lo
    ip addr add fd00::1/64 dev lo nodad
    ip addr add fd00::2/64 dev lo nodad";

/// An interface that carries groups and broadcasts.
const LINK: &str = "
    ip link add v0 type veth peer name v1
    ip addr add 10.9.2.1/24 dev v0
    ip link set v0 up
    ip link set v1 up
    ip route add 224.0.0.0/4 dev v0";

fn server(args: &[&str]) -> Program {
    Program::server(&[&["--scenario", "udp"], args].concat())
}

/// A socket of the test's own at an address, for a server.
fn socket(at: &str, server: &str) -> UdpSocket {
    let socket = UdpSocket::bind(at).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect(server).unwrap();
    socket
}

/// Asks with so many bytes that every guard lets it pass, and so knows that all before it has been dealt with.
fn is_answered(socket: &UdpSocket) {
    socket.send(b"a question that is longer than the answer").unwrap();
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).expect("an answer");
    assert_eq!(&buffer[..length], ANSWER);
}

/// Takes what has come and was not asked for.
fn others(socket: &UdpSocket) -> Vec<usize> {
    socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 2048];
    let lengths = std::iter::from_fn(|| socket.recv(&mut buffer).ok()).collect();
    socket.set_nonblocking(false).unwrap();
    lengths
}

fn address(text: &str) -> SocketAddrV4 {
    text.parse().unwrap()
}

#[test]
fn two_responders_fed_each_others_replies_send_at_most_one_packet_more() {
    NetworkNamespace::run(HOSTS, || {
        for (one, other, own) in [
            ("10.9.0.1:7000", "10.9.0.2:7000", "10.9.0.1:0"),
            ("127.0.0.1:7001", "127.0.0.2:7001", "127.0.0.1:0"),
        ] {
            let servers = [one, other].map(|at| server(&["--listen", at]));
            let asking = [one, other].map(|at| socket(own, at));
            let question: &[u8] = b"a question that is longer than the answer";
            for (forged, more) in [(ANSWER, 0), (question, 1)] {
                let before = sent_packets();
                send_forged(address(other), address(one), forged);
                // Each responder reads in order, so this goes through both of them, and twice.
                for _ in 0..2 {
                    asking.iter().for_each(is_answered);
                }
                assert_eq!(sent_packets() - before, more + 8, "at {one}");
            }
            drop(servers);
        }
    });
}

#[test]
fn what_claims_to_come_from_port_0_or_from_the_responder_itself_is_not_answered() {
    NetworkNamespace::run(HOSTS, || {
        for listen in ["10.9.0.1:7000", "0.0.0.0:7001", ":7002"] {
            let server = server(&["--listen", listen]);
            let port = server.port();
            let at = address(&format!("10.9.0.1:{port}"));
            let asking = socket("10.9.0.2:0", &at.to_string());
            let before = sent_packets();
            for from in [at, address("10.9.0.2:0")] {
                send_forged(from, at, b"a question that is longer than the answer");
            }
            is_answered(&asking);
            assert_eq!(sent_packets() - before, 2, "at {listen}");
            for why in ["its source address is the server's own", "its source port is 0"] {
                server.wait_for_error_line(|line| line.contains(why));
            }
        }
    });
}

#[test]
fn beyond_loopback_no_answer_is_longer_than_what_asked_for_it() {
    NetworkNamespace::run(HOSTS, || {
        let cases = [("10.9.0.1:7000", "10.9.0.2:0"), ("[fd00::1]:7000", "[fd00::2]:0")];
        for (at, from) in cases.into_iter().chain([("10.9.0.1:7001", "10.9.0.2:0")]) {
            let listen = if at.ends_with('1') { ":7001" } else { at };
            let server = server(&["--listen", listen, "--json"]);
            let asking = socket(from, at);
            let lengths = (0..=ANSWER.len()).chain([100, 1000, 1400]);
            for length in lengths.clone() {
                asking.send(&vec![b'x'; length]).unwrap();
            }
            // Those of 16, 100, 1000 and 1400 bytes.
            let back: Vec<_> = (0..4).map(|_| asking.recv(&mut [0; 2048]).unwrap()).collect();
            is_answered(&asking);
            assert_eq!(others(&asking), [], "{at}");
            assert!(back.iter().sum::<usize>() <= lengths.sum::<usize>());
            let line = server.wait_for_line(|line| line.contains("\"event\":\"refused\""));
            assert!(
                line.contains("longer than the datagram") && line.contains("\"peer\""),
                "{line}"
            );
            // Its count is told in the end, whatever was told before.
            server.terminate();
            let ended = server.wait().with_code(0);
            let is_refusal = |line: &String| line.contains("longer than the datagram");
            let last = ended.lines().into_iter().rfind(is_refusal).unwrap();
            assert!(last.contains("(16 so far)"), "{last}");
        }
    });
}

#[test]
fn on_loopback_a_single_byte_is_answered_and_with_leave_everywhere() {
    NetworkNamespace::run(HOSTS, || {
        let everywhere = server(&["--listen", ":7000"]);
        let willing = server(&["--listen", "10.9.0.1:7001", "--allow-amplification"]);
        let pairs = [
            ("127.0.0.1:0", "127.0.0.1:7000"),
            ("[::1]:0", "[::1]:7000"),
            ("10.9.0.2:0", "10.9.0.1:7001"),
        ];
        for (from, at) in pairs {
            let asking = socket(from, at);
            for length in [0, 1] {
                asking.send(&vec![b'x'; length]).unwrap();
                assert_eq!(asking.recv(&mut [0; 64]).expect("an answer"), ANSWER.len(), "{at}");
            }
        }
        drop((everywhere, willing));
    });
}

#[test]
fn a_network_is_answered_at_its_rate_and_others_are_not_held_up() {
    NetworkNamespace::run(HOSTS, || {
        let server = server(&["--listen", "10.9.0.1:7000", "--reply-rate", "5/1h"]);
        let [one, neighbour, other] =
            ["10.9.0.1:0", "10.9.0.2:0", "10.9.1.2:0"].map(|from| socket(from, "10.9.0.1:7000"));
        for _ in 0..4 {
            is_answered(&one);
        }
        is_answered(&neighbour);
        for asking in [&one, &neighbour] {
            for _ in 0..10 {
                asking.send(b"a question that is longer than the answer").unwrap();
            }
        }
        is_answered(&other);
        assert_eq!([others(&one), others(&neighbour)], [[], []]);
        server.wait_for_error_line(|line| line.contains("exceeds the reply limit"));
    });
}

#[test]
fn a_group_is_heard_and_everybody_in_it_answers() {
    NetworkNamespace::run(LINK, || {
        let groups = ["--join-group", "239.1.2.3%v0", "--join-group", "239.1.2.4"];
        let (one, other) = (
            server(&[&["--listen", ":7000"], &groups[..]].concat()),
            server(&["--listen", "10.9.2.1:7001"]),
        );
        for group in ["239.1.2.3:7000", "239.1.2.4:7000"] {
            let args =
                ["--scenario", "udp", "--message", "is anybody in this group?", "--connect", group];
            let ended = sockactors(&args, "").with_code(0);
            assert!(ended.out().contains("Hello UDP Client"), "{ended:?}");
        }
        drop((one, other));
    });
}

#[test]
fn a_server_that_hears_a_group_listens_on_every_interface() {
    NetworkNamespace::run(LINK, || {
        let mut command = std::process::Command::new(crate::support::BINARY);
        command.args(["--scenario", "udp", "--join-group", "239.1.2.3%v0"]);
        let server = Program::start(&mut command).listening();
        assert_eq!(server.endpoint(), ":20001");
        let wrong = sockactors(
            &["--scenario", "udp", "--listen", ":0", "--join-group", "239.1.2.3%v9"],
            "",
        );
        wrong.with_code(3).with_stderr("239.1.2.3%v9");
        sockactors(&["--scenario", "udp", "--join-group", "10.9.2.1"], "")
            .with_code(2)
            .with_stderr("--join-group");
    });
}

#[test]
fn a_broadcast_is_answered_from_an_address_of_the_servers_own() {
    NetworkNamespace::run(LINK, || {
        for listen in [":7000", "0.0.0.0:7001"] {
            let server = server(&["--listen", listen]);
            let port = server.port();
            for to in ["10.9.2.255", "255.255.255.255"] {
                if to == "255.255.255.255" {
                    let route = ["route", "replace", "broadcast", "255.255.255.255", "dev", "v0"];
                    assert!(
                        std::process::Command::new("ip").args(route).status().unwrap().success()
                    );
                }
                let at = format!("{to}:{port}");
                let args = [
                    "--scenario",
                    "udp",
                    "--message",
                    "is anybody on this link?",
                    "--connect",
                    &at,
                ];
                let ended = sockactors(&args, "").with_code(0);
                assert!(ended.out().contains("Hello UDP Client"), "{listen} {to} {ended:?}");
            }
        }
    });
}

/// One in five datagrams is lost, on either way.
const LOSSES: &str = "
    nft add table inet lossy
    nft add chain inet lossy input '{ type filter hook input priority 0; }'
    nft add rule inet lossy input meta l4proto udp numgen random mod 100 \\< 20 drop";

#[test]
fn a_client_that_loses_a_fifth_counts_right_and_ends() {
    if !require_tool("nft") {
        return;
    }
    NetworkNamespace::run(LOSSES, || {
        let server = server(&["--listen", "127.0.0.1:7000"]);
        let args = [
            "--scenario",
            "udp",
            "--connect",
            "127.0.0.1:7000",
            "--count",
            "60",
            "--interval",
            "1ms",
            "--timeout",
            "100ms",
        ];
        let ended = Program::run(&args).wait_within(Duration::from_secs(60)).with_code(4);
        let sum = ended.lines().into_iter().find(|line| line.starts_with("60 sent, ")).unwrap();
        let received: usize = sum["60 sent, ".len()..].split(' ').next().unwrap().parse().unwrap();
        // 0.8 squared of 60 are 38; nobody sees a chance as small as to leave this range.
        assert!((15..=57).contains(&received), "{sum}");
        let answers = ended.lines().iter().filter(|line| line.contains("Hello UDP Client")).count();
        assert_eq!(answers, received, "{ended:?}");
        server.terminate();
        server.wait().with_code(0);
    });
}
