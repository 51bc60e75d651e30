//! How many files and sockets the process may hold open.
//!
//! Each connection is a descriptor. A server that promises more connections than `RLIMIT_NOFILE`
//! allows would fail its `accept` with EMFILE in the middle of its work; one that asks first can
//! set its own limit below.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Returns how many descriptors the process may hold open: the soft limit `RLIMIT_NOFILE` (see
/// getrlimit(2)).
///
/// [`u64::MAX`] stands for no limit.
///
/// # Examples
///
/// ```
/// assert!(sockactors::net::max_open_files() >= 8);
/// ```
pub fn max_open_files() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Raises the soft limit to the hard one, and returns what [`max_open_files`] says then.
///
/// Nothing changes when the kernel refuses. The soft limit is low (often 1024) for the sake of
/// programs that use select(2), which this crate does not; a child process that does should have
/// its limit lowered again.
pub fn raise_open_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // A refusal leaves the limit that the caller is told.
        let _ =
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
    max_open_files()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_never_lowers() {
        let before = max_open_files();
        let raised = raise_open_file_limit();
        assert!(raised >= before);
        assert_eq!(max_open_files(), raised);
    }
}
