//! Rare cases of supervision: a nested restart, a rejected crash request, a failing observer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::system::{Running, TIMEOUT, live};
use sockactors::runtime::{
    Child, Context, Lifecycle, Outcome, Pool, StopReason, Strategy, Supervisor, System,
};

#[test]
fn supervisor_restart_revives_ended_child() {
    let (handled, work) = channel();
    let mut inner = Supervisor::new("inner", Strategy::OneForOne).intensity(0, TIMEOUT);
    let worker = inner.child(
        Child::new("worker", move || {
            let handled = handled.clone();
            async move |mut ctx: Context<u32>| -> Outcome {
                while let Some(n @ 1..) = ctx.recv().await {
                    handled.send(n).unwrap();
                }
                Ok(())
            }
        })
        .transient(),
    );
    inner.child(Child::new("x", || live));
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    tree.supervisor(inner);
    let mut run = Running::start(tree);
    run.wait_for("t/inner/x started");
    worker.try_send(1).unwrap();
    worker.try_send(0).unwrap();
    run.wait_for("t/inner/worker ended normally");
    assert!(run.handle.crash("inner/x"));
    run.wait_for("t/inner/worker started, incarnation 2");
    assert!(!worker.is_closed());
    worker.try_send(2).unwrap();
    assert_eq!(work.recv_timeout(TIMEOUT), Ok(1));
    assert_eq!(work.recv_timeout(TIMEOUT), Ok(2));
    run.stop().unwrap();
    assert!(worker.is_closed(), "it is over for good with its system");
}

#[test]
fn crash_request_applies_to_actors_only() {
    let mut inner = Supervisor::new("inner", Strategy::OneForOne);
    inner.child(Child::new("x", || live));
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool"));
    tree.supervisor(inner);
    let mut run = Running::start(tree);
    run.wait_for("t/inner/x started");
    smol::block_on(pool.start(live)).unwrap();
    run.wait_for("t/pool/0 started");
    for path in ["t", "t/pool", "t/inner", "inner", "nobody"] {
        assert!(!run.handle.crash(path), "{path} is no actor");
    }
    // The effect of a crash would be seen before that of this message.
    assert!(run.handle.crash("inner/x"));
    run.wait_for("t/inner/x started, incarnation 2");
    assert_eq!(pool.len(), 1);
    assert_eq!(run.stop().unwrap(), StopReason::Finished);
    assert_eq!(run.seen_with(&["panicked"]).len(), 1, "{:#?}", run.seen);
    assert_eq!(run.seen_with(&[": restarting"]).len(), 1, "{:#?}", run.seen);
}

/// Runs a system with two threads whose observer panics once, at the event of this path that ends
/// with this text. Asserts that the system ends. A stop is requested after the panic, or once all
/// children have started.
fn ends_though_its_observer_panics(who: &'static str, what: &'static str, stop_first: bool) {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool").shutdown(Duration::from_millis(5)));
    tree.child(Child::new("x", || live));
    let system = System::new().threads(2);
    let handle = system.handle();
    let has_panicked = Arc::new(AtomicBool::new(false));
    let panics = has_panicked.clone();
    let (start, started) = channel();
    let system = system.observe(move |event: &Lifecycle| {
        let text = event.to_string();
        if text == "t started" {
            let _ = start.send(());
        }
        if text.starts_with(who) && text.ends_with(what) && !panics.swap(true, Ordering::SeqCst) {
            panic!("the observer has seen enough");
        }
    });
    let (ended, end) = channel();
    thread::spawn(move || {
        // The panic may propagate. A hang is the failure.
        let result = catch_unwind(AssertUnwindSafe(|| system.run(tree)));
        ended.send(result.map(drop).map_err(drop)).unwrap();
    });
    let until = Instant::now() + TIMEOUT;
    if stop_first {
        started.recv_timeout(TIMEOUT).expect("it starts");
        handle.stop();
    }
    while !has_panicked.load(Ordering::SeqCst) {
        assert!(Instant::now() < until, "'{who} {what}' was never told");
        // If the pool runs, its children give the threads events to report.
        let start = || smol::block_on(pool.start(ends)).map(drop);
        let _ = catch_unwind(AssertUnwindSafe(start));
    }
    handle.stop();
    assert!(end.recv_timeout(TIMEOUT).is_ok(), "it hangs after a panic at '{who} {what}'");
}

async fn ends(_: Context<()>) -> Outcome {
    Ok(())
}

#[test]
fn panicking_observer_does_not_hang_system() {
    for who in ["t", "t/x", "t/pool", "t/pool/"] {
        ends_though_its_observer_panics(who, " started", false);
    }
    ends_though_its_observer_panics("t/pool/", " ended normally", false);
    for who in ["t/x", "t/pool", "t"] {
        ends_though_its_observer_panics(who, " stopped as asked", true);
    }
}
