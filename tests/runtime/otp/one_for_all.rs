//! The suite's group `restart_one_for_all`.

use async_channel::Receiver;
use sockactors::runtime::{Address, Strategy};

use super::child::{Init, Ready, Say, Start, plain, starting};
use super::one_for_one::assert_gave_up;
use super::supervisor_under_test::{At::Is, Sup};
use super::support::{EndBy, SHUTDOWN, Test, case, flags, seconds};

#[test]
fn one_for_all() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForAll, 2, 3600)).await.unwrap();
        let child1 = sup.add(plain("child1")).await.unwrap();
        let child2 = sup.add(plain("child2")).await.unwrap();
        let c2 = t.pid(&child2);
        let c1 = t.end(&child1, EndBy::Abnormal).await;
        t.exited([c2]).await;
        assert_eq!(t.exit(c2).await, SHUTDOWN);
        let rows = sup.rows().await;
        assert_eq!(rows, [("child1", Is(t.pid(&child1))), ("child2", Is(t.pid(&child2)))]);
        assert!(![c1, c2].contains(&t.pid(&child1)) && ![c1, c2].contains(&t.pid(&child2)));
        assert_eq!(sup.counts().await, [2, 2, 0, 2]);
        let pid = sup.pid();
        t.end(&child1, EndBy::Abnormal).await;
        sup.rows().await;
        t.end(&child1, EndBy::Abnormal).await;
        assert_gave_up(&t, pid, 2, "otp/sup/child1 failed: died").await;
    });
}

#[test]
fn one_for_all_escalation() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForAll, 4, 3600)).await.unwrap();
        let child1 = sup.add(plain("child1")).await.unwrap();
        let child2 = sup.add(starting("child2", Start::FailLater)).await.unwrap();
        let pids = [t.pid(&child2), sup.pid()];
        t.end(&child1, EndBy::Abnormal).await;
        t.exited(pids).await;
        assert_gave_up(&t, pids[1], 4, "otp/sup/child2 failed: no clause").await;
    });
}

/// A supervisor whose two children wait for a command in their start.
pub struct Handshaking {
    pub sup: Sup,
    pub children: [Address<Say>; 2],
    hellos: Receiver<Ready>,
}

impl Handshaking {
    /// Starts both below a supervisor with a backoff of at most this many seconds.
    pub async fn start(t: &Test, strategy: Strategy, pause: u64) -> Handshaking {
        let (sender, hellos) = async_channel::unbounded();
        let mut supervisor = flags(strategy, 3, 3600).backoff(seconds(pause), seconds(pause));
        let children = ["child1", "child2"]
            .map(|name| supervisor.child(starting(name, Start::Handshake(sender.clone()))));
        let shaken = async {
            for name in ["child1", "child2"] {
                let ready: Ready = hellos.recv().await.unwrap();
                assert_eq!(ready.name, name);
                ready.answer.send(Init::Run).await.unwrap();
            }
        };
        let (sup, ()) = futures_lite::future::zip(t.start(supervisor), shaken).await;
        Handshaking { sup: sup.unwrap(), children, hellos }
    }

    /// Waits for the next report, which must be this child's.
    pub async fn ready(&self, name: &str) -> Ready {
        let ready = self.hellos.recv().await.unwrap();
        assert_eq!(ready.name, name);
        ready
    }

    pub async fn shake(&self, name: &str, init: Init) {
        self.ready(name).await.answer.send(init).await.unwrap();
    }
}

#[test]
fn one_for_all_other_child_fails_restart() {
    case(async |t: Test| {
        for pause in [0, 4] {
            let pair = Handshaking::start(&t, Strategy::OneForAll, pause).await;
            t.end(&pair.children[0], EndBy::Abnormal).await;
            pair.shake("child1", Init::Run).await;
            t.settle().await;
            let restarted = t.pid(&pair.children[0]);
            pair.shake("child2", Init::Fail).await;
            // The restarted child is stopped with the other before any child starts.
            if pause > 0 {
                t.settle().await;
                assert_eq!(t.exit_now(restarted).as_deref(), Some(SHUTDOWN));
            }
            let ready = pair.ready("child1").await;
            assert_eq!(t.exit_now(restarted).as_deref(), Some(SHUTDOWN));
            ready.answer.send(Init::Run).await.unwrap();
            pair.shake("child2", Init::Run).await;
            let rows = pair.sup.rows().await;
            let pids = [t.pid(&pair.children[0]), t.pid(&pair.children[1])];
            assert_eq!(rows, [("child1", Is(pids[0])), ("child2", Is(pids[1]))]);
            t.shut_down(&pair.sup).await;
            t.exited(pids).await;
        }
    });
}
