//! Very many children at once: that they start and stop at all, and that none is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::serial;
use smol::future::yield_now;
use sockactors::runtime::{
    Child, Context, Outcome, Pool, StopReason, Strategy, Supervisor, System,
};

const MANY: usize = 100_000;

/// Counts a child as long as there is anything of it.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Counted {
        count.fetch_add(1, Ordering::SeqCst);
        Counted(count.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Lives until it is stopped.
async fn live(mut ctx: Context<()>, alive: Arc<AtomicUsize>) -> Outcome {
    let _counted = Counted::new(&alive);
    ctx.stopped().await;
    Ok(())
}

async fn until_all_live(alive: &AtomicUsize) {
    while alive.load(Ordering::SeqCst) < MANY {
        yield_now().await;
    }
}

#[test]
fn a_pool_of_a_hundred_thousand_starts_and_stops_and_nobody_is_left() {
    let _alone = serial::lock();
    let alive = Arc::new(AtomicUsize::new(0));
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool").limit(MANY));
    let (crowd, count) = (pool.clone(), alive.clone());
    let keeper = Child::new("keeper", move || {
        let (pool, alive) = (crowd.clone(), count.clone());
        async move |_: Context<()>| -> Outcome {
            for _ in 0..MANY {
                let alive = alive.clone();
                pool.start(move |ctx| live(ctx, alive)).await?;
            }
            until_all_live(&alive).await;
            assert!(pool.is_full());
            Ok(())
        }
    });
    tree.child(keeper.temporary().significant());
    assert_eq!(System::new().threads(2).run(tree).unwrap(), StopReason::Finished);
    assert_eq!((alive.load(Ordering::SeqCst), pool.len()), (0, 0));
}

#[test]
fn a_supervisor_of_a_hundred_thousand_starts_and_stops_and_nobody_is_left() {
    let _alone = serial::lock();
    let alive = Arc::new(AtomicUsize::new(0));
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let mut crew = Supervisor::new("crew", Strategy::OneForOne);
    let (address, count) = (crew.address(), alive.clone());
    tree.supervisor(crew);
    let keeper = Child::new("keeper", move || {
        let (crew, alive) = (address.clone(), count.clone());
        async move |_: Context<()>| -> Outcome {
            for number in 0..MANY {
                let alive = alive.clone();
                let make = move || {
                    let alive = alive.clone();
                    move |ctx| live(ctx, alive)
                };
                crew.add(Child::new(number.to_string(), make)).await?;
            }
            until_all_live(&alive).await;
            assert_eq!(crew.count().await?.active, MANY);
            Ok(())
        }
    });
    tree.child(keeper.temporary().significant());
    assert_eq!(System::new().run(tree).unwrap(), StopReason::Finished);
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}
