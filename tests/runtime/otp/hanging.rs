//! The suite's cases of restarts that take time and fail repeatedly.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sockactors::runtime::{AdminError, Child, Shutdown, Strategy, Supervisor};

use super::admin::refused;
use super::child::{Scripted, Start, plain, starting};
use super::supervisor_under_test::At::{self, Is, Restarting, Starting, Undefined};
use super::supervisor_under_test::Sup;
use super::support::{DIED, EndBy, Test, case, flags, millis, seconds};

fn deadlocked(name: &str, fails: &Arc<AtomicBool>) -> Child<Scripted> {
    starting(name, Start::Deadlock(fails.clone())).shutdown(Shutdown::Kill)
}

fn set(fails: &AtomicBool, to: bool) {
    fails.store(to, Ordering::SeqCst);
}

/// The moments at which the suite looks: between two attempts, which in OTP is the only time that a
/// supervisor answers, and during one. A backoff delay lengthens the first.
const MOMENTS: [(bool, At); 2] = [(true, Restarting), (false, Starting)];

/// A supervisor that allows 8 restarts in 10 seconds, with or without a backoff.
fn looping(strategy: Strategy, pauses: bool) -> Supervisor {
    let supervisor = flags(strategy, 8, 10);
    if pauses { supervisor.backoff(seconds(4), seconds(4)) } else { supervisor }
}

#[test]
fn hanging_restart_loop() {
    case(async |t: Test| {
        for (pauses, state) in MOMENTS {
            let fails = Arc::new(AtomicBool::new(false));
            let sup = t.start(looping(Strategy::OneForOne, pauses)).await.unwrap();
            let child = sup.add(deadlocked("child1", &fails)).await.unwrap();
            set(&fails, true);
            let c1 = t.end(&child, EndBy::Abnormal).await;
            t.clock.sleep(millis(1990)).await;
            refused!(sup.add(plain("child1")), AdminError::AlreadyPresent);
            refused!(sup.restart("child1"), AdminError::Restarting);
            refused!(sup.remove("child1"), AdminError::Restarting);
            assert_eq!(sup.rows_now().await, [("child1", state)]);
            assert_eq!(sup.counts_now().await, [1, 0, 0, 1]);
            let begun = t.clock.now();
            sup.terminate("child1").await.unwrap();
            assert_eq!(t.clock.now(), begun, "neither a start nor a pause is waited for");
            assert_eq!(t.exit(c1).await, DIED);
            assert_eq!(sup.rows_now().await, [("child1", Undefined)]);
            loops_until_stopped(&t, &sup, "child1", &child, &fails).await;
        }
    });
}

/// Starts a terminated child, lets it loop again, and checks that this delays no stop.
async fn loops_until_stopped(
    t: &Test,
    sup: &Sup,
    name: &str,
    child: &sockactors::runtime::Address<super::child::Say>,
    fails: &AtomicBool,
) {
    set(fails, false);
    sup.restart(name).await.unwrap();
    let c2 = t.pid(child);
    set(fails, true);
    t.end(child, EndBy::Abnormal).await;
    t.clock.sleep(millis(1990)).await;
    let begun = t.clock.now();
    t.shut_down(sup).await;
    assert!(t.clock.now() - begun < millis(10), "the stop waits for nothing");
    assert_eq!(t.exit(c2).await, DIED);
    assert_eq!(t.root.count().await.unwrap().specs, 1, "the supervisor is gone");
}

