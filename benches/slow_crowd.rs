//! Measures how much slow connections slow down the other clients of a server.
//!
//! Two servers of one scenario are compared. Both have a few well-behaved clients. The second also
//! has a crowd of connections that send one byte per second and read nothing. A connection that the
//! server closes stays open at the client. The figures are greetings, chat lines or MiB per second.
//!
//! The servers are measured in turns of a fraction of a second, so that other load of the machine
//! affects both. The ratio compares the turns of one round, and the median of the rounds is shown.
//! Server and clients share the machine, so the CPU time of the crowd's client is shown too. The
//! last ratio is that of the server's CPU time per operation, which other load does not affect.
//!
//!     cargo bench --bench slow_crowd                                     # the table
//!     cargo bench --bench slow_crowd -- --crowd 5000 --rounds 100        # longer
//!     cargo bench --bench slow_crowd -- --millis 1000                    # the length of a turn
//!     cargo bench --bench slow_crowd -- --only chat                      # or tcp, framed, raw
//!
//! Without cargo's `--bench`, or with `--test`, a run is one short round that checks the answers.

#[allow(dead_code, reason = "this benchmark kills its servers")]
#[path = "files/cpu.rs"]
mod cpu;
#[path = "slow_crowd/crowd.rs"]
mod crowd;
#[path = "slow_crowd/loads.rs"]
mod loads;
#[path = "slow_crowd/server.rs"]
mod server;

use std::env;
use std::io;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use sockactors::net::raise_open_file_limit;

use crowd::{Crowd, partial_offer};
use loads::{chat_lines, framed, greetings, raw};
use server::Server;

/// The time before a turn in which the server becomes idle.
const SETTLE: Duration = Duration::from_millis(50);

/// A scenario, the first bytes of the crowd, and the work of the well-behaved clients.
struct Load {
    name: &'static str,
    scenario: &'static str,
    first: fn() -> Vec<u8>,
    /// Runs until the time is up, and returns the amount of work.
    act: fn(&Server, Instant) -> io::Result<u64>,
    unit: &'static str,
}

const LOADS: [Load; 4] = [
    Load { name: "tcp", scenario: "tcp", first: Vec::new, act: greetings, unit: "greetings/s" },
    Load { name: "chat", scenario: "chat", first: Vec::new, act: chat_lines, unit: "lines/s" },
    Load { name: "framed", scenario: "file", first: partial_offer, act: framed, unit: "MiB/s" },
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
    // The servers inherit the limit.
    raise_open_file_limit();
    println!(
        "{rounds} rounds of {turn:?} each, alone and beside {crowd} slow connections; medians\n"
    );
    println!(
        "{:<12} {:>10} {:>10} {:>7} {:>7} {:>7} {:>14} {:>12}",
        "per second", "alone", "beside", "ratio", "min", "max", "crowd's client", "CPU ratio"
    );
    for load in LOADS.iter().filter(|load| only.is_none_or(|only| only == load.name)) {
        compare(load, crowd, rounds, turn)?;
    }
    Ok(())
}

/// Measures a load on two servers in turns, and prints a row of the table.
fn compare(load: &Load, crowd: usize, rounds: usize, turn: Duration) -> io::Result<()> {
    let servers = [Server::start(load.scenario)?, Server::start(load.scenario)?];
    let crowd = Crowd::connect(&servers[1].at, crowd, &(load.first)())?;
    let mut figures = [Vec::new(), Vec::new()];
    for round in 0..=rounds {
        for which in [round % 2, 1 - round % 2] {
            crowd.set_sending(which == 1);
            thread::sleep(SETTLE);
            let (server, since) = (&servers[which], Instant::now());
            let before = cpu::cpu_time(server.child.id())?;
            let done = (load.act)(server, since + turn)? as f64;
            let rate = done / since.elapsed().as_secs_f64();
            // The first round warms up.
            if round > 0 {
                let cpu_time = cpu::cpu_time(server.child.id())?.saturating_sub(before);
                figures[which].push((rate, cpu_time.as_secs_f64() / done));
            }
            crowd.set_sending(false);
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
        100.0 * crowd.stop(),
        load.unit
    );
    Ok(())
}

/// Returns the minimum, the median (the lower one of two) and the maximum.
fn spread(figures: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    [sorted[0], sorted[(sorted.len() - 1) / 2], sorted[sorted.len() - 1]]
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
