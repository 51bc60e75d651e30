//! The way back, by itself; see `control/tests.rs` for why this is not in the file that it tests.

use std::thread;

use futures_lite::future::{block_on, poll_once};

use super::reply::slot;

#[test]
fn smoke() {
    let (reply, answer) = slot();
    reply.send(7);
    assert_eq!(block_on(answer.wait()), Some(7));
}

#[test]
fn dropped_unanswered() {
    let (reply, answer) = slot::<u8>();
    let mut wait = Box::pin(answer.wait());
    assert_eq!(block_on(poll_once(&mut wait)), None);
    drop(reply);
    assert_eq!(block_on(wait), None);
}

#[test]
fn asker_gone() {
    let (reply, answer) = slot();
    drop(answer);
    reply.send("nobody reads this");
}

#[test]
fn answered_by_another_thread() {
    let (reply, answer) = slot();
    let answerer = thread::spawn(move || reply.send(7));
    assert_eq!(block_on(answer.wait()), Some(7));
    answerer.join().unwrap();
}
