//! What a greeting costs the server: CPU time of its process for each connection.
//!
//! A client connects, reads `Thank you for connecting` to the end of the stream and closes. Four servers
//! answer it in one run: the built program, quiet and narrating to `/dev/null`, and two bare `epoll` loops
//! that do nothing else. The plain loop is the floor: accept, send, close. The polite one asks for the
//! peer's address and closes as [`Stream::close`](sockactors::net::Stream::close) does, so what lies
//! between the two is the price of a polite close, and what lies above both is the price of the actors.
//!
//! Each round starts every server anew and measures one after the other, so that whatever else the machine
//! does falls on all of them; the ratio is that of the servers of one round, and the median of all rounds.
//! Each is measured twice: with one connection at a time, where the server falls asleep after each, and
//! with 16 in flight, where it finds several at once. Servers and client share one CPU: where the
//! scheduler may put them on two, waking the other one can cost more than the greeting (on a virtual
//! machine several times as much), and it does so or does not for seconds on end.
//!
//!     cargo bench --bench greeting                                       # the table
//!     cargo bench --bench greeting -- --connections 20000 --rounds 21    # longer
//!     cargo bench --bench greeting -- --spread                           # on whichever CPUs there are
//!     cargo bench --bench greeting -- --plain 4711                       # one loop, say under strace
//!     cargo bench --bench greeting -- --load 4711 --connections 1000     # the load alone
//!
//! Without cargo's `--bench`, or with `--test`, a run is one short round: it only proves that all is well.

#[path = "greeting/bare.rs"]
mod bare;

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use bare::{greet, greet_politely, until_blocked};

/// How long a server may take to listen, and to come to rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many connections are under way at once, in each of the two loads.
const IN_FLIGHT: [usize; 2] = [1, 16];

/// Connections before the first reading, so that threads and memory are there.
const WARM_UP: usize = 64;

/// Who is measured. The first is what the others are compared with.
const PEERS: [Peer; 4] = [
    Peer { name: "epoll loop, plain", server: Server::Plain },
    Peer { name: "epoll loop, polite close", server: Server::Polite },
    Peer { name: "sockactors -q", server: Server::Program(&["-q"]) },
    Peer { name: "sockactors > /dev/null", server: Server::Program(&[]) },
];

struct Peer {
    name: &'static str,
    server: Server,
}

enum Server {
    /// A loop in this file: accept, send, close.
    Plain,
    /// The same with the peer's address and a polite close.
    Polite,
    /// The built program, with these flags.
    Program(&'static [&'static str]),
}

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("greeting: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Vec<String>) -> io::Result<()> {
    let place = |flag: &str| args.iter().position(|arg| arg == flag);
    let has = |flag: &str| place(flag).is_some();
    let number = |flag: &str, default: usize| match place(flag).and_then(|at| args.get(at + 1)) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| other(format!("{flag} {text}: not a number"))),
    };
    let smoke = has("--test") || !has("--bench");
    // All rounds together leave fewer sockets in TIME_WAIT than the kernel keeps by default.
    let connections = number("--connections", if smoke { 32 } else { 1200 })?.max(1);
    let rounds = number("--rounds", if smoke { 1 } else { 11 })?.max(1);
    let port = |flag: &str| u16::try_from(number(flag, 0)?).map_err(other);
    if has("--plain") || has("--polite") {
        let polite = has("--polite");
        return serve(port(if polite { "--polite" } else { "--plain" })?, polite);
    }
    if has("--load") {
        return load(port("--load")?, connections, number("--in-flight", 1)?.max(1));
    }
    if !has("--spread") {
        share_one_cpu()?;
    }
    compare(connections, rounds)
}

/// Keeps this process, and those that it starts, on the last CPU that it may use.
fn share_one_cpu() -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    if let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)) {
        one.set(last);
        sched_setaffinity(None, &one)?;
    }
    Ok(())
}

