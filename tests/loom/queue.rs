//! Tests of the mailbox queue with a sender and a reader.

use std::future::poll_fn;

use loom::future::block_on;
use loom::thread;

use crate::queue::{PushError, Queue};
use crate::sync::Arc;

/// Sends a message as a mailbox does, and waits while the queue is full.
fn send(queue: &Queue<u8>, message: u8) {
    let (mut waiter_id, mut unsent) = (None, Some(message));
    block_on(poll_fn(|cx| {
        let Some(message) = unsent.take() else { return std::task::Poll::Pending };
        match queue.push_or_register(message, &mut waiter_id, cx) {
            Err(PushError::Full(message)) => {
                unsent = Some(message);
                std::task::Poll::Pending
            }
            _ => std::task::Poll::Ready(()),
        }
    }));
}

#[test]
fn push_wakes_reader_and_pop_wakes_sender() {
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
fn close_wakes_waiting_sender() {
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
