//! The suite's cases of a naughty child and of a tree of supervisors.

use sockactors::runtime::{Restart, Strategy, Supervisor, SupervisorAddress};

use super::child::{End, Start, ending, plain, starting};
use super::supervisor_under_test::At::Is;
use super::supervisor_under_test::Sup;
use super::support::{EndBy, KILLED, Test, case, flags, seconds};

/// A supervisor that allows 4 restarts in an hour.
pub fn inner(name: &'static str, strategy: Strategy) -> Supervisor {
    Supervisor::new(name, strategy).intensity(4, seconds(3600))
}

#[test]
fn child_unlink() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let naughty = sup.add(ending("naughty_child", End::Never)).await.unwrap();
        let pid = t.pid(&naughty);
        let begun = t.clock.now();
        sup.terminate("naughty_child").await.unwrap();
        assert_eq!(t.clock.now() - begun, seconds(1), "it had its second");
        assert_eq!(t.exit(pid).await, KILLED);
        // Its supervisor answers other requests.
        sup.add(plain("well")).await.unwrap();
        assert_eq!(sup.counts_now().await, [2, 1, 0, 2]);
    });
}

/// A supervisor below the top of the tree, as the test sees it.
fn below(t: &Test, address: &SupervisorAddress) -> Sup {
    Sup { test: t.clone(), address: address.clone() }
}

#[test]
fn tree() {
    case(async |t: Test| {
        let top = t.start(flags(Strategy::OneForAll, 4, 3600)).await.unwrap();
        let [mut one, mut two, mut three] =
            ["supchild1", "supchild2", "supchild3"].map(|name| inner(name, Strategy::OneForOne));
        let [sup1, sup2, sup3] =
            [&mut one, &mut two, &mut three].map(|nested| below(&t, &nested.address()));
        one.child(plain("child1"));
        one.child(plain("child2"));
        top.add_supervisor(one).await.unwrap();
        top.add_supervisor(two).await.unwrap();
        top.add_supervisor(three.restart(Restart::Transient)).await.unwrap();
        top.terminate("supchild3").await.unwrap();
        assert_eq!(top.counts_now().await, [3, 2, 3, 0]);
        let first = sup1.rows_now().await;
        let (c1, c2) = (sup1.pid_of("child1"), sup1.pid_of("child2"));
        assert_eq!(first, [("child1", Is(c1)), ("child2", Is(c2))]);
        assert_eq!(sup1.counts_now().await, [2, 2, 0, 2]);
        assert_eq!(sup2.counts_now().await, [0, 0, 0, 0]);

        let child3 = sup2.add(starting("child3", Start::FailLater)).await.unwrap();
        let child4 = sup2.add(plain("child4")).await.unwrap();
        assert_eq!(sup1.counts_now().await, [2, 2, 0, 2]);
        assert_eq!(sup2.counts_now().await, [2, 2, 0, 2]);
        let c3 = t.pid(&child3);

        // A child that can be restarted affects no other child.
        let c4 = t.end(&child4, EndBy::Abnormal).await;
        let rows = sup2.rows().await;
        assert_eq!(rows, [("child3", Is(c3)), ("child4", Is(t.pid(&child4)))]);
        assert_ne!(t.pid(&child4), c4);
        assert_eq!(sup2.counts().await, [2, 2, 0, 2]);
        assert_eq!(sup1.rows_now().await, first);

        // One that cannot ends its supervisor, and that ends the whole tree.
        let old = [sup1.pid(), sup2.pid()];
        t.end(&child3, EndBy::Abnormal).await;
        t.clock.sleep(seconds(1)).await;
        t.exited(old).await;
        let rows = ["supchild1", "supchild2", "supchild3"].map(|name| (name, Is(top.pid_of(name))));
        assert_eq!(top.rows().await, rows);
        assert_eq!(top.counts().await, [3, 3, 3, 0]);
        let rows = sup1.rows().await;
        assert_eq!(
            rows,
            [("child1", Is(sup1.pid_of("child1"))), ("child2", Is(sup1.pid_of("child2")))]
        );
        assert!(rows != first && sup1.counts().await == [2, 2, 0, 2]);
        for sup in [sup2, sup3] {
            assert_eq!(sup.rows().await, []);
            assert_eq!(sup.counts().await, [0, 0, 0, 0]);
        }
        assert!(child3.is_closed() && child4.is_closed(), "who was added is lost");
        let tree = t.handle.tree().unwrap().to_string();
        assert!(tree.contains("child2") && !tree.contains("child4"), "{tree}");
    });
}
