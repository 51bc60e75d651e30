//! The suite's group `restart_one_for_one`.

use sockactors::runtime::Strategy;

use super::child::{Start, plain, starting};
use super::supervisor_under_test::At::Is;
use super::support::{EndBy, Test, case, flags};

#[test]
fn one_for_one() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let child1 = sup.add(plain("child1")).await.unwrap();
        let child2 = sup.add(plain("child2")).await.unwrap();
        let c2 = t.pid(&child2);
        let c1 = t.end(&child1, EndBy::Abnormal).await;
        assert_eq!(sup.rows().await, [("child1", Is(t.pid(&child1))), ("child2", Is(c2))]);
        assert_ne!(t.pid(&child1), c1);
        assert_eq!(sup.counts().await, [2, 2, 0, 2]);
        // The intensity is counted per supervisor, not per child.
        let pid = sup.pid();
        t.end(&child2, EndBy::Abnormal).await;
        sup.rows().await;
        t.end(&child1, EndBy::Abnormal).await;
        assert_gave_up(&t, pid, 2, "otp/sup/child1 failed: died").await;
    });
}

/// Waits for the exit of a supervisor that has given up.
pub async fn assert_gave_up(t: &Test, sup: super::incarnation_log::Pid, restarts: u32, last: &str) {
    let exit = t.exit(sup).await;
    let text = format!("gave up: more than {restarts} restarts within 3600s; last exit: {last}");
    assert_eq!(exit, text);
}

#[test]
fn one_for_one_escalation() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 4, 3600)).await.unwrap();
        let child1 = sup.add(starting("child1", Start::FailLater)).await.unwrap();
        let child2 = sup.add(plain("child2")).await.unwrap();
        let pids = [sup.pid(), t.pid(&child2)];
        t.end(&child1, EndBy::Abnormal).await;
        t.exited(pids).await;
        assert_gave_up(&t, pids[0], 4, "otp/sup/child1 failed: no clause").await;
        let attempts = t.log(|log| {
            log.told.iter().filter(|told| told.contains("child1 did not start")).count()
        });
        assert_eq!(attempts, 4, "each attempt counts");
    });
}
