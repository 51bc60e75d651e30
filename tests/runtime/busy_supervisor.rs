//! Events that arrive while a supervisor is busy stopping a slow child or waiting before a restart.
//!
//! The random trees of `tests/runtime/model/` found these cases, except that of a late child.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::future::zip;
use sockactors::runtime::{
    Actor, AdminError, AutoShutdown, Child, Context, Exit, Handle, NodeState, Outcome, Restart,
    Strategy, Supervisor, SupervisorAddress,
};
use sockactors::testing::Simulation;

const SECOND: Duration = Duration::from_secs(1);
const MOMENT: Duration = Duration::from_millis(100);

/// A child that takes two seconds to stop.
fn slow() -> Child<impl Actor<Message = ()>> {
    Child::new("slow", || {
        async |mut ctx: Context<()>| -> Outcome {
            ctx.stopped().await;
            ctx.sleep(2 * SECOND).await;
            Ok(())
        }
    })
}

/// A child that takes this long to start, with a limit of one second.
fn starts_in(start: Duration) -> Child<impl Actor<Message = ()>> {
    Child::new("x", move || {
        async move |mut ctx: Context<()>| -> Outcome {
            ctx.sleep(start).await;
            ctx.ready();
            ctx.stopped().await;
            Ok(())
        }
    })
    .ready_within(SECOND)
}

/// Runs `drive` beside a supervisor, for many seeds, and returns the events of the last one.
fn run<F: Future<Output = ()> + Send + 'static>(
    tree: impl Fn() -> Supervisor,
    drive: impl Fn(Context<()>, SupervisorAddress, Handle) -> F + Clone + Send + Sync + 'static,
) -> Vec<String> {
    let mut events = Vec::new();
    for seed in 0..50 {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        let simulation =
            Simulation::new(seed).observe(move |event| log.lock().unwrap().push(event.to_string()));
        let mut supervisor = tree().restart(Restart::Temporary);
        let (address, handle, drive) = (supervisor.address(), simulation.handle(), drive.clone());
        let driver = Child::new("driver", move || {
            let (address, handle, drive) = (address.clone(), handle.clone(), drive.clone());
            async move |ctx: Context<()>| -> Outcome {
                ctx.sleep(SECOND).await;
                drive(ctx, address, handle).await;
                Ok(())
            }
        });
        let mut root = Supervisor::new("t", Strategy::OneForOne);
        root.supervisor(supervisor);
        root.child(driver.temporary().significant());
        simulation.run(root).unwrap();
        events = std::mem::take(&mut seen.lock().unwrap());
    }
    events
}

#[test]
fn stopping_supervisor_starts_no_child() {
    let tree = || {
        let mut tree = Supervisor::new("busy", Strategy::OneForAll);
        tree.child(starts_in(MOMENT));
        tree.child(slow());
        tree
    };
    let events = run(tree, |ctx, _, handle| async move {
        assert!(handle.crash("busy/x"));
        ctx.sleep(SECOND).await;
    });
    assert!(events.iter().any(|event| event.contains("slow stopped as asked")), "{events:#?}");
    assert!(!events.iter().any(|event| event.contains("incarnation 2")), "{events:#?}");
    assert_eq!(events.iter().filter(|event| event.contains("t/busy/x")).count(), 3, "{events:#?}");
}

#[test]
fn ended_supervisor_answers_unavailable_while_parent_is_busy() {
    let inner = Arc::new(Mutex::new(None));
    let asked = inner.clone();
    let tree = move || {
        let mut inner = Supervisor::new("inner", Strategy::OneForOne)
            .auto_shutdown(AutoShutdown::AnySignificant)
            .restart(Restart::Temporary);
        inner.child(starts_in(MOMENT).temporary().significant());
        *asked.lock().unwrap() = Some(inner.address());
        let mut tree = Supervisor::new("busy", Strategy::OneForOne);
        tree.supervisor(inner);
        tree.child(slow());
        tree
    };
    run(tree, move |ctx, busy, handle| {
        let inner = inner.lock().unwrap().clone().unwrap();
        async move {
            let end_and_ask = async {
                ctx.sleep(MOMENT).await;
                assert!(handle.crash("busy/inner/x"));
                ctx.sleep(MOMENT).await;
                inner.children().await
            };
            let (terminated, answer) = zip(busy.terminate("slow"), end_and_ask).await;
            terminated.unwrap();
            assert!(matches!(answer, Err(AdminError::Unavailable)), "{answer:?}");
        }
    });
}

#[test]
fn backoff_starts_after_group_is_stopped() {
    let tree = || {
        let mut tree = Supervisor::new("busy", Strategy::OneForAll).backoff(SECOND, SECOND);
        tree.child(starts_in(MOMENT));
        tree.child(slow());
        tree
    };
    run(tree, |ctx, busy, handle| async move {
        assert!(handle.crash("busy/x"));
        // Two seconds for the stop, and at least half a second for the backoff.
        ctx.sleep(2 * SECOND + 4 * MOMENT).await;
        assert_eq!(busy.child("x").await.unwrap().state, NodeState::Restarting);
        ctx.sleep(SECOND).await;
        assert_eq!(busy.child("x").await.unwrap().state, NodeState::Running);
    });
}

#[test]
fn ready_child_is_not_late_behind_busy_supervisor() {
    let tree = || {
        let mut tree = Supervisor::new("busy", Strategy::OneForOne);
        tree.child(starts_in(5 * MOMENT));
        tree.child(slow());
        tree
    };
    let events = run(tree, |ctx, busy, handle| async move {
        assert!(handle.crash("busy/x"));
        ctx.sleep(MOMENT).await;
        busy.terminate("slow").await.unwrap();
        ctx.sleep(MOMENT).await;
        let x = busy.child("x").await.unwrap();
        assert_eq!((x.state, x.restarts), (NodeState::Running, 1));
    });
    assert!(!events.iter().any(|event| event.contains("did not start")), "{events:#?}");
}

#[test]
fn late_child_times_out_while_others_stop() {
    let tree = || {
        let mut tree = Supervisor::new("busy", Strategy::OneForOne);
        tree.child(slow());
        tree
    };
    run(tree, |_, busy, _| async move {
        let (late, terminated) =
            zip(busy.add(starts_in(10 * SECOND)), busy.terminate("slow")).await;
        terminated.unwrap();
        let error = late.map(drop).unwrap_err();
        assert!(matches!(error, AdminError::StartFailed(Exit::NotReady(SECOND))), "{error:?}");
    });
}

#[test]
fn added_child_spec_is_checked_before_name() {
    let tree = || {
        let mut tree = Supervisor::new("busy", Strategy::OneForOne);
        tree.child(starts_in(MOMENT));
        tree
    };
    run(tree, |_, busy, _| async move {
        let bad = busy.add(starts_in(MOMENT).significant()).await.map(drop).unwrap_err();
        assert!(matches!(bad, AdminError::Misconfigured(_)), "{bad:?}");
        let good = busy.add(starts_in(MOMENT)).await.map(drop).unwrap_err();
        assert!(matches!(good, AdminError::AlreadyStarted), "{good:?}");
    });
}
