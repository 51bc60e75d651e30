//! The suite's group `sup_start`: supervisors that start, and children that decline to run.

use sockactors::runtime::{Child, Restart, Strategy};

use super::child::{Scripted, Start, plain, starting};
use super::supervisor_under_test::At::{Is, Undefined};
use super::supervisor_under_test::Sup;
use super::support::{Test, case, flags};

#[test]
fn sup_start_normal() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        t.shut_down(&sup).await;
    });
}

fn ignoring(name: &str, restart: Restart) -> Child<Scripted> {
    starting(name, Start::IgnoreOnce).restart(restart)
}

#[test]
fn sup_start_ignore_child() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let ignored = sup.add(ignoring("child1", Restart::Permanent)).await.unwrap();
        let child2 = sup.add(plain("child2")).await.unwrap();
        let rows = [("child1", Undefined), ("child2", Is(t.pid(&child2)))];
        assert_eq!(sup.rows_now().await, rows);
        assert_eq!(sup.counts_now().await, [2, 1, 0, 2]);
        // It may still decide to run.
        assert!(!ignored.is_closed());
        sup.restart("child1").await.unwrap();
        assert_eq!(sup.counts_now().await, [2, 2, 0, 2]);
    });
}

#[test]
fn sup_start_ignore_temporary_child() {
    case(async |t: Test| {
        let mut supervisor = flags(Strategy::OneForOne, 2, 3600);
        supervisor.child(ignoring("child1", Restart::Temporary));
        supervisor.child(plain("child2").temporary());
        let sup = t.start(supervisor).await.unwrap();
        assert_eq!(sup.rows_now().await, [("child2", Is(sup.pid_of("child2")))]);
        assert_eq!(sup.counts_now().await, [1, 1, 0, 1]);
    });
}

#[test]
fn sup_start_ignore_temporary_child_start_child() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let ignored = sup.add(ignoring("child1", Restart::Temporary)).await.unwrap();
        let child2 = sup.add(plain("child2").temporary()).await.unwrap();
        assert_eq!(sup.rows_now().await, [("child2", Is(t.pid(&child2)))]);
        assert_eq!(sup.counts_now().await, [1, 1, 0, 1]);
        assert!(ignored.is_closed(), "nobody is to come behind its address");
    });
}

/// Adds two children of one kind, as a template with one ignored start would have them.
async fn ignored_and_another(t: &Test, restart: Restart) -> Sup {
    let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
    sup.add(ignoring("1", restart)).await.unwrap();
    sup.add(plain("2").restart(restart)).await.unwrap();
    sup
}

#[test]
fn sup_start_ignore_temporary_child_start_child_simple() {
    case(async |t: Test| {
        let sup = ignored_and_another(&t, Restart::Temporary).await;
        assert_eq!(sup.rows_now().await, [("2", Is(sup.pid_of("2")))]);
        assert_eq!(sup.counts_now().await, [1, 1, 0, 1]);
    });
}

#[test]
fn sup_start_ignore_permanent_child_start_child_simple() {
    case(async |t: Test| {
        let sup = ignored_and_another(&t, Restart::Permanent).await;
        // Without a template the ignored child is kept, as in any one_for_one supervisor.
        assert_eq!(sup.rows_now().await, [("1", Undefined), ("2", Is(sup.pid_of("2")))]);
        assert_eq!(sup.counts_now().await, [2, 1, 0, 2]);
        t.shut_down(&sup).await;
    });
}
