//! The suite's cases of administration with `simple_one_for_one`, for pools.
//!
//! A pool only starts children. They have numbers, and end by themselves or with the pool. The tree
//! shows them.

use sockactors::runtime::{AdminError, PoolClosed, Snapshot, Strategy, Supervisor};

use super::admin::refused;
use super::child::{End, member, plain};
use super::incarnation_log::Pid;
use super::stop_dynamic::pool;
use super::support::{EndBy, Test, case, seconds};

/// Lists the running children of a pool, as the tree shows them.
pub fn members(t: &Test, pool: &str) -> Vec<Pid> {
    fn find<'a>(tree: &'a Snapshot, path: &str) -> Option<&'a Snapshot> {
        let mut below = tree.children.iter();
        if tree.path.matches(path) { Some(tree) } else { below.find_map(|child| find(child, path)) }
    }
    let tree = t.handle.tree().unwrap();
    let pool = find(&tree, pool).expect("there is no such pool");
    let paths = pool.children.iter().map(|child| child.path.to_string());
    paths.map(|path| t.log(|log| log.alive(&path)).unwrap()).collect()
}

#[test]
fn child_adm_simple() {
    case(async |t: Test| {
        let (foo, closed) = pool(&t, seconds(1)).await;
        t.shut_down(&foo).await;
        let (sup, pool) = pool(&t, seconds(1)).await;
        assert_eq!(members(&t, "sup/pool"), []);
        assert_eq!(pool.len(), 0);
        assert_eq!(closed.start(member(End::Well)).await.unwrap_err(), PoolClosed);

        let child1 = pool.start(member(End::Well)).await.unwrap();
        let c1 = t.pid(&child1);
        assert_eq!((members(&t, "sup/pool"), pool.len()), (vec![c1], 1));
        let child2 = pool.start(member(End::Well)).await.unwrap();
        let c2 = t.pid(&child2);
        assert_eq!((members(&t, "sup/pool"), pool.len()), (vec![c1, c2], 2));

        // Their supervisor knows the pool, but none of its children.
        refused!(sup.terminate("0"), AdminError::NotFound);
        assert_eq!(pool.len(), 2);
        t.end(&child1, EndBy::Kill).await;
        t.exited([c1]).await;
        assert_eq!((members(&t, "sup/pool"), pool.len()), (vec![c2], 1));
        assert!(child1.is_closed());
        assert!(child1.send(super::child::Say::Stop).await.is_err(), "to an ended child");
        assert_eq!((members(&t, "sup/pool"), pool.len()), (vec![c2], 1));

        let elsewhere = t.start(Supervisor::new("elsewhere", Strategy::OneForOne)).await.unwrap();
        let other = t.pid(&elsewhere.add(plain("other")).await.unwrap());
        refused!(sup.terminate("other"), AdminError::NotFound);
        t.not_exited([other]).await;
        refused!(sup.restart("0"), AdminError::NotFound);
        refused!(sup.remove("0"), AdminError::NotFound);
        assert_eq!(sup.counts_now().await, [1, 1, 1, 0], "the pool itself");
    });
}

#[test]
fn which_children_simple_one_for_one() {
    case(async |t: Test| {
        let (sup, pool) = pool(&t, seconds(1)).await;
        assert_eq!(members(&t, "sup/pool"), []);
        let child1 = pool.start(member(End::Well)).await.unwrap();
        let c1 = t.pid(&child1);
        assert_eq!(members(&t, "sup/pool"), [c1]);
        assert_eq!(child1.monitor().path().unwrap().to_string(), "otp/sup/pool/0");
        let child2 = pool.start(member(End::Well)).await.unwrap();
        let c2 = t.pid(&child2);
        assert_eq!(members(&t, "sup/pool"), [c1, c2], "the oldest first");
        t.end(&child1, EndBy::Normal).await;
        t.exited([c1]).await;
        assert_eq!(members(&t, "sup/pool"), [c2]);
        refused!(sup.child("0"), AdminError::NotFound);
    });
}
