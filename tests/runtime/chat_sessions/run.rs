//! A run: the tree, the peers, the faults, and the record of the results.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_lite::future;
use sockactors::actors::{
    ChatRegistry, ChatSession, Connection, JoinRequest, Reporter, RoomManager, RoomRequest,
    SessionConfig, SessionLimits,
};
use sockactors::net::Stream;
use sockactors::runtime::{
    Address, Child, Context, Lifecycle, Outcome, Pool, PoolAddress, Strategy, Supervisor,
};
use sockactors::testing::{Fault, PollInfo, Simulation};

pub const MEMBERS: usize = 4;
pub const LINES: usize = 8;
const MOMENT: Duration = Duration::from_millis(1);
/// The time when all have joined and begin to send.
const TALK: Duration = Duration::from_secs(60);
/// A time long after the last line was delivered.
const END: Duration = Duration::from_secs(300);
const WITHIN: Duration = Duration::from_secs(3600);

/// The record of a run.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The bytes that each member received.
    pub heard: [String; MEMBERS],
    /// The number of each member's session, once it has one.
    pub sessions: [Option<u64>; MEMBERS],
    /// The session that started last.
    pub started: u64,
    /// The sessions that ended, with their exits.
    pub ended: BTreeMap<u64, String>,
    /// Those of them that a fault ended.
    pub struck: BTreeSet<u64>,
    pub hung: BTreeSet<u64>,
    /// Members that vanished.
    pub vanished: BTreeSet<usize>,
    /// Whether the pool was restarted.
    pub tripped: bool,
    pub is_over: bool,
    /// The registry at the end, and which nicks were free.
    pub registry: String,
    pub free: Vec<bool>,
}

type Shared = Arc<Mutex<Record>>;

/// A small random generator for a run, apart from the simulation's.
pub struct Rng(pub u64);

