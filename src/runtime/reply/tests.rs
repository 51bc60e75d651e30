//! The way back, alone on one thread; see `control/tests.rs` for why it is not in the file that it tests.

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
