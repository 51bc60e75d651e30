//! The CPU time that a process has taken.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// A tick of `/proc/PID/stat`, which is the same on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Tells what a process took, in user and in kernel mode, all its threads and those of its children that it waited for. It runs
/// yet, or it has ended and nobody waited for it.
///
/// The kernel keeps the time of threads that have ended and of children in ticks of 10 ms.
pub fn spent(process: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name before may hold anything.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| {
        fields.get(field).and_then(|text| text.parse::<u32>().ok()).unwrap_or_default()
    };
    let own = TICK * (ticks(11) + ticks(12));
    let alive: u64 = fs::read_dir(format!("/proc/{process}/task"))?
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    // The threads that live are known to the nanosecond; where others have ended, the ticks are more.
    let alive = Duration::from_nanos(alive);
    let own = if own > alive + 2 * TICK { own } else { alive };
    Ok(own + TICK * (ticks(13) + ticks(14)))
}

/// Waits for a process to end and leaves it to be waited for, so that its time can be read.
pub fn ended(process: &std::process::Child) -> io::Result<()> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(process)), options)?;
    Ok(())
}
