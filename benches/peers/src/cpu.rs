//! The CPU time of a server, and the statistics of figures.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// The timeout for a server to become idle.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Waits until a process is idle, and returns its CPU time in seconds.
///
/// # Errors
///
/// Fails if the process has exited or does not become idle.
pub fn wait_until_idle(pid: u32) -> io::Result<f64> {
    let until = Instant::now() + TIMEOUT;
    let mut last = cpu_time(pid)?;
    let mut quiet = 0;
    while quiet < 3 {
        thread::sleep(Duration::from_millis(10));
        let now = cpu_time(pid)?;
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
        if Instant::now() > until {
            return Err(io::Error::other("the server did not become idle"));
        }
    }
    Ok(last as f64 / 1e9)
}

/// Adds up the first fields of `/proc/PID/task/*/schedstat`, in nanoseconds.
fn cpu_time(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between listing and reading.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let field = text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok());
        sum += field.ok_or_else(|| io::Error::other("no figures in schedstat"))?;
    }
    Ok(sum)
}

/// The scheduling policy of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheduling {
    /// The default, `SCHED_OTHER`.
    Plain,
    /// `SCHED_BATCH`: a wake-up does not preempt the running process.
    Batch,
}

/// Sets the scheduling policy of this process, which its children inherit.
///
/// Without a working `chrt` this only prints a warning.
pub fn set_scheduling(policy: Scheduling) {
    let flag = if policy == Scheduling::Batch { "-b" } else { "-o" };
    let own = std::process::id().to_string();
    let set = Command::new("chrt").args([flag, "-p", "0", &own]).stdout(Stdio::null()).status();
    if !set.is_ok_and(|status| status.success()) && policy == Scheduling::Batch {
        eprintln!("SKIPPED: chrt does not work: the clients may preempt the server");
    }
}

/// Binds this process and its later children to the last CPU that it may use.
///
/// # Errors
///
/// Fails if the kernel refuses.
pub fn share_one() -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    if let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)) {
        let mut one = CpuSet::new();
        one.set(last);
        sched_setaffinity(None, &one)?;
    }
    Ok(())
}

/// Returns the minimum, the median and the maximum, or NaN without figures.
pub fn spread(figures: impl IntoIterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else { return [f64::NAN; 3] };
    [*min, sorted[sorted.len() / 2], *max]
}

/// Returns the quantile of sorted figures, with `share` in thousandths.
pub fn per_mille(sorted: &[u64], share: usize) -> f64 {
    let at = (sorted.len() * share / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |figure| *figure as f64)
}
