//! Supervision on the real executor, checked by lifecycle events.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::system::{Running, TIMEOUT, live};
use sockactors::runtime::{
    Child, Context, Outcome, Restart, Shutdown, StopReason, Strategy, Supervisor, System,
};

fn three(strategy: Strategy) -> Supervisor {
    let mut tree = Supervisor::new("t", strategy);
    for name in ["a", "b", "c"] {
        tree.child(Child::new(name, || live));
    }
    tree
}

#[test]
fn children_start_in_order_and_stop_in_reverse() {
    let mut run = Running::start(three(Strategy::OneForOne));
    run.wait_for("t started");
    assert_eq!(run.stop().unwrap(), StopReason::Finished);
    assert_eq!(
        run.seen,
        [
            "t/a started",
            "t/b started",
            "t/c started",
            "t started",
            "t/c stopped as asked",
            "t/b stopped as asked",
            "t/a stopped as asked",
            "t stopped as asked"
        ]
    );
}

fn restarted_by(strategy: Strategy) -> Vec<String> {
    let mut run = Running::start(three(strategy));
    run.wait_for("t started");
    assert!(run.handle.crash("b"));
    let last = if strategy == Strategy::OneForOne { "t/b started" } else { "t/c started" };
    run.wait_for(last);
    let seen = run.seen[4..].to_vec();
    run.stop().unwrap();
    seen.into_iter().filter(|event| !event.contains(": restarting")).collect()
}

const CRASH: &str = "t/b panicked at ";

fn assert_events(seen: &[String], expected: &[&str]) {
    assert_eq!(seen.len(), expected.len(), "{seen:#?}");
    for (seen, expected) in seen.iter().zip(expected) {
        assert!(seen.starts_with(expected), "{seen} is not {expected}");
    }
}

#[test]
fn one_for_one_restarts_failed_child_only() {
    let seen = restarted_by(Strategy::OneForOne);
    assert_events(&seen, &[CRASH, "t/b started, incarnation 2"]);
}

#[test]
fn one_for_all_restarts_every_child() {
    let seen = restarted_by(Strategy::OneForAll);
    let expected = [
        CRASH,
        "t/c stopped as asked",
        "t/a stopped as asked",
        "t/a started, incarnation 2",
        "t/b started, incarnation 2",
        "t/c started, incarnation 2",
    ];
    assert_events(&seen, &expected);
}

#[test]
fn rest_for_one_restarts_later_children() {
    let seen = restarted_by(Strategy::RestForOne);
    let expected =
        [CRASH, "t/c stopped as asked", "t/b started, incarnation 2", "t/c started, incarnation 2"];
    assert_events(&seen, &expected);
}

#[test]
fn too_many_restarts_end_supervisor_abnormally() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne).intensity(2, TIMEOUT);
    tree.child(Child::new("bystander", || live));
    tree.child(Child::new("loop", || async |_: Context<()>| -> Outcome { Err("no luck".into()) }));
    let mut run = Running::start(tree);
    let exit = run.end().unwrap_err();
    assert!(!exit.is_normal());
    let text = exit.to_string();
    assert!(
        text.contains("more than 2 restarts") && text.contains("t/loop failed: no luck"),
        "{text}"
    );
    assert_eq!(exit.error().unwrap().to_string(), "no luck");
    assert_eq!(run.seen_with(&["t/loop started"]).len(), 3);
    assert_eq!(run.seen_with(&["t/bystander stopped as asked"]).len(), 1);
}

#[test]
fn supervisor_that_gave_up_is_restarted_if_transient() {
    let mut inner = Supervisor::new("inner", Strategy::OneForOne)
        .intensity(0, TIMEOUT)
        .restart(Restart::Transient);
    inner.child(Child::new("x", || live));
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    tree.supervisor(inner);
    let mut run = Running::start(tree);
    run.wait_for("t/inner/x started");
    run.handle.crash("inner/x");
    run.wait_for("t/inner/x started, incarnation 2");
    run.wait_for("t/inner started, incarnation 2");
    run.stop().unwrap();
}

#[test]
fn factory_panic_is_failed_start() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne).intensity(1, TIMEOUT);
    tree.child(Child::new("x", || {
        if true {
            panic!("no parts");
        }
        live
    }));
    let mut run = Running::start(tree);
    assert!(run.end().unwrap_err().to_string().contains("no parts"));
}

#[test]
fn normally_ended_transient_and_temporary_children_stay_ended() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let ends = || async |_: Context<()>| -> Outcome { Ok(()) };
    let transient = tree.child(Child::new("transient", ends).transient());
    let temporary = tree.child(Child::new("temporary", ends).temporary());
    tree.child(Child::new("last", || live));
    let mut run = Running::start(tree);
    run.wait_for("t/transient ended normally");
    run.wait_for("t/temporary ended normally");
    run.stop().unwrap();
    assert!(run.seen_with(&["restarted"]).is_empty());
    assert!(transient.is_closed() && temporary.is_closed());
}

