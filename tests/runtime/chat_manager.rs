//! The room manager in the simulation. Faults at any await lose no message and no member.
//!
//! The members are actors that use the manager as sessions do, without sockets. The manager panics,
//! fails and is dropped at random polls. Some members are dropped, too. Each departure is announced
//! once, and no other.
//!
//! `SOCKACTORS_SEEDS` sets the number of seeds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockactors::actors::{
    ChatRegistry, Delivery, JoinRequest, RoomManager, RoomRequest, Subscription,
};
use sockactors::runtime::{Address, Child, Context, Outcome, Strategy, Supervisor};
use sockactors::testing::{Fault, Simulation};

const MEMBERS: u64 = 4;
const LINES: u64 = 12;
const MOMENT: Duration = Duration::from_millis(1);
const WITHIN: Duration = Duration::from_secs(3600);

/// The lines that each member received, by its number, and how many the first one sent.
#[derive(Clone, Default)]
struct Record {
    heard: Arc<Mutex<Vec<Vec<String>>>>,
    said: Arc<AtomicU64>,
}

/// A small random generator for the rules of one simulation.
struct Rng(u64);

impl Rng {
    fn one_in(&mut self, n: u64) -> bool {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n == 0
    }
}

fn hear(ear: &mut Subscription, heard: &mut Vec<String>) {
    ear.drain(|one| {
        heard.push(match one {
            Delivery::Message(said) => said.text.trim_end().to_owned(),
            Delivery::Lagged(missed) => format!("missed {missed}"),
        });
        true
    });
}

/// Joins, sends its lines, and receives for a long time.
async fn talk(
    ctx: Context<()>,
    number: u64,
    room: Address<RoomRequest>,
    record: Record,
) -> Outcome {
    // A crash would drop a request that the manager is handling. It never awaits while handling
    // one.
    let nick = Some(format!("m{number}"));
    let coming = JoinRequest { nick, room: None, quiet: false, ip: None, session: None };
    let (member, mut joined) =
        room.ask(WITHIN, |reply| RoomRequest::Admit(coming, reply)).await??;
    // All members have joined before the first message.
    ctx.sleep(100 * MOMENT).await;
    for line in 0..LINES {
        member.send(&format!("{number} says {line}"), ctx.clock().system_time())?;
        record.said.fetch_add(u64::from(number == 0), Ordering::Relaxed);
        if line % 3 == number % 3 {
            ctx.sleep(MOMENT).await;
        }
    }
    // The first member leaves before the others stop receiving.
    ctx.sleep((1000 + 10 * u32::try_from(number)?) * MOMENT).await;
    hear(&mut joined.subscription, &mut record.heard.lock().unwrap()[usize::try_from(number)?]);
    Ok(())
}

/// Runs a chat with random faults of the manager. The first member is dropped at this poll of its
/// own, if it gets that far. Returns the received lines, the number of lines that the first member
/// sent, and whether it was dropped.
fn run(seed: u64, dropped: Option<u64>) -> (Vec<Vec<String>>, u64, bool) {
    let record = Record::default();
    record.heard.lock().unwrap().resize(usize::try_from(MEMBERS).unwrap(), Vec::new());
    let registry = ChatRegistry::new("lobby");
    let mut tree = Supervisor::new("t", Strategy::OneForOne)
        .intensity(u32::MAX, MOMENT)
        .backoff(5 * MOMENT, 5 * MOMENT);
    let room =
        tree.child(Child::new("room", move || RoomManager::new(registry.clone())).mailbox(3));
    for number in 0..MEMBERS {
        let (room, record) = (room.clone(), record.clone());
        let member = Child::new(format!("m{number}"), move || {
            let (room, record) = (room.clone(), record.clone());
            move |ctx| talk(ctx, number, room, record)
        });
        tree.child(member.temporary());
    }
    let end = Child::new("end", || {
        async |ctx: Context<()>| -> Outcome {
            ctx.sleep(5000 * MOMENT).await;
            Ok(())
        }
    });
    tree.child(end.transient().significant());
    let mut rng = Rng(seed);
    let mut turns = 0;
    let told = Arc::new(Mutex::new((Vec::new(), false)));
    let seen = told.clone();
    Simulation::new(seed)
        .inject(move |turn| {
            turns += u64::from(turn.path.matches("room"));
            // A manager that fails its first start ends the tree, as in OTP.
            let befalls = turn.path.matches("room") && turn.number > 1 && rng.one_in(5);
            befalls.then_some([Fault::Panic, Fault::Error, Fault::Kill][(turns % 3) as usize])
        })
        .inject(move |turn| {
            let is_it = turn.path.matches("m0") && Some(turn.number) == dropped;
            is_it.then_some(Fault::Kill)
        })
        .observe(move |event| {
            let mut seen = seen.lock().unwrap();
            seen.0.extend(event.lost());
            seen.1 |= event.to_string() == "t/m0 killed";
        })
        .run(tree)
        .unwrap();
    let (lost, was_dropped) = told.lock().unwrap().clone();
    assert!(lost.is_empty(), "seed {seed}: the room had something in hand");
    let heard = record.heard.lock().unwrap().clone();
    (heard, record.said.load(Ordering::Relaxed), was_dropped)
}

