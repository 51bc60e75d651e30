//! The UDP responder and datagrams from beyond loopback, in a network namespace.
//!
//! For the responder every address of the namespace outside 127.0.0.0/8 is beyond loopback.

use std::net::{SocketAddrV4, UdpSocket};
use std::time::Duration;

use crate::support::netns::{NetworkNamespace, send_forged, sent_packets};
use crate::support::peers::require_tool;
use crate::support::{DEADLINE, Program, sockactors};

const REPLY: &[u8] = b"Hello UDP Client";

/// Two hosts, and a third one on another network.
const HOSTS: &str = "
    ip addr add 10.9.0.1/24 dev lo
    ip addr add 10.9.0.2/24 dev lo
    ip addr add 10.9.1.2/24 dev lo
    ip addr add fd00::1/64 dev lo nodad
    ip addr add fd00::2/64 dev lo nodad";

/// An interface that supports multicast and broadcast.
const LINK: &str = "
    ip link add v0 type veth peer name v1
    ip addr add 10.9.2.1/24 dev v0
    ip link set v0 up
    ip link set v1 up
    ip route add 224.0.0.0/4 dev v0";

fn server(args: &[&str]) -> Program {
    Program::server(&[&["--scenario", "udp"], args].concat())
}

/// Opens a client socket at an address, connected to a server.
fn client_socket(at: &str, server: &str) -> UdpSocket {
    let socket = UdpSocket::bind(at).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.connect(server).unwrap();
    socket
}

/// Sends a request that every policy answers. Its reply shows that all earlier datagrams were
/// handled.
fn check_answered(socket: &UdpSocket) {
    socket.send(b"a request that is longer than the reply").unwrap();
    let mut buffer = [0; 2048];
    let length = socket.recv(&mut buffer).expect("an answer");
    assert_eq!(&buffer[..length], REPLY);
}

