//! A million crashes: what waits is handled once and in order, what is lost in hand is reported, nothing leaks.
//!
//! A producer sends the numbers 1, 2, 3, ... through a relay to a consumer, while random actors panic, fail and
//! are dropped at random awaits. The numbers that the consumer handled and those that the lifecycle events
//! report as lost must be all the numbers, each once.
//!
//! `SOCKACTORS_CRASHES` sets how many crashes there are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::serial;
use sockactors::runtime::{Address, Child, Context, Lifecycle, Outcome, Strategy, Supervisor};
use sockactors::testing::{Fault, Simulation};

const MESSAGES: u64 = 400;
const MOMENT: Duration = Duration::from_millis(1);

/// What must outlive the crashes of the actors that use it.
#[derive(Clone, Default)]
struct Books {
    next: Arc<AtomicU64>,
    /// What the relay was given, in that order, and passed on.
    relayed: Arc<Mutex<Vec<u64>>>,
    handled: Arc<Mutex<Vec<u64>>>,
}

async fn produce(ctx: Context<()>, books: Books, to: Address<u64>) -> Outcome {
    loop {
        let next = books.next.load(Ordering::Relaxed) + 1;
        if next > MESSAGES {
            return Ok(());
        }
        to.send(next).await?;
        books.next.store(next, Ordering::Relaxed);
        if next % 7 == 0 {
            ctx.sleep(MOMENT).await;
        }
    }
}

async fn relay(mut ctx: Context<u64>, books: Books, to: Address<u64>) -> Outcome {
    while let Some(n) = ctx.recv().await {
        to.send(n).await?;
        books.relayed.lock().unwrap().push(n);
    }
    Ok(())
}

async fn consume(mut ctx: Context<u64>, books: Books) -> Outcome {
    while let Some(n) = ctx.recv().await {
        ctx.sleep(MOMENT).await;
        books.handled.lock().unwrap().push(n);
    }
    Ok(())
}

/// Ends the tree once everything has gone through.
async fn wait_for_the_end(ctx: Context<()>, stages: [Address<u64>; 2], books: Books) -> Outcome {
    while books.next.load(Ordering::Relaxed) < MESSAGES || stages.iter().any(|s| !s.is_empty()) {
        ctx.sleep(10 * MOMENT).await;
    }
    Ok(())
}

fn tree(strategy: Strategy, books: &Books) -> Supervisor {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let mut group = Supervisor::new("group", strategy).intensity(u32::MAX, MOMENT);
    let of = books.clone();
    let consumer = group.child(
        Child::new("consumer", move || {
            let books = of.clone();
            move |ctx| consume(ctx, books)
        })
        .mailbox(3),
    );
    let (of, to) = (books.clone(), consumer.clone());
    let relay = group.child(
        Child::new("relay", move || {
            let (books, to) = (of.clone(), to.clone());
            move |ctx| relay(ctx, books, to)
        })
        .mailbox(5),
    );
    let (of, to) = (books.clone(), relay.clone());
    group.child(
        Child::new("producer", move || {
            let (books, to) = (of.clone(), to.clone());
            move |ctx| produce(ctx, books, to)
        })
        .transient(),
    );
    tree.supervisor(group);
    let books = books.clone();
    let watcher = Child::new("watcher", move || {
        let (stages, books) = ([consumer.clone(), relay.clone()], books.clone());
        move |ctx| wait_for_the_end(ctx, stages, books)
    });
    tree.child(watcher.transient().significant());
    tree.intensity(u32::MAX, MOMENT)
}

/// What the lifecycle events told.
#[derive(Default)]
struct Told {
    crashes: u64,
    /// The numbers of the messages that were lost in hand, by actor.
    lost: Vec<(String, u64)>,
}

impl Told {
    fn note(&mut self, event: &Lifecycle) {
        let crashed = match event {
            Lifecycle::Exited { exit, .. } | Lifecycle::Stopped { exit, .. } => !exit.is_normal(),
            Lifecycle::Killed { .. } | Lifecycle::StartFailed { .. } => true,
            _ => false,
        };
        self.crashes += u64::from(crashed);
        self.lost.extend(event.lost().map(|lost| (event.path().name(), lost.number)));
    }

    fn lost_by(&self, name: &str) -> Vec<u64> {
        let lost = self.lost.iter().filter(|(who, _)| who == name);
        lost.map(|(_, number)| *number).collect()
    }
}

fn merged(a: &[u64], b: &[u64]) -> Vec<u64> {
    let mut all = [a, b].concat();
    all.sort_unstable();
    all
}

/// Runs one storm and returns how many crashes there were.
fn storm(seed: u64) -> u64 {
    let strategies = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne];
    let strategy = strategies[usize::try_from(seed % 3).unwrap()];
    let (books, told) = (Books::default(), Arc::new(Mutex::new(Told::default())));
    let notes = told.clone();
    let simulation = Simulation::new(seed)
        .random_faults(0.05, &[Fault::Panic, Fault::Error, Fault::Kill])
        .observe(move |event| notes.lock().unwrap().note(event));
    let census = simulation.live_counts();
    simulation.run(tree(strategy, &books)).unwrap();
    let left = [census.tasks(), census.timers(), census.children()];
    assert_eq!(left, [0; 3], "seed {seed}: tasks, timers and mailboxes that leaked");

    let told = told.lock().unwrap();
    let (relayed, handled) = (books.relayed.lock().unwrap(), books.handled.lock().unwrap());
    assert!(relayed.is_sorted() && handled.is_sorted(), "seed {seed}: out of order");
    // The relay was given every number, so the one that it was given as the n-th is n.
    let all: Vec<_> = (1..=MESSAGES).collect();
    assert_eq!(merged(&relayed, &told.lost_by("relay")), all, "seed {seed}: at the relay");
    // The consumer was given what was relayed, so the n-th of those was lost where the n-th was reported.
    let lost_by_consumer = told.lost_by("consumer");
    let lost: Vec<_> =
        lost_by_consumer.iter().map(|n| relayed[usize::try_from(n - 1).unwrap()]).collect();
    assert_eq!(merged(&handled, &lost), *relayed, "seed {seed}: at the consumer");
    told.crashes
}

#[test]
fn what_waits_is_handled_once_and_what_is_lost_is_reported_over_a_million_crashes() {
    let _alone = serial::lock();
    let wanted = std::env::var("SOCKACTORS_CRASHES").map_or(1_000_000, |n| n.parse().unwrap());
    let (crashes, seeds) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while crashes.load(Ordering::Relaxed) < wanted {
                    let crashed = storm(seeds.fetch_add(1, Ordering::Relaxed));
                    crashes.fetch_add(crashed, Ordering::Relaxed);
                }
            });
        }
    });
    println!("{crashes:?} crashes in {seeds:?} storms");
}
