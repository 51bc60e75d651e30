//! The suite's cases of what a supervisor keeps of temporary children.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sockactors::runtime::{AdminError, Child, Context, Outcome, Restart, Strategy};

use super::admin::refused;
use super::child::plain;
use super::stop_dynamic::pool;
use super::supervisor_under_test::At::Is;
use super::support::{EndBy, Test, case, flags, millis, seconds, within};

const STRATEGIES: [Strategy; 3] = [Strategy::OneForAll, Strategy::OneForOne, Strategy::RestForOne];

/// A start argument that counts its copies.
struct LargeList(Arc<AtomicUsize>);

impl LargeList {
    fn new(count: &Arc<AtomicUsize>) -> Arc<LargeList> {
        count.fetch_add(1, Ordering::SeqCst);
        Arc::new(LargeList(count.clone()))
    }
}

impl Drop for LargeList {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Drops its start argument at once, and then ends by itself or with its supervisor.
async fn brief(mut ctx: Context<()>, list: Arc<LargeList>, lasts: bool) -> Outcome {
    drop(list);
    if lasts {
        ctx.stopped().await;
    }
    Ok(())
}

/// Starts 100 children, which end unless they are permanent, and returns the number of kept start
/// arguments.
async fn kept(t: &Test, strategy: Strategy, restart: Restart) -> usize {
    let count = Arc::new(AtomicUsize::new(0));
    let sup = t.start(flags(strategy, 2, 3600)).await.unwrap();
    let lasts = restart == Restart::Permanent;
    for k in (1..=100).rev() {
        let list = LargeList::new(&count);
        let child = Child::new(format!("child{k}"), move || {
            let list = list.clone();
            move |ctx| brief(ctx, list, lasts)
        });
        sup.address.add(child.restart(restart)).await.unwrap();
    }
    t.settle().await;
    let kept = count.load(Ordering::SeqCst);
    assert_eq!(sup.counts_now().await, [kept, if lasts { kept } else { 0 }, 0, kept]);
    t.shut_down(&sup).await;
    kept
}

#[test]
fn do_not_save_start_parameters_for_temporary_children() {
    case(async |t: Test| {
        for strategy in STRATEGIES {
            assert_eq!(kept(&t, strategy, Restart::Permanent).await, 100);
            assert_eq!(kept(&t, strategy, Restart::Transient).await, 100);
            assert_eq!(kept(&t, strategy, Restart::Temporary).await, 0);
        }
        // A pool passes the start arguments on and keeps none, even while the children run.
        let (sup, pool) = pool(&t, seconds(1)).await;
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..100 {
            let list = LargeList::new(&count);
            pool.start(move |ctx| brief(ctx, list, true)).await.unwrap();
        }
        t.settle().await;
        assert_eq!((pool.len(), count.load(Ordering::SeqCst)), (100, 0));
        t.shut_down(&sup).await;
    });
}

/// Ends a child that was just added, and checks its specification.
async fn ended(t: &Test, strategy: Strategy, how: EndBy) {
    let sup = t.start(flags(strategy, 2, 3600)).await.unwrap();
    let supervised = how == EndBy::Supervisor;
    let cases = [
        ("child1", Restart::Permanent, supervised),
        ("child2", Restart::Transient, supervised || how == EndBy::Normal),
    ];
    for (name, restart, rests) in cases {
        let child = sup.add(plain(name).restart(restart)).await.unwrap();
        sup.end(name, &child, how).await;
        sup.rows().await;
        if rests {
            refused!(sup.add(plain(name).restart(restart)), AdminError::AlreadyPresent);
            sup.restart(name).await.unwrap();
        } else {
            refused!(sup.add(plain(name).restart(restart)), AdminError::AlreadyStarted);
        }
    }
    let child = sup.add(plain("child3").temporary()).await.unwrap();
    sup.end("child3", &child, how).await;
    sup.add(plain("child3").temporary()).await.unwrap();
    t.shut_down(&sup).await;
}

#[test]
fn do_not_save_child_specs_for_temporary_children() {
    case(async |t: Test| {
        for how in [EndBy::Kill, EndBy::Normal, EndBy::Abnormal, EndBy::Supervisor] {
            for strategy in STRATEGIES {
                ended(&t, strategy, how).await;
            }
        }
    });
}

#[test]
fn temporary_bystander() {
    case(async |t: Test| {
        for strategy in [Strategy::OneForAll, Strategy::RestForOne] {
            let sup = t.start(flags(strategy, 2, 300)).await.unwrap();
            let child1 = sup.add(plain("child1").shutdown(within(100))).await.unwrap();
            let child2 = plain("child2").temporary().shutdown(within(100));
            let child2 = sup.add(child2).await.unwrap();
            let c2 = t.pid(&child2);
            t.end(&child1, EndBy::Normal).await;
            t.clock.sleep(millis(350)).await;
            t.exited([c2]).await;
            assert_eq!(sup.rows_now().await, [("child1", Is(t.pid(&child1)))]);
            assert!(child2.is_closed());
            t.not_exited([sup.pid()]).await;
            t.shut_down(&sup).await;
        }
    });
}
