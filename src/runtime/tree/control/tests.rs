//! Tests of the control signal alone.
//!
//! They are not in `control.rs`, because `tests/loom` includes that file and checks every
//! interleaving of its threads. The test with two threads is here for Miri.

use std::future::poll_fn;
use std::task::Poll;
use std::thread;

use futures_lite::future::{block_on, poll_once};

use crate::runtime::tree::control::{Control, Interrupt};

#[test]
fn stop_is_level_triggered() {
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
fn kill_implies_stop() {
    let control = Control::default();
    control.kill();
    assert!(control.is_stop_requested());
    block_on(poll_fn(|cx| control.poll_kill(cx)));
}

#[test]
fn stop_and_interrupt_wake_task_across_threads() {
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
