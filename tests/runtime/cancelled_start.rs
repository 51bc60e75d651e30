//! The effect on other children when a start is cancelled, or fails repeatedly.

use std::time::Duration;

use sockactors::runtime::{
    Actor, Child, Context, NodeState, Outcome, Strategy, Supervisor, SupervisorAddress,
};
use sockactors::testing::Simulation;

const SEEDS: u64 = 50;
const SECOND: Duration = Duration::from_secs(1);

async fn live(mut ctx: Context<()>) -> Outcome {
    ctx.stopped().await;
    Ok(())
}

/// Fails at its only message.
async fn brittle(mut ctx: Context<()>) -> Outcome {
    match ctx.recv().await {
        Some(()) => Err("as you say".into()),
        None => Ok(()),
    }
}

/// Takes two seconds to start and fails, except the first time if `starts_once`.
fn slow(name: &'static str, starts_once: bool) -> Child<impl Actor<Message = ()>> {
    let child = Child::new(name, move || {
        async move |mut ctx: Context<()>| -> Outcome {
            let is_first = ctx.address().len() == 1;
            if starts_once && is_first {
                ctx.ready();
                ctx.recv().await;
                return Err("at once".into());
            }
            ctx.sleep(2 * SECOND).await;
            Err("it cannot start".into())
        }
    });
    child.ready_within(None)
}

async fn states(shop: &SupervisorAddress) -> Vec<(String, NodeState)> {
    let children = shop.children().await.unwrap();
    children.into_iter().map(|child| (child.name, child.state)).collect()
}

fn rows<const N: usize>(rows: [(&str, NodeState); N]) -> Vec<(String, NodeState)> {
    rows.into_iter().map(|(name, state)| (name.to_owned(), state)).collect()
}

/// Runs `shop` beside a driver that administers it through its address.
fn run<F>(
    shop: impl Fn() -> Supervisor,
    work: impl Fn(SupervisorAddress, Context<()>) -> F + Clone + Send + Sync + 'static,
) where
    F: Future<Output = ()> + Send,
{
    for seed in 0..SEEDS {
        let mut tree = Supervisor::new("tree", Strategy::OneForOne).intensity(0, SECOND);
        let (mut shop, work) = (shop(), work.clone());
        let address = shop.address();
        let worker = Child::new("worker", move || {
            let (address, work) = (address.clone(), work.clone());
            async move |ctx: Context<()>| -> Outcome {
                work(address, ctx).await;
                Ok(())
            }
        });
        tree.child(worker.transient().significant());
        tree.supervisor(shop);
        let ended = Simulation::new(seed).run(tree);
        assert!(ended.is_ok(), "seed {seed}: {ended:?}");
    }
}

#[test]
fn cancelled_child_does_not_stop_first_start() {
    let shop = || {
        let mut shop = Supervisor::new("shop", Strategy::OneForAll);
        shop.child(slow("store", false));
        shop.child(Child::new("clerk", || live));
        shop
    };
    run(shop, async |shop: SupervisorAddress, ctx: Context<()>| {
        ctx.sleep(SECOND).await;
        shop.terminate("store").await.unwrap();
        ctx.sleep(SECOND).await;
        let expected = rows([("store", NodeState::Idle), ("clerk", NodeState::Running)]);
        assert_eq!(states(&shop).await, expected);
    });
}

/// A shop whose store fails every restart after two seconds, with a clerk behind it.
fn closing(strategy: Strategy) -> Supervisor {
    let mut shop = Supervisor::new("shop", strategy).intensity(1000, SECOND);
    shop.child(slow("store", true)).try_send(()).unwrap();
    shop.child(Child::new("clerk", || brittle));
    shop
}

#[test]
fn cancelled_restart_does_not_block_added_child() {
    run(
        || closing(Strategy::RestForOne),
        async |shop: SupervisorAddress, ctx: Context<()>| {
            ctx.sleep(SECOND).await;
            let add = shop.add(Child::new("guest", || live));
            let end = async {
                ctx.sleep(SECOND / 2).await;
                shop.terminate("store").await
            };
            let (added, ended) = futures_lite::future::zip(add, end).await;
            assert!(added.is_ok() && ended.is_ok(), "{added:?}, {ended:?}");
            let expected = [
                ("store", NodeState::Idle),
                ("clerk", NodeState::Idle),
                ("guest", NodeState::Running),
            ];
            assert_eq!(states(&shop).await, rows(expected));
        },
    );
}

#[test]
fn failing_start_blocks_no_other_child() {
    let shop = || {
        let mut shop = Supervisor::new("shop", Strategy::OneForOne).intensity(1000, SECOND);
        shop.child(slow("store", true)).try_send(()).unwrap();
        let clerk = shop.child(Child::new("clerk", || brittle));
        // It receives the message to fail while the store starts.
        shop.child(Child::new("thief", move || {
            let clerk = clerk.clone();
            async move |mut ctx: Context<()>| -> Outcome {
                ctx.sleep_unless_stopped(SECOND).await;
                clerk.send(()).await?;
                ctx.stopped().await;
                Ok(())
            }
        }));
        shop
    };
    run(shop, async |shop: SupervisorAddress, ctx: Context<()>| {
        ctx.sleep(3 * SECOND).await;
        let clerk = shop.child("clerk").await.unwrap();
        assert_eq!((clerk.state, clerk.restarts), (NodeState::Running, 1));
        let added = ctx.timeout(3 * SECOND, shop.add(Child::new("guest", || live))).await;
        assert!(matches!(added, Some(Ok(_))), "{added:?}");
        assert_eq!(shop.child("store").await.unwrap().state, NodeState::Starting);
    });
}
