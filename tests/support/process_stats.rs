//! What a server's process holds and what it spends, as the kernel tells: descriptors, memory, time on a CPU.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{DEADLINE, Program};

/// A process that has done nothing for so long is at rest.
const IDLE_TIME: Duration = Duration::from_millis(100);

/// How many descriptors a server has open.
pub fn open_descriptors(server: &Program) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// Leaves a server so many descriptors more than it has open.
pub fn limit_free_descriptors(server: &Program, left: u64) {
    let open = open_descriptors(server) as u64;
    let pid = Pid::from_raw(server.pid() as i32);
    let limit = Rlimit { current: Some(open + left), maximum: Some(open + left + 1000) };
    prlimit(pid, Resource::Nofile, limit).unwrap();
}

/// Waits until a server has so many descriptors open and no more.
#[track_caller]
pub fn wait_for_descriptors(server: &Program, wanted: usize) {
    let until = Instant::now() + DEADLINE;
    while open_descriptors(server) != wanted {
        let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
        let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let open: Vec<_> = open.collect();
        assert!(Instant::now() < until, "not {wanted} but {}: {open:?}", open.len());
        thread::yield_now();
    }
}

/// How many KiB of memory are a server's own.
pub fn private_memory_kib(server: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// How long a server's threads were on a CPU.
pub fn cpu_time(server: &Program) -> Duration {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let spent = threads.filter_map(|thread| {
        // A thread may end between the two readings.
        let told = fs::read_to_string(thread.unwrap().path().join("schedstat")).ok()?;
        told.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

/// Waits until a server has nothing to do: one that spins never has.
#[track_caller]
pub fn wait_until_idle(server: &Program) {
    let until = Instant::now() + DEADLINE;
    let mut before = cpu_time(server);
    loop {
        thread::sleep(IDLE_TIME);
        let now = cpu_time(server);
        if now == before {
            return;
        }
        assert!(Instant::now() < until, "it spends {:?} in {IDLE_TIME:?}", now - before);
        before = now;
    }
}

/// Waits until a server does nothing at all, as SIGSTOP asks it to.
#[track_caller]
pub fn wait_until_frozen(server: &Program) {
    let until = Instant::now() + DEADLINE;
    let stat = format!("/proc/{}/stat", server.pid());
    while !fs::read_to_string(&stat).unwrap().contains(") T ") {
        assert!(Instant::now() < until, "it does not stop");
        thread::yield_now();
    }
}
