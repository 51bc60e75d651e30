//! The limits of the process: open files and sockets, and memory.
//!
//! Each connection is a descriptor. If a server allows more connections than `RLIMIT_NOFILE`, its
//! `accept` fails with EMFILE under load. A server that checks the limit first can set its own
//! limit lower.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Returns the largest number of descriptors that the process can open: the soft limit
/// `RLIMIT_NOFILE` (getrlimit(2)). [`u64::MAX`] means no limit.
///
/// # Examples
///
/// ```
/// assert!(sockactors::net::max_open_files() >= 8);
/// ```
pub fn max_open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the soft limit to the hard limit, and returns the new [`max_open_files`].
///
/// If the kernel refuses, the limit stays unchanged. The soft limit is low (often 1024) for
/// programs that use select(2), which this crate does not. Lower the limit again for a child
/// process that does.
pub fn raise_open_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // If it fails, the returned limit is the old one.
        let _ =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    max_open_files()
}

/// Returns the memory that the process may use, in bytes: the smaller of the machine's memory and
/// the limits of its control groups (cgroups(7), version 1 or 2).
///
/// A limit that cannot be read is no limit. [`u64::MAX`] means that none could be read.
///
/// # Examples
///
/// ```
/// assert!(sockactors::net::memory_limit() >= 1 << 20);
/// ```
pub fn memory_limit() -> u64 {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let groups = read("/proc/self/cgroup");
    let limits = groups.lines().flat_map(cgroup_limit_files).filter_map(|file| {
        // Version 2 writes `max` for no limit.
        fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()
    });
    limits.chain(machine_memory(&read("/proc/meminfo"))).min().unwrap_or(u64::MAX)
}

/// Returns the size of the machine's memory in bytes, from the text of `/proc/meminfo`.
fn machine_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

/// Returns the files with the memory limits of a group and of those above it, from a line of
/// `/proc/self/cgroup`.
fn cgroup_limit_files(line: &str) -> Vec<PathBuf> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (Some(controllers), Some(group)) = (fields.next(), fields.next()) else {
        return Vec::new();
    };
    let (root, file) = match controllers {
        "" => ("/sys/fs/cgroup", "memory.max"),
        names if names.split(',').any(|name| name == "memory") => {
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
        }
        _ => return Vec::new(),
    };
    let group = Path::new(group.trim_start_matches('/'));
    group.ancestors().map(|group| Path::new(root).join(group).join(file)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raise_never_lowers_limit() {
        let before = max_open_files();
        let raised = raise_open_file_limit();
        assert!(raised >= before);
        assert_eq!(max_open_files(), raised);
    }

    #[test]
    fn cgroup_line_names_limit_files() {
        let files = |line| {
            let files = cgroup_limit_files(line).into_iter();
            files.map(|file| file.display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(
            files("0::/a/b"),
            ["a/b/", "a/", ""].map(|group| format!("/sys/fs/cgroup/{group}memory.max"))
        );
        assert_eq!(
            files("7:cpu,memory:/"),
            ["/sys/fs/cgroup/memory/memory.limit_in_bytes".to_owned()]
        );
        assert!(files("8:cpu,cpuacct:/x").is_empty() && files("nonsense").is_empty());
    }

    #[test]
    fn meminfo_total_is_kibibytes() {
        assert_eq!(machine_memory("MemTotal:       32768 kB\nMemFree: 1 kB\n"), Some(32 << 20));
        assert_eq!(machine_memory("MemFree: 1 kB\n"), None);
    }
}
