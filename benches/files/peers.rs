//! Who receives files, and how each is driven.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::drive;
use super::table::Cost;

/// What is measured with.
pub struct Place {
    pub source: PathBuf,
    pub bytes: u64,
    /// What a sender says that sends the file in frames.
    pub frames: PathBuf,
    /// Where the files go.
    pub directory: PathBuf,
    /// Where magic-wormhole is installed.
    pub wormhole: Option<PathBuf>,
}

/// A receiver of files.
pub struct Peer {
    pub name: &'static str,
    kind: Kind,
}

enum Kind {
    /// A command that receives one file on a port, into a file or on its stdout.
    Raw(fn(&mut Command, u16, &Path), &'static str),
    /// The program, which goes on listening.
    Ours,
    /// The program with the program as the sender.
    Framed,
    /// The program, which is sent what a sender would say.
    Replayed,
    /// The daemon of rsync, with this more for its client.
    Rsync(&'static [&'static str]),
    Wormhole,
}

/// Raw receivers. The first is what the others are compared with.
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

/// Receivers that check what came. The first is what the others are compared with.
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
    /// Whether it is installed.
    pub fn is_there(&self, place: &Place) -> bool {
        let tool = match self.kind {
            Kind::Raw(_, "") | Kind::Ours | Kind::Framed | Kind::Replayed => return true,
            Kind::Raw(_, tool) => tool,
            Kind::Rsync(_) => "rsync",
            Kind::Wormhole => return place.wormhole.is_some(),
        };
        let paths = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&paths).any(|directory| directory.join(tool).is_file())
    }

    /// Sends the file once.
    pub fn measure(&self, place: &Place, out: &Path) -> io::Result<Cost> {
        match self.kind {
            Kind::Raw(arguments, tool) => drive::raw(place, out, arguments, tool),
            Kind::Ours => drive::ours(&place.source, out),
            Kind::Framed => drive::framed(place, out),
            Kind::Replayed => drive::ours(&place.frames, out),
            Kind::Rsync(more) => drive::rsync(place, out, more),
            Kind::Wormhole => drive::wormhole(place, out),
        }
    }
}
