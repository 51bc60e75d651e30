//! What a server costs: the CPU time of its process, and how a row of figures is summed up.

use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, io};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How long a server may take to come to rest.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns the time that a process has spent on a CPU, in seconds, once it has come to rest.
///
/// # Errors
///
/// Fails when the process is gone or does not come to rest.
pub fn at_rest(pid: u32) -> io::Result<f64> {
    let until = Instant::now() + PATIENCE;
    let mut last = spent(pid)?;
    let mut quiet = 0;
    while quiet < 3 {
        thread::sleep(Duration::from_millis(10));
        let now = spent(pid)?;
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
        if Instant::now() > until {
            return Err(io::Error::other("the server does not come to rest"));
        }
    }
    Ok(last as f64 / 1e9)
}

/// Adds up the first fields of `/proc/PID/task/*/schedstat`, in nanoseconds.
fn spent(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end between the list and the look.
        let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        let field = text.split_whitespace().next().and_then(|field| field.parse::<u64>().ok());
        sum += field.ok_or_else(|| io::Error::other("no figures in schedstat"))?;
    }
    Ok(sum)
}

/// How the kernel lets this process at a CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Like any other.
    Plain,
    /// When the one that runs pauses: it takes no CPU away when it is woken (`SCHED_BATCH`).
    Patient,
}

/// Sets the manner of this process, which those that it starts inherit. Without `chrt` it stays as it is, and that is told.
pub fn wait_for_turn(manner: Manner) {
    let flag = if manner == Manner::Patient { "-b" } else { "-o" };
    let own = std::process::id().to_string();
    let set = Command::new("chrt").args([flag, "-p", "0", &own]).stdout(Stdio::null()).status();
    if !set.is_ok_and(|status| status.success()) && manner == Manner::Patient {
        eprintln!("SKIPPED: chrt does not work: the members may interrupt the server");
    }
}

/// Keeps this process, and those that it starts from now on, on the last CPU that it may use.
///
/// # Errors
///
/// Fails when the kernel refuses.
pub fn share_one() -> io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    if let Some(last) = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)) {
        let mut one = CpuSet::new();
        one.set(last);
        sched_setaffinity(None, &one)?;
    }
    Ok(())
}

/// Returns the least, the median and the most of some figures; of none, what is no number.
pub fn spread(figures: impl IntoIterator<Item = f64>) -> [f64; 3] {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let (Some(min), Some(max)) = (sorted.first(), sorted.last()) else { return [f64::NAN; 3] };
    [*min, sorted[sorted.len() / 2], *max]
}

/// Returns what so many in a thousand of some sorted figures do not exceed.
pub fn per_mille(sorted: &[u64], share: usize) -> f64 {
    let at = (sorted.len() * share / 1000).min(sorted.len().saturating_sub(1));
    sorted.get(at).map_or(f64::NAN, |figure| *figure as f64)
}
