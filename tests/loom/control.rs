//! Tests of the control signal with several threads.

use std::future::poll_fn;
use std::task::{Context, Poll};

use loom::future::block_on;
use loom::thread::{self, JoinHandle};

use crate::control::{Control, Interrupt};
use crate::sync::{Arc, Woken};

/// Runs `act` with the signal on another thread.
fn spawn(control: &Arc<Control>, act: impl FnOnce(&Control) + 'static) -> JoinHandle<()> {
    let control = control.clone();
    thread::spawn(move || act(&control))
}

/// Models three threads with at most three preemptions. All interleavings would be too many.
fn model_three_threads(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Polls for an interrupt as the incarnation's task does.
fn poll_interrupt(control: &Control, cx: &Context<'_>) -> Poll<Interrupt> {
    control.register_task(cx);
    control.pending_interrupt().map_or(Poll::Pending, Poll::Ready)
}

#[test]
fn stop_wakes_waiting_task() {
    loom::model(|| {
        let control = Arc::new(Control::default());
        let stopper = spawn(&control, Control::stop);
        block_on(poll_fn(|cx| control.poll_stop(cx)));
        assert!(control.is_stop_requested());
        stopper.join().unwrap();
    });
}

#[test]
fn kill_after_stop_wakes_task() {
    model_three_threads(|| {
        let control = Arc::new(Control::default());
        let stopper = spawn(&control, Control::stop);
        let killer = spawn(&control, Control::kill);
        block_on(poll_fn(|cx| control.poll_kill(cx)));
        assert!(control.is_stop_requested());
        stopper.join().unwrap();
        killer.join().unwrap();
    });
}

#[test]
fn interrupt_during_registration_is_seen() {
    loom::model(|| {
        let control = Arc::new(Control::default());
        let interrupter = spawn(&control, |control| control.interrupt(Interrupt::Panic));
        assert_eq!(block_on(poll_fn(|cx| poll_interrupt(&control, cx))), Interrupt::Panic);
        interrupter.join().unwrap();
    });
}

#[test]
fn one_poll_sees_stop_and_interrupt() {
    model_three_threads(|| {
        let control = Arc::new(Control::default());
        let stopper = spawn(&control, Control::stop);
        let interrupter = spawn(&control, |control| control.interrupt(Interrupt::Drop));
        block_on(poll_fn(|cx| {
            let (interrupt, stop) = (poll_interrupt(&control, cx), control.poll_stop(cx));
            if interrupt.is_ready() && stop.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        }));
        stopper.join().unwrap();
        interrupter.join().unwrap();
    });
}

#[test]
fn hang_takes_precedence_over_link_exit() {
    loom::model(|| {
        let control = Arc::new(Control::default());
        let first = spawn(&control, |control| control.interrupt(Interrupt::Hang));
        control.interrupt(Interrupt::LinkExit);
        first.join().unwrap();
        // A hang wins over a link's exit, whichever came first.
        assert_eq!(control.pending_interrupt(), Some(Interrupt::Hang));
    });
}

#[test]
fn reset_clears_old_stop_and_keeps_new_one() {
    loom::model(|| {
        let control = Arc::new(Control::default());
        let last = spawn(&control, |control| block_on(poll_fn(|cx| control.poll_stop(cx))));
        control.stop();
        last.join().unwrap();
        control.reset();
        let next = spawn(&control, |control| {
            let mut polls = 0;
            block_on(poll_fn(|cx| {
                polls += 1;
                control.poll_stop(cx)
            }));
            assert!(control.is_stop_requested() && polls > 0);
        });
        assert!(!control.is_stop_requested());
        control.stop();
        next.join().unwrap();
    });
}

#[test]
fn interrupt_racing_reset_is_dropped_or_seen() {
    loom::model(|| {
        let control = Arc::new(Control::default());
        let interrupter = spawn(&control, |control| control.interrupt(Interrupt::Panic));
        control.reset();
        let (woken, waker) = Woken::new();
        let seen = poll_interrupt(&control, &Context::from_waker(&waker)).is_ready();
        interrupter.join().unwrap();
        let is_pending = control.pending_interrupt().is_some();
        assert!(!seen || is_pending, "a seen interrupt stays pending");
        assert!(!is_pending || seen || woken.times() > 0, "a pending interrupt was seen, or woke");
    });
}
