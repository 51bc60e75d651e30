//! The suite's group `significant`, continued: groups, and supervisors that are significant
//! themselves.

use sockactors::runtime::{AutoShutdown, Strategy, Supervisor};

use super::child::plain;
use super::supervisor_under_test::{At::Is, Sup};
use super::support::{EndBy, NORMAL, SHUTDOWN, Test, case, seconds};

#[test]
fn significant_bystander() {
    case(async |t: Test| {
        for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
            for auto in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
                let supervisor = Supervisor::new("sup", strategy).auto_shutdown(auto);
                let sup = t.start(supervisor.intensity(5, seconds(5))).await.unwrap();
                let one = sup.add(plain("child1").transient().significant()).await.unwrap();
                let two = sup.add(plain("child2").transient()).await.unwrap();
                let three = sup.add(plain("child3").transient().significant()).await.unwrap();
                let pids = [t.pid(&one), t.pid(&two), t.pid(&three)];
                let [c1, c2, c3] = pids;
                let rows = [("child1", Is(c1)), ("child2", Is(c2)), ("child3", Is(c3))];
                assert_eq!(sup.rows_now().await, rows);
                t.end(&two, EndBy::Kill).await;
                let (ended, lives) = match strategy {
                    Strategy::OneForOne => (vec![c2], vec![c1, c3]),
                    Strategy::OneForAll => (vec![c1, c2, c3], vec![]),
                    Strategy::RestForOne => (vec![c2, c3], vec![c1]),
                };
                t.exited(ended).await;
                t.not_exited(lives).await;
                // A child that the supervisor stopped does not end it.
                t.not_exited([sup.pid()]).await;
                assert_eq!(sup.counts().await, [3, 3, 0, 3]);
                t.shut_down(&sup).await;
            }
        }
    });
}

#[test]
fn significant_escalation() {
    case(async |t: Test| {
        for significant in [true, false] {
            let any = |name| {
                let supervisor = Supervisor::new(name, Strategy::OneForOne);
                supervisor.auto_shutdown(AutoShutdown::AnySignificant)
            };
            let outer = t.start(any("sup")).await.unwrap();
            let mut nested = any("sup1").restart(sockactors::runtime::Restart::Transient);
            let inner = Sup { test: t.clone(), address: nested.address() };
            let nested = if significant { nested.significant() } else { nested };
            outer.add_supervisor(nested).await.unwrap();
            let worker = inner.add(plain("child1").transient().significant()).await.unwrap();
            let pids = [t.pid(&worker), inner.pid(), outer.pid()];
            t.end(&worker, EndBy::Normal).await;
            t.exited([pids[0], pids[1]]).await;
            assert_eq!(t.exit(pids[1]).await, NORMAL);
            if significant {
                assert_eq!(t.exit(pids[2]).await, NORMAL);
            } else {
                t.not_exited([pids[2]]).await;
                t.shut_down(&outer).await;
                assert_eq!(t.exit(pids[2]).await, SHUTDOWN);
            }
        }
    });
}
