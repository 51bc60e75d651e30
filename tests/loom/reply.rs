//! What the way back promises to the one who asks and the one who answers.

use std::task::{Context, Waker};

use loom::future::block_on;
use loom::thread;

use crate::reply::channel;
use crate::sync::Arc;

#[test]
fn an_answer_is_never_lost() {
    loom::model(|| {
        let (reply, answer) = channel();
        let answerer = thread::spawn(move || reply.send(7));
        assert_eq!(block_on(answer.recv()), Some(7));
        answerer.join().unwrap();
    });
}

#[test]
fn a_reply_that_is_dropped_unanswered_always_wakes() {
    loom::model(|| {
        let (reply, answer) = channel::<u8>();
        let dropper = thread::spawn(move || drop(reply));
        assert_eq!(block_on(answer.recv()), None);
        dropper.join().unwrap();
    });
}

#[test]
fn the_waker_of_the_last_poll_is_the_one_that_is_woken() {
    loom::model(|| {
        let (reply, answer) = channel();
        let answerer = thread::spawn(move || reply.send(7));
        let mut wait = Box::pin(answer.recv());
        let told = match wait.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            std::task::Poll::Ready(told) => told,
            std::task::Poll::Pending => block_on(wait),
        };
        assert_eq!(told, Some(7));
        answerer.join().unwrap();
    });
}

#[test]
fn an_asker_that_leaves_at_any_time_leaks_no_answer() {
    loom::model(|| {
        let (reply, answer) = channel();
        let held = Arc::new(());
        let given = held.clone();
        let answerer = thread::spawn(move || reply.send(given));
        let mut wait = Box::pin(answer.recv());
        let polled = wait.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        drop((polled, wait));
        answerer.join().unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn an_asker_that_has_left_is_known_to_wait_no_more() {
    loom::model(|| {
        let (reply, answer) = channel::<u8>();
        assert!(reply.has_receiver());
        thread::spawn(move || drop(answer)).join().unwrap();
        assert!(!reply.has_receiver());
    });
}
