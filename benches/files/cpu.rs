//! The CPU time of a process.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// The unit of time in `/proc/PID/stat`, the same on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// Returns the CPU time of a running process, or of a zombie, in user and kernel mode.
///
/// It includes all threads, and the children that the process has waited for. The kernel counts
/// children and threads that have exited in ticks of 10 ms.
pub fn cpu_time(process: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name of the command before it may contain spaces and parentheses.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |field: usize| {
        fields.get(field).and_then(|text| text.parse::<u32>().ok()).unwrap_or_default()
    };
    let own = TICK * (ticks(11) + ticks(12));
    let alive: u64 = fs::read_dir(format!("/proc/{process}/task"))?
        .filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<u64>().ok())
        .sum();
    // Live threads are known to the nanosecond. If others have exited, the ticks are more.
    let alive = Duration::from_nanos(alive);
    let own = if own > alive + 2 * TICK { own } else { alive };
    Ok(own + TICK * (ticks(13) + ticks(14)))
}

/// Waits until a process exits and leaves it as a zombie, so that its time can be read.
pub fn wait_for_exit(process: &std::process::Child) -> io::Result<()> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(process)), options)?;
    Ok(())
}
