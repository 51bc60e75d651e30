//! An actor whose mailbox is never empty. It does not starve other actors or its own I/O, and
//! notices its stop.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use crate::support::serial;
use smol::future::yield_now;
use sockactors::net::Stream;
use sockactors::runtime::{
    Address, Child, Context, Event, Handle, Outcome, Strategy, Supervisor, System,
};
use sockactors::testing::Simulation;

const SEEDS: u64 = if cfg!(miri) { 3 } else { 200 };
const MESSAGES: u32 = if cfg!(miri) { 300 } else { 3000 };
const CAPACITY: usize = 100;

/// The most events that an actor handles in one poll.
const BUDGET: u32 = 64;

/// The record of the busy actor.
#[derive(Debug, Default)]
struct Record {
    mail: u32,
    io: u32,
    /// The longest sequence of I/O events while a message waited.
    passed_over: u32,
    /// Messages handled after the stop request.
    late: u32,
    /// Events of the current poll, and of the longest one.
    turn: u32,
    longest: u32,
}

impl Record {
    fn event(&mut self) {
        self.turn += 1;
        self.longest = self.longest.max(self.turn);
    }

    fn message(&mut self, is_late: bool) {
        self.event();
        self.mail += 1;
        self.late += u32::from(is_late);
    }
}

type SharedRecord = Arc<Mutex<Record>>;

/// How the busy actor waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitMode {
    Mail,
    MailAndIo,
}

async fn busy(mut ctx: Context<()>, seen: SharedRecord, way: WaitMode) -> Outcome {
    if way == WaitMode::Mail {
        while ctx.recv().await.is_some() {
            seen.lock().unwrap().message(ctx.is_stopping());
        }
        return Ok(());
    }
    let (own, mut row) = (ctx.address(), 0);
    loop {
        let has_mail = !own.is_empty();
        match ctx.next(std::future::ready(())).await {
            Event::Stop => return Ok(()),
            Event::Message(()) => {
                row = 0;
                seen.lock().unwrap().message(ctx.is_stopping());
            }
            Event::Io(()) => {
                row = if has_mail { row + 1 } else { 0 };
                let mut seen = seen.lock().unwrap();
                seen.io += 1;
                seen.passed_over = seen.passed_over.max(row);
                seen.event();
            }
        }
    }
}

/// Fills the mailbox at each of its polls, and stops everything after enough messages.
async fn feed(ctx: Context<()>, busy: Address<()>, seen: SharedRecord, handle: Handle) -> Outcome {
    while !ctx.is_stopping() {
        while busy.try_send(()).is_ok() {}
        if seen.lock().unwrap().mail >= MESSAGES {
            handle.stop();
        }
        yield_now().await;
    }
    Ok(())
}

/// The busy actor and its feeder, which is stopped after it and feeds it until then.
fn tree(seen: &SharedRecord, way: WaitMode, handle: &Handle) -> Supervisor {
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let (deeds, feeding, handle) = (seen.clone(), seen.clone(), handle.clone());
    let address = Address::new(CAPACITY);
    let fed = address.clone();
    tree.child(Child::new("feeder", move || {
        let (fed, seen, handle) = (fed.clone(), feeding.clone(), handle.clone());
        move |ctx| feed(ctx, fed, seen, handle)
    }));
    let actor = Child::new("busy", move || {
        let deeds = deeds.clone();
        move |ctx| busy(ctx, deeds, way)
    });
    tree.child(actor.address(&address));
    tree
}

/// Simulates the busy actor until it has stopped.
fn simulated(seed: u64, way: WaitMode) -> Record {
    let seen = SharedRecord::default();
    let turns = seen.clone();
    let simulation = Simulation::new(seed).inject(move |turn| {
        if turn.path.matches("busy") {
            turns.lock().unwrap().turn = 0;
        }
        None
    });
    let tree = tree(&seen, way, &simulation.handle());
    simulation.run(tree).unwrap();
    std::mem::take(&mut *seen.lock().unwrap())
}

#[test]
fn full_mailbox_does_not_starve_other_actors() {
    for way in [WaitMode::Mail, WaitMode::MailAndIo] {
        for seed in 0..SEEDS {
            let deeds = simulated(seed, way);
            assert!(deeds.mail >= MESSAGES, "{deeds:?}");
            assert!((1..=BUDGET).contains(&deeds.longest), "seed {seed}, {way:?}: {deeds:?}");
        }
    }
}

