//! What a slow crowd costs those who behave well: greetings, lines of a chat and uploads in a second, with and without two
//! thousand connections that say a byte a second.
//!
//! The built program serves one scenario at a time, twice: one server has those who behave well alone, the other one has the
//! crowd, too. Its members connect, say a byte each second while they are measured, and read nothing; one that the server has
//! ended stays with its client as it is. The two servers are measured in turns of a fraction of a second, so that whatever else
//! the machine does falls on both; the ratio is that of one round, and the median of all rounds counts. Server and clients
//! share the machine, so what the crowd's own client costs counts, too, and is told. The last ratio is that of the CPU time that
//! the server took for each: it knows nothing of what else the machine does.
//!
//!     cargo bench --bench slow_crowd                                     # the table
//!     cargo bench --bench slow_crowd -- --crowd 5000 --rounds 100        # more of both
//!     cargo bench --bench slow_crowd -- --millis 1000                    # how long a turn is
//!     cargo bench --bench slow_crowd -- --only chat                      # one of tcp, chat, framed, raw
//!
//! Without cargo's `--bench`, or with `--test`, a run is one short round: it only proves that all is well.

#[allow(dead_code, reason = "nobody waits for a server here")]
#[path = "files/cpu.rs"]
mod cpu;
#[path = "slow_crowd/loads.rs"]
mod loads;

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use sockactors::net::raise_open_file_limit;

use loads::{framed, greetings, offering, raw, words};

/// How long a server may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long server and crowd have to settle before a turn.
const SETTLE: Duration = Duration::from_millis(50);

/// The crowd says its bytes in so many parts of a second.
const PARTS: usize = 50;

/// What is measured: the scenario, what a crowd says first, and what those who behave well do until the time is up.
struct Load {
    name: &'static str,
    scenario: &'static str,
    first: fn() -> Vec<u8>,
    /// Returns how much was done.
    act: fn(&Server, Instant) -> io::Result<u64>,
    unit: &'static str,
}

const LOADS: [Load; 4] = [
    Load { name: "tcp", scenario: "tcp", first: Vec::new, act: greetings, unit: "greetings/s" },
    Load { name: "chat", scenario: "chat", first: Vec::new, act: words, unit: "lines/s" },
    Load { name: "framed", scenario: "file", first: offering, act: framed, unit: "MiB/s" },
    Load { name: "raw", scenario: "file", first: Vec::new, act: raw, unit: "MiB/s" },
];

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("slow_crowd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> io::Result<()> {
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let number = |flag: &str, default: usize| {
        let value = args.iter().position(|arg| arg == flag).and_then(|at| args.get(at + 1));
        value.map_or(Ok(default), |text| text.parse().map_err(io::Error::other))
    };
    let smoke = has("--test") || !has("--bench");
    let crowd = number("--crowd", if smoke { 50 } else { 2000 })?;
    let rounds = number("--rounds", if smoke { 1 } else { 40 })?.max(1);
    let turn = Duration::from_millis(number("--millis", if smoke { 100 } else { 300 })? as u64);
    let only = args.iter().position(|arg| arg == "--only").and_then(|at| args.get(at + 1));
    // The servers inherit it.
    raise_open_file_limit();
    println!(
        "{rounds} rounds of {turn:?} each, alone and beside {crowd} slow connections; medians\n"
    );
    println!(
        "{:<12} {:>10} {:>10} {:>7} {:>7} {:>7} {:>14} {:>12}",
        "in a second", "alone", "beside", "ratio", "min", "max", "crowd's client", "CPU of each"
    );
    for load in LOADS.iter().filter(|load| only.is_none_or(|only| only == load.name)) {
        compare(load, crowd, rounds, turn)?;
    }
    Ok(())
}

