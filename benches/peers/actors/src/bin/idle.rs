//! How many bytes an idle actor takes: what the allocator gave for many of them, counted.
//!
//! A program of its own, since who counts each allocation slows each of them down.
//!
//!     idle NUMBER COUNT       # the peer by its place in the list; prints a number

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
