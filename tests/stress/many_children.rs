//! A hundred thousand children at once start and stop, and none is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::serial;
use smol::future::yield_now;
use sockactors::runtime::{
    Child, Context, Outcome, Pool, StopReason, Strategy, Supervisor, System,
};

const CHILDREN: usize = 100_000;

/// Counts a child while any of its state exists.
struct CountGuard(Arc<AtomicUsize>);

impl CountGuard {
    fn new(count: &Arc<AtomicUsize>) -> CountGuard {
        count.fetch_add(1, Ordering::SeqCst);
        CountGuard(count.clone())
    }
}

impl Drop for CountGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An actor that runs until it is stopped.
async fn wait_for_stop(mut ctx: Context<()>, alive: Arc<AtomicUsize>) -> Outcome {
    let _guard = CountGuard::new(&alive);
    ctx.stopped().await;
    Ok(())
}

async fn wait_until_all_run(alive: &AtomicUsize) {
    while alive.load(Ordering::SeqCst) < CHILDREN {
        yield_now().await;
    }
}

#[test]
fn pool_of_100_000_starts_and_stops() {
    let _serial = serial::lock();
    let alive = Arc::new(AtomicUsize::new(0));
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool").limit(CHILDREN));
    let (shared_pool, count) = (pool.clone(), alive.clone());
    let starter = Child::new("starter", move || {
        let (pool, alive) = (shared_pool.clone(), count.clone());
        async move |_: Context<()>| -> Outcome {
            for _ in 0..CHILDREN {
                let alive = alive.clone();
                pool.start(move |ctx| wait_for_stop(ctx, alive)).await?;
            }
            wait_until_all_run(&alive).await;
            assert!(pool.is_full());
            Ok(())
        }
    });
    tree.child(starter.temporary().significant());
    assert_eq!(System::new().threads(2).run(tree).unwrap(), StopReason::Finished);
    assert_eq!((alive.load(Ordering::SeqCst), pool.len()), (0, 0));
}

#[test]
fn supervisor_of_100_000_starts_and_stops() {
    let _serial = serial::lock();
    let alive = Arc::new(AtomicUsize::new(0));
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let mut group = Supervisor::new("group", Strategy::OneForOne);
    let (address, count) = (group.address(), alive.clone());
    tree.supervisor(group);
    let starter = Child::new("starter", move || {
        let (group, alive) = (address.clone(), count.clone());
        async move |_: Context<()>| -> Outcome {
            for number in 0..CHILDREN {
                let alive = alive.clone();
                let make = move || {
                    let alive = alive.clone();
                    move |ctx| wait_for_stop(ctx, alive)
                };
                group.add(Child::new(number.to_string(), make)).await?;
            }
            wait_until_all_run(&alive).await;
            assert_eq!(group.count().await?.active, CHILDREN);
            Ok(())
        }
    });
    tree.child(starter.temporary().significant());
    assert_eq!(System::new().run(tree).unwrap(), StopReason::Finished);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}
