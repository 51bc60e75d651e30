//! The suite's group `sup_stop`: how children end with their supervisor.

use sockactors::runtime::{Restart, Shutdown, Strategy};

use super::child::{End, Say, ending, plain};
use super::support::{KILLED, NORMAL, SHUTDOWN, Test, case, flags, millis, seconds, within};

#[test]
fn sup_stop_infinity() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let nested = super::nested::inner("child1", Strategy::OneForOne);
        sup.add_supervisor(nested.shutdown(Shutdown::Infinity)).await.unwrap();
        // A worker may have an infinite timeout, too.
        let slow = ending("child2", End::Slowly(seconds(3600))).shutdown(Shutdown::Infinity);
        let child2 = sup.add(slow).await.unwrap();
        let pids = [sup.pid_of("child1"), t.pid(&child2)];
        t.shut_down(&sup).await;
        for pid in pids {
            assert_eq!(t.exit(pid).await, SHUTDOWN);
        }
    });
}

#[test]
fn sup_stop_timeout() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let child1 = sup.add(plain("child1")).await.unwrap();
        let child2 = sup.add(plain("child2")).await.unwrap();
        let pids = [t.pid(&child1), t.pid(&child2)];
        child2.send(Say::Sleep).await.unwrap();
        t.settle().await;
        let begun = t.clock.now();
        t.shut_down(&sup).await;
        assert_eq!(t.clock.now() - begun, seconds(1));
        assert_eq!(t.exit(pids[0]).await, SHUTDOWN);
        assert_eq!(t.exit(pids[1]).await, KILLED);
    });
}

#[test]
fn sup_stop_brutal_kill() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let child1 = sup.add(plain("child1")).await.unwrap();
        let child2 = sup.add(plain("child2").shutdown(Shutdown::Kill)).await.unwrap();
        let pids = [t.pid(&child1), t.pid(&child2)];
        t.shut_down(&sup).await;
        assert_eq!(t.exit(pids[0]).await, SHUTDOWN);
        assert_eq!(t.exit(pids[1]).await, KILLED);
    });
}

/// EndBy children end when asked to stop, and the text of that exit.
const ENDS: [(End, &str); 4] = [
    (End::Well, NORMAL),
    (End::Failing, "failed: other"),
    (End::Panicking, "on the way out"),
    (End::Never, KILLED),
];

#[test]
fn sup_stop_race() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let child_a = sup.add(plain("child_a").temporary()).await.unwrap();
        let mut racing = Vec::new();
        for restart in [Restart::Temporary, Restart::Transient, Restart::Permanent] {
            for (end, reason) in ENDS {
                let child = ending(&format!("{restart:?} {end:?}"), end).restart(restart);
                racing.push((sup.add(child).await.unwrap(), reason));
            }
        }
        let child_z = ending("child_z", End::Slowly(seconds(1))).temporary();
        let child_z = sup.add(child_z.shutdown(within(2000))).await.unwrap();
        let (first, last) = (t.pid(&child_a), t.pid(&child_z));
        let pids: Vec<_> = racing.iter().map(|(child, reason)| (t.pid(child), *reason)).collect();
        // They end while their supervisor waits for the slow one, which it stops first.
        let race = async {
            t.clock.sleep(millis(200)).await;
            for (child, _) in &racing {
                child.send(Say::Stop).await.unwrap();
            }
        };
        futures_lite::future::zip(t.shut_down(&sup), race).await;
        assert_eq!(t.exit(last).await, SHUTDOWN);
        for (pid, reason) in pids {
            let exit = t.exit(pid).await;
            assert!(exit.ends_with(reason), "{exit}");
        }
        assert_eq!(t.exit(first).await, SHUTDOWN);
        let again = t.log(|log| log.told.iter().any(|told| told.contains(": restarting")));
        assert!(!again, "nobody is restarted during a stop");
    });
}