#[test]
fn hanging_restart_loop_rest_for_one() {
    case(async |t: Test| {
        for (pauses, state) in MOMENTS {
            let fails = Arc::new(AtomicBool::new(false));
            let sup = t.start(looping(Strategy::RestForOne, pauses)).await.unwrap();
            let child1 = sup.add(plain("child1").shutdown(Shutdown::Kill)).await.unwrap();
            let child2 = sup.add(deadlocked("child2", &fails)).await.unwrap();
            sup.add(plain("child3").shutdown(Shutdown::Kill)).await.unwrap();
            let c1 = t.pid(&child1);
            set(&fails, true);
            let c2 = t.end(&child2, EndBy::Abnormal).await;
            t.clock.sleep(millis(1990)).await;
            refused!(sup.add(plain("child2")), AdminError::AlreadyPresent);
            refused!(sup.restart("child2"), AdminError::Restarting);
            refused!(sup.remove("child2"), AdminError::Restarting);
            // During an attempt the last child is queued.
            let third = if pauses { Undefined } else { Restarting };
            let rows = [("child1", Is(c1)), ("child2", state), ("child3", third)];
            assert_eq!(sup.rows_now().await, rows);
            assert_eq!(sup.counts_now().await, [3, 1, 0, 3]);
            sup.terminate("child2").await.unwrap();
            t.settle().await;
            assert_eq!(t.exit(c2).await, DIED);
            let rows = [("child1", Is(c1)), ("child2", Undefined), ("child3", Undefined)];
            assert_eq!(sup.rows_now().await, rows);
            loops_until_stopped(&t, &sup, "child2", &child2, &fails).await;
        }
    });
}

#[test]
fn hanging_restart_loop_simple() {
    case(async |t: Test| {
        for (pauses, state) in MOMENTS {
            let fails = Arc::new(AtomicBool::new(false));
            let sup = t.start(looping(Strategy::OneForOne, pauses)).await.unwrap();
            let child = sup.add(deadlocked("1", &fails)).await.unwrap();
            set(&fails, true);
            let c1 = t.end(&child, EndBy::Abnormal).await;
            t.clock.sleep(millis(1990)).await;
            // OTP names it by the pid of the dead child. Here it has a name.
            refused!(sup.restart("child1"), AdminError::NotFound);
            refused!(sup.remove("child1"), AdminError::NotFound);
            assert_eq!(sup.rows_now().await, [("1", state)]);
            assert_eq!(sup.counts_now().await, [1, 0, 0, 1]);
            sup.terminate("1").await.unwrap();
            assert_eq!(t.exit(c1).await, DIED);
            assert_eq!(sup.rows_now().await, [("1", Undefined)]);
            loops_until_stopped(&t, &sup, "1", &child, &fails).await;
        }
    });
}

#[test]
fn count_restarting_children() {
    case(async |t: Test| {
        let fails = Arc::new(AtomicBool::new(false));
        let sup = t.start(flags(Strategy::OneForOne, 20, 10)).await.unwrap();
        assert_eq!(sup.counts_now().await, [0, 0, 0, 0]);
        let mut children = Vec::new();
        for (k, name) in ["1", "2", "3"].into_iter().enumerate() {
            children.push(sup.add(deadlocked(name, &fails)).await.unwrap());
            assert_eq!(sup.counts_now().await, [k + 1, k + 1, 0, k + 1]);
        }
        for child in &children {
            t.end(child, EndBy::Abnormal).await;
        }
        t.clock.sleep(millis(400)).await;
        assert_eq!(sup.counts_now().await, [3, 3, 0, 3]);
        let third = t.pid(&children[2]);
        set(&fails, true);
        for child in &children[..2] {
            t.end(child, EndBy::Abnormal).await;
        }
        t.clock.sleep(seconds(4)).await;
        assert_eq!(sup.counts_now().await, [3, 1, 0, 3]);
        set(&fails, false);
        t.clock.sleep(seconds(4)).await;
        assert_eq!(sup.counts_now().await, [3, 3, 0, 3]);
        assert_eq!(t.pid(&children[2]), third, "it was not touched");
        for (k, name) in ["3", "2", "1"].into_iter().enumerate() {
            sup.terminate(name).await.unwrap();
            assert_eq!(sup.counts_now().await, [3, 2 - k, 0, 3]);
        }
    });
}
