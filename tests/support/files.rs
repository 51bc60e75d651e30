//! Helpers of the file tests: a server, a client, content, and the names in a directory.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::chat_client::connect;
use super::framed_client::{FramedClient, FramedReply};
use super::peers::{require_tool, skip};
use super::{Program, ProgramOutput, directory, sockactors};

/// Starts a server that stores files in `out`.
#[track_caller]
pub fn server(out: &Path, more: &[&str]) -> Program {
    let mut args = vec!["--scenario", "file", "--out", out.to_str().unwrap()];
    args.extend(more);
    Program::server(&args)
}

/// Runs our client with these arguments.
#[track_caller]
pub fn send(at: &str, args: &[&str]) -> ProgramOutput {
    sockactors(&[&["--scenario", "file", "--connect", at], args].concat(), "")
}

/// Opens a framed connection to a server.
pub fn open_framed(server: &Program) -> FramedClient {
    FramedClient::open(connect(server.endpoint()))
}

/// Returns the server's reply for a stored file.
pub fn stored_reply(length: usize, name: &str) -> FramedReply {
    FramedReply::Stored(length as u64, name.into())
}

/// Returns bytes in which no two chunks are equal.
pub fn distinct_chunks(length: usize) -> Vec<u8> {
    (0..length).map(|k| (k ^ (k >> 8) ^ (k >> 16)) as u8).collect()
}

/// Returns the sorted names in a directory, hidden ones too.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A small file system in memory, unmounted on drop.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// Mounts a tmpfs with options such as `size=1m`. Only root can, so a test of another user is
    /// skipped.
    pub fn mount(options: &str) -> Option<SmallDisk> {
        if !rustix::process::geteuid().is_root() || !require_tool("mount") {
            skip("only root can mount a small file system");
            return None;
        }
        let directory = directory();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(directory.path());
        if !mount.status().is_ok_and(|status| status.success()) {
            skip("mount was refused here");
            return None;
        }
        Some(SmallDisk(directory))
    }

    /// Returns the directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Returns the free bytes and the free inodes.
    pub fn free(&self) -> (u64, u64) {
        let disk = rustix::fs::statvfs(self.path()).unwrap();
        (disk.f_bavail * disk.f_frsize, disk.f_favail)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}
