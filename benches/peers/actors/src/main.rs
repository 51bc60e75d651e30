//! Compares the cost of actors of sockactors and of other crates.
//!
//! All peers run the same workloads in this process, one after the other in each round, so that
//! other load of the machine affects all of them. The figures are the CPU time and the wall-clock
//! time per operation. A ratio compares peers of the same round, and the median of the rounds is
//! shown.
//!
//!     cargo run --release                              # all workloads, on one and two threads
//!     cargo run --release -- --rounds 21 --only ring   # one workload, more rounds
//!     cargo run --release -- --peers tokio             # one peer, e.g. for a profiler
//!     cargo run --release -- --json FILE --svg FILE    # writes the figures and a chart

#![forbid(unsafe_code)]

use std::process::{Command, ExitCode};
use std::{env, fs, io};

use peer_actors::meter::Spent;
use peer_actors::peers::PEERS;
use peer_actors::table::Row;
use peer_actors::works::WORKS;
use peer_actors::{chart, table};

/// The number of idle actors.
const IDLE: &str = "100000";

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peer_actors: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> io::Result<()> {
    let after = |flag: &str| {
        let place = args.iter().position(|arg| arg == flag);
        place.and_then(|at| args.get(at + 1)).map(String::as_str)
    };
    let number = |flag: &str, default: usize| match after(flag) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| io::Error::other(format!("{flag} {text}: not a number")))
        }
    };
    let (rounds, scale) = (number("--rounds", 7)?.max(1), number("--scale", 1)?.max(1) as u64);
    let (only, peers) = (after("--only").unwrap_or(""), after("--peers").unwrap_or(""));
    let mut rows = empty_rows(only, number("--threads", 0)?);
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        for row in &mut rows {
            for (peer, given) in PEERS.iter().zip(&mut row.rounds) {
                given.push(match row.work {
                    Some(work) if peer.name.contains(peers) => (peer.of)(work, row.threads, scale),
                    _ => None,
                });
            }
        }
    }
    for row in rows.iter_mut().filter(|row| row.work.is_none()) {
        for (peer, given) in row.rounds.iter_mut().enumerate() {
            let bytes = idle_bytes(peer)?;
            *given = vec![Some(Spent { cpu: bytes, wall: bytes })];
        }
    }
    println!("{}", table::text(&rows));
    if let Some(file) = after("--json") {
        let json = serde_json::to_string_pretty(&table::json(&rows, rounds))?;
        fs::write(file, json + "\n")?;
    }
    if let Some(file) = after("--svg") {
        fs::write(file, chart::svg(&rows))?;
    }
    Ok(())
}

/// Makes the rows of the workloads whose names contain `only`, on `threads` threads, or on 1 and 2.
fn empty_rows(only: &str, threads: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for threads in [1, 2].into_iter().filter(|count| threads == 0 || threads == *count) {
        let works = WORKS.into_iter().map(|(work, letter, name)| (Some(work), letter, name));
        let mut all: Vec<_> = works.collect();
        if threads == 1 {
            all.insert(5, (None, "e", "idle actor, bytes"));
        }
        for (work, letter, name) in all.into_iter().filter(|(_, _, name)| name.contains(only)) {
            rows.push(Row { work, letter, name, threads, rounds: vec![Vec::new(); PEERS.len()] });
        }
    }
    rows
}

/// Runs the program `idle`, and returns the bytes of an idle actor of a peer.
fn idle_bytes(peer: usize) -> io::Result<f64> {
    let program = env::current_exe()?.with_file_name("idle");
    let output = Command::new(program).args([&peer.to_string(), IDLE]).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.trim().parse().map_err(|_| io::Error::other(format!("idle {peer}: {text}")))
}