/// Receives the pending datagrams, and returns their lengths.
fn drain(socket: &UdpSocket) -> Vec<usize> {
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
fn two_responders_do_not_loop_on_forged_packets() {
    NetworkNamespace::run(HOSTS, || {
        for (one, other, own) in [
            ("10.9.0.1:7000", "10.9.0.2:7000", "10.9.0.1:0"),
            ("127.0.0.1:7001", "127.0.0.2:7001", "127.0.0.1:0"),
        ] {
            let servers = [one, other].map(|at| server(&["--listen", at]));
            let client = [one, other].map(|at| client_socket(own, at));
            let request: &[u8] = b"a request that is longer than the reply";
            for (forged, more) in [(REPLY, 0), (request, 1)] {
                let before = sent_packets();
                send_forged(address(other), address(one), forged);
                // Each responder reads in order, so two rounds flush both of them.
                for _ in 0..2 {
                    client.iter().for_each(check_answered);
                }
                assert_eq!(sent_packets() - before, more + 8, "at {one}");
            }
            drop(servers);
        }
    });
}

#[test]
fn forged_source_of_port_0_or_itself_is_not_answered() {
    NetworkNamespace::run(HOSTS, || {
        for listen in ["10.9.0.1:7000", "0.0.0.0:7001", ":7002"] {
            let server = server(&["--listen", listen]);
            let port = server.port();
            let at = address(&format!("10.9.0.1:{port}"));
            let client = client_socket("10.9.0.2:0", &at.to_string());
            let before = sent_packets();
            for from in [at, address("10.9.0.2:0")] {
                send_forged(from, at, b"a request that is longer than the reply");
            }
            check_answered(&client);
            assert_eq!(sent_packets() - before, 2, "at {listen}");
            for reason in ["its source address is the server's own", "its source port is 0"] {
                server.wait_for_error_line(|line| line.contains(reason));
            }
        }
    });
}

#[test]
fn remote_reply_is_never_longer_than_request() {
    NetworkNamespace::run(HOSTS, || {
        let cases = [("10.9.0.1:7000", "10.9.0.2:0"), ("[fd00::1]:7000", "[fd00::2]:0")];
        for (at, from) in cases.into_iter().chain([("10.9.0.1:7001", "10.9.0.2:0")]) {
            let listen = if at.ends_with('1') { ":7001" } else { at };
            let server = server(&["--listen", listen, "--json"]);
            let client = client_socket(from, at);
            let lengths = (0..=REPLY.len()).chain([100, 1000, 1400]);
            for length in lengths.clone() {
                client.send(&vec![b'x'; length]).unwrap();
            }
            // The replies to 16, 100, 1000 and 1400 bytes.
            let back: Vec<_> = (0..4).map(|_| client.recv(&mut [0; 2048]).unwrap()).collect();
            check_answered(&client);
            assert_eq!(drain(&client), [], "{at}");
            assert!(back.iter().sum::<usize>() <= lengths.sum::<usize>());
            let line = server.wait_for_line(|line| line.contains("\"event\":\"refused\""));
            assert!(
                line.contains("longer than the datagram") && line.contains("\"peer\""),
                "{line}"
            );
            // The total is reported at the end.
            server.terminate();
            let ended = server.wait().with_code(0);
            let is_rejection = |line: &String| line.contains("longer than the datagram");
            let last = ended.lines().into_iter().rfind(is_rejection).unwrap();
            assert!(last.contains("(16 so far)"), "{last}");
        }
    });
}

#[test]
fn short_request_is_answered_on_loopback_or_if_allowed() {
    NetworkNamespace::run(HOSTS, || {
        let everywhere = server(&["--listen", ":7000"]);
        let willing = server(&["--listen", "10.9.0.1:7001", "--allow-amplification"]);
        let pairs = [
            ("127.0.0.1:0", "127.0.0.1:7000"),
            ("[::1]:0", "[::1]:7000"),
            ("10.9.0.2:0", "10.9.0.1:7001"),
        ];
        for (from, at) in pairs {
            let client = client_socket(from, at);
            for length in [0, 1] {
                client.send(&vec![b'x'; length]).unwrap();
                assert_eq!(client.recv(&mut [0; 64]).expect("an answer"), REPLY.len(), "{at}");
            }
        }
        drop((everywhere, willing));
    });
}

#[test]
fn reply_rate_limits_one_network_only() {
    NetworkNamespace::run(HOSTS, || {
        let server = server(&["--listen", "10.9.0.1:7000", "--reply-rate", "5/1h"]);
        let [one, neighbour, other] = ["10.9.0.1:0", "10.9.0.2:0", "10.9.1.2:0"]
            .map(|from| client_socket(from, "10.9.0.1:7000"));
        for _ in 0..4 {
            check_answered(&one);
        }
        check_answered(&neighbour);
        for client in [&one, &neighbour] {
            for _ in 0..10 {
                client.send(b"a request that is longer than the reply").unwrap();
            }
        }
        check_answered(&other);
        assert_eq!([drain(&one), drain(&neighbour)], [[], []]);
        server.wait_for_error_line(|line| line.contains("exceeds the reply limit"));
    });
}

#[test]
fn multicast_request_is_answered_by_all_members() {
    NetworkNamespace::run(LINK, || {
        let groups = ["--join-group", "239.1.2.3%v0", "--join-group", "239.1.2.4"];
        let (one, other) = (
            server(&[&["--listen", ":7000"], &groups[..]].concat()),
            server(&["--listen", "10.9.2.1:7001"]),
        );
        for group in ["239.1.2.3:7000", "239.1.2.4:7000"] {
            let args = [
                "--scenario",
                "udp",
                "--message",
                "a request to this multicast group",
                "--connect",
                group,
            ];
            let ended = sockactors(&args, "").with_code(0);
            assert!(ended.out().contains("Hello UDP Client"), "{ended:?}");
        }
        drop((one, other));
    });
}

#[test]
fn join_group_listens_on_all_interfaces() {
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
fn broadcast_is_answered_from_own_address() {
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
                    "a request to this whole link",
                    "--connect",
                    &at,
                ];
                let ended = sockactors(&args, "").with_code(0);
                assert!(ended.out().contains("Hello UDP Client"), "{listen} {to} {ended:?}");
            }
        }
    });
}

/// Drops one in five datagrams, in both directions.
const LOSSES: &str = "
    nft add table inet lossy
    nft add chain inet lossy input '{ type filter hook input priority 0; }'
    nft add rule inet lossy input meta l4proto udp numgen random mod 100 \\< 20 drop";

#[test]
fn client_counts_replies_on_lossy_network() {
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
        // The mean is 0.8 * 0.8 * 60 = 38. Leaving this range is practically impossible.
        assert!((15..=57).contains(&received), "{sum}");
        let answers = ended.lines().iter().filter(|line| line.contains("Hello UDP Client")).count();
        assert_eq!(answers, received, "{ended:?}");
        server.terminate();
        server.wait().with_code(0);
    });
}
