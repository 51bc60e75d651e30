//! A million crashes. Queued messages are handled once and in order, messages lost in a crash are
//! reported, and nothing leaks.
//!
//! A producer sends the numbers 1, 2, 3, ... through a relay to a consumer. Meanwhile random actors
//! panic, fail and are dropped at random awaits. The handled numbers and those that lifecycle
//! events report as lost must be all numbers, each once.
//!
//! `SOCKACTORS_CRASHES` sets the number of crashes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::serial;
use sockactors::runtime::{Address, Child, Context, Lifecycle, Outcome, Strategy, Supervisor};
use sockactors::testing::{Fault, Simulation};

const MESSAGES: u64 = 400;
const MOMENT: Duration = Duration::from_millis(1);

/// The actors' state that outlives their crashes.
#[derive(Clone, Default)]
struct Progress {
    next: Arc<AtomicU64>,
    /// The numbers that the relay forwarded, in order.
    relayed: Arc<Mutex<Vec<u64>>>,
    handled: Arc<Mutex<Vec<u64>>>,
}

async fn produce(ctx: Context<()>, progress: Progress, to: Address<u64>) -> Outcome {
    loop {
        let next = progress.next.load(Ordering::Relaxed) + 1;
        if next > MESSAGES {
            return Ok(());
        }
        to.send(next).await?;
        progress.next.store(next, Ordering::Relaxed);
        if next % 7 == 0 {
            ctx.sleep(MOMENT).await;
        }
    }
}

async fn relay(mut ctx: Context<u64>, progress: Progress, to: Address<u64>) -> Outcome {
    while let Some(n) = ctx.recv().await {
        to.send(n).await?;
        progress.relayed.lock().unwrap().push(n);
    }
    Ok(())
}

async fn consume(mut ctx: Context<u64>, progress: Progress) -> Outcome {
    while let Some(n) = ctx.recv().await {
        ctx.sleep(MOMENT).await;
        progress.handled.lock().unwrap().push(n);
    }
    Ok(())
}

/// Ends the tree once all messages have passed.
async fn wait_until_done(
    ctx: Context<()>,
    stages: [Address<u64>; 2],
    progress: Progress,
) -> Outcome {
    while progress.next.load(Ordering::Relaxed) < MESSAGES || stages.iter().any(|s| !s.is_empty()) {
        ctx.sleep(10 * MOMENT).await;
    }
    Ok(())
}

fn tree(strategy: Strategy, progress: &Progress) -> Supervisor {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let mut group = Supervisor::new("group", strategy).intensity(u32::MAX, MOMENT);
    let shared = progress.clone();
    let consumer = group.child(
        Child::new("consumer", move || {
            let progress = shared.clone();
            move |ctx| consume(ctx, progress)
        })
        .mailbox(3),
    );
    let (shared, to) = (progress.clone(), consumer.clone());
    let relay = group.child(
        Child::new("relay", move || {
            let (progress, to) = (shared.clone(), to.clone());
            move |ctx| relay(ctx, progress, to)
        })
        .mailbox(5),
    );
    let (shared, to) = (progress.clone(), relay.clone());
    group.child(
        Child::new("producer", move || {
            let (progress, to) = (shared.clone(), to.clone());
            move |ctx| produce(ctx, progress, to)
        })
        .transient(),
    );
    tree.supervisor(group);
    let progress = progress.clone();
    let watcher = Child::new("watcher", move || {
        let (stages, progress) = ([consumer.clone(), relay.clone()], progress.clone());
        move |ctx| wait_until_done(ctx, stages, progress)
    });
    tree.child(watcher.transient().significant());
    tree.intensity(u32::MAX, MOMENT)
}

/// The crashes and losses that lifecycle events reported.
#[derive(Default)]
struct CrashLog {
    crashes: u64,
    /// The numbers of lost messages, with the actor's name.
    lost: Vec<(String, u64)>,
}

impl CrashLog {
    fn record(&mut self, event: &Lifecycle) {
        let crashed = match event {
            Lifecycle::Exited { exit, .. } | Lifecycle::Stopped { exit, .. } => !exit.is_normal(),
            Lifecycle::Killed { .. } | Lifecycle::StartFailed { .. } => true,
            _ => false,
        };
        self.crashes += u64::from(crashed);
        self.lost.extend(event.lost().map(|lost| (event.path().name(), lost.number)));
    }

    fn lost_by(&self, name: &str) -> Vec<u64> {
        let lost = self.lost.iter().filter(|(actor, _)| actor == name);
        lost.map(|(_, number)| *number).collect()
    }
}

fn merged(a: &[u64], b: &[u64]) -> Vec<u64> {
    let mut all = [a, b].concat();
    all.sort_unstable();
    all
}

/// Runs one simulation with random crashes and returns their number.
fn run_storm(seed: u64) -> u64 {
    let strategies = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];
    let strategy = strategies[usize::try_from(seed % 3).unwrap()];
    let (progress, crash_log) = (Progress::default(), Arc::new(Mutex::new(CrashLog::default())));
    let recorder = crash_log.clone();
    let simulation = Simulation::new(seed)
        .random_faults(0.05, &[Fault::Panic, Fault::Error, Fault::Kill])
        .observe(move |event| recorder.lock().unwrap().record(event));
    let live = simulation.live_counts();
    simulation.run(tree(strategy, &progress)).unwrap();
    let remaining = [live.tasks(), live.timers(), live.children()];
    assert_eq!(remaining, [0; 3], "seed {seed}: tasks, timers and mailboxes that leaked");

    let crash_log = crash_log.lock().unwrap();
    let (relayed, handled) = (progress.relayed.lock().unwrap(), progress.handled.lock().unwrap());
    assert!(relayed.is_sorted() && handled.is_sorted(), "seed {seed}: out of order");
    // The relay received every number, so its n-th message is n.
    let all: Vec<_> = (1..=MESSAGES).collect();
    assert_eq!(merged(&relayed, &crash_log.lost_by("relay")), all, "seed {seed}: relay");
    // The consumer received the forwarded numbers, so its n-th message is the n-th of them.
    let lost_by_consumer = crash_log.lost_by("consumer");
    let lost: Vec<_> =
        lost_by_consumer.iter().map(|n| relayed[usize::try_from(n - 1).unwrap()]).collect();
    assert_eq!(merged(&handled, &lost), *relayed, "seed {seed}: consumer");
    crash_log.crashes
}

#[test]
fn million_crashes_lose_no_queued_message() {
    let _serial = serial::lock();
    let target = std::env::var("SOCKACTORS_CRASHES").map_or(1_000_000, |n| n.parse().unwrap());
    let (crashes, seeds) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while crashes.load(Ordering::Relaxed) < target {
                    let crashed = run_storm(seeds.fetch_add(1, Ordering::Relaxed));
                    crashes.fetch_add(crashed, Ordering::Relaxed);
                }
            });
        }
    });
    println!("{crashes:?} crashes in {seeds:?} storms");
}
