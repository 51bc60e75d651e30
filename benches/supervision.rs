//! Measures the time to restart a crashed actor, and the cost of many children.
//!
//! *Recovery* is the time from the last action of an incarnation, before it returns an error or
//! panics, to the first action of the next one. An actor is crashed repeatedly: alone, and as the
//! last of a group of 10 that restarts together. The time of the group holds nine stops and ten
//! starts. A *crowd* is 100,000 children that wait for their stop, in a pool or under one
//! supervisor. Children of the supervisor are added at run time. Each crowd has its own process,
//! with fresh memory.
//!
//!     cargo bench --bench supervision                                    # the tables
//!     cargo bench --bench supervision -- --crashes 100000 --rounds 11    # longer
//!     cargo bench --bench supervision -- --pool --children 1000000       # one crowd
//!     cargo bench --bench supervision -- --supervisor --children 1000000
//!
//! Without cargo's `--bench`, or with `--test`, a run is short and checks the results.

#[path = "supervision/crowd.rs"]
mod crowd;
#[path = "supervision/recovery.rs"]
mod recovery;

use std::process::{Command, ExitCode};
use std::{env, io};

use crowd::{Crowd, FIGURES, Parent};
use recovery::{CASES, crash};

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("supervision: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Vec<String>) -> io::Result<()> {
    let position = |flag: &str| args.iter().position(|arg| arg == flag);
    let has = |flag: &str| position(flag).is_some();
    let number = |flag: &str, default: usize| match position(flag).and_then(|at| args.get(at + 1)) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| io::Error::other(format!("{flag} {text}: not a number")))
        }
    };
    let smoke = has("--test") || !has("--bench");
    let children = number("--children", if smoke { 1000 } else { 100_000 })?.max(1);
    for (flag, parent) in [("--pool", Parent::Pool), ("--supervisor", Parent::Supervisor)] {
        if has(flag) {
            println!("{}", crowd::measure(parent, children)?);
            return Ok(());
        }
    }
    let crashes = number("--crashes", if smoke { 100 } else { 20_000 })?.max(1);
    let rounds = number("--rounds", if smoke { 1 } else { 5 })?.max(1);
    measure_recovery(crashes);
    measure_crowds(children, rounds)
}

/// Measures the recovery from each kind of crash, and prints a table.
fn measure_recovery(crashes: usize) {
    println!("From an exit to the next incarnation, in µs: {crashes} crashes each\n");
    println!("{:<26} {:>8} {:>8} {:>8} {:>8}", "", "p50", "p90", "p99", "max");
    for case in CASES {
        let mut downtimes = crash(case, crashes);
        downtimes.sort();
        let share = |percent: usize| {
            downtimes[(downtimes.len() - 1) * percent / 100].as_nanos() as f64 / 1e3
        };
        let [p50, p90, p99, max] = [50, 90, 99, 100].map(share);
        println!("{:<26} {p50:>8.2} {p90:>8.2} {p99:>8.2} {max:>8.2}", case.name);
    }
}

/// Measures both crowds in each round, each in a process of its own, and prints a table for each.
fn measure_crowds(children: usize, rounds: usize) -> io::Result<()> {
    let parents = [("--pool", "a pool"), ("--supervisor", "one supervisor")];
    let mut crowds = [const { Vec::new() }; 2];
    for _ in 0..rounds {
        for ((flag, _), crowds) in parents.into_iter().zip(&mut crowds) {
            let mut command = Command::new(env::current_exe()?);
            command.args([flag, "--children", &children.to_string()]);
            let output = command.output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            let failure = || io::Error::other(String::from_utf8_lossy(&output.stderr));
            crowds.push(text.parse::<Crowd>().map_err(|_| failure())?);
        }
    }
    for ((_, parent), crowds) in parents.into_iter().zip(crowds) {
        println!("\n{children} children of {parent}, per child: {rounds} rounds\n");
        println!("{:<26} {:>8} {:>8} {:>8}", "", "median", "min", "max");
        for (k, figure) in FIGURES.into_iter().enumerate() {
            let mut sorted: Vec<f64> = crowds.iter().map(|crowd| crowd.0[k]).collect();
            sorted.sort_by(f64::total_cmp);
            let [median, min, max] = [(rounds - 1) / 2, 0, rounds - 1].map(|at| sorted[at]);
            println!("{figure:<26} {median:>8.2} {min:>8.2} {max:>8.2}");
        }
    }
    Ok(())
}
