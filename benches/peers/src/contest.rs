//! Servers that do the same, side by side: what each spends on one connection, or on one line.
//!
//! A round starts every server anew on a port of its own and measures one after the other, for each load; a ratio is that of
//! the servers of one round, and the median of all rounds. All servers have to answer right, or the run fails.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::cpu::{self, Manner, spread};

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often each is asked before the first reading, so that threads and memory are there.
const WARM_UP: usize = 100;

/// What goes on asking a server: so many times in all.
pub type Load = Box<dyn FnMut(usize) -> io::Result<()>>;

/// Servers, and what they are asked.
pub struct Contest {
    /// What is counted.
    pub what: &'static str,
    /// The first is what the others are compared with.
    pub peers: Vec<Peer>,
    /// How many are under way at once, in each of the loads.
    pub at_once: [usize; 2],
    /// Makes a load of a server, of so many at once.
    pub open: fn(SocketAddr, usize) -> io::Result<Load>,
}

/// How a server is started; `PORT` stands for its port.
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
    /// Measures all, round by round, and prints a table for each load.
    ///
    /// # Errors
    ///
    /// Fails when a server does wrong; one that is missing is skipped and named.
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
        missing.iter().for_each(|name| println!("SKIPPED: {name}: no such program"));
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

    /// Starts a server, asks it `amount` times, and returns the µs of CPU time that one time took.
    fn measure(&self, peer: &Peer, at_once: usize, amount: usize) -> io::Result<f64> {
        cpu::wait_for_turn(Manner::Plain);
        let server = Running::start(peer)?;
        // Else each answer wakes the client in the middle of the server's work, which pays for the way there and back.
        cpu::wait_for_turn(Manner::Patient);
        let mut load = server.reached(|| (self.open)(server.address, at_once))?;
        load(WARM_UP.max(at_once))?;
        let before = cpu::at_rest(server.child.id())?;
        load(amount)?;
        let spent = cpu::at_rest(server.child.id())? - before;
        Ok(spent * 1e6 / amount as f64)
    }
}

/// A server in a process of its own, which ends with this value.
struct Running {
    child: Child,
    address: SocketAddr,
}

impl Running {
    fn start(peer: &Peer) -> io::Result<Running> {
        // Freed again at once; nobody else on this machine asks for that very port meanwhile.
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

    /// Tries something until the server is up.
    fn reached<T>(&self, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let until = Instant::now() + PATIENCE;
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
        // One that has ended already needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
