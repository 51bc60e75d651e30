//! Descriptors, memory and CPU time of a server's process, from `/proc`.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use super::{DEADLINE, Program};

/// A process that used no CPU time for this long is idle.
const IDLE_TIME: Duration = Duration::from_millis(100);

/// Returns the number of a server's open descriptors.
pub fn open_descriptors(server: &Program) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count()
}

/// Limits a server to `free` more descriptors than it has open.
pub fn limit_free_descriptors(server: &Program, free: u64) {
    let open = open_descriptors(server) as u64;
    let pid = Pid::from_raw(server.pid() as i32);
    let limit = Rlimit { current: Some(open + free), maximum: Some(open + free + 1000) };
    prlimit(pid, Resource::Nofile, limit).unwrap();
}

/// Waits until a server has exactly `expected` open descriptors.
#[track_caller]
pub fn wait_for_descriptors(server: &Program, expected: usize) {
    let deadline = Instant::now() + DEADLINE;
    while open_descriptors(server) != expected {
        let open = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
        let open = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
        let open: Vec<_> = open.collect();
        assert!(
            Instant::now() < deadline,
            "{} descriptors instead of {expected}: {open:?}",
            open.len()
        );
        thread::yield_now();
    }
}

/// Returns a server's private memory in KiB.
pub fn private_memory_kib(server: &Program) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Returns the CPU time of a server's threads.
pub fn cpu_time(server: &Program) -> Duration {
    let threads = fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
    let spent = threads.filter_map(|thread| {
        // A thread may end between the two reads.
        let stats = fs::read_to_string(thread.unwrap().path().join("schedstat")).ok()?;
        stats.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(spent.sum())
}

/// Waits until a server is idle. A server that spins never is.
#[track_caller]
pub fn wait_until_idle(server: &Program) {
    let deadline = Instant::now() + DEADLINE;
    let mut before = cpu_time(server);
    loop {
        thread::sleep(IDLE_TIME);
        let now = cpu_time(server);
        if now == before {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "not idle: {:?} of CPU time in {IDLE_TIME:?}",
            now - before
        );
        before = now;
    }
}

/// Waits until SIGSTOP has stopped a server.
#[track_caller]
pub fn wait_until_frozen(server: &Program) {
    let deadline = Instant::now() + DEADLINE;
    let stat = format!("/proc/{}/stat", server.pid());
    while !fs::read_to_string(&stat).unwrap().contains(") T ") {
        assert!(Instant::now() < deadline, "SIGSTOP has no effect");
        thread::yield_now();
    }
}
