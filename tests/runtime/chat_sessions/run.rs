//! A run: the tree, the peers and what befalls them, and the notes of what came of it.

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
/// When all have come, and begin to talk.
const TALK: Duration = Duration::from_secs(60);
/// When all has been said and heard, long since.
const END: Duration = Duration::from_secs(300);
const WITHIN: Duration = Duration::from_secs(3600);

/// What a run was like until its end.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    /// What each member was sent.
    pub heard: [String; MEMBERS],
    /// The number of each member's session, once it has one.
    pub sessions: [Option<u64>; MEMBERS],
    /// The session that started last.
    pub started: u64,
    /// The sessions that ended, and how.
    pub ended: BTreeMap<u64, String>,
    /// Those of them that had reason to.
    pub struck: BTreeSet<u64>,
    pub hung: BTreeSet<u64>,
    /// Members who vanished.
    pub vanished: BTreeSet<usize>,
    /// Whether the pool had to start again.
    pub tripped: bool,
    pub is_over: bool,
    /// The hall in the end, and whose names were free.
    pub hall: String,
    pub free: Vec<bool>,
}

type Shared = Arc<Mutex<Notes>>;

/// A small generator, so that a run has dice of its own beside the simulation's.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A peer: it comes, says its lines, and hears the others all the while.
async fn talk(
    ctx: Context<()>,
    number: usize,
    capacity: usize,
    sessions: PoolAddress,
    with: Arc<SessionConfig>,
    notes: Shared,
) -> Outcome {
    let (ours, stream) = Stream::duplex(capacity);
    let connection = Connection { stream, number: number as u64, ip_permit: None };
    sessions.start(ChatSession::new(connection, with)).await?;
    {
        let mut notes = notes.lock().unwrap();
        notes.sessions[number] = Some(notes.started);
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
            let mut notes = notes.lock().unwrap();
            if !notes.is_over {
                notes.heard[number].push_str(std::str::from_utf8(&buf[..length])?);
            }
        }
        Ok(())
    };
    future::or(hear, say).await
}

/// Notes in the end who is in the hall, and whose names can be had.
async fn look(
    ctx: Context<()>,
    hall: ChatRegistry,
    room: Address<RoomRequest>,
    notes: Shared,
) -> Outcome {
    ctx.sleep(END).await;
    {
        let mut notes = notes.lock().unwrap();
        (notes.is_over, notes.hall) = (true, format!("{hall:?}"));
    }
    for number in 0..MEMBERS {
        let nick = Some(format!("m{number}"));
        let coming = JoinRequest { nick, room: None, quiet: true, ip: None, session: None };
        let answer = room.ask(WITHIN, |reply| RoomRequest::Admit(coming, reply)).await?;
        notes.lock().unwrap().free.push(answer.is_ok());
    }
    Ok(())
}

