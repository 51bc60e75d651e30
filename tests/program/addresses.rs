//! The addresses of servers: names with several addresses, wildcards, and Unix sockets.

use std::io::Read;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::chat_client::connect;
use crate::support::hosts::Hosts;
use crate::support::peers::skip;
use crate::support::{BINARY, DEADLINE, Program, ProgramOutput, directory, sockactors};

/// The addresses of the name `board`. The last one belongs to no interface.
const BOARD: [&str; 3] = ["127.0.0.2 board", "127.0.0.3 board", "198.51.100.1 board"];

/// Waits until a server listens on these hosts, all with one port, and returns the port.
#[track_caller]
fn wait_for_hosts(server: &Program, hosts: &[&str]) -> u16 {
    let ports = hosts.iter().map(|host| {
        let prefix = format!("listening on {host}:");
        let line = server.wait_for_error_line(|line| line.contains(&prefix));
        line.rsplit(':').next().unwrap().trim().parse().unwrap()
    });
    let ports: Vec<u16> = ports.collect();
    assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    ports[0]
}

/// Asserts that a server greets at an endpoint.
#[track_caller]
fn check_greeting(endpoint: &str) {
    let mut greeting = String::new();
    connect(endpoint).read_to_string(&mut greeting).unwrap();
    assert_eq!(greeting, "Thank you for connecting", "{endpoint}");
}

/// Asserts that a udp server replies at an endpoint.
#[track_caller]
fn check_reply(endpoint: &str) {
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.send_to(b"Hello UDP Server", endpoint).unwrap();
    let mut reply = [0; 64];
    let (length, _) = client.recv_from(&mut reply).unwrap();
    assert_eq!(&reply[..length], b"Hello UDP Client", "{endpoint}");
}

#[test]
fn server_listens_on_every_address_of_name() {
    let dir = directory();
    let Some(hosts) = Hosts::new(dir.path(), &BOARD) else { return };
    for args in [&["tcp", "--listen", "board:0"][..], &["udp", "--listen", "board:0"]] {
        for threads in ["1", "2"] {
            let args = [args, &["--threads", threads]].concat();
            let server = Program::start(&mut hosts.program(&args));
            let port = wait_for_hosts(&server, &["127.0.0.2", "127.0.0.3"]);
            // The warning about the third address follows when the tree runs.
            server.wait_for_error_line(|line| {
                line.contains("warning: 198.51.100.1:") && line.contains("not an address of this")
            });
            for host in ["127.0.0.2", "127.0.0.3"] {
                match args[0] {
                    "tcp" => check_greeting(&format!("{host}:{port}")),
                    _ => check_reply(&format!("{host}:{port}")),
                }
            }
            server.terminate();
            server.wait().with_code(0);
        }
    }
}

#[test]
fn server_without_any_address_exits_with_3() {
    let dir = directory();
    let lines = ["198.51.100.1 board", "198.51.100.2 board"];
    let Some(hosts) = Hosts::new(dir.path(), &lines) else { return };
    for scenario in ["tcp", "udp"] {
        let mut command = hosts.program(&[scenario, "--listen", "board:0"]);
        Program::start(&mut command).wait().with_code(3).with_stderr("198.51.100.");
    }
    // An address that is in use is a warning beside a free one.
    let Some(hosts) = Hosts::new(dir.path(), &BOARD[..2]) else { return };
    let used = TcpListener::bind("127.0.0.2:0").unwrap();
    let port = used.local_addr().unwrap().port();
    let server = Program::start(&mut hosts.program(&["tcp", "--listen", &format!("board:{port}")]));
    server.wait_for_error_line(|line| line.contains(&format!("127.0.0.2:{port} is in use")));
    check_greeting(&format!("127.0.0.3:{port}"));
}

/// Runs a udp client of the name `board`, whose first address has no server.
fn udp_client(hosts: &Hosts, port: u16, args: &[&str]) -> ProgramOutput {
    let connect = format!("board:{port}");
    let args = [&["udp", "--connect", &connect], args].concat();
    Program::start(&mut hosts.program(&args)).wait()
}

