//! Counts the allocated bytes of an idle actor.
//!
//! It is a separate program, since counting slows down each allocation.
//!
//!     idle NUMBER COUNT       # the index of the peer; prints the bytes of each of COUNT actors

#![forbid(unsafe_code)]

use std::alloc::System;
use std::process::ExitCode;

use cap::Cap;
use peer_actors::peers::PEERS;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

fn main() -> ExitCode {
    let args: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let (Some(peer), Some(&count)) = (args.first().and_then(|at| PEERS.get(*at)), args.get(1))
    else {
        eprintln!("idle NUMBER COUNT");
        return ExitCode::FAILURE;
    };
    println!("{}", (peer.idle)(count as u64, || ALLOCATOR.allocated()));
    ExitCode::SUCCESS
}
