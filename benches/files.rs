//! What it costs to receive a file: wall-clock and CPU time for each GB.
//!
//! One large file is sent to each receiver in turns, several rounds of them: the built program, a bare loop of `splice` in this
//! package that does nothing else, and those tools that are installed. Each receiver is started anew for each
//! file and its CPU time is that of its whole life. Two tables come out:
//!
//! - *raw*: the bytes of one connection become a file. The sender is this process, by `sendfile`. What the program does besides
//!   (a hidden part, permissions, `fsync`, the name, `fsync` of the directory) is in its figures; a second loop does one `fsync`.
//! - *checked*: the tools that make certain that what arrived is what was sent, each with its own sender, whose CPU time is told, too.
//!
//! ```text
//! cargo bench --bench files                                   # in memory: /dev/shm
//! cargo bench --bench files -- --out DIR                      # on the disk that has DIR
//! cargo bench --bench files -- --mebibytes 1024 --rounds 7 --only raw|checked
//! cargo bench --bench files -- --wormhole DIR                 # where magic-wormhole and its mailbox server are installed
//! ```
//!
//! Without cargo's `--bench`, or with `--test`, a run is one short round: it only proves that all is well.

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

use peers::{CHECKED, Place, RAW};
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
    make(&source, bytes)?;
    let frames = source.with_extension("frames");
    say(&source, &frames)?;
    let wormhole = value("--wormhole").map(PathBuf::from);
    let place = Place { source, bytes, frames, directory: directory.path().into(), wormhole };
    for (title, peers) in [("raw", &RAW[..]), ("checked", &CHECKED[..])] {
        if value("--only").is_none_or(|only| only == title) {
            compare(title, peers, &place, rounds)?;
        }
    }
    Ok(())
}

/// Makes a file that no tool can find anything to leave out of.
fn make(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    let mut piece = vec![0; 1 << 20];
    let mut source = blake3::Hasher::new().finalize_xof();
    for _ in 0..bytes >> 20 {
        source.fill(&mut piece);
        file.write_all(&piece)?;
    }
    Ok(())
}

/// Writes down what a sender says that sends the file in frames, without waiting for answers.
fn say(source: &Path, to: &Path) -> io::Result<()> {
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

/// Measures all that are there, round by round, and prints a table.
fn compare(title: &str, peers: &[peers::Peer], place: &Place, rounds: u64) -> io::Result<()> {
    let is_there = |peer: &&peers::Peer| peer.is_there(place);
    let peers: Vec<_> = peers.iter().filter(is_there).collect();
    let mut costs = vec![Vec::new(); peers.len()];
    for round in 0..rounds {
        // Whoever comes after another finds the memory as that one left it, so each comes after each.
        for turn in 0..peers.len() {
            let turn = (turn + round as usize) % peers.len();
            let (peer, costs) = (peers[turn], &mut costs[turn]);
            let out = place.directory.join("out");
            fs::create_dir(&out)?;
            let cost = peer
                .measure(place, &out)
                .map_err(|error| io::Error::other(format!("{}: {error}", peer.name)))?;
            check(place, &out, round == 0)
                .map_err(|error| io::Error::other(format!("{}: {error}", peer.name)))?;
            costs.push(cost);
            fs::remove_dir_all(&out)?;
        }
    }
    let names: Vec<_> = peers.iter().map(|peer| peer.name).collect();
    table::print(title, &names, &costs, place.bytes);
    Ok(())
}

/// Looks whether one file arrived, of the right length and at first of the right bytes, too.
fn check(place: &Place, out: &Path, bytes: bool) -> io::Result<()> {
    let entries: Vec<_> = fs::read_dir(out)?.collect::<io::Result<_>>()?;
    let [entry] = &entries[..] else {
        return Err(io::Error::other(format!("it left {} files", entries.len())));
    };
    let length = entry.metadata()?.len();
    if length != place.bytes {
        return Err(io::Error::other(format!("{length} bytes arrived")));
    }
    let hash = |path: &Path| {
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(File::open(path)?)?;
        io::Result::Ok(hasher.finalize())
    };
    if bytes && hash(&entry.path())? != hash(&place.source)? {
        return Err(io::Error::other("other bytes arrived"));
    }
    Ok(())
}