/// Measures a load on two servers in turns, and prints a line of the table.
fn compare(load: &Load, crowd: usize, rounds: usize, turn: Duration) -> io::Result<()> {
    let servers = [Server::start(load.scenario)?, Server::start(load.scenario)?];
    let crowd = Crowd::come(&servers[1].at, crowd, &(load.first)())?;
    let mut figures = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for which in [round % 2, 1 - round % 2] {
            crowd.says(which == 1);
            thread::sleep(SETTLE);
            let (server, since) = (&servers[which], Instant::now());
            let before = cpu::spent(server.child.id())?;
            let done = (load.act)(server, since + turn)? as f64;
            let rate = done / since.elapsed().as_secs_f64();
            // The first round is for everybody to warm up.
            if round > 0 {
                let spent = cpu::spent(server.child.id())?.saturating_sub(before);
                figures[which].push((rate, spent.as_secs_f64() / done));
            }
            crowd.says(false);
        }
    }
    let [alone, beside] = &figures;
    let rates = |figures: &[(f64, f64)]| spread(figures.iter().map(|figure| figure.0))[1];
    let [min, ratio, max] =
        spread(alone.iter().zip(beside).map(|(alone, beside)| beside.0 / alone.0));
    let [_, cost, _] = spread(alone.iter().zip(beside).map(|(alone, beside)| beside.1 / alone.1));
    println!(
        "{:<12} {:>10.0} {:>10.0} {ratio:>7.3} {min:>7.3} {max:>7.3} {:>13.1}% {cost:>12.3}   {}",
        load.name,
        rates(alone),
        rates(beside),
        100.0 * crowd.go(),
        load.unit
    );
    Ok(())
}

/// Returns the least, the middle (the lower one of two) and the most of what is there.
fn spread(figures: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    [sorted[0], sorted[(sorted.len() - 1) / 2], sorted[sorted.len() - 1]]
}

/// The built program, which ends with this value.
struct Server {
    child: Child,
    at: String,
    out: tempfile::TempDir,
}

impl Server {
    fn start(scenario: &str) -> io::Result<Server> {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.into() } else { env::temp_dir() };
        let out = tempfile::Builder::new().prefix("sockactors-slow-").tempdir_in(place)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockactors"));
        command.args(["--scenario", scenario, "--listen", "127.0.0.1:0", "--max-conns", "8000"]);
        command.args(["--backlog", "4096"]).env_clear();
        if scenario == "file" {
            command.args(["--keep-free", "0", "--out"]).arg(out.path());
        }
        let streams = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut server = Server { child: streams.spawn()?, at: String::new(), out };
        let told = server.child.stderr.take().ok_or_else(|| other("it has no stderr"))?;
        let mut lines = BufReader::new(told).lines();
        for line in &mut lines {
            if let Some((_, at)) = line?.split_once("listening on ") {
                server.at = at.trim().into();
                break;
            }
        }
        // Whatever else it tells must not stop it.
        thread::spawn(move || lines.for_each(drop));
        Ok(server)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(&self.at)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Slow connections, and the thread that says their bytes.
struct Crowd {
    state: Arc<State>,
    thread: JoinHandle<f64>,
}

/// What the crowd is to do.
#[derive(Default)]
struct State {
    says: AtomicBool,
    is_over: AtomicBool,
}

impl Crowd {
    fn come(at: &str, count: usize, first: &[u8]) -> io::Result<Crowd> {
        let mut crowd = Vec::new();
        for _ in 0..count {
            let mut stream = TcpStream::connect(at)?;
            stream.write_all(first)?;
            stream.set_nonblocking(true)?;
            crowd.push(stream);
        }
        let state = Arc::<State>::default();
        let seen = state.clone();
        let thread = thread::spawn(move || {
            let (mut part, pause) = (0, Duration::from_secs(1) / PARTS as u32);
            while !seen.is_over.load(Ordering::Relaxed) {
                if seen.says.load(Ordering::Relaxed) {
                    for stream in crowd.iter_mut().skip(part % PARTS).step_by(PARTS) {
                        // One that the server has ended has nobody to say it to.
                        let _ = stream.write(b"x");
                    }
                    part += 1;
                }
                thread::sleep(pause);
            }
            let said = part as f64 * pause.as_secs_f64();
            if part == 0 { 0.0 } else { on_this_thread().as_secs_f64() / said }
        });
        Ok(Crowd { state, thread })
    }

    fn says(&self, says: bool) {
        self.state.says.store(says, Ordering::Relaxed);
    }

    /// Has the crowd go, and returns the share of a CPU that its thread took.
    fn go(self) -> f64 {
        self.state.is_over.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_default()
    }
}

/// Returns how long this thread was on a CPU.
fn on_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
