//! A memory cgroup for one test. It limits the memory of the programs in it, swap included.
//!
//! It needs root and a writable cgroup hierarchy of version 1 or 2. Elsewhere the test reports a
//! skip.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::peers::skip;

/// A cgroup, removed on drop. It must outlive the programs in it.
pub struct Cgroup {
    path: PathBuf,
    is_unified: bool,
}

impl Cgroup {
    /// Creates a cgroup with a limit in bytes.
    pub fn new(bytes: u64) -> Option<Cgroup> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let is_unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let root = Path::new(if is_unified { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" });
        let path = root.join(format!("sockactors-{}-{number}", std::process::id()));
        if is_unified {
            // The controller may be enabled already. The write of the limit fails otherwise.
            let _ = fs::write(root.join("cgroup.subtree_control"), "+memory");
        }
        let group = fs::create_dir(&path).map(|()| Cgroup { path, is_unified });
        let limited = group.and_then(|group| {
            let [limit, with_swap, all] = match is_unified {
                true => ["memory.max", "memory.swap.max", "0"].map(str::to_owned),
                false => {
                    let all = bytes.to_string();
                    ["memory.limit_in_bytes".into(), "memory.memsw.limit_in_bytes".into(), all]
                }
            };
            fs::write(group.path.join(limit), bytes.to_string())?;
            // Some kernels do not account swap.
            let _ = fs::write(group.path.join(with_swap), all);
            Ok(group)
        });
        limited.map_err(|error| skip(&format!("cannot create a memory cgroup: {error}"))).ok()
    }

    /// Returns a command that runs a program in the cgroup. Its stdout is discarded.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("sh");
        let procs = self.path.join("cgroup.procs");
        let script = "echo $$ > \"$0\" && exec \"$@\" > /dev/null";
        command.args(["-c", script, procs.to_str().unwrap(), program]);
        command
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).unwrap_or_default()
    }

    /// Returns the number of programs that the kernel has killed for exceeding the limit.
    #[track_caller]
    pub fn oom_kills(&self) -> u64 {
        let events =
            self.read(if self.is_unified { "memory.events" } else { "memory.oom_control" });
        let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count
            .and_then(|count| count.parse().ok())
            .unwrap_or_else(|| panic!("no count in {events:?}"))
    }

    /// Returns the peak memory in bytes, or 0 if the kernel does not report it.
    pub fn peak_bytes(&self) -> u64 {
        let file = if self.is_unified { "memory.peak" } else { "memory.max_usage_in_bytes" };
        self.read(file).trim().parse().unwrap_or(0)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}
