//! The control signal, by itself. Every order of several threads is in `tests/loom.rs`, which includes the
//! signal's own file; that is why these tests are not in it. What two threads do here is for Miri.

use std::future::poll_fn;
use std::task::Poll;
use std::thread;

use futures_lite::future::{block_on, poll_once};

use crate::runtime::tree::control::{Control, Interrupt};

#[test]
fn a_stop_is_a_level() {
    let control = Control::default();
    assert!(block_on(poll_once(poll_fn(|cx| control.poll_stop(cx)))).is_none());
    control.stop();
    for _ in 0..2 {
        block_on(poll_fn(|cx| control.poll_stop(cx)));
    }
    control.reset();
    assert!(!control.is_stop_requested());
}

#[test]
fn a_kill_is_a_stop_too() {
    let control = Control::default();
    control.kill();
    assert!(control.is_stop_requested());
    block_on(poll_fn(|cx| control.poll_kill(cx)));
}

#[test]
fn the_stop_and_the_blow_of_other_threads_wake_the_task() {
    let control = Control::default();
    thread::scope(|scope| {
        scope.spawn(|| control.stop());
        scope.spawn(|| control.interrupt(Interrupt::Panic));
        block_on(poll_fn(|cx| {
            control.register_task(cx);
            match (control.pending_interrupt(), control.poll_stop(cx)) {
                (Some(Interrupt::Panic), Poll::Ready(())) => Poll::Ready(()),
                _ => Poll::Pending,
            }
        }));
    });
}
