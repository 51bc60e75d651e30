//! What supervision costs: how long a crash is felt, and what a crowd of children takes.
//!
//! *Recovery* is the time from the last thing that an incarnation does, right before it returns an error or
//! panics, to the first thing that the next one does. An actor is crashed again and again, once it is
//! well on its way: alone, and as the last of a group of 10 that is restarted as one, where the time holds
//! nine stops and ten starts. A *crowd* is 100,000 children that wait: of a pool, and of one supervisor, added
//! to it at run time. Each crowd has a process of its own, whose memory nobody has used before, and several
//! in turns.
//!
//!     cargo bench --bench supervision                                    # the tables
//!     cargo bench --bench supervision -- --crashes 100000 --rounds 11    # longer
//!     cargo bench --bench supervision -- --pool --children 1000000       # one crowd, say under perf
//!     cargo bench --bench supervision -- --supervisor --children 1000000
//!
//! Without cargo's `--bench`, or with `--test`, a run is short: it only proves that all is well.

#[path = "supervision/crowd.rs"]
mod crowd;
#[path = "supervision/recovery.rs"]
mod recovery;

use std::process::{Command, ExitCode};
use std::{env, io};

use crowd::{Crowd, FIGURES, Home};
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
    let place = |flag: &str| args.iter().position(|arg| arg == flag);
    let has = |flag: &str| place(flag).is_some();
    let number = |flag: &str, default: usize| match place(flag).and_then(|at| args.get(at + 1)) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| io::Error::other(format!("{flag} {text}: not a number")))
        }
    };
    let smoke = has("--test") || !has("--bench");
    let children = number("--children", if smoke { 1000 } else { 100_000 })?.max(1);
    for (flag, home) in [("--pool", Home::Pool), ("--supervisor", Home::Supervisor)] {
        if has(flag) {
            println!("{}", crowd::measure(home, children)?);
            return Ok(());
        }
    }
    let crashes = number("--crashes", if smoke { 100 } else { 20_000 })?.max(1);
    let rounds = number("--rounds", if smoke { 1 } else { 5 })?.max(1);
    recover(crashes);
    gather(children, rounds)
}

/// Crashes an actor in each way and prints how long it was away.
fn recover(crashes: usize) {
    println!("From an exit to the next incarnation, in µs: {crashes} crashes each\n");
    println!("{:<26} {:>8} {:>8} {:>8} {:>8}", "", "p50", "p90", "p99", "max");
    for case in CASES {
        let mut away = crash(case, crashes);
        away.sort();
        let share = |percent: usize| away[(away.len() - 1) * percent / 100].as_nanos() as f64 / 1e3;
        let [half, most, nearly, all] = [50, 90, 99, 100].map(share);
        println!("{:<26} {half:>8.2} {most:>8.2} {nearly:>8.2} {all:>8.2}", case.name);
    }
}

/// Measures both crowds, round by round, each in a process of its own, and prints a table for each.
fn gather(children: usize, rounds: usize) -> io::Result<()> {
    let homes = [("--pool", "a pool"), ("--supervisor", "one supervisor")];
    let mut crowds = [const { Vec::new() }; 2];
    for _ in 0..rounds {
        for ((flag, _), crowds) in homes.into_iter().zip(&mut crowds) {
            let mut command = Command::new(env::current_exe()?);
            command.args([flag, "--children", &children.to_string()]);
            let output = command.output()?;
            let told = String::from_utf8_lossy(&output.stdout);
            let complaint = || io::Error::other(String::from_utf8_lossy(&output.stderr));
            crowds.push(told.parse::<Crowd>().map_err(|_| complaint())?);
        }
    }
    for ((_, home), crowds) in homes.into_iter().zip(crowds) {
        println!("\n{children} children of {home}, for each of them: {rounds} rounds\n");
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