/// Measures all peers, round by round, and prints a table for each load.
fn compare(connections: usize, rounds: usize) -> io::Result<()> {
    let mut costs = [const { [const { Vec::new() }; PEERS.len()] }; IN_FLIGHT.len()];
    for _ in 0..rounds {
        for (in_flight, costs) in IN_FLIGHT.into_iter().zip(&mut costs) {
            for (peer, costs) in PEERS.iter().zip(costs) {
                costs.push(measure(&peer.server, connections, in_flight)?);
            }
        }
    }
    println!("CPU time of the server for each connection, in µs: {rounds} rounds of {connections}");
    for (in_flight, costs) in IN_FLIGHT.into_iter().zip(costs) {
        let title = format!("{in_flight} at a time");
        println!("\n{title:<26} {:>8} {:>8} {:>8} {:>7}", "median", "min", "max", "ratio");
        let [first, ..] = &costs;
        for (peer, costs) in PEERS.iter().zip(&costs) {
            let [min, median, max] = spread(costs.iter().copied());
            let [_, ratio, _] = spread(costs.iter().zip(first).map(|(cost, first)| cost / first));
            println!("{:<26} {median:>8.2} {min:>8.2} {max:>8.2} {ratio:>7.2}", peer.name);
        }
    }
    Ok(())
}

/// Returns the least, the middle (the lower one of two) and the most of what is there.
fn spread(figures: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    [sorted[0], sorted[(sorted.len() - 1) / 2], sorted[sorted.len() - 1]]
}

/// Starts a server, greets `connections` times, and returns the µs of CPU time that one took.
fn measure(server: &Server, connections: usize, in_flight: usize) -> io::Result<f64> {
    let port = free_port()?;
    let server = Running::start(server, port)?;
    load(port, WARM_UP, in_flight)?;
    let before = server.at_rest()?;
    load(port, connections, in_flight)?;
    let after = server.at_rest()?;
    let spent: u64 = after
        .iter()
        .map(|(thread, spent)| spent - before.get(thread).copied().unwrap_or_default())
        .sum();
    Ok(spent as f64 / 1000.0 / connections as f64)
}

/// Finds a port that nobody has: a quiet program does not tell which one it chose.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Has a server on this machine greet so many, `in_flight` at once.
fn load(port: u16, connections: usize, in_flight: usize) -> io::Result<()> {
    bare::load(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), connections, in_flight)
}

/// A server in a process of its own, which ends with this value.
struct Running(Child);

impl Running {
    /// Starts a server and waits until it answers.
    fn start(server: &Server, port: u16) -> io::Result<Running> {
        let port_text = port.to_string();
        let mut command = match server {
            Server::Plain | Server::Polite => {
                let mut command = Command::new(env::current_exe()?);
                let polite = matches!(server, Server::Polite);
                command.args([if polite { "--polite" } else { "--plain" }, &port_text]);
                command
            }
            Server::Program(flags) => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_sockactors"));
                let listen = format!("127.0.0.1:{port}");
                command.args(["--scenario", "tcp", "--listen", &listen]).args(*flags);
                command
            }
        };
        let quiet = command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        let running = Running(quiet.stderr(Stdio::null()).spawn()?);
        let since = Instant::now();
        while let Err(error) = load(port, 1, 1) {
            if since.elapsed() > PATIENCE {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(running)
    }

    /// Waits until the server has nothing left to do, and returns the CPU time of each of its threads.
    fn at_rest(&self) -> io::Result<HashMap<String, u64>> {
        let since = Instant::now();
        let mut spent = self.spent()?;
        loop {
            thread::sleep(Duration::from_millis(20));
            let now = self.spent()?;
            if now == spent {
                return Ok(now);
            }
            if since.elapsed() > PATIENCE {
                return Err(other("the server never comes to rest"));
            }
            spent = now;
        }
    }

    /// Returns the nanoseconds that each thread was on a CPU, in user and in kernel mode.
    fn spent(&self) -> io::Result<HashMap<String, u64>> {
        let mut spent = HashMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let thread = thread?;
            // A thread may end between the two readings.
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok());
            let ns = ns.ok_or_else(|| other(format!("schedstat says {text:?}")))?;
            spent.insert(thread.file_name().to_string_lossy().into_owned(), ns);
        }
        Ok(spent)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already needs neither.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves greetings for ever, with as little as that takes.
fn serve(port: u16, polite: bool) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(0), EventFlags::IN)?;
    let mut events: [Event; 16] =
        [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 16];
    loop {
        epoll::wait(&epoll, events.as_mut_slice(), None)?;
        until_blocked(|| if polite { greet_politely(&listener) } else { greet(&listener) })?;
    }
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
