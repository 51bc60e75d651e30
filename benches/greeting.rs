//! Measures the CPU time of a server per greeted TCP connection.
//!
//! A client connects, reads `Thank you for connecting` to the end of the stream and closes. Four
//! servers are compared: the program with `-q`, the program with its output in `/dev/null`, and two
//! bare `epoll` loops. The plain loop accepts, sends and closes. The polite loop also asks for the
//! peer's address and closes as [`Stream::close`](sockactors::net::Stream::close) does. So the
//! difference of the loops is the cost of a polite close. The rest is the cost of the actors.
//!
//! Each round starts every server anew and measures one after the other, so that other load of the
//! machine affects all of them. A ratio compares servers of the same round, and the median of the
//! rounds is shown. There are two loads: one connection at a time, where the server sleeps after
//! each, and 16 at once.
//!
//! Servers and client share one CPU. On two CPUs a wake-up can cost more than the greeting, on a
//! virtual machine several times more. Whether the scheduler uses both varies from second to
//! second.
//!
//!     cargo bench --bench greeting                                       # the table
//!     cargo bench --bench greeting -- --connections 20000 --rounds 21    # longer
//!     cargo bench --bench greeting -- --spread                           # on all CPUs
//!     cargo bench --bench greeting -- --plain 4711                       # one loop
//!     cargo bench --bench greeting -- --load 4711 --connections 1000     # only the load
//!
//! Without cargo's `--bench`, or with `--test`, a run is one short round that checks the answers.

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

use bare::{accept_until_blocked, greet, greet_politely};

/// The timeout for a server to listen, and to become idle.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The number of simultaneous connections in each load.
const IN_FLIGHT: [usize; 2] = [1, 16];

/// Connections before the first measurement, which start threads and allocate memory.
const WARM_UP: usize = 64;

/// The servers. Ratios are relative to the first.
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
    /// The same loop with the peer's address and a polite close.
    Polite,
    /// The program with these flags.
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
    let position = |flag: &str| args.iter().position(|arg| arg == flag);
    let has = |flag: &str| position(flag).is_some();
    let number = |flag: &str, default: usize| match position(flag).and_then(|at| args.get(at + 1)) {
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

/// Binds this process and its children to the last CPU that it may use.
fn share_one_cpu() -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    if let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)) {
        one.set(last);
        sched_setaffinity(None, &one)?;
    }
    Ok(())
}

/// Measures all servers in each round, and prints a table for each load.
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

/// Returns the minimum, the median (the lower one of two) and the maximum.
fn spread(figures: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    [sorted[0], sorted[(sorted.len() - 1) / 2], sorted[sorted.len() - 1]]
}

/// Starts a server, connects `connections` times, and returns the CPU time per connection in µs.
fn measure(server: &Server, connections: usize, in_flight: usize) -> io::Result<f64> {
    let port = free_port()?;
    let server = Running::start(server, port)?;
    load(port, WARM_UP, in_flight)?;
    let before = server.wait_until_idle()?;
    load(port, connections, in_flight)?;
    let after = server.wait_until_idle()?;
    let cpu_times: u64 = after
        .iter()
        .map(|(thread, cpu_times)| cpu_times - before.get(thread).copied().unwrap_or_default())
        .sum();
    Ok(cpu_times as f64 / 1000.0 / connections as f64)
}

/// Returns a free port. A quiet program does not print the port that it chose.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Connects to a local server `connections` times, `in_flight` at once.
fn load(port: u16, connections: usize, in_flight: usize) -> io::Result<()> {
    bare::load(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), connections, in_flight)
}

/// A server in a child process. Dropping this kills it.
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
            if since.elapsed() > TIMEOUT {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(running)
    }

    /// Waits until the server is idle, and returns the CPU time of each of its threads.
    fn wait_until_idle(&self) -> io::Result<HashMap<String, u64>> {
        let since = Instant::now();
        let mut cpu_times = self.cpu_times()?;
        loop {
            thread::sleep(Duration::from_millis(20));
            let now = self.cpu_times()?;
            if now == cpu_times {
                return Ok(now);
            }
            if since.elapsed() > TIMEOUT {
                return Err(other("the server did not become idle"));
            }
            cpu_times = now;
        }
    }

    /// Returns the CPU time of each thread in nanoseconds, in user and kernel mode.
    fn cpu_times(&self) -> io::Result<HashMap<String, u64>> {
        let mut cpu_times = HashMap::new();
        for thread in fs::read_dir(format!("/proc/{}/task", self.0.id()))? {
            let thread = thread?;
            // A thread may end between the two reads.
            let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) else { continue };
            let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok());
            let ns = ns.ok_or_else(|| other(format!("schedstat says {text:?}")))?;
            cpu_times.insert(thread.file_name().to_string_lossy().into_owned(), ns);
        }
        Ok(cpu_times)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both calls fail if the server has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves greetings in a bare loop that never returns, except with an error.
fn serve(port: u16, polite: bool) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(0), EventFlags::IN)?;
    let mut events: [Event; 16] =
        [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; 16];
    loop {
        epoll::wait(&epoll, events.as_mut_slice(), None)?;
        accept_until_blocked(|| if polite { greet_politely(&listener) } else { greet(&listener) })?;
    }
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