fn seeds() -> u64 {
    std::env::var("SOCKACTORS_SEEDS").map_or(10_000, |seeds| seeds.parse().unwrap())
}

#[test]
fn manager_faults_keep_messages_once_and_in_order() {
    for seed in 0..seeds() {
        let (record, ..) = run(seed, None);
        for (number, heard) in record.iter().enumerate() {
            let said = heard.iter().filter(|line| line.contains(" says "));
            let mut next = [0; MEMBERS as usize];
            for line in said.clone() {
                let (nick, words) = line.split_once(": ").unwrap();
                let who: usize = nick[1..].parse().unwrap();
                assert_eq!(
                    *words,
                    format!("{who} says {}", next[who]),
                    "seed {seed}, to m{number}"
                );
                next[who] += 1;
            }
            let all = (0..MEMBERS as usize).map(|who| if who == number { 0 } else { LINES });
            assert!(next.iter().copied().eq(all), "seed {seed}: m{number} heard {next:?}");
            // The order is that of the first member, except for their own messages.
            let other = if number == 0 { 1 } else { 0 };
            let without = |of: usize, who: usize| {
                let own = format!("m{who}: ");
                let of: Vec<_> = record[of].iter().filter(|l| l.contains(" says ")).collect();
                of.into_iter().filter(|line| !line.starts_with(&own)).cloned().collect::<Vec<_>>()
            };
            assert_eq!(without(number, other), without(other, number), "seed {seed}: the order");
        }
    }
}

#[test]
fn dropped_member_leaves_once_after_its_messages() {
    for seed in 0..seeds() / 10 {
        let (record, said, was_dropped) = run(seed, Some(seed % 20 + 2));
        for heard in &record[1..] {
            let place = |words: &str| heard.iter().position(|line| line == words);
            let last_word = heard.iter().rposition(|line| line.starts_with("m0: "));
            let words = heard.iter().filter(|line| line.starts_with("m0: ")).count();
            assert_eq!(words as u64, said, "seed {seed}: {heard:#?}");
            let left = heard.iter().filter(|line| *line == "* m0 left").count();
            assert!(left <= 1, "seed {seed}: {heard:#?}");
            if was_dropped && (place("* m0 joined").is_some() || last_word.is_some()) {
                assert_eq!(left, 1, "seed {seed}: {heard:#?}");
            }
            assert!(left == 0 || last_word <= place("* m0 left"), "seed {seed}: {heard:#?}");
        }
    }
}

/// Admits members one after the other, and returns the number of notices that each has received
/// after it joined, and after all but the last have left again.
fn crowd(members: usize) -> Vec<(usize, usize)> {
    let registry = ChatRegistry::new("lobby");
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    let room = tree.child(Child::new("room", move || RoomManager::new(registry.clone())));
    let counts = Arc::new(Mutex::new(Vec::new()));
    let result = counts.clone();
    let crowd = move || {
        let (room, counts) = (room.clone(), counts.clone());
        async move |ctx: Context<()>| -> Outcome {
            let mut admitted = Vec::new();
            for _ in 0..members {
                let coming =
                    JoinRequest { nick: None, room: None, quiet: false, ip: None, session: None };
                let request = |reply| RoomRequest::Admit(coming, reply);
                admitted.push(room.ask(WITHIN, request).await??);
            }
            ctx.sleep(10_000 * MOMENT).await;
            let count = |subscription: &mut Subscription| {
                let mut heard = Vec::new();
                hear(subscription, &mut heard);
                heard.iter().map(|notice| notice.lines().count()).sum()
            };
            // The last member stays. The others leave, but their subscriptions go on.
            let mut subscriptions = Vec::new();
            let mut last = None;
            for (member, mut joined) in admitted {
                subscriptions.push((count(&mut joined.subscription), joined.subscription));
                last = Some(member);
            }
            ctx.sleep(10_000 * MOMENT).await;
            let all = subscriptions.into_iter();
            let all = all.map(|(joins, mut subscription)| (joins, count(&mut subscription)));
            *counts.lock().unwrap() = all.collect();
            drop(last);
            Ok(())
        }
    };
    tree.child(Child::new("crowd", crowd).transient().significant());
    Simulation::new(1).run(tree).unwrap();
    std::mem::take(&mut *result.lock().unwrap())
}

#[test]
fn large_room_announces_joins_and_leaves_together() {
    for members in [10, 1000, 4000] {
        let counts = crowd(members);
        assert_eq!(counts.len(), members);
        let (joins, leaves): (Vec<_>, Vec<_>) = counts.into_iter().unzip();
        // The first member sees each join into the small room, and all others with one notice.
        assert_eq!(joins.iter().max(), Some(&(members - 1).min(50)), "{members} members");
        let last_joins = joins.last();
        assert_eq!(last_joins, Some(&usize::from(members > 50)), "{members} members");
        let max_leaves = if members > 50 { 1 } else { members - 1 };
        assert!(leaves.iter().all(|count| *count <= max_leaves), "{members} members: {leaves:?}");
        assert_eq!(leaves.last(), Some(&max_leaves), "{members} members");
    }
}