#[test]
fn full_mailbox_alternates_with_io() {
    for seed in 0..SEEDS {
        let deeds = simulated(seed, WaitMode::MailAndIo);
        // With an empty mailbox the I/O may be ahead.
        assert!(deeds.mail <= deeds.io + 1, "seed {seed}: {deeds:?}");
    }
}

#[test]
fn ready_io_alternates_with_messages() {
    for seed in 0..SEEDS {
        let deeds = simulated(seed, WaitMode::MailAndIo);
        assert!(deeds.passed_over <= 1, "seed {seed}: {deeds:?}");
    }
}

#[test]
fn stop_precedes_next_and_follows_queued_in_recv() {
    for seed in 0..SEEDS {
        let deeds = simulated(seed, WaitMode::MailAndIo);
        assert_eq!(deeds.late, 0, "seed {seed}: {deeds:?}");
        // It is fed continuously, so it ends only because it ignores later messages.
        let deeds = simulated(seed, WaitMode::Mail);
        assert!(deeds.late <= CAPACITY as u32, "seed {seed}: {deeds:?}");
    }
}

/// Counts the busy actor's events between two polls of this one, 200 times.
async fn look(seen: SharedRecord, most: Arc<AtomicU32>) -> Outcome {
    let mut last = seen.lock().unwrap().mail;
    for _ in 0..200 {
        yield_now().await;
        let mail = std::mem::replace(&mut last, seen.lock().unwrap().mail);
        most.fetch_max(last - mail, Ordering::Relaxed);
    }
    Ok(())
}

#[test]
fn single_thread_schedules_round_robin() {
    let _alone = serial::lock();
    let (seen, most) = (SharedRecord::default(), Arc::new(AtomicU32::new(0)));
    let system = System::new();
    let mut tree = tree(&seen, WaitMode::Mail, &system.handle());
    let (deeds, figure) = (seen.clone(), most.clone());
    let looker = Child::new("looker", move || {
        let (seen, most) = (deeds.clone(), figure.clone());
        move |_: Context<()>| look(seen, most)
    });
    tree.child(looker.transient());
    system.run(tree).unwrap();
    let most = most.load(Ordering::Relaxed);
    assert!((1..=2 * BUDGET).contains(&most), "{most} messages between two turns of another");
}

/// Ends the tree when a byte arrives.
async fn hear(stream: Arc<Stream>, handle: Handle) -> Outcome {
    assert_eq!(stream.read(&mut [0]).await?, 1);
    handle.stop();
    Ok(())
}

#[test]
fn busy_mailbox_does_not_starve_sockets() {
    let _alone = serial::lock();
    for threads in [1, 2] {
        let seen = SharedRecord::default();
        let system = System::new().threads(threads);
        let handle = system.handle();
        let mut tree = Supervisor::new("t", Strategy::OneForOne);
        let (ours, theirs) = Stream::pair().unwrap();
        let (ours, theirs) = (Arc::new(ours), Arc::new(theirs));
        let deeds = seen.clone();
        let actor = Child::new("busy", move || {
            let deeds = deeds.clone();
            move |ctx| busy(ctx, deeds, WaitMode::Mail)
        });
        let address = tree.child(actor.mailbox(CAPACITY));
        tree.child(Child::new("hearer", move || {
            let (stream, handle) = (ours.clone(), handle.clone());
            move |_: Context<()>| hear(stream, handle)
        }));
        let deeds = seen.clone();
        tree.child(Child::new("feeder", move || {
            let (address, seen, theirs) = (address.clone(), deeds.clone(), theirs.clone());
            async move |ctx: Context<()>| -> Outcome {
                let mut said = false;
                // This never ends, unless the byte is read.
                while !ctx.is_stopping() {
                    while address.try_send(()).is_ok() {}
                    if !said && seen.lock().unwrap().mail >= MESSAGES {
                        said = theirs.write(b"!").await? == 1;
                    }
                    yield_now().await;
                }
                Ok(())
            }
        }));
        system.run(tree).unwrap();
        assert!(seen.lock().unwrap().mail >= MESSAGES);
    }
}
