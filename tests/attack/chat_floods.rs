//! Floods of a chat server, and what a source may do in all its sessions together.

use std::io::Write;
use std::net::Shutdown;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::chat_client::{LineClient, connect};
use crate::support::process_stats::private_memory_kib;
use crate::support::{Program, directory, serial};

/// The longest line that the server publishes: a nick, and a text of 4 KiB.
const MAX_PUBLISHED_LEN: usize = 32 + ": ".len() + 4096;

/// Starts a server whose rates bind loopback clients too, and a member who counts messages.
fn limited_server(rate: &str) -> (Program, LineClient) {
    let server = Program::server(&["--scenario", "chat", "--rate", rate]);
    let reader = LineClient::joined(server.endpoint());
    (server, reader)
}

/// Reads `count` messages with the letter `x`, and returns the time that they took.
#[track_caller]
fn time_of_messages(reader: &mut LineClient, count: usize) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        let line = reader.wait_for(|line| line.contains(": x"));
        assert!(line.len() <= MAX_PUBLISHED_LEN, "a line of {} bytes", line.len());
    }
    start.elapsed()
}

/// Calls `attack` again and again in threads while `measure` runs.
fn while_attacking<R>(threads: usize, attack: impl Fn() + Sync, measure: impl FnOnce() -> R) -> R {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    attack();
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(measure));
        is_over.store(true, Ordering::SeqCst);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn lecture_session_is_limited_to_rate() {
    let _serial = serial::lock();
    let (server, mut reader) = limited_server("20/1s");
    let flood = connect(server.endpoint());
    flood.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    let attack = || drop((&flood).write(&[b'x'; 64 << 10]));
    // After a burst of 20 chunks each of the others waits for 50 ms.
    let elapsed = while_attacking(1, attack, || time_of_messages(&mut reader, 50));
    assert!(elapsed >= Duration::from_millis(1400), "50 messages in {elapsed:?}");
}

#[test]
fn sessions_of_one_address_share_ten_rates() {
    let _serial = serial::lock();
    let (server, mut reader) = limited_server("10/1s");
    // Each of 40 sessions may send 10 lines at once, but all of them only 100.
    let flood = || {
        let mut line = LineClient::connect(server.endpoint());
        line.stream.write_all("xx\n".repeat(100).as_bytes()).unwrap();
        line
    };
    let _sessions: Vec<_> = (0..40).map(|_| flood()).collect();
    let elapsed = time_of_messages(&mut reader, 250);
    assert!(elapsed >= Duration::from_millis(1300), "250 messages in {elapsed:?}");
}

#[test]
fn reconnecting_clients_share_ten_rates() {
    let _serial = serial::lock();
    let (server, mut reader) = limited_server("10/1s");
    let attack = || {
        if let Ok(mut line) = LineClient::try_connect(server.endpoint()) {
            // A connection and a line spend two of 100 in a second.
            let _ = line.try_send("xx").and_then(|()| line.stream.shutdown(Shutdown::Write));
            line.read_to_end();
        }
    };
    let elapsed = while_attacking(4, attack, || time_of_messages(&mut reader, 120));
    assert!(elapsed >= Duration::from_millis(1300), "120 messages in {elapsed:?}");
}

#[test]
fn pipelined_history_requests_reach_quit() {
    let server = Program::server(&["--scenario", "chat"]);
    let mut ada = LineClient::joined(server.endpoint());
    ada.send("/ack off");
    for _ in 0..100 {
        ada.send("x".repeat(1000));
    }
    ada.send("/who");
    ada.wait_for(|line| line.starts_with("* in lobby"));
    // Each reply has 32 KiB, so the third one exceeds the 64 KiB that may be pending.
    let mut eve = LineClient::connect(server.endpoint());
    let history = "/history 100\n".repeat(3);
    eve.stream.write_all(format!("/ack off\n{history}/quit\n").as_bytes()).unwrap();
    // The end of the stream, not the timeout of a read.
    while eve.next_line().expect("the session handles /quit").is_some() {}
    assert_eq!(eve.count(" more do not fit):"), 3, "{}", eve.received());
}

#[test]
fn operator_password_guesses_are_delayed() {
    let _serial = serial::lock();
    let directory = directory();
    let file = directory.path().join("password");
    std::fs::write(&file, "open sesame\n").unwrap();
    let password_file = ["--operator-password-file", file.to_str().unwrap()];
    let server = Program::server(&[&["--scenario", "chat"][..], &password_file].concat());
    let start = Instant::now();
    let guess = |k: usize| {
        let mut line = LineClient::connect(server.endpoint());
        let guesses = format!("/operator {k}\n").repeat(3);
        line.stream.write_all(guesses.as_bytes()).unwrap();
        line
    };
    let mut sessions: Vec<_> = (0..100).map(guess).collect();
    // Each session has an answer. Two passwords were checked, after one and two seconds more.
    let answers = sessions.iter_mut().map(|line| line.wait_for(|line| line.contains("password")));
    let checked = answers.filter(|answer| answer == "* wrong password").count();
    let elapsed = start.elapsed();
    assert!((1..=2).contains(&checked) && elapsed >= Duration::from_secs(1), "{elapsed:?}");
    let log = String::from_utf8(server.stderr()).unwrap();
    assert!(log.matches("wrong operator password").count() <= 3, "{log}");
}

#[test]
fn list_of_rooms_with_long_topics_is_bounded() {
    let server = Program::server(&["--scenario", "chat"]);
    let topic = "\u{7}".repeat(300);
    let member = |room: usize| {
        let mut line = LineClient::connect(server.endpoint());
        line.send(format!("/join room{room}\n/topic {topic}"));
        line.wait_for(|line| line.starts_with("* topic of"));
        line
    };
    let mut members: Vec<_> = (0..120).map(member).collect();
    members[0].send("/rooms\n".repeat(20).trim_end());
    for _ in 0..20 {
        let reply = members[0].wait_for(|line| line.starts_with("* rooms: "));
        assert!(reply.len() < (8 << 10) + 100 && reply.ends_with(" others"), "{}", reply.len());
    }
}

#[test]
fn half_lines_hold_little_memory() {
    const SESSIONS: u64 = 300;
    let _serial = serial::lock();
    let server = Program::server(&["--scenario", "chat"]);
    let mut sessions: Vec<_> =
        (0..SESSIONS).map(|_| LineClient::connect(server.endpoint())).collect();
    let mut send = |before: &str, after: &str| {
        for line in &mut sessions {
            line.stream.write_all(format!("{before}/ack off\n{after}").as_bytes()).unwrap();
            line.wait_for_line("* receipts are off");
        }
    };
    send("", "");
    let before = private_memory_kib(&server);
    // One read of 16 KiB whose last byte begins a line.
    send(&"\n".repeat((16 << 10) - 10), "x");
    let growth = private_memory_kib(&server).saturating_sub(before);
    assert!(growth <= SESSIONS * 4, "{growth} KiB");
}
