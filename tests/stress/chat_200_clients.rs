//! Two hundred chat clients at once: a hundred lecture clients and a hundred line clients.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::{Arc, Barrier};
use std::thread;

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::{Program, serial};

const LECTURE: usize = 100;
const LINES: usize = 100;
const MESSAGES: usize = 5;

/// Sends chunks without a newline and reads one acknowledgement for each, as the lecture's client.
fn run_lecture_client(endpoint: &str, client: usize, barrier: &Barrier) {
    let mut stream = connect(endpoint);
    barrier.wait();
    for k in 0..MESSAGES {
        let text = format!("lecture {client} {k}");
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = [0; 1024];
        let n = stream.read(&mut answer).expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer[..n]), acknowledgement(&text));
    }
}

/// Sends lines, and returns the other clients' messages in the order received.
fn run_line_client(endpoint: &str, client: usize, barrier: &Barrier) -> Vec<String> {
    let mut line = LineClient::joined(endpoint);
    barrier.wait();
    for k in 0..MESSAGES {
        line.send(format!("line {client} {k}"));
    }
    let mut received = Vec::new();
    let mut acknowledged = 0;
    while received.len() < (LECTURE + LINES - 1) * MESSAGES || acknowledged < MESSAGES {
        let text = line.wait_for(|_| true);
        assert!(!text.contains("missed"), "client {client} missed messages: {text}");
        match text.split_once(": ") {
            Some(("Server received your message", own)) => {
                assert_eq!(
                    own,
                    format!("line {client} {acknowledged}"),
                    "acknowledgements are in order"
                );
                acknowledged += 1;
            }
            Some((_, text)) if text.starts_with("line ") || text.starts_with("lecture ") => {
                received.push(text.to_owned());
            }
            _ => {}
        }
    }
    received
}

/// Returns the sender of a message: `lecture 7`.
fn sender(message: &str) -> &str {
    message.rsplit_once(' ').unwrap().0
}

#[test]
fn two_hundred_clients_receive_all_in_order() {
    let _serial = serial::lock();
    run_chat(&["--scenario", "chat"]);
}

#[test]
fn several_threads_deliver_all_in_order() {
    let _serial = serial::lock();
    run_chat(&["--scenario", "chat", "--threads", "4"]);
}

fn run_chat(args: &[&str]) {
    let server = Program::server(args);
    let endpoint: Arc<str> = server.endpoint().into();
    let barrier = Arc::new(Barrier::new(LECTURE + LINES));

    let lecture: Vec<_> = (0..LECTURE)
        .map(|client| {
            let (endpoint, barrier) = (endpoint.clone(), barrier.clone());
            thread::spawn(move || run_lecture_client(&endpoint, client, &barrier))
        })
        .collect();
    let lines: Vec<_> = (0..LINES)
        .map(|client| {
            let (endpoint, barrier) = (endpoint.clone(), barrier.clone());
            thread::spawn(move || run_line_client(&endpoint, client, &barrier))
        })
        .collect();
    for client in lecture {
        client.join().expect("a lecture client");
    }
    let received: Vec<Vec<String>> =
        lines.into_iter().map(|client| client.join().expect("a line client")).collect();

    for (client, messages) in received.iter().enumerate() {
        let mut next: HashMap<&str, usize> = HashMap::new();
        for message in messages {
            let k = next.entry(sender(message)).or_default();
            assert!(
                message.ends_with(&format!(" {k}")),
                "line {client} received {message:?} instead of message {k}"
            );
            *k += 1;
        }
        assert!(
            !next.contains_key(format!("line {client}").as_str()),
            "line {client} received its own line"
        );
        assert_eq!(
            next.len(),
            LECTURE + LINES - 1,
            "line {client} did not receive from every client"
        );
        assert!(
            next.values().all(|count| *count == MESSAGES),
            "line {client} did not receive every message"
        );
    }

    // All members see one order: two views are equal except for the members' own messages.
    for (client, messages) in received.iter().enumerate().skip(1) {
        let own = format!("line {client}");
        let of_others = |messages: &[String]| -> Vec<String> {
            let ours = |message: &&String| ![own.as_str(), "line 0"].contains(&sender(message));
            messages.iter().filter(ours).cloned().collect()
        };
        assert!(
            of_others(messages) == of_others(&received[0]),
            "line {client} and line 0 saw different orders"
        );
    }

    server.terminate();
    server.wait().with_code(0);
}
