//! Helpers of the file durability tests: files with seeded content, uploads to a server that may
//! vanish at any moment, and the content of a directory.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;

use super::DEADLINE;
use super::framed_client::{FramedClient, FramedReply};

/// Returns a number from an environment variable, or `default`.
pub fn env_number(name: &str, default: usize) -> usize {
    let set = std::env::var(name).ok();
    set.map_or(default, |set| set.parse().unwrap_or_else(|_| panic!("{name}={set}")))
}

/// Returns bytes derived from a seed. Two seeds have no chunk in common.
pub fn seeded_bytes(seed: impl AsRef<[u8]>, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(seed.as_ref()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Returns a number below `below`, derived from a seed.
pub fn seeded_number(seed: impl AsRef<[u8]>, below: usize) -> usize {
    let hash = blake3::hash(seed.as_ref());
    let drawn = u64::from_le_bytes(*hash.as_bytes().first_chunk().unwrap());
    (drawn % below.max(1) as u64) as usize
}

/// Connects to a server that may have exited.
pub fn try_connect(at: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(at)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    stream.set_write_timeout(Some(DEADLINE))?;
    Ok(stream)
}

/// Uploads a framed file, resuming after what the server has.
pub fn upload(at: &str, name: &str, file: &[u8]) -> io::Result<FramedReply> {
    Ok(FramedClient::try_open(try_connect(at)?)?.upload(name, file))
}

/// Uploads `more` chunks after those that the server has, and half-closes the connection. Returns
/// the server's reply to that.
pub fn upload_chunks(at: &str, name: &str, file: &[u8], more: u64) -> io::Result<FramedReply> {
    let mut client = FramedClient::try_open(try_connect(at)?)?;
    match client.send_offer(name, Some(file.len() as u64)) {
        FramedReply::ResumeAt(held, _) => client.send_chunks(file, held, held + more)?,
        reply => return Ok(reply),
    }
    client.stream.shutdown(Shutdown::Write)?;
    Ok(client.recv())
}

/// Uploads a raw file, and waits until the server closes the connection.
pub fn upload_raw(at: &str, file: &[u8]) -> io::Result<()> {
    let mut stream = try_connect(at)?;
    stream.write_all(file)?;
    stream.shutdown(Shutdown::Write)?;
    stream.read(&mut [0]).map(drop)
}

/// Returns all files below a directory, hidden ones too, sorted by path.
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
            // The file system's own directory.
            true if name == "lost+found" => {}
            true => collect(&entry.path(), &format!("{name}/"), found),
            false => found.push((name, fs::read(entry.path()).unwrap())),
        }
    }
}

/// Returns whether a path is that of a temporary file, which is hidden.
pub fn is_hidden(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|name| name.starts_with('.'))
}
