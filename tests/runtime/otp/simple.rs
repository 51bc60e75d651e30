//! The suite's group `restart_simple_one_for_one`.
//!
//! Pools restart no child. Children that are added and restarted at run time belong to a
//! one_for_one supervisor here, each with its own name.

use std::sync::Arc;

use sockactors::runtime::{Context, Outcome, Restart, Strategy};

use super::child::{Init, Say, Start, plain, starting};
use super::one_for_one::assert_gave_up;
use super::stop_dynamic::pool;
use super::supervisor_under_test::At::{Is, Undefined};
use super::support::{EndBy, NORMAL, Test, case, flags, seconds};

#[test]
fn simple_one_for_one() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let child1 = sup.add(plain("1")).await.unwrap();
        let child2 = sup.add(plain("2")).await.unwrap();
        let c2 = t.pid(&child2);
        let c1 = t.end(&child1, EndBy::Abnormal).await;
        assert_eq!(sup.rows().await, [("1", Is(t.pid(&child1))), ("2", Is(c2))]);
        assert_ne!(t.pid(&child1), c1);
        assert_eq!(sup.counts().await, [2, 2, 0, 2]);
        let pid = sup.pid();
        t.end(&child2, EndBy::Abnormal).await;
        sup.rows().await;
        t.end(&child1, EndBy::Abnormal).await;
        assert_gave_up(&t, pid, 2, "otp/sup/1 failed: died").await;
    });
}

#[test]
fn simple_one_for_one_extra() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 2, 3600)).await.unwrap();
        let child1 = sup.add(plain("1")).await.unwrap();
        let child2 = sup.add(plain("2")).await.unwrap();
        for child in [&child1, &child2] {
            assert_eq!(child.ask(seconds(1), Say::Extra).await, Ok(0));
        }
        let c2 = t.pid(&child2);
        t.end(&child1, EndBy::Abnormal).await;
        assert_eq!(child1.ask(seconds(1), Say::Extra).await, Ok(1));
        assert_eq!(sup.rows().await, [("1", Is(t.pid(&child1))), ("2", Is(c2))]);
        assert_eq!(sup.counts().await, [2, 2, 0, 2]);
        let pid = sup.pid();
        t.end(&child2, EndBy::Abnormal).await;
        sup.rows().await;
        t.end(&child1, EndBy::Abnormal).await;
        assert_gave_up(&t, pid, 2, "otp/sup/1 failed: died").await;
    });
}

#[test]
fn simple_one_for_one_escalation() {
    case(async |t: Test| {
        let sup = t.start(flags(Strategy::OneForOne, 4, 3600)).await.unwrap();
        let child1 = sup.add(starting("1", Start::FailLater)).await.unwrap();
        let child2 = sup.add(plain("2")).await.unwrap();
        let pids = [sup.pid(), t.pid(&child2)];
        t.end(&child1, EndBy::Abnormal).await;
        t.exited(pids).await;
        assert_gave_up(&t, pids[0], 4, "otp/sup/1 failed: no clause").await;
    });
}

/// Drops its start argument, and waits for the command to fail.
async fn forgetful(mut ctx: Context<Say>, held: Arc<Vec<u64>>) -> Outcome {
    drop(held);
    ctx.recv().await;
    Err("died".into())
}

#[test]
fn simple_one_for_one_corruption() {
    case(async |t: Test| {
        let (_sup, pool) = pool(&t, seconds(1)).await;
        let first = pool.start(super::child::member(super::child::End::Well)).await.unwrap();
        t.end(&first, EndBy::Abnormal).await;
        let zeros = Arc::new(vec![0u64; 50_000]);
        let held = zeros.clone();
        let second = pool.start(move |ctx| forgetful(ctx, held)).await.unwrap();
        t.settle().await;
        assert_eq!(Arc::strong_count(&zeros), 1, "the pool keeps nothing of a start");
        t.end(&second, EndBy::Abnormal).await;
        t.settle().await;
        assert!(pool.is_empty());
    });
}

#[test]
fn simple_one_for_one_restart_ignore() {
    case(async |t: Test| {
        for restart in [Restart::Transient, Restart::Permanent] {
            let sup = t.start(flags(Strategy::OneForOne, 10, 3600)).await.unwrap();
            let (sender, hellos) = async_channel::unbounded();
            let answer = async |init| {
                let ready: super::child::Ready = hellos.recv().await.unwrap();
                ready.answer.send(init).await.unwrap();
            };
            let child = starting("child1", Start::Handshake(sender)).restart(restart);
            let (child, ()) = futures_lite::future::zip(sup.add(child), answer(Init::Run)).await;
            let child = child.unwrap();
            assert_eq!(sup.rows().await, [("child1", Is(t.pid(&child)))]);
            let p1 = t.end(&child, EndBy::Kill).await;
            answer(Init::Run).await;
            assert_eq!(sup.rows().await, [("child1", Is(t.pid(&child)))]);
            let p2 = t.end(&child, EndBy::Kill).await;
            assert_ne!(p1, p2);
            answer(Init::Ignore).await;
            assert_eq!(child.monitor().await.unwrap().to_string(), NORMAL);
            // Kept, as in any one_for_one supervisor.
            assert_eq!(sup.rows().await, [("child1", Undefined)]);
            sup.remove("child1").await.unwrap();
            t.shut_down(&sup).await;
        }
    });
}
