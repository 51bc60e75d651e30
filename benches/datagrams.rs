//! Measures the CPU time of a server per answered datagram.
//!
//! A client sends `Hello UDP Server` from one socket, in batches, and waits for the answers. Five
//! servers are compared:
//!
//! - the program with `-q`, and the program with its output in `/dev/null`
//! - a loop of `recvfrom` and `sendto`
//! - a loop of `recvmmsg` and `sendmmsg`
//! - the same around `epoll`, as a server with more than one socket needs it
//!
//! All are in safe Rust. Each round starts every server anew and measures one after the other.
//! Client and server share one CPU. A ratio compares servers of the same round. The loads are 1, 8
//! and 64 datagrams at once. With one there is no batch, and the server sleeps after each datagram.
//!
//!     cargo bench --bench datagrams                                  # the table
//!     cargo bench --bench datagrams -- --datagrams 100000 --rounds 21
//!     cargo bench --bench datagrams -- --mmsg 4711                   # one loop, e.g. for strace
//!     cargo bench --bench datagrams -- --load 4711 --in-flight 64    # only the load
//!
//! Without cargo's `--bench`, or with `--test`, a run is one short round that checks the answers.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

#[path = "datagrams/bare.rs"]
mod bare;

const REQUEST: &[u8] = b"Hello UDP Server";
const ANSWER: &[u8] = b"Hello UDP Client";

/// The timeout for an answer, and for a server to become idle.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The batch size of each load.
const IN_FLIGHT: [usize; 3] = [1, 8, 64];

/// The servers. Ratios are relative to the first.
const PEERS: [(&str, Server); 5] = [
    ("recvmmsg loop", Server::Bare("--mmsg")),
    ("recvmmsg loop, epoll", Server::Bare("--epoll")),
    ("recvfrom loop", Server::Bare("--naive")),
    ("sockactors -q", Server::Program(&["-q"])),
    ("sockactors > /dev/null", Server::Program(&[])),
];

enum Server {
    /// A loop in `bare`.
    Bare(&'static str),
    /// The program with these flags.
    Program(&'static [&'static str]),
}

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("datagrams: {error}");
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
    let datagrams = number("--datagrams", if smoke { 64 } else { 20_000 })?.max(1);
    let rounds = number("--rounds", if smoke { 1 } else { 11 })?.max(1);
    let port = |flag: &str| u16::try_from(number(flag, 0)?).map_err(other);
    for (flag, serve) in bare::LOOPS {
        if has(flag) {
            return serve(UdpSocket::bind((Ipv4Addr::LOCALHOST, port(flag)?))?, ANSWER);
        }
    }
    if has("--load") {
        return load(port("--load")?, datagrams, number("--in-flight", 1)?.max(1));
    }
    share_one_cpu()?;
    compare(datagrams, rounds)
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
fn compare(datagrams: usize, rounds: usize) -> io::Result<()> {
    let mut costs = [const { [const { Vec::new() }; PEERS.len()] }; IN_FLIGHT.len()];
    for _ in 0..rounds {
        for (in_flight, costs) in IN_FLIGHT.into_iter().zip(&mut costs) {
            for ((_, server), costs) in PEERS.iter().zip(costs) {
                costs.push(measure(server, datagrams, in_flight)?);
            }
        }
    }
    println!("CPU time of the server for each datagram, in µs: {rounds} rounds of {datagrams}");
    for (in_flight, costs) in IN_FLIGHT.into_iter().zip(costs) {
        let title = format!("{in_flight} at a time");
        println!("\n{title:<26} {:>8} {:>8} {:>8} {:>7}", "median", "min", "max", "ratio");
        let [first, ..] = &costs;
        for ((name, _), costs) in PEERS.iter().zip(&costs) {
            let [min, median, max] = spread(costs.iter().copied());
            let [_, ratio, _] = spread(costs.iter().zip(first).map(|(cost, first)| cost / first));
            println!("{name:<26} {median:>8.2} {min:>8.2} {max:>8.2} {ratio:>7.2}");
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

/// Starts a server, sends it `datagrams` requests, and returns the CPU time per answer in µs.
fn measure(server: &Server, datagrams: usize, in_flight: usize) -> io::Result<f64> {
    // A quiet program does not print its port, so it gets a free one.
    let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    let server = Running::start(server, port)?;
    load(port, 2 * in_flight, in_flight)?;
    let before = server.wait_until_idle()?;
    load(port, datagrams, in_flight)?;
    let cpu_times = server
        .wait_until_idle()?
        .into_iter()
        .map(|(thread, cpu_times)| cpu_times - before.get(&thread).copied().unwrap_or_default());
    Ok(cpu_times.sum::<u64>() as f64 / 1000.0 / datagrams as f64)
}

/// Sends `datagrams` requests, `in_flight` at once, and reads each answer.
fn load(port: u16, datagrams: usize, in_flight: usize) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let mut burst = bare::Burst::new(in_flight);
    let mut left = datagrams;
    let mut received = [0; 64];
    while left > 0 {
        let count = in_flight.min(left);
        burst.send(&socket, REQUEST, count)?;
        for _ in 0..count {
            let length = socket.recv(&mut received)?;
            if &received[..length] != ANSWER {
                let text = String::from_utf8_lossy(&received[..length]);
                return Err(other(format!("unexpected answer {text:?}")));
            }
        }
        left -= count;
    }
    Ok(())
}

/// A server in a child process. Dropping this kills it.
struct Running(Child);

impl Running {
    /// Starts a server and waits until it answers.
    fn start(server: &Server, port: u16) -> io::Result<Running> {
        let mut command = match server {
            Server::Bare(flag) => {
                let mut command = Command::new(env::current_exe()?);
                command.args([flag, port.to_string().as_str()]);
                command
            }
            Server::Program(flags) => {
                let mut command = Command::new(env!("CARGO_BIN_EXE_sockactors"));
                let listen = format!("127.0.0.1:{port}");
                command.args(["--scenario", "udp", "--listen", &listen]).args(*flags);
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

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
