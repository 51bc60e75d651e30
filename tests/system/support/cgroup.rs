//! A memory cgroup of a test's own: a program in it gets so much memory and no more, swap included.
//!
//! It takes root and a hierarchy that lets itself be divided, of either version; elsewhere the test is skipped, visibly.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::peers::skip;

/// A group; it is gone with this value, which has to outlive the programs in it.
pub struct Cgroup {
    path: PathBuf,
    is_unified: bool,
}

impl Cgroup {
    /// Makes a group that may hold so many bytes.
    pub fn new(bytes: u64) -> Option<Cgroup> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let is_unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let root = Path::new(if is_unified { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/memory" });
        let path = root.join(format!("sockactors-{}-{number}", std::process::id()));
        if is_unified {
            // It may be on already; whether it is shows below.
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
            // Not every kernel counts swap.
            let _ = fs::write(group.path.join(with_swap), all);
            Ok(group)
        });
        limited.map_err(|error| skip(&format!("no memory cgroup can be made: {error}"))).ok()
    }

    /// A command that runs a program in the group. Nobody reads its stdout.
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

    /// How many programs the kernel has killed because they wanted more.
    #[track_caller]
    pub fn oom_kills(&self) -> u64 {
        let told = self.read(if self.is_unified { "memory.events" } else { "memory.oom_control" });
        let count = told.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("no count in {told:?}"))
    }

    /// The most memory that the group has held, in bytes; 0 where the kernel does not say.
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
