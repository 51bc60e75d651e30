//! Tests of the reply channel with a sender and a receiver.

use std::task::{Context, Waker};

use loom::future::block_on;
use loom::thread;

use crate::reply::channel;
use crate::sync::Arc;

#[test]
fn reply_wakes_receiver() {
    loom::model(|| {
        let (reply, receiver) = channel();
        let sender = thread::spawn(move || reply.send(7));
        assert_eq!(block_on(receiver.recv()), Some(7));
        sender.join().unwrap();
    });
}

#[test]
fn dropped_reply_wakes_receiver() {
    loom::model(|| {
        let (reply, receiver) = channel::<u8>();
        let sender = thread::spawn(move || drop(reply));
        assert_eq!(block_on(receiver.recv()), None);
        sender.join().unwrap();
    });
}

#[test]
fn reply_wakes_latest_waker() {
    loom::model(|| {
        let (reply, receiver) = channel();
        let sender = thread::spawn(move || reply.send(7));
        let mut wait = Box::pin(receiver.recv());
        let received = match wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(received) => received,
            std::task::Poll::Pending => block_on(wait),
        };
        assert_eq!(received, Some(7));
        sender.join().unwrap();
    });
}

#[test]
fn dropped_receiver_leaks_no_reply() {
    loom::model(|| {
        let (reply, receiver) = channel();
        let held = Arc::new(());
        let value = held.clone();
        let sender = thread::spawn(move || reply.send(value));
        let mut wait = Box::pin(receiver.recv());
        let polled = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop((polled, wait));
        sender.join().unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn dropped_receiver_is_reported() {
    loom::model(|| {
        let (reply, receiver) = channel::<u8>();
        assert!(reply.has_receiver());
        thread::spawn(move || drop(receiver)).join().unwrap();
        assert!(!reply.has_receiver());
    });
}
