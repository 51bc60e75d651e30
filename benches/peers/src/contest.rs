//! Compares servers by their CPU time per connection or per line.
//!
//! A round starts every server anew on its own port and measures one after the other, for each
//! load. A ratio compares servers of the same round, and the median of the rounds is shown. A wrong
//! answer fails the run.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cpu::{self, Scheduling, spread};

/// The timeout for a server to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Operations before the first measurement, which start threads and allocate memory.
const WARM_UP: usize = 100;

/// Performs a number of operations on a server.
pub type Load = Box<dyn FnMut(usize) -> io::Result<()>>;

/// Servers and their load.
pub struct Contest {
    /// The name of one operation.
    pub what: &'static str,
    /// The servers. Ratios are relative to the first.
    pub peers: Vec<Peer>,
    /// The number of simultaneous operations in each load.
    pub at_once: [usize; 2],
    /// Makes a load with a number of simultaneous operations.
    pub open: fn(SocketAddr, usize) -> io::Result<Load>,
}

/// The command that starts a server. `PORT` stands for its port.
pub struct Peer {
    name: &'static str,
    program: PathBuf,
    args: Vec<String>,
}

impl Peer {
    pub fn new(name: &'static str, program: &Path, args: &[&str]) -> Peer {
        let args = args.iter().map(|arg| arg.to_string()).collect();
        Peer { name, program: program.into(), args }
    }
}

impl Contest {
    /// Measures all servers in each round, and prints a table for each load.
    ///
    /// # Errors
    ///
    /// Fails on a wrong answer. A missing server is skipped and named.
    pub fn run(mut self, only: &str, rounds: usize, amount: usize) -> io::Result<()> {
        self.peers.retain(|peer| peer.name.contains(only));
        let mut costs = vec![[Vec::new(), Vec::new()]; self.peers.len()];
        let mut missing = Vec::new();
        for round in 0..rounds {
            eprintln!("round {} of {rounds}", round + 1);
            for (load, at_once) in self.at_once.into_iter().enumerate() {
                for (peer, costs) in self.peers.iter().zip(&mut costs) {
                    match self.measure(peer, at_once, amount) {
                        Ok(cost) => costs[load].push(cost),
                        Err(error) if error.kind() == io::ErrorKind::NotFound => {
                            missing.push(peer.name);
                        }
                        Err(error) => {
                            return Err(io::Error::other(format!("{}: {error}", peer.name)));
                        }
                    }
                }
            }
        }
        missing.sort_unstable();
        missing.dedup();
        missing.iter().for_each(|name| println!("SKIPPED: {name}: program not found"));
        println!(
            "CPU time of the server for each {}, in µs: {rounds} rounds of {amount}",
            self.what
        );
        for (load, at_once) in self.at_once.into_iter().enumerate() {
            let title = format!("{at_once} at a time");
            println!("\n{title:<26} {:>8} {:>8} {:>8} {:>7}", "median", "min", "max", "ratio");
            for (peer, own) in self.peers.iter().zip(&costs) {
                let [min, median, max] = spread(own[load].iter().copied());
                let first = &costs[0][load];
                let ratios = own[load].iter().zip(first).map(|(own, first)| own / first);
                let [_, ratio, _] = spread(ratios);
                println!("{:<26} {median:>8.2} {min:>8.2} {max:>8.2} {ratio:>7.2}", peer.name);
            }
        }
        Ok(())
    }

    /// Starts a server, performs `amount` operations, and returns the CPU time of each in µs.
    fn measure(&self, peer: &Peer, at_once: usize, amount: usize) -> io::Result<f64> {
        cpu::set_scheduling(Scheduling::Plain);
        let server = Running::start(peer)?;
        // Otherwise each answer wakes the client, which preempts the server.
        cpu::set_scheduling(Scheduling::Batch);
        let mut load = server.retry(|| (self.open)(server.address, at_once))?;
        load(WARM_UP.max(at_once))?;
        let before = cpu::wait_until_idle(server.child.id())?;
        load(amount)?;
        let spent = cpu::wait_until_idle(server.child.id())? - before;
        Ok(spent * 1e6 / amount as f64)
    }
}

/// A server in a child process. Dropping this kills it.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(peer: &Peer) -> io::Result<Running> {
        // The port is free again now. No other process asks for it in the meantime.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let port = address.port().to_string();
        let child = Command::new(&peer.program)
            .args(peer.args.iter().map(|arg| arg.replace("PORT", &port)))
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        Ok(Running { child, address })
    }

    /// Retries an attempt until the server listens.
    fn retry<T>(&self, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let until = Instant::now() + TIMEOUT;
        loop {
            match attempt() {
                Err(error) if error.kind() != io::ErrorKind::ConnectionRefused => {
                    return Err(error);
                }
                Err(error) if Instant::now() > until => return Err(error),
                Err(_) => thread::sleep(Duration::from_millis(5)),
                done => return done,
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both calls fail if the server has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
