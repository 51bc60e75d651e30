//! Crowds: what very many children of one supervisor or pool take.

use std::fs;
use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use smol::future::yield_now;
use sockactors::runtime::{Child, Context, Outcome, Pool, Strategy, Supervisor, System};

/// Whose children they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    Pool,
    Supervisor,
}

/// What is measured of a crowd, for each child of it.
pub const FIGURES: [&str; 7] = [
    "start, µs",
    "start, µs of CPU",
    "count, µs",
    "snapshot, µs",
    "stop, µs",
    "stop, µs of CPU",
    "memory, kB",
];

/// The figures of one crowd, in a line.
pub struct Crowd(pub [f64; FIGURES.len()]);

impl std::fmt::Display for Crowd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|figure| write!(f, "{figure} "))
    }
}

impl FromStr for Crowd {
    type Err = String;

    fn from_str(text: &str) -> Result<Crowd, String> {
        let figures: Result<Vec<f64>, _> = text.split_whitespace().map(str::parse).collect();
        let figures = figures.map_err(|error| error.to_string())?;
        figures.try_into().map(Crowd).map_err(|_| format!("{text}: other figures"))
    }
}

/// What is read at each turn.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    /// How long all threads of the process were on a CPU.
    cpu: Duration,
    /// Kilobytes of memory that are resident.
    memory: u64,
}

impl Reading {
    fn take() -> io::Result<Reading> {
        let status = fs::read_to_string("/proc/self/status")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = resident.and_then(|text| text.trim().strip_suffix(" kB")?.parse().ok());
        let memory = kilobytes.ok_or_else(|| io::Error::other("no VmRSS in kB"))?;
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = Duration::try_from(cpu).map_err(io::Error::other)?;
        Ok(Reading { at: Instant::now(), cpu, memory })
    }
}

/// One of the crowd, as long as it lives.
struct One(Arc<AtomicUsize>);

impl One {
    fn new(alive: &Arc<AtomicUsize>) -> One {
        alive.fetch_add(1, Ordering::SeqCst);
        One(alive.clone())
    }
}

impl Drop for One {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn live(mut ctx: Context<()>, alive: Arc<AtomicUsize>) -> Outcome {
    let _one = One::new(&alive);
    ctx.stopped().await;
    Ok(())
}

/// Starts, counts and stops a crowd.
pub fn measure(home: Home, children: usize) -> io::Result<Crowd> {
    let alive = Arc::new(AtomicUsize::new(0));
    let readings = Arc::new(Mutex::new(Vec::new()));
    let mut tree = Supervisor::new("bench", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool").limit(children));
    let mut crew = Supervisor::new("crew", Strategy::OneForOne);
    let crew_address = crew.address();
    tree.supervisor(crew);
    let system = System::new();
    let handle = system.handle();
    let (of_keeper, crowd, notes) = (alive.clone(), pool.clone(), readings.clone());
    let keeper = Child::new("keeper", move || {
        let (alive, pool, crew) = (of_keeper.clone(), crowd.clone(), crew_address.clone());
        let (handle, readings) = (handle.clone(), notes.clone());
        let note = move || -> io::Result<()> {
            readings.lock().unwrap().push(Reading::take()?);
            Ok(())
        };
        async move |_: Context<()>| -> Outcome {
            note()?;
            for number in 0..children {
                let alive = alive.clone();
                if home == Home::Pool {
                    pool.start(move |ctx| live(ctx, alive)).await?;
                } else {
                    let make = move || {
                        let alive = alive.clone();
                        move |ctx| live(ctx, alive)
                    };
                    crew.add(Child::new(number.to_string(), make)).await?;
                }
            }
            while alive.load(Ordering::SeqCst) < children {
                yield_now().await;
            }
            note()?;
            let counted = match home {
                Home::Pool => pool.len(),
                Home::Supervisor => crew.count().await?.active,
            };
            assert_eq!(counted, children, "all of them live");
            note()?;
            let tree = handle.tree().expect("the tree runs");
            let seen: usize = tree.children.iter().map(|home| home.children.len()).sum();
            assert_eq!(seen, children, "all of them are seen");
            drop(tree);
            note()?;
            Ok(())
        }
    });
    tree.child(keeper.temporary().significant());
    system.run(tree).map_err(io::Error::other)?;
    let end = Reading::take()?;
    assert_eq!((alive.load(Ordering::SeqCst), pool.len()), (0, 0), "none of them is left");
    let readings = readings.lock().unwrap();
    let [begin, started, counted, seen] = readings[..] else {
        return Err(io::Error::other("not all was measured"));
    };
    let time = |from: Reading, to: Reading| (to.at - from.at).as_nanos() as f64 / 1e3;
    let cpu = |from: Reading, to: Reading| (to.cpu - from.cpu).as_nanos() as f64 / 1e3;
    let figures = [
        time(begin, started),
        cpu(begin, started),
        time(started, counted),
        time(counted, seen),
        time(seen, end),
        cpu(seen, end),
        (started.memory - begin.memory) as f64,
    ];
    Ok(Crowd(figures.map(|figure| figure / children as f64)))
}
