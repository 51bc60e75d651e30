//! Measures the wall-clock time and the CPU time of receiving a file, per GB.
//!
//! One large file is sent to each receiver in turns, in several rounds. The receivers are the
//! program, bare loops, and the tools that are installed. Each is started anew for each file, and
//! its CPU time is that of its whole life. There are two tables:
//!
//! - *raw*: the bytes of one connection become a file. The sender is this process, with `sendfile`.
//!   The program also creates a hidden partial file, sets permissions, calls `fsync` on the file
//!   and the directory, and renames the file. A second loop calls `fsync` once.
//! - *checked*: receivers that verify the content. Each has its own sender, whose CPU time is
//!   shown.
//!
//! ```text
//! cargo bench --bench files                          # in memory: /dev/shm
//! cargo bench --bench files -- --out DIR             # on the disk that has DIR
//! cargo bench --bench files -- --mebibytes 1024 --rounds 7 --only raw|checked
//! cargo bench --bench files -- --wormhole DIR        # with magic-wormhole installed in DIR
//! ```
//!
//! Without cargo's `--bench`, or with `--test`, a run is one short round that checks the answers.

#[path = "files/cpu.rs"]
mod cpu;
#[path = "files/drive.rs"]
mod drive;
#[path = "files/peers.rs"]
mod peers;
#[path = "files/splice_loop.rs"]
mod splice_loop;
#[path = "files/table.rs"]
mod table;

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use peers::{CHECKED, RAW, Setup};
use sockactors::wire::file::digest::hash_chunk;
use sockactors::wire::file::{CHUNK_SIZE, Frame, FrameWriter, Offer, client_hello};

fn main() -> ExitCode {
    match run(env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("files: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Vec<String>) -> io::Result<()> {
    let value = |flag: &str| {
        let at = args.iter().position(|arg| arg == flag)?;
        args.get(at + 1).map(String::as_str)
    };
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let number = |flag: &str, default: u64| {
        value(flag).map_or(Ok(default), |text| text.parse().map_err(io::Error::other))
    };
    if let Some(port) = value("--splice") {
        let port = port.parse().map_err(io::Error::other)?;
        return splice_loop::receive(
            port,
            Path::new(value("--to").unwrap_or("out")),
            has("--sync"),
        );
    }
    if let Some(port) = value("--hash") {
        let port = port.parse().map_err(io::Error::other)?;
        return splice_loop::receive_hashed(port, Path::new(value("--to").unwrap_or("out")));
    }
    let smoke = has("--test") || !has("--bench");
    let bytes = number("--mebibytes", if smoke { 8 } else { 1024 })? << 20;
    let rounds = number("--rounds", if smoke { 1 } else { 5 })?.max(1);
    let memory = Path::new("/dev/shm");
    let temporary = env::temp_dir();
    let memory = if memory.is_dir() { memory } else { &temporary };
    let at = value("--out").map_or_else(|| memory.into(), PathBuf::from);
    let directory = tempfile::Builder::new().prefix("sockactors-files-").tempdir_in(at)?;
    let sources = tempfile::Builder::new().prefix("sockactors-files-").tempdir_in(memory)?;
    let source = sources.path().join("source");
    write_source(&source, bytes)?;
    let frames = source.with_extension("frames");
    write_frames(&source, &frames)?;
    let wormhole = value("--wormhole").map(PathBuf::from);
    let setup = Setup { source, bytes, frames, directory: directory.path().into(), wormhole };
    for (title, peers) in [("raw", &RAW[..]), ("checked", &CHECKED[..])] {
        if value("--only").is_none_or(|only| only == title) {
            compare(title, peers, &setup, rounds)?;
        }
    }
    Ok(())
}

/// Writes a file of pseudorandom bytes, which no tool can compress.
fn write_source(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut piece = vec![0; 1 << 20];
    let mut source = blake3::Hasher::new().finalize_xof();
    for _ in 0..bytes >> 20 {
        source.fill(&mut piece);
        file.write_all(&piece)?;
    }
    Ok(())
}

/// Writes the bytes that a sender of the framed protocol sends for a file.
fn write_frames(source: &Path, to: &Path) -> io::Result<()> {
    let (mut source, mut to) = (File::open(source)?, File::create(to)?);
    let (size, mut hasher) = (source.metadata()?.len(), blake3::Hasher::new());
    let offer = Offer {
        is_directory: false,
        size: Some(size),
        mode: 0o644,
        modified: (0, 0),
        name: b"file",
    };
    let (mut frames, mut bytes) = (FrameWriter::default(), client_hello().to_vec());
    frames.write(&Frame::Offer(offer), &mut bytes);
    frames.write(&Frame::Begin(0), &mut bytes);
    let mut chunk = vec![0; CHUNK_SIZE];
    for number in 0..size / CHUNK_SIZE as u64 {
        source.read_exact(&mut chunk)?;
        hasher.update(&chunk);
        frames.write(
            &Frame::Data { number, hash: hash_chunk(number, &chunk), bytes: &chunk },
            &mut bytes,
        );
        to.write_all(&bytes)?;
        bytes.clear();
    }
    frames.write(&Frame::End { size, digest: hasher.finalize().into() }, &mut bytes);
    to.write_all(&bytes)
}

/// Measures all installed receivers in each round, and prints a table.
fn compare(title: &str, peers: &[peers::Peer], setup: &Setup, rounds: u64) -> io::Result<()> {
    let is_installed = |peer: &&peers::Peer| peer.is_installed(setup);
    let peers: Vec<_> = peers.iter().filter(is_installed).collect();
    let mut costs = vec![Vec::new(); peers.len()];
    for round in 0..rounds {
        // A receiver finds the memory as the previous one left it, so the order rotates.
        for turn in 0..peers.len() {
            let turn = (turn + round as usize) % peers.len();
            let (peer, costs) = (peers[turn], &mut costs[turn]);
            let out = setup.directory.join("out");
            fs::create_dir(&out)?;
            let cost = peer
                .measure(setup, &out)
                .map_err(|error| io::Error::other(format!("{}: {error}", peer.name)))?;
            check(setup, &out, round == 0)
                .map_err(|error| io::Error::other(format!("{}: {error}", peer.name)))?;
            costs.push(cost);
            fs::remove_dir_all(&out)?;
        }
    }
    let names: Vec<_> = peers.iter().map(|peer| peer.name).collect();
    table::print(title, &names, &costs, setup.bytes);
    Ok(())
}

/// Checks that one file of the right length arrived, and optionally its bytes.
fn check(setup: &Setup, out: &Path, with_bytes: bool) -> io::Result<()> {
    let entries: Vec<_> = fs::read_dir(out)?.collect::<io::Result<_>>()?;
    let [entry] = &entries[..] else {
        return Err(io::Error::other(format!("found {} files in setup of 1", entries.len())));
    };
    let length = entry.metadata()?.len();
    if length != setup.bytes {
        return Err(io::Error::other(format!("received {length} bytes")));
    }
    let hash = |path: &Path| {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        io::Result::Ok(hasher.finalize())
    };
    if with_bytes && hash(&entry.path())? != hash(&setup.source)? {
        return Err(io::Error::other("received wrong bytes"));
    }
    Ok(())
}
