//! Each kind of actor panics once in a running scenario. Its supervisor restarts it, queued
//! messages are handled, and the port still answers. Also crash loops.

mod chat;
mod file;
mod program;
mod support;

use std::io::{ErrorKind, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;

use crate::support::chat_client::connect;
use crate::support::{DEADLINE, directory};
use sockactors::actors::Report;
use sockactors::net::Peer;
use sockactors::runtime::{Exit, StopReason};
use sockactors::scenario::{Role, Scenario, Settings};
use support::{InProcessScenario, assert_panicked, server, server_at};

const GREETING: &str = "Thank you for connecting";
const ANSWER: &[u8] = b"Hello UDP Client";

/// Reads a connection to its end.
#[track_caller]
fn hear_all(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

fn connected(report: &Report) -> Option<(u64, Peer)> {
    match report {
        Report::Connected { conn, peer } => Some((*conn, peer.clone())),
        _ => None,
    }
}

fn message(report: &Report) -> Option<String> {
    match report {
        Report::Message { text, .. } => Some(text.clone()),
        _ => None,
    }
}

#[test]
fn connections_during_listener_restart_are_greeted_in_order() {
    let folder = directory();
    let path = format!("unix:{}/s", folder.path().display());
    for endpoint in ["127.0.0.1:0", "[::1]:0", &path] {
        if endpoint.starts_with('[') && TcpListener::bind(endpoint).is_err() {
            crate::support::peers::skip("this machine has no IPv6");
            continue;
        }
        let mut drill = InProcessScenario::start(&server_at(Scenario::Tcp, endpoint));
        drill.crash_and_hold("listener");
        let clients: Vec<_> = (0..5).map(|_| connect(&drill.endpoint)).collect();
        drill.release_restart("listener");
        let mut admitted = drill.reports(clients.len(), connected);
        admitted.sort_by_key(|(conn, _)| *conn);
        for (k, (client, (conn, peer))) in clients.into_iter().zip(admitted).enumerate() {
            assert_eq!(conn, k as u64);
            if !endpoint.starts_with("unix:") {
                assert_eq!(peer.to_string(), client.local_addr().unwrap().to_string());
            }
            assert_eq!(hear_all(client), GREETING);
        }
        assert_eq!(hear_all(connect(&drill.endpoint)), GREETING);
        drill.stop(&[("listener", 1)]);
    }
}

#[test]
fn client_quota_survives_listener_crash() {
    let mut settings = server(Scenario::Tcp);
    settings.clients = Some(3);
    let mut drill = InProcessScenario::start(&settings);
    assert_eq!(hear_all(connect(&drill.endpoint)), GREETING);
    drill.crash("listener");
    assert_eq!(hear_all(connect(&drill.endpoint)), GREETING);
    drill.crash("listener");
    assert_eq!(hear_all(connect(&drill.endpoint)), GREETING);
    assert_eq!(drill.end().unwrap(), StopReason::Finished);
    let numbers: Vec<_> = drill.reports(3, connected).into_iter().map(|(conn, _)| conn).collect();
    assert_eq!(numbers, [0, 1, 2]);
    let refused = TcpStream::connect(&drill.endpoint).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn crashed_listener_waits_for_last_client() {
    let mut settings = server(Scenario::Tcp);
    settings.clients = Some(1);
    settings.message = Some("x".repeat(32 << 20));
    let mut drill = InProcessScenario::start(&settings);
    let client = connect(&drill.endpoint);
    drill.wait_for_start("greeters/0");
    drill.crash("listener");
    assert_eq!(hear_all(client).len(), 32 << 20);
    assert_eq!(drill.end().unwrap(), StopReason::Finished);
}

#[test]
fn crashed_greeter_is_not_restarted() {
    let mut settings = server(Scenario::Tcp);
    // The greeting exceeds the kernel's buffers, so the greeter runs until its peer reads.
    settings.message = Some("x".repeat(32 << 20));
    let mut drill = InProcessScenario::start(&settings);
    let mut clients: Vec<_> = (0..3).map(|_| connect(&drill.endpoint)).collect();
    for path in ["greeters/0", "greeters/1", "greeters/2"] {
        drill.wait_for_start(path);
    }
    drill.crash_until_given_up("greeters/1");
    // The peer receives what the kernel had buffered, and then the end of the stream.
    let mut cut = Vec::new();
    let _ = clients.remove(1).read_to_end(&mut cut);
    assert!(cut.len() < 32 << 20, "the greeting arrived whole");
    clients.push(connect(&drill.endpoint));
    for client in clients {
        assert_eq!(hear_all(client).len(), 32 << 20);
    }
    assert!(!drill.handle.crash("greeters/1"), "the greeter has ended");
    drill.stop(&[]);
}

#[test]
fn reports_during_printer_restart_are_printed() {
    let mut drill = InProcessScenario::start(&server(Scenario::Tcp));
    drill.crash_and_hold("narrator");
    for _ in 0..10 {
        assert_eq!(hear_all(connect(&drill.endpoint)), GREETING);
    }
    // The greeters close a moment after their clients.
    support::wait_until("the reports to wait", || drill.queued_messages("narrator") == 20);
    drill.release_restart("narrator");
    let numbers = drill.reports(20, |report| match report {
        Report::Connected { conn, .. } => Some((*conn, true)),
        Report::Disconnected { conn, reason: why, .. } if why == "greeted" => Some((*conn, false)),
        other => panic!("an unexpected report: {other:?}"),
    });
    let connected: Vec<_> = numbers.iter().filter(|(_, came)| *came).map(|(n, _)| *n).collect();
    assert_eq!(connected, (0..10).collect::<Vec<_>>());
    assert_eq!(hear_all(connect(&drill.endpoint)), GREETING);
    drill.reports(1, connected_is(10));
    drill.stop(&[("narrator", 1)]);
}

fn connected_is(number: u64) -> impl Fn(&Report) -> Option<()> {
    move |report| connected(report).filter(|(conn, _)| *conn == number).map(drop)
}

#[test]
fn long_printer_outage_delays_and_loses_no_connection() {
    let mut drill = InProcessScenario::start(&server(Scenario::Tcp));
    drill.crash_and_hold("narrator");
    let clients: Vec<_> = (0..100).map(|_| connect(&drill.endpoint)).collect();
    support::wait_until("a full mailbox", || drill.queued_messages("narrator") == 64);
    drill.release_restart("narrator");
    for client in clients {
        assert_eq!(hear_all(client), GREETING);
    }
    let mut numbers: Vec<_> = drill.reports(100, connected).into_iter().map(|(n, _)| n).collect();
    numbers.sort();
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    drill.stop(&[("narrator", 1)]);
}

#[test]
fn datagrams_during_responder_restart_are_answered_in_order() {
    let mut drill = InProcessScenario::start(&server(Scenario::Udp));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.connect(&drill.endpoint).unwrap();
    drill.crash_and_hold("responder");
    for k in 0..10 {
        client.send(format!("datagram {k}").as_bytes()).unwrap();
    }
    drill.release_restart("responder");
    let expected: Vec<_> = (0..10).map(|k| format!("datagram {k}")).collect();
    assert_eq!(drill.reports(10, message), expected);
    let mut answer = [0; 64];
    for _ in 0..10 {
        let n = client.recv(&mut answer).unwrap();
        assert_eq!(&answer[..n], ANSWER);
    }
    drill.stop(&[("responder", 1)]);
}

#[test]
fn unix_responder_keeps_quota_across_crash() {
    let folder = directory();
    let mut settings = server_at(Scenario::Udp, &format!("unix:{}/s", folder.path().display()));
    settings.clients = Some(3);
    let mut drill = InProcessScenario::start(&settings);
    let client = UnixDatagram::bind(folder.path().join("c")).unwrap();
    client.set_read_timeout(Some(DEADLINE)).unwrap();
    client.connect(folder.path().join("s")).unwrap();
    let mut answer = [0; 64];
    for k in 0..3 {
        client.send(b"hello").unwrap();
        let n = client.recv(&mut answer).unwrap();
        assert_eq!(&answer[..n], ANSWER);
        if k < 2 {
            drill.crash("responder");
        }
    }
    assert_eq!(drill.end().unwrap(), StopReason::Finished);
    assert!(!folder.path().join("s").exists(), "the socket file is removed at the end");
}

#[test]
fn crashed_client_ends_tree_with_panic() {
    for kind in [Scenario::Tcp, Scenario::Udp, Scenario::File, Scenario::Chat] {
        // Servers that send nothing.
        let stream = TcpListener::bind("127.0.0.1:0").unwrap();
        let datagram = UdpSocket::bind("127.0.0.1:0").unwrap();
        let at = match kind {
            Scenario::Udp => datagram.local_addr(),
            _ => stream.local_addr(),
        };
        let mut settings = Settings::new(kind, Role::Client);
        settings.connect = Some(at.unwrap().to_string().parse().unwrap());
        settings.timeout = DEADLINE;
        let mut drill = InProcessScenario::start(&settings);
        assert!(drill.handle.crash("client"));
        match drill.end() {
            Err(exit @ Exit::Panicked { .. }) => assert_panicked(&exit),
            other => panic!("{kind:?}: {other:?}"),
        }
        assert_eq!(drill.restarts("client") + drill.restarts("narrator"), 0);
    }
}

#[test]
fn crash_loop_ends_tree_with_reason() {
    let mut drill = InProcessScenario::start_within(&server(Scenario::Tcp), 2);
    drill.crash("listener");
    drill.crash("narrator");
    drill.handle.crash("listener");
    let exit = drill.end().unwrap_err();
    let Exit::GaveUp { last, .. } = &exit else { panic!("{exit:?}") };
    assert_eq!(last.0.to_string(), "t/listener");
    assert_panicked(&last.1);
    assert!(exit.to_string().contains("t/listener panicked"), "{exit}");
    assert!(TcpStream::connect(&drill.endpoint).is_err(), "the port is closed");
}
