//! What a mailbox's queue promises to those who fill it and to the one who empties it.

use std::future::poll_fn;

use loom::future::block_on;
use loom::thread;

use crate::queue::{PushError, Queue};
use crate::sync::Arc;

/// Sends as a mailbox does: waits where there is no room.
fn send(queue: &Queue<u8>, message: u8) {
    let (mut place, mut waiting) = (None, Some(message));
    block_on(poll_fn(|cx| {
        let Some(message) = waiting.take() else { return std::task::Poll::Pending };
        match queue.push_or_register(message, &mut place, cx) {
            Err(PushError::Full(message)) => {
                waiting = Some(message);
                std::task::Poll::Pending
            }
            _ => std::task::Poll::Ready(()),
        }
    }));
}

#[test]
fn a_message_always_wakes_the_reader_and_room_the_sender() {
    loom::model(|| {
        let queue = Arc::new(Queue::new(1));
        let sender = queue.clone();
        let sending = thread::spawn(move || (0..2).for_each(|number| send(&sender, number)));
        let next = || block_on(poll_fn(|cx| queue.poll_pop(cx)));
        assert_eq!((next(), next()), (0, 1));
        sending.join().unwrap();
    });
}

#[test]
fn a_close_always_wakes_a_sender_that_waits() {
    loom::model(|| {
        let queue = Arc::new(Queue::new(1));
        queue.try_push(0).unwrap();
        let sender = queue.clone();
        let sending = thread::spawn(move || send(&sender, 1));
        assert!(queue.close().len() <= 1);
        sending.join().unwrap();
        assert!(queue.is_closed());
    });
}
