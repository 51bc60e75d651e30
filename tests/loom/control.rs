//! What the control signal promises to several threads.

use std::future::poll_fn;
use std::task::{Context, Poll};

use loom::future::block_on;
use loom::thread::{self, JoinHandle};

use crate::control::{Control, Interrupt};
use crate::sync::{Arc, Woken};

/// Has another thread do something with the signal.
fn beside(control: &Arc<Control>, act: impl FnOnce(&Control) + 'static) -> JoinHandle<()> {
    let control = control.clone();
    thread::spawn(move || act(&control))
}

/// Models three threads. All of their interleavings are too many, so loom preempts each at most thrice.
fn model_of_three(model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

/// Awaits a blow as the incarnation's task does.
fn poll_blow(control: &Control, cx: &Context<'_>) -> Poll<Interrupt> {
    control.register_task(cx);
    control.pending_interrupt().map_or(Poll::Pending, Poll::Ready)
}

#[test]
fn a_stop_is_never_lost() {
    loom::model(|| {
        let control = Arc::new(Control::default());
        let stopper = beside(&control, Control::stop);
        block_on(poll_fn(|cx| control.poll_stop(cx)));
        assert!(control.is_stop_requested());
        stopper.join().unwrap();
    });
}

#[test]
fn a_kill_is_not_lost_behind_a_stop() {
    model_of_three(|| {
        let control = Arc::new(Control::default());
        let stopper = beside(&control, Control::stop);
        let killer = beside(&control, Control::kill);
        block_on(poll_fn(|cx| control.poll_kill(cx)));
        assert!(control.is_stop_requested());
        stopper.join().unwrap();
        killer.join().unwrap();
    });
}

#[test]
fn a_blow_dealt_while_the_task_registers_is_seen_or_wakes_it() {
    loom::model(|| {
        let control = Arc::new(Control::default());
        let dealer = beside(&control, |control| control.interrupt(Interrupt::Panic));
        assert_eq!(block_on(poll_fn(|cx| poll_blow(&control, cx))), Interrupt::Panic);
        dealer.join().unwrap();
    });
}

#[test]
fn one_poll_of_a_task_loses_neither_its_stop_nor_a_blow() {
    model_of_three(|| {
        let control = Arc::new(Control::default());
        let stopper = beside(&control, Control::stop);
        let dealer = beside(&control, |control| control.interrupt(Interrupt::Drop));
        block_on(poll_fn(|cx| {
            let (blow, stop) = (poll_blow(&control, cx), control.poll_stop(cx));
            if blow.is_ready() && stop.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        }));
        stopper.join().unwrap();
        dealer.join().unwrap();
    });
}

#[test]
fn two_blows_at_once_are_both_dealt() {
    loom::model(|| {
        let control = Arc::new(Control::default());
        let first = beside(&control, |control| control.interrupt(Interrupt::Hang));
        control.interrupt(Interrupt::LinkExit);
        first.join().unwrap();
        // A hang comes before a strike that nothing is known of.
        assert_eq!(control.pending_interrupt(), Some(Interrupt::Hang));
    });
}

#[test]
fn the_next_incarnation_sees_no_stop_of_the_last_and_loses_none_of_its_own() {
    loom::model(|| {
        let control = Arc::new(Control::default());
        let last = beside(&control, |control| block_on(poll_fn(|cx| control.poll_stop(cx))));
        control.stop();
        last.join().unwrap();
        control.reset();
        let next = beside(&control, |control| {
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
fn a_blow_that_races_a_begin_is_the_last_incarnations_or_the_next_one_learns_of_it() {
    loom::model(|| {
        let control = Arc::new(Control::default());
        let dealer = beside(&control, |control| control.interrupt(Interrupt::Panic));
        control.reset();
        let (woken, waker) = Woken::new();
        let seen = poll_blow(&control, &Context::from_waker(&waker)).is_ready();
        dealer.join().unwrap();
        let is_up = control.pending_interrupt().is_some();
        assert!(!seen || is_up, "what was seen stays");
        assert!(!is_up || seen || woken.times() > 0, "what is up was seen, or woke");
    });
}
