//! The suite's cases of many children: their count, and that none is left.

use sockactors::runtime::{Restart, Strategy, Supervisor};

use super::admin_simple::members;
use super::child::{End, member, plain};
use super::stop_dynamic::pool;
use super::support::{EndBy, Test, case_of, flags, seconds};

#[test]
fn count_children() {
    case_of(1, async |t: Test| {
        let (sup, pool) = pool(&t, seconds(1)).await;
        let mut children = Vec::new();
        for thousands in [1000, 2000] {
            for _ in 0..1000 {
                children.push(pool.start(member(End::Well)).await.unwrap());
            }
            let rows = members(&t, "sup/pool");
            assert_eq!((rows.len(), pool.len()), (thousands, thousands));
            assert_eq!(rows, children.iter().map(|child| t.pid(child)).collect::<Vec<_>>());
            assert_eq!(members(&t, "sup/pool"), rows, "the same when it is read again");
            assert_eq!(pool.len(), thousands);
        }
        for child in &children {
            t.end(child, EndBy::Kill).await;
        }
        pool.wait_idle().await;
        assert_eq!((members(&t, "sup/pool"), pool.len()), (vec![], 0));
        assert_eq!(sup.counts_now().await, [1, 1, 1, 0]);
    });
}

#[test]
fn count_children_supervisor() {
    case_of(1, async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let mut names = Vec::new();
        for thousands in [1000, 2000] {
            for _ in 0..1000 {
                names.push(names.len().to_string());
                let nested = Supervisor::new(names.len().to_string(), Strategy::OneForOne);
                sup.add_supervisor(nested.restart(Restart::Temporary)).await.unwrap();
            }
            assert_eq!(sup.counts_now().await, [thousands, thousands, thousands, 0]);
            let rows = sup.rows_now().await;
            assert_eq!(rows.0.len(), thousands);
            assert_eq!(sup.rows_now().await, rows, "the same when it is read again");
            assert_eq!(sup.counts_now().await, [thousands, thousands, thousands, 0]);
        }
        for k in 1..=names.len() {
            sup.terminate(&k.to_string()).await.unwrap();
        }
        assert_eq!(sup.counts_now().await, [0, 0, 0, 0]);
    });
}

#[test]
fn simple_one_for_one_scale_many_temporary_children() {
    // The suite compares times. Those are in the benchmark; this test checks that nothing is left.
    case_of(1, async |t: Test| {
        let (sup, pool) = pool(&t, seconds(1)).await;
        let mut children = Vec::new();
        for _ in 0..10_000 {
            children.push(pool.start(member(End::Well)).await.unwrap());
        }
        assert_eq!(pool.len(), 10_000);
        for child in &children {
            t.end(child, EndBy::Normal).await;
        }
        t.settle().await;
        assert!(pool.is_empty());
        t.shut_down(&sup).await;
    });
}

#[test]
fn scale_start_stop_many_children() {
    case_of(1, async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let many = 50_000;
        for k in 1..=many {
            sup.add(plain(&k.to_string())).await.unwrap();
        }
        assert_eq!(sup.counts_now().await, [many, many, 0, many]);
        for k in 1..=many {
            sup.terminate(&k.to_string()).await.unwrap();
        }
        assert_eq!(sup.counts_now().await, [many, 0, 0, many]);
    });
}
