//! Timers for messages to the actor itself, on the virtual clock.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::simulation::SEEDS;
use sockactors::runtime::{Address, Child, Context, Event, Outcome, Strategy, Supervisor};
use sockactors::testing::Simulation;

const SECOND: Duration = Duration::from_secs(1);

/// Runs one actor to its end, and returns its address for others to use beside it.
fn alone<F, Fut>(seed: u64, run: F)
where
    F: Fn(Context<u32>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Outcome> + Send,
{
    let run = Arc::new(run);
    let mut tree = Supervisor::new("t", Strategy::OneForOne).intensity(5, SECOND);
    let child = Child::new("x", move || {
        let run = run.clone();
        move |ctx| run(ctx)
    });
    tree.child(child.transient().significant());
    Simulation::new(seed).run(tree).unwrap();
}

#[test]
fn timers_fire_by_time_then_age() {
    for seed in 0..SEEDS {
        alone(seed, async |mut ctx: Context<u32>| {
            let begun = ctx.now();
            for (after, message) in [(3, 30), (1, 10), (2, 20), (1, 11)] {
                ctx.send_after(after * SECOND, message);
            }
            let mut came = Vec::new();
            while came.len() < 4 {
                came.push((ctx.recv().await.unwrap(), (ctx.now() - begun).as_secs()));
            }
            assert_eq!(came, [(10, 1), (11, 1), (20, 2), (30, 3)]);
            Ok(())
        });
    }
}

#[test]
fn cancel_works_only_before_timer_fires() {
    for seed in 0..SEEDS {
        alone(seed, async |mut ctx: Context<u32>| {
            let first = ctx.send_after(SECOND, 1);
            let second = ctx.send_after(2 * SECOND, 2);
            assert_eq!(ctx.recv().await, Some(1));
            assert!(!ctx.cancel(first) && ctx.cancel(second) && !ctx.cancel(second));
            ctx.send_after(9 * SECOND, 9);
            assert_eq!(ctx.recv().await, Some(9));
            Ok(())
        });
    }
}

#[test]
fn periodic_timer_skips_missed_ticks_until_cancelled() {
    for seed in 0..SEEDS {
        alone(seed, async |mut ctx: Context<u32>| {
            let (begun, mut count) = (ctx.now(), 0);
            let period = ctx.send_every(2 * SECOND, move || {
                count += 1;
                count
            });
            let at = |ctx: &Context<u32>| (ctx.now() - begun).as_secs();
            assert_eq!((ctx.recv().await, at(&ctx)), (Some(1), 2));
            assert_eq!((ctx.recv().await, at(&ctx)), (Some(2), 4));
            ctx.sleep(7 * SECOND).await;
            // The tick of 6 is late; those of 8 and 10 are skipped.
            assert_eq!((ctx.recv().await, at(&ctx)), (Some(3), 11));
            assert_eq!((ctx.recv().await, at(&ctx)), (Some(4), 12));
            assert_eq!((ctx.recv().await, at(&ctx)), (Some(5), 14));
            assert!(ctx.cancel(period));
            ctx.send_after(100 * SECOND, 0);
            assert_eq!(ctx.recv().await, Some(0));
            Ok(())
        });
    }
}

#[test]
fn timers_alternate_with_messages_outside_mailbox() {
    for seed in 0..SEEDS {
        alone(seed, async |mut ctx: Context<u32>| {
            // The mailbox of 64 is full, and five timers are due.
            while ctx.address().try_send(1).is_ok() {}
            for _ in 0..5 {
                ctx.send_after(Duration::ZERO, 2);
            }
            ctx.sleep(SECOND).await;
            let mut came = Vec::new();
            while came.len() < 10 {
                came.push(ctx.recv().await.unwrap());
            }
            assert_eq!(came.iter().sum::<u32>(), 15, "five of each: {came:?}");
            assert!(came.chunks(2).all(|pair| pair[0] != pair[1]), "in turns: {came:?}");
            Ok(())
        });
    }
}

#[test]
fn timers_end_with_incarnation() {
    for seed in 0..SEEDS {
        let log = Arc::new(Mutex::new(Vec::new()));
        let notes = log.clone();
        let mut tree = Supervisor::new("t", Strategy::OneForOne);
        let x = tree.child(
            Child::new("x", move || {
                let notes = notes.clone();
                async move |mut ctx: Context<u32>| -> Outcome {
                    ctx.send_after(3 * SECOND, 100);
                    while let Some(message) = ctx.recv().await {
                        notes.lock().unwrap().push((message, ctx.now()));
                        assert!(message != 1, "it crashes");
                        if message == 100 {
                            break;
                        }
                    }
                    Ok(())
                }
            })
            .transient()
            .significant(),
        );
        tree.child(Child::new("driver", move || crash_after(2 * SECOND, x.clone())).transient());
        let simulation = Simulation::new(seed);
        let census = simulation.live_counts();
        simulation.run(tree).unwrap();
        let log = log.lock().unwrap();
        let messages: Vec<_> = log.iter().map(|(message, _)| *message).collect();
        assert_eq!(messages, [1, 100], "the first incarnation's timer never fires");
        assert_eq!(log[1].1 - log[0].1, 3 * SECOND);
        assert_eq!(census.timers(), 0);
    }
}

fn crash_after(
    after: Duration,
    x: Address<u32>,
) -> impl FnOnce(Context<()>) -> std::pin::Pin<Box<dyn Future<Output = Outcome> + Send>> + Send {
    move |mut ctx: Context<()>| {
        Box::pin(async move {
            if let Event::Io(()) = ctx.next(ctx.clock().clone().sleep(after)).await {
                x.send(1).await?;
            }
            Ok(())
        })
    }
}
