//! The runtime in the simulation: many seeds, random crashes, and their invariants.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockactors::runtime::{
    Child, Context, Event, Exit, Lifecycle, Outcome, Pool, Restart, Strategy, Supervisor,
};
use sockactors::testing::Simulation;

/// Miri takes seconds for what takes milliseconds elsewhere.
const SEEDS: u64 = if cfg!(miri) { 3 } else { 1000 };
const MESSAGES: u32 = if cfg!(miri) { 8 } else { 40 };

/// Sends the numbers from `next` on. The tree keeps `next` across crashes.
async fn produce(ctx: Context<()>, next: Arc<AtomicU32>, to: Number) -> Outcome {
    while next.load(Ordering::Relaxed) < MESSAGES {
        to.send(next.load(Ordering::Relaxed)).await?;
        next.fetch_add(1, Ordering::Relaxed);
        ctx.sleep(Duration::from_millis(3)).await;
    }
    Ok(())
}

type Number = sockactors::runtime::Address<u32>;

/// Records each received number, and ends with the last one.
async fn consume(mut ctx: Context<u32>, log: Arc<Mutex<Vec<u32>>>) -> Outcome {
    // A stop drains the mailbox, so the last number may have arrived before this incarnation.
    while log.lock().unwrap().len() < MESSAGES as usize {
        let Some(n) = ctx.recv().await else { break };
        log.lock().unwrap().push(n);
        ctx.sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

fn pipeline(strategy: Strategy, log: &Arc<Mutex<Vec<u32>>>) -> Supervisor {
    let (log, next) = (log.clone(), Arc::new(AtomicU32::new(0)));
    let mut tree = Supervisor::new("t", strategy)
        .intensity(1000, Duration::from_secs(1))
        .backoff(Duration::from_millis(1), Duration::from_secs(1));
    let consumer = Child::new("consumer", move || {
        let log = log.clone();
        move |ctx| consume(ctx, log)
    });
    let to = tree.child(consumer.transient().significant().mailbox(4));
    tree.child(
        Child::new("producer", move || {
            let (next, to) = (next.clone(), to.clone());
            move |ctx| produce(ctx, next, to)
        })
        .transient(),
    );
    tree
}

#[test]
fn crashes_keep_messages_once_and_in_order() {
    for strategy in [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne] {
        for seed in 0..SEEDS {
            let log = Arc::new(Mutex::new(Vec::new()));
            let simulation = Simulation::new(seed).crash_probability(0.02);
            let ended = simulation.run(pipeline(strategy, &log));
            let handled = log.lock().unwrap();
            assert!(ended.is_ok(), "seed {seed}, {strategy:?}: {ended:?}");
            assert_eq!(*handled, (0..MESSAGES).collect::<Vec<_>>(), "seed {seed}, {strategy:?}");
        }
    }
}

fn events_of(seed: u64) -> Vec<String> {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = events.clone();
    let simulation = Simulation::new(seed).crash_probability(0.05);
    let simulation = simulation.observe(move |event| seen.lock().unwrap().push(event.to_string()));
    simulation.run(pipeline(Strategy::OneForAll, &Arc::default())).unwrap();
    let events = events.lock().unwrap();
    events.clone()
}

#[test]
fn same_seed_repeats_same_run() {
    assert_eq!(events_of(7), events_of(7));
    assert_ne!(events_of(7), events_of(8));
}

/// Counts running incarnations, to check that two of one child never overlap.
struct Alive(Arc<AtomicU32>);

impl Alive {
    fn new(count: &Arc<AtomicU32>) -> Alive {
        assert_eq!(count.fetch_add(1, Ordering::SeqCst), 0, "two incarnations live at once");
        Alive(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A child that runs until it is stopped, and takes some time to stop.
fn slow(name: String) -> Child<impl sockactors::runtime::Actor<Message = ()>> {
    let count = Arc::new(AtomicU32::new(0));
    Child::new(name, move || {
        let count = count.clone();
        async move |mut ctx: Context<()>| -> Outcome {
            let _alive = Alive::new(&count);
            while let Event::Io(()) = ctx.next(ctx.clock().clone().sleep(MOMENT)).await {}
            ctx.sleep(MOMENT).await;
            Ok(())
        }
    })
}

const MOMENT: Duration = Duration::from_millis(10);

#[test]
fn group_restart_is_ordered_and_incarnations_never_overlap() {
    for seed in 0..SEEDS {
        let strategy = [Strategy::OneForOne, Strategy::OneForAll, Strategy::RestForOne]
            [usize::try_from(seed % 3).unwrap()];
        let mut tree = Supervisor::new("t", Strategy::OneForOne);
        let mut group = Supervisor::new("group", strategy)
            .intensity(5, Duration::from_millis(200))
            .restart(Restart::Transient)
            .significant();
        for k in 0..4 {
            group.child(slow(format!("{k}")));
        }
        group.pool(Pool::new("pool"));
        tree.supervisor(group);
        let simulation = Simulation::new(seed).crash_probability(0.1);
        let running = Arc::new(Mutex::new(Vec::<String>::new()));
        let simulation =
            simulation.observe(move |event| judge(event, &mut running.lock().unwrap()));
        // Crashes continue until the group has given up more often than its parent allows.
        let exit = simulation.run(tree).unwrap_err();
        assert!(matches!(exit, Exit::GaveUp { .. }), "seed {seed}: {exit}");
    }
}

/// Checks the order: children start after their elder siblings and stop before them.
fn judge(event: &Lifecycle, running: &mut Vec<String>) {
    let path = event.path().to_string();
    let Some(name) = path.strip_prefix("t/group/").filter(|name| *name != "pool") else { return };
    match event {
        Lifecycle::Started { .. } => {
            assert!(!running.iter().any(|other| other == name), "{name} started twice");
            running.push(name.into());
        }
        Lifecycle::Exited { .. } => running.retain(|other| other != name),
        Lifecycle::Stopped { .. } | Lifecycle::Killed { .. } => {
            let last = running.iter().max().cloned();
            assert_eq!(last.as_deref(), Some(name), "the youngest stops first: {running:?}");
            running.retain(|other| other != name);
        }
        _ => {}
    }
}
