//! What the runtime's three commonest deeds cost in instructions: tell, ask, spawn.
//!
//! Times on a machine that does other work besides differ by a tenth from run to run; instructions hardly do. Each deed is done some
//! times and then thrice as often, in a process of its own under valgrind's callgrind, and the difference is that of
//! so many deeds, without the start and the end of a system. The figures are held against those in
//! `benches/instructions.txt`: whoever makes a deed dearer by more than a twentieth learns of it here.
//!
//!     cargo bench --bench instructions                # the check
//!     cargo bench --bench instructions -- --keep      # the same, and the figures are the new baseline
//!     cargo bench --bench instructions -- --work ask --count 100000    # one deed alone, say under perf
//!
//! The kernel's instructions are not counted, and another compiler makes others: the baseline names its own. Without
//! valgrind, and without cargo's `--bench`, the deeds are only done.

use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;
use std::{env, fs, io};

use sockactors::runtime::{
    Address, Child, Context, Outcome, Pool, PoolAddress, Reply, Strategy, Supervisor, System,
};

/// What is done, and how often at least.
const DEEDS: [(&str, u64); 3] = [("tell", 20_000), ("ask", 5000), ("spawn", 5000)];

/// So much dearer a deed may be than it was, in percent.
const SLACK: f64 = 5.0;

const WITHIN: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> io::Result<()> {
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let after =
        |flag: &str| args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1));
    if let Some(deed) = after("--work") {
        let count = after("--count").and_then(|count| count.parse().ok());
        return work(deed, count.unwrap_or(1000));
    }
    let is_there = || Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if has("--test") || !has("--bench") || is_there().is_err() {
        println!("SKIPPED: nothing is counted without --bench and valgrind");
        return DEEDS.into_iter().try_for_each(|(deed, _)| work(deed, 100));
    }
    compare(has("--keep"))
}

/// Counts the instructions of each deed, holds them against the baseline, or makes them the new one.
fn compare(keep: bool) -> io::Result<()> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/instructions.txt");
    let baseline = fs::read_to_string(&path).unwrap_or_default();
    let compiler = Command::new("rustc").arg("--version").output()?;
    let compiler = String::from_utf8_lossy(&compiler.stdout).trim().to_owned();
    let mut text = format!("# {compiler}, {}\n", env::consts::ARCH);
    if !baseline.starts_with(&text) {
        println!("The baseline is another compiler's; this is {}", &text[2..]);
    }
    let mut dearer = Vec::new();
    println!("{:<8} {:>13} {:>9} {:>8}", "", "instructions", "baseline", "percent");
    for (deed, least) in DEEDS {
        let more = count(deed, 3 * least)?.saturating_sub(count(deed, least)?);
        let each = more as f64 / (2 * least) as f64;
        text.push_str(&format!("{deed} {each:.0}\n"));
        let line = baseline.lines().find_map(|line| line.strip_prefix(deed));
        let Some(was) = line.and_then(|line| line.trim().parse::<f64>().ok()) else {
            println!("{deed:<8} {each:>13.0} {:>9}", "none");
            continue;
        };
        let percent = (each / was - 1.0) * 100.0;
        println!("{deed:<8} {each:>13.0} {was:>9.0} {percent:>+8.1}");
        if percent > SLACK {
            dearer.push(deed);
        }
    }
    if keep {
        return fs::write(path, text);
    }
    match dearer.is_empty() {
        true => Ok(()),
        false => Err(io::Error::other(format!("dearer than it was: {}", dearer.join(", ")))),
    }
}

/// Returns the instructions of a process that does a deed so often.
fn count(deed: &str, times: u64) -> io::Result<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(env::current_exe()?)
        .args(["--work", deed, "--count", &times.to_string()])
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected :"));
    let figure = collected.and_then(|(_, figure)| figure.trim().parse().ok());
    figure.filter(|_| output.status.success()).ok_or_else(|| io::Error::other(told.into_owned()))
}

/// What the counter is sent.
enum ToCounter {
    Add(u64),
    Sum(Reply<u64>),
}

async fn counter(mut ctx: Context<ToCounter>) -> Outcome {
    let mut sum = 0;
    while let Some(message) = ctx.recv().await {
        match message {
            ToCounter::Add(n) => sum += n,
            ToCounter::Sum(reply) => reply.send(sum),
        }
    }
    Ok(())
}

async fn tell(counter: Address<ToCounter>, times: u64) -> Outcome {
    for _ in 0..times {
        counter.send(ToCounter::Add(1)).await?;
    }
    let sum = counter.ask(WITHIN, ToCounter::Sum).await?;
    if sum == times { Ok(()) } else { Err(format!("{sum} of {times} arrived").into()) }
}

async fn ask(counter: Address<ToCounter>, times: u64) -> Outcome {
    for _ in 0..times {
        counter.ask(WITHIN, ToCounter::Sum).await?;
    }
    Ok(())
}

async fn come_and_go(_: Context<()>) -> Outcome {
    Ok(())
}

async fn spawn(pool: PoolAddress, times: u64) -> Outcome {
    for _ in 0..times {
        pool.start(come_and_go).await?;
    }
    Ok(())
}

async fn perform(
    deed: String,
    address: Address<ToCounter>,
    pool: PoolAddress,
    times: u64,
) -> Outcome {
    match &*deed {
        "tell" => tell(address, times).await,
        "ask" => ask(address, times).await,
        "spawn" => spawn(pool, times).await,
        _ => Err(format!("nobody knows how to {deed}").into()),
    }
}

/// Does a deed so often, on one thread.
fn work(deed: &str, times: u64) -> io::Result<()> {
    let mut tree = Supervisor::new("bench", Strategy::OneForOne);
    let address = tree.child(Child::new("counter", || counter));
    let pool = tree.pool(Pool::new("pool").limit(64));
    let deed = deed.to_owned();
    let doer = Child::new("doer", move || {
        let (deed, address, pool) = (deed.clone(), address.clone(), pool.clone());
        move |_: Context<()>| perform(deed, address, pool, times)
    });
    tree.child(doer.transient().significant());
    System::new().run(tree).map(drop).map_err(io::Error::other)
}
