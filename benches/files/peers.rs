//! The receivers of files.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::drive;
use super::table::Cost;

/// The files and tools of a run.
pub struct Setup {
    pub source: PathBuf,
    pub bytes: u64,
    /// The bytes that a sender of the framed protocol sends for the file.
    pub frames: PathBuf,
    /// The parent of the output directories.
    pub directory: PathBuf,
    /// The directory with the programs of magic-wormhole.
    pub wormhole: Option<PathBuf>,
}

/// A receiver of files.
pub struct Peer {
    pub name: &'static str,
    kind: Kind,
}

enum Kind {
    /// A command that receives one file on a port, into a file or to stdout.
    Raw(fn(&mut Command, u16, &Path), &'static str),
    /// The program.
    Ours,
    /// The program as sender and receiver.
    Framed,
    /// The program, which receives the recorded bytes of a framed sender.
    Replayed,
    /// The daemon of rsync, with options of its client.
    Rsync(&'static [&'static str]),
    Wormhole,
}

/// Raw receivers. Ratios are relative to the first.
pub const RAW: [Peer; 6] = [
    Peer {
        name: "splice loop",
        kind: Kind::Raw(|command, port, to| splice_loop(command, port, to, false), ""),
    },
    Peer {
        name: "splice loop, fsync",
        kind: Kind::Raw(|command, port, to| splice_loop(command, port, to, true), ""),
    },
    Peer { name: "sockactors -q", kind: Kind::Ours },
    Peer {
        name: "netcat-openbsd",
        kind: Kind::Raw(
            |command, port, _| _ = command.args(["-l", "127.0.0.1", &port.to_string()]),
            "nc",
        ),
    },
    Peer {
        name: "ncat",
        kind: Kind::Raw(
            |command, port, _| {
                _ = command.args(["-l", "--recv-only", "127.0.0.1", &port.to_string()])
            },
            "ncat",
        ),
    },
    Peer { name: "socat -u", kind: Kind::Raw(socat, "socat") },
];

/// Receivers that verify the content. Ratios are relative to the first.
pub const CHECKED: [Peer; 8] = [
    Peer {
        name: "splice loop",
        kind: Kind::Raw(|command, port, to| splice_loop(command, port, to, false), ""),
    },
    Peer { name: "read, hash, write loop", kind: Kind::Raw(hash_loop, "") },
    Peer { name: "sockactors, replayed", kind: Kind::Replayed },
    Peer { name: "sockactors, framed", kind: Kind::Framed },
    Peer { name: "rsync", kind: Kind::Rsync(&[]) },
    Peer { name: "rsync, fsync", kind: Kind::Rsync(&["--fsync"]) },
    Peer { name: "rsync, MD5, fsync", kind: Kind::Rsync(&["--fsync", "--checksum-choice=md5"]) },
    Peer { name: "magic-wormhole", kind: Kind::Wormhole },
];

fn splice_loop(command: &mut Command, port: u16, to: &Path, sync: bool) {
    command.args(["--splice", &port.to_string(), "--to"]).arg(to).args(sync.then_some("--sync"));
}

fn hash_loop(command: &mut Command, port: u16, to: &Path) {
    command.args(["--hash", &port.to_string(), "--to"]).arg(to);
}

fn socat(command: &mut Command, port: u16, to: &Path) {
    command.args(["-u", &format!("TCP-LISTEN:{port},bind=127.0.0.1")]);
    command.arg(format!("OPEN:{},creat,wronly", to.display()));
}

impl Peer {
    /// Reports whether the receiver is installed.
    pub fn is_installed(&self, setup: &Setup) -> bool {
        let tool = match self.kind {
            Kind::Raw(_, "") | Kind::Ours | Kind::Framed | Kind::Replayed => return true,
            Kind::Raw(_, tool) => tool,
            Kind::Rsync(_) => "rsync",
            Kind::Wormhole => return setup.wormhole.is_some(),
        };
        let paths = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&paths).any(|directory| directory.join(tool).is_file())
    }

    /// Measures one transfer.
    pub fn measure(&self, setup: &Setup, out: &Path) -> io::Result<Cost> {
        match self.kind {
            Kind::Raw(arguments, tool) => drive::raw(setup, out, arguments, tool),
            Kind::Ours => drive::ours(&setup.source, out),
            Kind::Framed => drive::framed(setup, out),
            Kind::Replayed => drive::ours(&setup.frames, out),
            Kind::Rsync(more) => drive::rsync(setup, out, more),
            Kind::Wormhole => drive::wormhole(setup, out),
        }
    }
}
