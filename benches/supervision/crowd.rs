//! The cost of many children of one supervisor or pool.

use std::fs;
use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use smol::future::yield_now;
use sockactors::runtime::{Child, Context, Outcome, Pool, Strategy, Supervisor, System};

/// The parent of the children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parent {
    Pool,
    Supervisor,
}

/// The names of the figures, each per child.
pub const FIGURES: [&str; 7] = [
    "start, µs",
    "start, µs of CPU",
    "count, µs",
    "snapshot, µs",
    "stop, µs",
    "stop, µs of CPU",
    "memory, kB",
];

/// The figures of one crowd. As text they are one line.
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
        figures.try_into().map(Crowd).map_err(|_| format!("wrong number of figures: {text}"))
    }
}

/// A measurement of this process.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    /// The CPU time of all threads.
    cpu: Duration,
    /// The resident memory in kB.
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

/// Counts a live child. Dropping this counts it off.
struct AliveGuard(Arc<AtomicUsize>);

impl AliveGuard {
    fn new(alive: &Arc<AtomicUsize>) -> AliveGuard {
        alive.fetch_add(1, Ordering::SeqCst);
        AliveGuard(alive.clone())
    }
}

impl Drop for AliveGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn live(mut ctx: Context<()>, alive: Arc<AtomicUsize>) -> Outcome {
    let _alive = AliveGuard::new(&alive);
    ctx.stopped().await;
    Ok(())
}

/// Starts, counts and stops a crowd.
pub fn measure(parent: Parent, children: usize) -> io::Result<Crowd> {
    let alive = Arc::new(AtomicUsize::new(0));
    let readings = Arc::new(Mutex::new(Vec::new()));
    let mut tree = Supervisor::new("bench", Strategy::OneForOne);
    let pool = tree.pool(Pool::new("pool").limit(children));
    let mut crew = Supervisor::new("crew", Strategy::OneForOne);
    let crew_address = crew.address();
    tree.supervisor(crew);
    let system = System::new();
    let handle = system.handle();
    let (child_alive, child_pool, child_readings) = (alive.clone(), pool.clone(), readings.clone());
    let driver = Child::new("driver", move || {
        let (alive, pool, crew) = (child_alive.clone(), child_pool.clone(), crew_address.clone());
        let (handle, readings) = (handle.clone(), child_readings.clone());
        let measure_now = move || -> io::Result<()> {
            readings.lock().unwrap().push(Reading::take()?);
            Ok(())
        };
        async move |_: Context<()>| -> Outcome {
            measure_now()?;
            for number in 0..children {
                let alive = alive.clone();
                if parent == Parent::Pool {
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
            measure_now()?;
            let counted = match parent {
                Parent::Pool => pool.len(),
                Parent::Supervisor => crew.count().await?.active,
            };
            assert_eq!(counted, children, "all children live");
            measure_now()?;
            let tree = handle.tree().expect("the tree runs");
            let found: usize = tree.children.iter().map(|parent| parent.children.len()).sum();
            assert_eq!(found, children, "the snapshot has all children");
            drop(tree);
            measure_now()?;
            Ok(())
        }
    });
    tree.child(driver.temporary().significant());
    system.run(tree).map_err(io::Error::other)?;
    let end = Reading::take()?;
    assert_eq!((alive.load(Ordering::SeqCst), pool.len()), (0, 0), "no child is left");
    let readings = readings.lock().unwrap();
    let [first, started, counted, found] = readings[..] else {
        return Err(io::Error::other("a measurement is missing"));
    };
    let time = |from: Reading, to: Reading| (to.at - from.at).as_nanos() as f64 / 1e3;
    let cpu = |from: Reading, to: Reading| (to.cpu - from.cpu).as_nanos() as f64 / 1e3;
    let figures = [
        time(first, started),
        cpu(first, started),
        time(started, counted),
        time(counted, found),
        time(found, end),
        cpu(found, end),
        (started.memory - first.memory) as f64,
    ];
    Ok(Crowd(figures.map(|figure| figure / children as f64)))
}
