//! The suite's group `restart_rest_for_one`.

use sockactors::runtime::Strategy;

use super::child::{Init, Start, plain, starting};
use super::one_for_all::Handshaking;
use super::one_for_one::assert_gave_up;
use super::supervisor_under_test::At::Is;
use super::support::{EndBy, SHUTDOWN, Test, case, flags};

#[test]
fn rest_for_one() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::RestForOne, 2, 3600)).await.unwrap();
        let child1 = sup.add(plain("child1")).await.unwrap();
        let child2 = sup.add(plain("child2")).await.unwrap();
        let child3 = sup.add(plain("child3")).await.unwrap();
        assert_eq!(sup.counts_now().await, [3, 3, 0, 3]);
        let (c1, c3) = (t.pid(&child1), t.pid(&child3));
        let c2 = t.end(&child2, EndBy::Abnormal).await;
        assert_eq!(t.exit(c3).await, SHUTDOWN);
        let rows = sup.rows().await;
        let (new2, new3) = (t.pid(&child2), t.pid(&child3));
        assert_eq!(rows, [("child1", Is(c1)), ("child2", Is(new2)), ("child3", Is(new3))]);
        assert!(new2 != c2 && new3 != c3);
        assert_eq!(sup.counts().await, [3, 3, 0, 3]);
        let pid = sup.pid();
        t.end(&child3, EndBy::Abnormal).await;
        let rows = sup.rows().await;
        assert_eq!(
            rows,
            [("child1", Is(c1)), ("child2", Is(new2)), ("child3", Is(t.pid(&child3)))]
        );
        t.end(&child2, EndBy::Abnormal).await;
        assert_gave_up(&t, pid, 2, "otp/sup/child2 failed: died").await;
    });
}

#[test]
fn rest_for_one_escalation() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::RestForOne, 4, 3600)).await.unwrap();
        let child1 = sup.add(plain("child1")).await.unwrap();
        let child2 = sup.add(starting("child2", Start::FailLater)).await.unwrap();
        let pids = [t.pid(&child2), sup.pid()];
        t.end(&child1, EndBy::Abnormal).await;
        t.exited(pids).await;
        assert_gave_up(&t, pids[1], 4, "otp/sup/child2 failed: no clause").await;
    });
}

#[test]
fn rest_for_one_other_child_fails_restart() {
    case(async |t: Test| {
        let pair = Handshaking::start(&t, Strategy::RestForOne, 0).await;
        t.end(&pair.children[0], EndBy::Abnormal).await;
        pair.shake("child1", Init::Run).await;
        pair.shake("child2", Init::Fail).await;
        let restarted = t.pid(&pair.children[0]);
        // The next one is not the first child, which was restarted successfully.
        pair.shake("child2", Init::Run).await;
        let rows = [("child1", Is(restarted)), ("child2", Is(settled(&t, &pair).await))];
        assert_eq!(pair.sup.rows().await, rows);
        t.shut_down(&pair.sup).await;
        assert_eq!(t.exit(restarted).await, SHUTDOWN);
    });
}

async fn settled(t: &Test, pair: &Handshaking) -> usize {
    t.settle().await;
    t.pid(&pair.children[1])
}
