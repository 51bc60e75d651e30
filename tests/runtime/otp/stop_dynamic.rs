//! The suite's group `sup_stop`, continued: how a pool's children end with it.

use std::time::Duration;

use sockactors::runtime::{Pool, PoolAddress, Restart, Strategy};

use super::child::{End, Say, ending, member};
use super::incarnation_log::Pid;
use super::supervisor_under_test::Sup;
use super::support::{KILLED, SHUTDOWN, Test, case, flags, seconds};

/// Starts a pool below its own supervisor.
pub async fn pool(t: &Test, within: Duration) -> (Sup, PoolAddress) {
    let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
    let pool = sup.add_pool(Pool::new("pool").shutdown(within).limit(20_000)).await.unwrap();
    (sup, pool)
}

/// Ends a pool by its supervisor, and returns its children.
async fn stop(t: &Test, sup: &Sup) -> Pid {
    let pid = sup.pid_of("pool");
    sup.terminate("pool").await.unwrap();
    assert_eq!(t.exit(pid).await, SHUTDOWN);
    pid
}

#[test]
fn sup_stop_timeout_dynamic() {
    case(async |t: Test| {
        let (sup, pool) = pool(&t, seconds(1)).await;
        let child1 = pool.start(member(End::Well)).await.unwrap();
        let child2 = pool.start(member(End::Well)).await.unwrap();
        let pids = [t.pid(&child1), t.pid(&child2)];
        child2.send(Say::Sleep).await.unwrap();
        t.settle().await;
        let begun = t.clock.now();
        stop(&t, &sup).await;
        assert_eq!(t.clock.now() - begun, seconds(1));
        assert_eq!(t.exit(pids[0]).await, SHUTDOWN);
        assert_eq!(t.exit(pids[1]).await, KILLED);
    });
}

#[test]
fn sup_stop_brutal_kill_dynamic() {
    case(async |t: Test| {
        let (sup, pool) = pool(&t, Duration::ZERO).await;
        let mut pids = Vec::new();
        for _ in 0..10 {
            let child = pool.start(member(End::Slowly(seconds(1)))).await.unwrap();
            pids.push(t.pid(&child));
        }
        let begun = t.clock.now();
        stop(&t, &sup).await;
        assert_eq!(t.clock.now(), begun, "no child is waited for");
        for pid in pids {
            assert_eq!(t.exit(pid).await, KILLED);
        }
    });
}

/// EndBy children end when asked to stop, and the text of that exit.
const ENDS: [(End, &str); 4] = [
    (End::Well, SHUTDOWN),
    (End::Failing, "failed: other"),
    (End::Panicking, "on the way out"),
    (End::Never, KILLED),
];

#[test]
fn sup_stop_non_shutdown_exit_dynamic() {
    case(async |t: Test| {
        let (in_pool, pool) = pool(&t, seconds(5)).await;
        let mut pids = Vec::new();
        for (end, reason) in ENDS {
            pids.push((t.pid(&pool.start(member(end)).await.unwrap()), reason));
        }
        stop(&t, &in_pool).await;
        t.shut_down(&in_pool).await;
        // Children that restart are below a supervisor.
        for restart in [Restart::Transient, Restart::Permanent] {
            let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
            for (end, reason) in ENDS {
                let child = ending(&format!("{end:?}"), end).restart(restart);
                pids.push((t.pid(&sup.add(child).await.unwrap()), reason));
            }
            t.shut_down(&sup).await;
        }
        for (pid, reason) in pids {
            let exit = t.exit(pid).await;
            assert!(exit.ends_with(reason), "{exit}");
        }
    });
}

#[test]
fn simple_one_for_one_shutdown() {
    case(async |t: Test| {
        let (sup, pool) = pool(&t, seconds(2)).await;
        let mut pids = Vec::new();
        for (time, reason) in [(1, SHUTDOWN), (1, SHUTDOWN), (5, KILLED)] {
            let child = pool.start(member(End::Slowly(seconds(time)))).await.unwrap();
            pids.push((t.pid(&child), reason));
        }
        let begun = t.clock.now();
        t.shut_down(&sup).await;
        assert_eq!(t.clock.now() - begun, seconds(2), "they stop at the same time");
        for (pid, reason) in pids {
            assert_eq!(t.exit(pid).await, reason);
        }
    });
}