#[test]
fn temporary_child_is_not_restarted_with_group() {
    let mut tree = Supervisor::new("t", Strategy::OneForAll);
    tree.child(Child::new("guest", || live).temporary());
    tree.child(Child::new("x", || live));
    let mut run = Running::start(tree);
    run.wait_for("t/x started");
    run.handle.crash("x");
    run.wait_for("t/x started, incarnation 2");
    run.stop().unwrap();
    assert_eq!(run.seen_with(&["guest started"]), ["t/guest started"]);
}

#[test]
fn next_incarnation_handles_queued_messages_in_order() {
    let handled = Arc::new(Mutex::new(Vec::new()));
    let log = handled.clone();
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let brittle = tree.child(Child::new("brittle", move || {
        let log = log.clone();
        async move |mut ctx: Context<u32>| -> Outcome {
            while let Some(n) = ctx.recv().await {
                assert!(n % 3 != 0, "{n} is more than it takes");
                log.lock().unwrap().push(n);
            }
            Ok(())
        }
    }));
    for n in 1..=7 {
        brittle.try_send(n).unwrap();
    }
    let mut run = Running::start(tree);
    run.wait_for("brittle started, incarnation 3");
    run.stop().unwrap();
    assert_eq!(*handled.lock().unwrap(), [1, 2, 4, 5, 7]);
    assert!(brittle.is_closed());
}

#[test]
fn child_over_shutdown_timeout_is_dropped_first() {
    struct DropRecorder(Arc<Mutex<Vec<&'static str>>>, &'static str);
    impl Drop for DropRecorder {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(self.1);
        }
    }
    let order = Arc::new(Mutex::new(Vec::new()));
    let (begun, begins) = async_channel::unbounded();
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    for (name, limit) in [("first", Duration::from_millis(5)), ("second", Duration::ZERO)] {
        let (order, begun) = (order.clone(), begun.clone());
        let hang = Child::new(name, move || {
            let (order, begun) = (order.clone(), begun.clone());
            async move |_: Context<()>| -> Outcome {
                let _tell = DropRecorder(order, name);
                begun.send(()).await?;
                smol::future::pending().await
            }
        });
        tree.child(hang.shutdown(match limit {
            Duration::ZERO => Shutdown::Kill,
            limit => Shutdown::Timeout(limit),
        }));
    }
    let mut run = Running::start(tree);
    run.wait_for("t/second started");
    for _ in 0..2 {
        smol::block_on(begins.recv()).unwrap();
    }
    run.stop().unwrap();
    assert_eq!(
        run.seen_with(&["killed", "stopped"]),
        ["t/second killed", "t/first killed", "t stopped as asked"]
    );
    assert_eq!(*order.lock().unwrap(), ["second", "first"]);
}

#[test]
fn significant_child_ends_supervisor_with_its_exit() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    tree.child(Child::new("other", || live));
    let fails = || async |_: Context<()>| -> Outcome { Err("refused".into()) };
    tree.child(Child::new("client", fails).temporary().significant());
    let mut run = Running::start(tree);
    assert_eq!(run.end().unwrap_err().to_string(), "failed: refused");
    assert_eq!(run.seen_with(&["t/other"]), ["t/other started", "t/other stopped as asked"]);
}

#[test]
fn stop_interrupts_backoff() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne).backoff(TIMEOUT * 100, TIMEOUT * 100);
    tree.child(Child::new("x", || live));
    let mut run = Running::start(tree);
    run.wait_for("t/x started");
    run.handle.crash("x");
    run.wait_for("t/x: restarting in");
    let tree = run.handle.tree().unwrap().to_string();
    assert!(tree.contains("restarting"), "{tree}");
    run.stop().unwrap();
    assert_eq!(run.seen_with(&["t/x started"]).len(), 1);
}

#[test]
fn stop_before_start_is_kept() {
    let system = System::new();
    system.handle().stop();
    let mut run = Running::start_with(system, three(Strategy::OneForOne));
    run.end().unwrap();
}

#[test]
fn messages_and_io_alternate() {
    use sockactors::runtime::Event;
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let counts = Arc::new(Mutex::new((0, 0)));
    let counted = counts.clone();
    let x = tree.child(
        Child::new("x", move || {
            let counted = counted.clone();
            async move |mut ctx: Context<()>| -> Outcome {
                for _ in 0..20 {
                    match ctx.next(std::future::ready(())).await {
                        Event::Stop => break,
                        Event::Message(()) => counted.lock().unwrap().0 += 1,
                        Event::Io(()) => counted.lock().unwrap().1 += 1,
                    }
                }
                Ok(())
            }
        })
        .transient()
        .significant(),
    );
    for _ in 0..20 {
        x.try_send(()).unwrap();
    }
    Running::start(tree).end().unwrap();
    assert_eq!(*counts.lock().unwrap(), (10, 10));
}
