//! Compares the CPU time of chat servers, greeters and echo servers.
//!
//! Each server is a child process on a free port of loopback. All clients are in one thread of this
//! process. A round starts every server anew and measures one after the other, so that other load
//! of the machine affects all of them. A ratio compares servers of the same round, and the median
//! of the rounds is shown. A server that loses, duplicates or reorders a line fails the run.
//!
//!     cargo build --release                       # here, and in the crate for the program
//!     target/release/peers                        # chat: both loads, all installed servers
//!     target/release/peers --rounds 21 --spread   # longer, on all CPUs
//!     target/release/peers thousand               # chat: 1,000 members, two of them slow readers
//!     target/release/peers greeting               # a connection that is greeted and closed
//!     target/release/peers echo                   # a line that is echoed
//!     target/release/peers serve echo 4711        # one bare loop, e.g. for strace

mod bare;
mod contest;
mod cpu;
mod crowd;
mod echo;
#[path = "../../greeting/bare.rs"]
mod greeter;
mod greeting;
mod loads;
mod server;
mod table;
mod thousand;

use std::process::ExitCode;
use std::{env, io};

use loads::Amount;
use server::Places;

/// The descriptors that 1,000 members need in this process and in the server.
const DESCRIPTORS: u64 = 4096;

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> io::Result<()> {
    let place = |flag: &str| args.iter().position(|arg| arg == flag);
    let after = |flag: &str| place(flag).and_then(|at| args.get(at + 1));
    let number = |flag: &str, default: u64| match after(flag) {
        None => Ok(default),
        Some(text) => {
            text.parse().map_err(|_| io::Error::other(format!("{flag} {text}: not a number")))
        }
    };
    let here = env::current_exe()?;
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/release/sockactors");
    let places = Places {
        sockactors: after("--sockactors").map_or(default, String::as_str).into(),
        sockactors_echo: here.with_file_name("sockactors_echo"),
        tokio: here.with_file_name("tokio_chat"),
        tokio_plain: here.with_file_name("tokio_plain"),
        driver: here,
    };
    if let Some(at) = place("serve") {
        let what = args.get(at + 1).map_or("", String::as_str);
        return bare::serve(what, u16::try_from(number(what, 0)?).map_err(io::Error::other)?);
    }
    raise_limit(DESCRIPTORS)?;
    if place("thousand").is_some() {
        let members = number("--members", 1000)?.max(13) as usize;
        let rounds = number("--rounds", 5)?.max(1);
        return thousand::compare(&places, rounds, members, number("--seconds", 10)?.max(1));
    }
    if place("--spread").is_none() {
        cpu::share_one()?;
    }
    let only = after("--only").map_or("", String::as_str);
    let times = |default| Ok::<_, io::Error>(number("--amount", default)?.max(1) as usize);
    let contest = if place("greeting").is_some() {
        Some((greeting::contest(&places), times(1200)?))
    } else if place("echo").is_some() {
        Some((echo::contest(&places), times(20_000)?))
    } else {
        None
    };
    if let Some((contest, amount)) = contest {
        return contest.run(only, number("--rounds", 11)?.max(1) as usize, amount);
    }
    let amount = Amount {
        members: number("--members", 50)?.max(2) as usize,
        lines: number("--lines", 20_000)?.max(1),
        turns: number("--turns", 200)?.max(1),
    };
    table::compare(&places, only, number("--rounds", 7)?.max(1) as usize, amount)
}

/// Raises the limit of open files, which the servers inherit.
fn raise_limit(wanted: u64) -> io::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |most| most.min(wanted)));
        setrlimit(Resource::Nofile, limit)?;
    }
    Ok(())
}
