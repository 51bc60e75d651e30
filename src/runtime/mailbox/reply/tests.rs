//! The way back, by itself; see `control/tests.rs` for why this is not in the file that it tests.

use std::thread;

use futures_lite::future::{block_on, poll_once};

use super::reply::channel;

#[test]
fn smoke() {
    let (reply, answer) = channel();
    reply.send(7);
    assert_eq!(block_on(answer.recv()), Some(7));
}

#[test]
fn dropped_unanswered() {
    let (reply, answer) = channel::<u8>();
    let mut wait = Box::pin(answer.recv());
    assert_eq!(block_on(poll_once(&mut wait)), None);
    drop(reply);
    assert_eq!(block_on(wait), None);
}

#[test]
fn asker_gone() {
    let (reply, answer) = channel();
    drop(answer);
    reply.send("nobody reads this");
}

#[test]
fn answered_by_another_thread() {
    let (reply, answer) = channel();
    let answerer = thread::spawn(move || reply.send(7));
    assert_eq!(block_on(answer.recv()), Some(7));
    answerer.join().unwrap();
}
