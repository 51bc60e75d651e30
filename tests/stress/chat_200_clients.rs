//! Two hundred chat clients at once: a hundred in lock-step as the lecture's, a hundred in lines.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::{Arc, Barrier};
use std::thread;

use crate::support::chat_client::{LineClient, acknowledgement, connect};
use crate::support::{Program, serial};

const LECTURE: usize = 100;
const LINES: usize = 100;
const MESSAGES: usize = 5;

/// Talks as the lecture's client does: a chunk without a newline, and one answer to it.
fn speak_in_lock_step(endpoint: &str, client: usize, begin: &Barrier) {
    let mut stream = connect(endpoint);
    begin.wait();
    for k in 0..MESSAGES {
        let text = format!("lecture {client} {k}");
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = [0; 1024];
        let n = stream.read(&mut answer).expect("an answer");
        assert_eq!(String::from_utf8_lossy(&answer[..n]), acknowledgement(&text));
    }
}

/// Talks in lines, hears everybody to the end, and returns the others' messages as they came.
fn speak_in_lines(endpoint: &str, client: usize, begin: &Barrier) -> Vec<String> {
    let mut line = LineClient::joined(endpoint);
    begin.wait();
    for k in 0..MESSAGES {
        line.send(format!("line {client} {k}"));
    }
    let mut heard = Vec::new();
    let mut receipts = 0;
    while heard.len() < (LECTURE + LINES - 1) * MESSAGES || receipts < MESSAGES {
        let text = line.wait_for(|_| true);
        assert!(!text.contains("missed"), "client {client} was slow: {text}");
        match text.split_once(": ") {
            Some(("Server received your message", own)) => {
                assert_eq!(own, format!("line {client} {receipts}"), "receipts come in order");
                receipts += 1;
            }
            Some((_, said)) if said.starts_with("line ") || said.starts_with("lecture ") => {
                heard.push(said.to_owned());
            }
            _ => {}
        }
    }
    heard
}

/// The client that said a message, as a word: `lecture 7`.
fn speaker(message: &str) -> &str {
    message.rsplit_once(' ').unwrap().0
}

#[test]
fn two_hundred_clients_lose_no_message_and_no_order() {
    let _alone = serial::lock();
    talk(&["--scenario", "chat"]);
}

#[test]
fn on_several_threads_they_lose_none_either() {
    let _alone = serial::lock();
    talk(&["--scenario", "chat", "--threads", "4"]);
}

fn talk(args: &[&str]) {
    let server = Program::server(args);
    let endpoint: Arc<str> = server.endpoint().into();
    let begin = Arc::new(Barrier::new(LECTURE + LINES));

    let lecture: Vec<_> = (0..LECTURE)
        .map(|client| {
            let (endpoint, begin) = (endpoint.clone(), begin.clone());
            thread::spawn(move || speak_in_lock_step(&endpoint, client, &begin))
        })
        .collect();
    let lines: Vec<_> = (0..LINES)
        .map(|client| {
            let (endpoint, begin) = (endpoint.clone(), begin.clone());
            thread::spawn(move || speak_in_lines(&endpoint, client, &begin))
        })
        .collect();
    for client in lecture {
        client.join().expect("a lecture client");
    }
    let heard: Vec<Vec<String>> =
        lines.into_iter().map(|client| client.join().expect("a line client")).collect();

    for (client, messages) in heard.iter().enumerate() {
        let mut next: HashMap<&str, usize> = HashMap::new();
        for message in messages {
            let k = next.entry(speaker(message)).or_default();
            assert!(
                message.ends_with(&format!(" {k}")),
                "line {client} heard {message:?}, and {k} was next"
            );
            *k += 1;
        }
        assert!(
            !next.contains_key(format!("line {client}").as_str()),
            "line {client} heard itself"
        );
        assert_eq!(next.len(), LECTURE + LINES - 1, "line {client} heard not everybody");
        assert!(
            next.values().all(|count| *count == MESSAGES),
            "line {client} heard not everything"
        );
    }

    // Everyone sees the same order: two members' views are equal but for what they said themselves.
    for (client, messages) in heard.iter().enumerate().skip(1) {
        let own = format!("line {client}");
        let of_others = |messages: &[String]| -> Vec<String> {
            let ours = |message: &&String| ![own.as_str(), "line 0"].contains(&speaker(message));
            messages.iter().filter(ours).cloned().collect()
        };
        assert!(
            of_others(messages) == of_others(&heard[0]),
            "line {client} and line 0 saw different orders"
        );
    }

    server.terminate();
    server.wait().with_code(0);
}
