//! A mount namespace in which host names have the addresses that a test chooses.
//!
//! It needs root. Without it the test reports a skip.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::BINARY;
use super::peers::{require_tool, skip};

/// A file in the place of `/etc/hosts`.
pub struct Hosts {
    script: String,
}

impl Hosts {
    /// Writes the lines of the file to a directory, or reports a skip.
    pub fn new(directory: &Path, lines: &[&str]) -> Option<Hosts> {
        if !require_tool("unshare") {
            return None;
        }
        let (hosts, order) = (directory.join("hosts"), directory.join("host.conf"));
        fs::write(&hosts, lines.join("\n") + "\n").unwrap();
        // A name has all of its addresses, not only the first.
        fs::write(&order, "multi on\n").unwrap();
        let mount = |from: &Path, to| format!("mount --bind '{}' {to}", from.display());
        let (hosts, order) = (mount(&hosts, "/etc/hosts"), mount(&order, "/etc/host.conf"));
        let script = format!("{hosts} && {order} && exec \"$@\"");
        let hosts = Hosts { script };
        let ended = hosts.command("true").output().unwrap();
        if !ended.status.success() {
            let reason = String::from_utf8_lossy(&ended.stderr).into_owned();
            skip(&format!("a mount namespace needs root: {}", reason.trim_end()));
            return None;
        }
        Some(hosts)
    }

    /// Returns a command that runs our program in the namespace.
    pub fn program(&self, args: &[&str]) -> Command {
        let mut command = self.command(BINARY);
        command.args(args);
        command
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &self.script, "sh", program]);
        command
    }
}
