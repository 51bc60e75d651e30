//! The suite's groups `normal_termination` and `shutdown_termination`.
//!
//! No actor can exit with `shutdown` by itself. But a supervisor whose significant child has ended
//! exits normally by itself, which is `shutdown` in OTP. So those cases use a supervisor as the
//! child.

use sockactors::runtime::{Address, AutoShutdown, Restart, Strategy, Supervisor};

use super::child::{Say, plain};
use super::incarnation_log::Pid;
use super::supervisor_under_test::At::{Is, Undefined};
use super::supervisor_under_test::Sup;
use super::support::{EndBy, NORMAL, Test, case, flags};

/// Starts a child and lets it end normally.
async fn ended_well(t: &Test, restart: Restart) -> (Sup, Pid) {
    let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
    let child = sup.add(plain("child1").restart(restart)).await.unwrap();
    let pid = t.end(&child, EndBy::Normal).await;
    (sup, pid)
}

#[test]
fn permanent_normal() {
    case(async |t: Test| {
        let (sup, old) = ended_well(&t, Restart::Permanent).await;
        let rows = sup.rows().await;
        let new = sup.pid_of("child1");
        assert_eq!(rows, [("child1", Is(new))]);
        assert_ne!(new, old);
        assert_eq!(sup.counts().await, [1, 1, 0, 1]);
    });
}

#[test]
fn transient_normal() {
    case(async |t: Test| {
        let (sup, _) = ended_well(&t, Restart::Transient).await;
        assert_eq!(sup.rows_now().await, [("child1", Undefined)]);
        assert_eq!(sup.counts_now().await, [1, 0, 0, 1]);
    });
}

#[test]
fn temporary_normal() {
    case(async |t: Test| {
        let (sup, _) = ended_well(&t, Restart::Temporary).await;
        assert_eq!(sup.rows_now().await, []);
        assert_eq!(sup.counts_now().await, [0, 0, 0, 0]);
    });
}

/// A supervisor that ends normally with its only child.
fn ending_with_its_child(auto: AutoShutdown, restart: Restart) -> (Supervisor, Address<Say>) {
    let supervisor = Supervisor::new("child1", Strategy::OneForOne).auto_shutdown(auto);
    let mut supervisor = supervisor.restart(restart);
    let child = supervisor.child(plain("done").transient().significant());
    (supervisor, child)
}

/// Ends the supervisor `child1` normally, through its child.
async fn end(t: &Test, sup: &Sup, child: &Address<Say>) -> Pid {
    let pid = sup.pid_of("child1");
    t.end(child, EndBy::Normal).await;
    assert_eq!(t.exit(pid).await, NORMAL);
    pid
}

/// The reasons `shutdown` and `{shutdown, Info}` correspond to the two kinds of automatic shutdown
/// here.
const BOTH: [AutoShutdown; 2] = [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant];

#[test]
fn permanent_shutdown() {
    case(async |t: Test| {
        for auto in BOTH {
            let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
            let (supervisor, child) = ending_with_its_child(auto, Restart::Permanent);
            sup.add_supervisor(supervisor).await.unwrap();
            for _ in 0..2 {
                let old = end(&t, &sup, &child).await;
                let rows = sup.rows().await;
                let new = sup.pid_of("child1");
                assert_eq!(rows, [("child1", Is(new))]);
                assert_ne!(new, old);
                assert_eq!(sup.counts().await, [1, 1, 1, 0]);
            }
            t.shut_down(&sup).await;
        }
    });
}

#[test]
fn transient_shutdown() {
    case(async |t: Test| {
        for auto in BOTH {
            let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
            let (supervisor, child) = ending_with_its_child(auto, Restart::Transient);
            sup.add_supervisor(supervisor).await.unwrap();
            end(&t, &sup, &child).await;
            assert_eq!(sup.rows_now().await, [("child1", Undefined)]);
            assert_eq!(sup.counts_now().await, [1, 0, 1, 0]);
            sup.restart("child1").await.unwrap();
            end(&t, &sup, &child).await;
            assert_eq!(sup.rows_now().await, [("child1", Undefined)]);
            assert_eq!(sup.counts_now().await, [1, 0, 1, 0]);
            t.shut_down(&sup).await;
        }
    });
}

#[test]
fn temporary_shutdown() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        for auto in BOTH {
            let (supervisor, child) = ending_with_its_child(auto, Restart::Temporary);
            sup.add_supervisor(supervisor).await.unwrap();
            end(&t, &sup, &child).await;
            assert_eq!(sup.rows_now().await, []);
            assert_eq!(sup.counts_now().await, [0, 0, 0, 0]);
        }
    });
}
