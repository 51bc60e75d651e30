//! An actor whose mailbox never runs empty: it lets the others have their turns, looks at its own I/O as often as at its
//! mail, and notices its stop.

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

/// So many events an actor has in one turn at most.
const BUDGET: u32 = 64;

/// What the busy actor did.
#[derive(Debug, Default)]
struct Deeds {
    mail: u32,
    io: u32,
    /// The longest row of I/O while a message waited.
    passed_over: u32,
    /// Messages that it took although its stop was asked for.
    late: u32,
    /// Events of this turn, and of the longest one.
    turn: u32,
    longest: u32,
}

impl Deeds {
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

type Seen = Arc<Mutex<Deeds>>;

/// How the busy actor waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Mail,
    MailAndIo,
}

async fn busy(mut ctx: Context<()>, seen: Seen, way: Way) -> Outcome {
    if way == Way::Mail {
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

/// Fills the mailbox at each of its turns, and has everything stop once enough was handled.
async fn feed(ctx: Context<()>, busy: Address<()>, seen: Seen, handle: Handle) -> Outcome {
    while !ctx.is_stopping() {
        while busy.try_send(()).is_ok() {}
        if seen.lock().unwrap().mail >= MESSAGES {
            handle.stop();
        }
        yield_now().await;
    }
    Ok(())
}

/// The busy actor and the one that feeds it, which is stopped after it and feeds it until then.
fn tree(seen: &Seen, way: Way, handle: &Handle) -> Supervisor {
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

/// Simulates the busy actor until it was stopped.
fn simulated(seed: u64, way: Way) -> Deeds {
    let seen = Seen::default();
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
    for way in [Way::Mail, Way::MailAndIo] {
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
        let deeds = simulated(seed, Way::MailAndIo);
        // Where the mailbox has run empty the I/O is ahead.
        assert!(deeds.mail <= deeds.io + 1, "seed {seed}: {deeds:?}");
    }
}

#[test]
fn ready_io_alternates_with_messages() {
    for seed in 0..SEEDS {
        let deeds = simulated(seed, Way::MailAndIo);
        assert!(deeds.passed_over <= 1, "seed {seed}: {deeds:?}");
    }
}

#[test]
fn stop_precedes_next_and_follows_queued_in_recv() {
    for seed in 0..SEEDS {
        let deeds = simulated(seed, Way::MailAndIo);
        assert_eq!(deeds.late, 0, "seed {seed}: {deeds:?}");
        // It is fed on and on, so it ends only because it leaves what comes later.
        let deeds = simulated(seed, Way::Mail);
        assert!(deeds.late <= CAPACITY as u32, "seed {seed}: {deeds:?}");
    }
}

/// Counts what the busy actor does between two turns of this one; 200 times.
async fn look(seen: Seen, most: Arc<AtomicU32>) -> Outcome {
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
    let (seen, most) = (Seen::default(), Arc::new(AtomicU32::new(0)));
    let system = System::new();
    let mut tree = tree(&seen, Way::Mail, &system.handle());
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

/// Ends everything when a byte comes.
async fn hear(stream: Arc<Stream>, handle: Handle) -> Outcome {
    assert_eq!(stream.read(&mut [0]).await?, 1);
    handle.stop();
    Ok(())
}

#[test]
fn busy_mailbox_does_not_starve_sockets() {
    let _alone = serial::lock();
    for threads in [1, 2] {
        let seen = Seen::default();
        let system = System::new().threads(threads);
        let handle = system.handle();
        let mut tree = Supervisor::new("t", Strategy::OneForOne);
        let (ours, theirs) = Stream::pair().unwrap();
        let (ours, theirs) = (Arc::new(ours), Arc::new(theirs));
        let deeds = seen.clone();
        let actor = Child::new("busy", move || {
            let deeds = deeds.clone();
            move |ctx| busy(ctx, deeds, Way::Mail)
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
                // Without end, unless the byte is heard.
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
