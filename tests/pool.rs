//! Pools as their users meet them.

mod runtime_common;

use std::time::Duration;

use runtime_common::{Running, live};
use sockactors::runtime::{Context, Outcome, Pool, Strategy, Supervisor, System};

#[test]
fn a_pool_starts_counts_and_stops_its_children_within_its_limit() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool").limit(3));
    let mut run = Running::start_with(System::new().threads(2), tree);
    run.wait_for("t/pool started");
    smol::block_on(async {
        for _ in 0..2 {
            pool.start(live).await.unwrap();
        }
        let brittle = async |mut ctx: Context<()>| -> Outcome {
            ctx.recv().await;
            panic!("only me");
        };
        let brittle = pool.start(brittle).await.unwrap();
        assert!(pool.is_full());
        let mut fourth = Box::pin(pool.start(live));
        assert!(smol::future::poll_once(&mut fourth).await.is_none());
        brittle.send(()).await.unwrap();
        fourth.await.unwrap();
        assert_eq!(pool.len(), 3);
    });
    run.stop().unwrap();
    assert_eq!(run.seen_with(&["only me"]).len(), 1);
    assert_eq!(run.seen_with(&["stopped as asked"]).len(), 5);
    assert!(pool.is_empty());
    assert!(smol::block_on(pool.start(live)).is_err());
}

#[test]
fn a_pools_children_that_hang_are_dropped_together() {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool").shutdown(Duration::from_millis(5)));
    let mut run = Running::start(tree);
    run.wait_for("t/pool started");
    let hang = async |_: Context<()>| -> Outcome { smol::future::pending().await };
    for _ in 0..10 {
        smol::block_on(pool.start(hang)).unwrap();
    }
    run.stop().unwrap();
    assert_eq!(run.seen_with(&["killed"]).len(), 10);
    assert!(pool.is_empty());
}
