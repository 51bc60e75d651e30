//! The limit on open files and sockets of the process.
//!
//! Each connection is a descriptor. If a server allows more connections than `RLIMIT_NOFILE`, its
//! `accept` fails with EMFILE under load. A server that checks the limit first can set its own
//! limit lower.

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
}