#[test]
fn udp_client_tries_every_address_of_name() {
    let dir = directory();
    let Some(hosts) = Hosts::new(dir.path(), &BOARD[..2]) else { return };
    let server = Program::server(&["udp", "--listen", "127.0.0.3:0"]);
    let reply = "Message from Server \"Hello UDP Client\"";
    // No socket has the first address, so the kernel refuses.
    let ended = udp_client(&hosts, server.port(), &[]).with_code(0);
    assert_eq!(ended.lines().first().map(String::as_str), Some(reply), "{ended:?}");
    let flood = ["--rate", "100", "--count", "10", "--json"];
    let ended = udp_client(&hosts, server.port(), &flood).with_code(0);
    assert!(ended.out().contains("\"received\":10"), "{ended:?}");
    // A socket that never replies takes half of the timeout.
    let silent = UdpSocket::bind(("127.0.0.2", server.port())).unwrap();
    let ended = udp_client(&hosts, server.port(), &["--timeout", "1s"]).with_code(0);
    assert_eq!(ended.lines().first().map(String::as_str), Some(reply), "{ended:?}");
    let flood = [&flood[..], &["--timeout", "1s"]].concat();
    let ended = udp_client(&hosts, server.port(), &flood).with_code(0);
    assert!(ended.out().contains("\"received\":10"), "{ended:?}");
    drop(silent);
    drop(server);
    let closed = UdpSocket::bind("127.0.0.3:0").unwrap().local_addr().unwrap().port();
    udp_client(&hosts, closed, &[]).with_code(3).with_stderr("refused");
}

#[test]
fn both_wildcards_share_port() {
    if TcpListener::bind("[::]:0").is_err() {
        return skip("this machine has no IPv6");
    }
    for scenario in ["tcp", "udp"] {
        let port = match scenario {
            "tcp" => TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port(),
            _ => UdpSocket::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port(),
        };
        let wildcards = [format!("[::]:{port}"), format!("0.0.0.0:{port}")];
        for [first, second] in [[0, 1], [1, 0]] {
            let server = Program::server(&[
                scenario,
                "--listen",
                &wildcards[first],
                "--listen",
                &wildcards[second],
            ]);
            match scenario {
                "tcp" => {
                    check_greeting(&format!("127.0.0.1:{port}"));
                    check_greeting(&format!("[::1]:{port}"));
                }
                _ => check_reply(&format!("127.0.0.1:{port}")),
            }
            server.terminate();
            server.wait();
        }
        // Alone, it still receives from IPv4 peers.
        let server = Program::server(&[scenario, "--listen", &wildcards[0]]);
        match scenario {
            "tcp" => check_greeting(&format!("127.0.0.1:{port}")),
            _ => check_reply(&format!("127.0.0.1:{port}")),
        }
        drop(server);
    }
}

#[test]
fn unix_socket_has_requested_mode_under_any_umask() {
    let dir = directory();
    let path = dir.path().join("socket");
    for scenario in ["tcp", "udp"] {
        for umask in ["0", "0077", "0777"] {
            for (suffix, mode) in
                [(",mode=0660", 0o660), (",mode=0600", 0o600), (",mode=0777", 0o777)]
            {
                let listen = format!("unix:{}{suffix}", path.display());
                let script = format!("umask {umask}; exec '{BINARY}' {scenario} --listen {listen}");
                let server = Program::start(Command::new("sh").args(["-c", &script])).listening();
                assert_eq!(server.endpoint(), format!("unix:{}", path.display()));
                let found = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
                assert_eq!(found, mode, "{scenario} umask {umask}{suffix}");
                server.terminate();
                server.wait().with_code(0);
            }
        }
    }
    let listen = format!("unix:{},mode=rw", path.display());
    sockactors(&["tcp", "--listen", &listen], "").with_code(2).with_stderr("mode=0660");
    let connect = format!("unix:{},mode=0660", path.display());
    sockactors(&["tcp", "--connect", &connect], "").with_code(2).with_stderr("only --listen");
    sockactors(&["tcp", "--listen", "unix:@x,mode=0660"], "").with_code(2).with_stderr("mode");
}

#[test]
fn abstract_unix_socket_serves_streams_and_datagrams() {
    let name = format!("unix:@sockactors-{}", std::process::id());
    for (scenario, reply) in
        [("tcp", "Thank you for connecting"), ("udp", "Message from Server \"Hello UDP Client\"")]
    {
        let server = Program::server(&[scenario, "--listen", &name]);
        assert_eq!(server.endpoint(), name);
        let ended = sockactors(&[scenario, "--connect", &name], "").with_code(0);
        assert_eq!(ended.lines().first().map(String::as_str), Some(reply), "{ended:?}");
        server.terminate();
        server.wait().with_code(0);
    }
}