/// Plants the tree of a run. In some, what stands beside the pool fails once, and the pool has to start again with it.
fn plant(dice: &mut Dice, notes: &Shared) -> Supervisor {
    let hall = ChatRegistry::new("lobby");
    let tree = |name, strategy| {
        let tree = Supervisor::new(name, strategy).intensity(u32::MAX, MOMENT);
        tree.backoff(5 * MOMENT, 5 * MOMENT)
    };
    let mut root = tree("t", Strategy::OneForOne);
    let keeper = hall.clone();
    let room = root.child(Child::new("room", move || RoomManager::new(keeper.clone())).mailbox(3));
    let mut front = tree("front", Strategy::OneForAll);
    let sessions = front.pool(Pool::new("sessions").mailbox(2));
    let trip = (dice.below(6) == 0)
        .then(|| TALK * (dice.below(3) > 0).into() + MOMENT * dice.below(8) as u32);
    let once = Arc::new(Mutex::new(trip));
    let tripped = notes.clone();
    front.child(Child::new("trip", move || {
        let (once, notes) = (once.clone(), tripped.clone());
        async move |mut ctx: Context<()>| -> Outcome {
            let trip = once.lock().unwrap().take();
            if let Some(after) = trip {
                ctx.sleep_unless_stopped(after).await;
                notes.lock().unwrap().tripped = true;
                return Err("the pool has to stop".into());
            }
            ctx.stopped().await;
            Ok(())
        }
    }));
    root.supervisor(front);
    let (limits, reporter) = (SessionLimits::default(), Reporter::disabled());
    let with = Arc::new(SessionConfig { limits, manager: room.clone(), reporter });
    for number in 0..MEMBERS {
        let capacity = [32, 200, 4096][dice.below(3) as usize];
        let (sessions, with, notes) = (sessions.clone(), with.clone(), notes.clone());
        let member = Child::new(format!("m{number}"), move || {
            let (sessions, with, notes) = (sessions.clone(), with.clone(), notes.clone());
            move |ctx| talk(ctx, number, capacity, sessions, with, notes)
        });
        root.child(member.temporary());
    }
    let notes = notes.clone();
    let end = Child::new("end", move || {
        let (hall, room, notes) = (hall.clone(), room.clone(), notes.clone());
        move |ctx| look(ctx, hall, room, notes)
    });
    root.child(end.transient().significant());
    root
}

/// Draws what befalls whom, and notes whom it ends.
fn strike(seed: u64, notes: Shared) -> impl FnMut(&PollInfo) -> Option<Fault> + Send + 'static {
    const WAYS: [Fault; 5] = [
        Fault::Panic,
        Fault::Error,
        Fault::Kill,
        Fault::Delay(Duration::from_millis(100)),
        Fault::Hang,
    ];
    let mut dice = Dice(seed ^ 0x5eed);
    let mut fate = |n, ways| {
        (dice.below(n) == 0).then(|| (dice.below(40) + 1, WAYS[dice.below(ways) as usize]))
    };
    let sessions: [_; MEMBERS] = std::array::from_fn(|_| fate(3, 5));
    let members: [_; MEMBERS] = std::array::from_fn(|_| fate(6, 3).filter(|(turn, _)| *turn > 1));
    move |turn| {
        let mut notes = notes.lock().unwrap();
        if notes.is_over {
            return None;
        }
        let name = turn.path.name();
        if name == "room" {
            // A room that does not even start is the tree's failure, as in OTP.
            let befalls = turn.number > 1 && dice.below(6) == 0;
            return befalls.then(|| WAYS[dice.below(4) as usize]);
        }
        let member = name.strip_prefix('m').and_then(|number| number.parse::<usize>().ok());
        let session = turn.path.is_pool_child().then(|| name.parse::<u64>()).transpose().ok()?;
        let fate = match (member, session) {
            (Some(number), _) => members[number],
            (_, Some(number)) => *sessions.get(number as usize)?,
            _ => None,
        };
        let (_, fault) = fate.filter(|(number, _)| *number == turn.number)?;
        notes.vanished.extend(member);
        match fault {
            Fault::Delay(_) => {}
            Fault::Hang => notes.hung.extend(session),
            _ => notes.struck.extend(session),
        }
        Some(fault)
    }
}

/// Runs a chat to its end.
pub fn run(seed: u64) -> Notes {
    let notes = Shared::default();
    let seen = notes.clone();
    Simulation::new(seed)
        .inject(strike(seed, notes.clone()))
        .observe(move |event| {
            let path = event.path();
            let Ok(number) = path.name().parse() else {
                let lost = event.lost().filter(|_| path.matches("room"));
                return assert!(lost.is_none(), "the room had something in hand");
            };
            let mut notes = seen.lock().unwrap();
            match event {
                Lifecycle::Started { .. } => notes.started = number,
                _ if notes.is_over => {}
                ended => drop(notes.ended.insert(number, ended.to_string())),
            }
        })
        .run(plant(&mut Dice(seed), &notes))
        .unwrap();
    let notes = notes.lock().unwrap();
    notes.clone()
}
