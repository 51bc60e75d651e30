//! What the proofs about files share: files that are known by their names, uploads to a server that may be gone any moment,
//! and what a directory holds.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use super::DEADLINE;
use super::framed_client::{FramedClient, FramedReply};

/// Takes a number of the environment, or another one.
pub fn env_number(name: &str, otherwise: usize) -> usize {
    let set = std::env::var(name).ok();
    set.map_or(otherwise, |set| set.parse().unwrap_or_else(|_| panic!("{name}={set}")))
}

/// Bytes that are another file's in no place.
pub fn seeded_bytes(seed: impl AsRef<[u8]>, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(seed.as_ref()).finalize_xof().fill(&mut bytes);
    bytes
}

/// A number below `below`, always the same of the same seed.
pub fn seeded_number(seed: impl AsRef<[u8]>, below: usize) -> usize {
    let hash = blake3::hash(seed.as_ref());
    let drawn = u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap());
    (drawn % below.max(1) as u64) as usize
}

/// Connects to a server that may be gone.
pub fn try_connect(at: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Sends a file in frames, as far as it is not held.
pub fn upload(at: &str, name: &str, file: &[u8]) -> io::Result<FramedReply> {
    Ok(FramedClient::try_open(try_connect(at)?)?.upload(name, file))
}

/// Sends so many chunks more of a file than are held, and ends the connection; returns what the server said then, which has seen
/// the end.
pub fn upload_chunks(at: &str, name: &str, file: &[u8], more: u64) -> io::Result<FramedReply> {
    let mut client = FramedClient::try_open(try_connect(at)?)?;
    match client.send_offer(name, Some(file.len() as u64)) {
        FramedReply::ResumeAt(held, _) => client.send_chunks(file, held, held + more)?,
        said => return Ok(said),
    }
    client.stream.shutdown(Shutdown::Write)?;
    Ok(client.recv())
}

/// Sends a raw upload, and waits for the server to close it.
pub fn upload_raw(at: &str, file: &[u8]) -> io::Result<()> {
    let mut stream = try_connect(at)?;
    stream.write_all(file)?;
    stream.shutdown(Shutdown::Write)?;
    stream.read(&mut [0]).map(drop)
}

/// The files beneath a directory, by their paths, in order; hidden ones too.
pub fn files_below(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    collect(directory, "", &mut found);
    found.sort();
    found
}

fn collect(directory: &Path, before: &str, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{before}{}", entry.file_name().to_string_lossy());
        match entry.file_type().unwrap().is_dir() {
            // What a check of the file system leaves is nobody's.
            true if name == "lost+found" => {}
            true => collect(&entry.path(), &format!("{name}/"), found),
            false => found.push((name, fs::read(entry.path()).unwrap())),
        }
    }
}

/// Whether a path is of something that has no name yet.
pub fn is_hidden(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with('.'))
}
