//! Tests of the reply channel alone. They are not in `reply.rs`, because `tests/loom` includes that
//! file.

use std::thread;

use futures_lite::future::{block_on, poll_once};

use crate::runtime::mailbox::reply::channel;

#[test]
fn reply_reaches_receiver() {
    let (reply, receiver) = channel();
    reply.send(7);
    assert_eq!(block_on(receiver.recv()), Some(7));
}

#[test]
fn dropped_reply_ends_wait() {
    let (reply, receiver) = channel::<u8>();
    let mut wait = Box::pin(receiver.recv());
    assert_eq!(block_on(poll_once(&mut wait)), None);
    drop(reply);
    assert_eq!(block_on(wait), None);
}

#[test]
fn reply_without_receiver_is_dropped() {
    let (reply, receiver) = channel();
    drop(receiver);
    reply.send("not received");
}

#[test]
fn other_thread_replies() {
    let (reply, receiver) = channel();
    let sender = thread::spawn(move || reply.send(7));
    assert_eq!(block_on(receiver.recv()), Some(7));
    sender.join().unwrap();
}
