//! The suite's group `abnormal_termination`.

use sockactors::runtime::{Restart, Strategy};

use super::child::plain;
use super::incarnation_log::Pid;
use super::supervisor_under_test::{At::Is, Sup};
use super::support::{EndBy, Test, case, flags};

/// Starts a child and makes it fail.
async fn failed(t: &Test, restart: Restart, how: EndBy) -> (Sup, Pid) {
    let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
    let child = sup.add(plain("child1").restart(restart)).await.unwrap();
    let pid = t.end(&child, how).await;
    (sup, pid)
}

/// Checks that a child of this kind is restarted.
fn is_restarted(restart: Restart) {
    case(move |t: Test| async move {
        for how in [EndBy::Abnormal, EndBy::Kill] {
            let (sup, old) = failed(&t, restart, how).await;
            let rows = sup.rows().await;
            let new = sup.pid_of("child1");
            assert_eq!(rows, [("child1", Is(new))]);
            assert_ne!(new, old);
            assert_eq!(sup.counts().await, [1, 1, 0, 1]);
            t.shut_down(&sup).await;
        }
    });
}

#[test]
fn permanent_abnormal() {
    is_restarted(Restart::Permanent);
}

#[test]
fn transient_abnormal() {
    is_restarted(Restart::Transient);
}

#[test]
fn temporary_abnormal() {
    case(async |t: Test| {
        for how in [EndBy::Abnormal, EndBy::Kill] {
            let (sup, _) = failed(&t, Restart::Temporary, how).await;
            assert_eq!(sup.rows_now().await, []);
            assert_eq!(sup.counts_now().await, [0, 0, 0, 0]);
            t.shut_down(&sup).await;
        }
    });
}
