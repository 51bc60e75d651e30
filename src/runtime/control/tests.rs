//! The control signal, alone on one thread. Several at once are in `tests/loom.rs`, which includes the
//! signal's own file; that is why these tests are not in it.

use std::future::poll_fn;

use futures_lite::future::{block_on, poll_once};

use super::control::Control;

#[test]
fn a_stop_is_a_level() {
    let control = Control::default();
    assert!(block_on(poll_once(poll_fn(|cx| control.poll_stop(cx)))).is_none());
    control.stop();
    for _ in 0..2 {
        block_on(poll_fn(|cx| control.poll_stop(cx)));
    }
    control.lower();
    assert!(!control.is_stop());
}

#[test]
fn a_kill_is_a_stop_too() {
    let control = Control::default();
    control.kill();
    assert!(control.is_stop());
    block_on(poll_fn(|cx| control.poll_kill(cx)));
}