impl Rng {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A peer that joins, sends its lines, and receives all the while.
async fn talk(
    ctx: Context<()>,
    number: usize,
    capacity: usize,
    sessions: PoolAddress,
    with: Arc<SessionConfig>,
    record: Shared,
) -> Outcome {
    let (ours, stream) = Stream::duplex(capacity);
    let connection = Connection { number: number as u64, ..Connection::unlimited(stream) };
    sessions.start(ChatSession::new(connection, with)).await?;
    {
        let mut record = record.lock().unwrap();
        record.sessions[number] = Some(record.started);
    }
    let say = async {
        ours.write_all(format!("/nick m{number}\n/ack off\n").as_bytes()).await?;
        ctx.sleep(TALK).await;
        for line in 0..LINES {
            ours.write_all(format!("{number} says {line}\n").as_bytes()).await?;
            if line % 3 == number % 3 {
                ctx.sleep(MOMENT).await;
            }
        }
        future::pending().await
    };
    let hear = async {
        let mut buf = [0; 256];
        while let length @ 1.. = ours.read(&mut buf).await? {
            let mut record = record.lock().unwrap();
            if !record.is_over {
                record.heard[number].push_str(std::str::from_utf8(&buf[..length])?);
            }
        }
        Ok(())
    };
    future::or(hear, say).await
}

/// Records at the end who is in the registry, and which nicks are free.
async fn look(
    ctx: Context<()>,
    registry: ChatRegistry,
    room: Address<RoomRequest>,
    record: Shared,
) -> Outcome {
    ctx.sleep(END).await;
    {
        let mut record = record.lock().unwrap();
        (record.is_over, record.registry) = (true, format!("{registry:?}"));
    }
    for number in 0..MEMBERS {
        let nick = Some(format!("m{number}"));
        let coming = JoinRequest { nick, room: None, quiet: true, ip: None, session: None };
        let answer = room.ask(WITHIN, |reply| RoomRequest::Admit(coming, reply)).await?;
        record.lock().unwrap().free.push(answer.is_ok());
    }
    Ok(())
}

/// Builds the tree of a run. In some runs a sibling of the pool fails once, and the pool restarts
/// with it.
fn build_tree(rng: &mut Rng, record: &Shared) -> Supervisor {
    let registry = ChatRegistry::new("lobby");
    let tree = |name, strategy| {
        let tree = Supervisor::new(name, strategy).intensity(u32::MAX, MOMENT);
        tree.backoff(5 * MOMENT, 5 * MOMENT)
    };
    let mut root = tree("t", Strategy::OneForOne);
    let keeper = registry.clone();
    // In half of the runs a room of two members is large, and announces changes together.
    let max_single = [1, 50][rng.below(2) as usize];
    let manager = move || RoomManager::new(keeper.clone()).max_single_notices(max_single);
    let room = root.child(Child::new("room", manager).mailbox(3));
    let mut front = tree("front", Strategy::OneForAll);
    let sessions = front.pool(Pool::new("sessions").mailbox(2));
    let trip = (rng.below(6) == 0)
        .then(|| TALK * (rng.below(3) > 0).into() + MOMENT * rng.below(8) as u32);
    let once = Arc::new(Mutex::new(trip));
    let tripped = record.clone();
    front.child(Child::new("trip", move || {
        let (once, record) = (once.clone(), tripped.clone());
        async move |mut ctx: Context<()>| -> Outcome {
            let trip = once.lock().unwrap().take();
            if let Some(after) = trip {
                ctx.sleep_unless_stopped(after).await;
                record.lock().unwrap().tripped = true;
                return Err("the pool has to stop".into());
            }
            ctx.stopped().await;
            Ok(())
        }
    }));
    root.supervisor(front);
    let (limits, reporter) = (SessionLimits::default(), Reporter::disabled());
    let with = Arc::new(SessionConfig::new(limits, room.clone(), reporter));
    for number in 0..MEMBERS {
        let capacity = [32, 200, 4096][rng.below(3) as usize];
        let (sessions, with, record) = (sessions.clone(), with.clone(), record.clone());
        let member = Child::new(format!("m{number}"), move || {
            let (sessions, with, record) = (sessions.clone(), with.clone(), record.clone());
            move |ctx| talk(ctx, number, capacity, sessions, with, record)
        });
        root.child(member.temporary());
    }
    let record = record.clone();
    let end = Child::new("end", move || {
        let (registry, room, record) = (registry.clone(), room.clone(), record.clone());
        move |ctx| look(ctx, registry, room, record)
    });
    root.child(end.transient().significant());
    root
}

/// Draws the faults, and records which sessions they end.
fn strike(seed: u64, record: Shared) -> impl FnMut(&PollInfo) -> Option<Fault> + Send + 'static {
    const WAYS: [Fault; 5] = [
        Fault::Panic,
        Fault::Error,
        Fault::Kill,
        Fault::Delay(Duration::from_millis(100)),
        Fault::Hang,
    ];
    let mut rng = Rng(seed ^ 0x5eed);
    let mut fate =
        |n, ways| (rng.below(n) == 0).then(|| (rng.below(40) + 1, WAYS[rng.below(ways) as usize]));
    let sessions: [_; MEMBERS] = std::array::from_fn(|_| fate(3, 5));
    let members: [_; MEMBERS] = std::array::from_fn(|_| fate(6, 3).filter(|(turn, _)| *turn > 1));
    move |turn| {
        let mut record = record.lock().unwrap();
        if record.is_over {
            return None;
        }
        let name = turn.path.name();
        if name == "room" {
            // A manager that fails its first start ends the tree, as in OTP.
            let befalls = turn.number > 1 && rng.below(6) == 0;
            return befalls.then(|| WAYS[rng.below(4) as usize]);
        }
        let member = name.strip_prefix('m').and_then(|number| number.parse::<usize>().ok());
        let session = turn.path.is_pool_child().then(|| name.parse::<u64>()).transpose().ok()?;
        let fate = match (member, session) {
            (Some(number), _) => members[number],
            (_, Some(number)) => *sessions.get(number as usize)?,
            _ => None,
        };
        let (_, fault) = fate.filter(|(number, _)| *number == turn.number)?;
        record.vanished.extend(member);
        match fault {
            Fault::Delay(_) => {}
            Fault::Hang => record.hung.extend(session),
            _ => record.struck.extend(session),
        }
        Some(fault)
    }
}

/// Runs a chat to its end.
pub fn run(seed: u64) -> Record {
    let record = Shared::default();
    let seen = record.clone();
    Simulation::new(seed)
        .inject(strike(seed, record.clone()))
        .observe(move |event| {
            let path = event.path();
            let Ok(number) = path.name().parse() else {
                let lost = event.lost().filter(|_| path.matches("room"));
                return assert!(lost.is_none(), "the room had something in hand");
            };
            let mut record = seen.lock().unwrap();
            match event {
                Lifecycle::Started { .. } => record.started = number,
                _ if record.is_over => {}
                ended => drop(record.ended.insert(number, ended.to_string())),
            }
        })
        .run(build_tree(&mut Rng(seed), &record))
        .unwrap();
    let record = record.lock().unwrap();
    record.clone()
}
