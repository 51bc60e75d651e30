//! The suite's cases of many children: their count, and how long it takes to be rid of them.

use std::time::{Duration, Instant};

use sockactors::runtime::{AdminError, Restart, Strategy, Supervisor};

use super::admin_simple::members;
use super::child::{End, member, plain};
use super::kit::{How, Test, case_of, flags, seconds};
use super::stop_dynamic::pool;

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
            t.end(child, How::Kill).await;
        }
        pool.idle().await;
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

/// Returns how long `count` children of a pool take to end, one after the other.
async fn time_to_end(t: &Test, count: usize) -> Duration {
    let (sup, pool) = pool(t, seconds(1)).await;
    let mut children = Vec::new();
    for _ in 0..count {
        children.push(pool.start(member(End::Well)).await.unwrap());
    }
    let begun = Instant::now();
    for child in &children {
        t.end(child, How::Normal).await;
    }
    let time = begun.elapsed();
    t.settle().await;
    assert!(pool.is_empty());
    t.shut_down(&sup).await;
    time
}

#[test]
fn simple_one_for_one_scale_many_temporary_children() {
    case_of(1, async |t: Test| {
        // Ten times a thousand, so that whoever else has the processor holds up both alike.
        let mut few = Duration::ZERO;
        for _ in 0..10 {
            few += time_to_end(&t, 1000).await;
        }
        let many = time_to_end(&t, 10_000).await;
        assert!(many / 5 <= few, "10 times 1000 took {few:?}, and 10000 {many:?}");
    });
}

/// Returns how long it takes to start the children of these numbers, and to stop them.
async fn time_to_start_and_stop(sup: &super::sup::Sup, count: usize) -> (Duration, Duration) {
    let begun = Instant::now();
    for k in 1..=count {
        match sup.add(plain(&k.to_string())).await {
            Ok(_) | Err(AdminError::AlreadyPresent) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let started = begun.elapsed();
    for k in 1..=count {
        sup.terminate(&k.to_string()).await.unwrap();
    }
    (started, begun.elapsed() - started)
}

#[test]
fn scale_start_stop_many_children() {
    case_of(1, async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let (few, many) = (1000, 50_000);
        let (start_few, stop_few) = time_to_start_and_stop(&sup, few).await;
        let (start_many, stop_many) = time_to_start_and_stop(&sup, many).await;
        let most = u32::try_from(10 * many / few).unwrap();
        assert!(start_many / most <= start_few, "{start_few:?}, and then {start_many:?}");
        assert!(stop_many / most <= stop_few, "{stop_few:?}, and then {stop_many:?}");
        assert_eq!(sup.counts_now().await, [many, 0, 0, many]);
    });
}
