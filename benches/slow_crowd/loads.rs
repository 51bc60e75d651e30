//! The work of the well-behaved clients. Each checks the answers.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::time::Instant;

use sockactors::wire::file::digest::hash_chunk;
use sockactors::wire::file::{CHUNK_SIZE, Frame, FrameWriter, Offer, client_hello};

use super::other;
use super::server::Server;

/// The number of simultaneous connections, and of members of a chat.
const CLIENTS: usize = 8;

/// The length of an upload in chunks of the framed protocol.
const CHUNKS: u64 = 64;

/// Connects and reads the greeting, several clients at once.
pub(super) fn greetings(server: &Server, until: Instant) -> io::Result<u64> {
    let mut count = 0;
    while Instant::now() < until {
        let streams = (0..CLIENTS).map(|_| server.connect()).collect::<io::Result<Vec<_>>>()?;
        for mut stream in streams {
            let mut received = Vec::new();
            stream.read_to_end(&mut received)?;
            expect(&received, b"Thank you for connecting")?;
            count += 1;
        }
    }
    Ok(count)
}

/// Sends lines, each member in its own room, and waits for the acknowledgements.
pub(super) fn chat_lines(server: &Server, until: Instant) -> io::Result<u64> {
    let mut members = Vec::new();
    for number in 0..CLIENTS {
        let mut stream = server.connect()?;
        writeln!(stream, "/join room{number}")?;
        members.push(BufReader::new(stream));
    }
    let mut count = 0;
    while Instant::now() < until {
        for member in &mut members {
            member.get_mut().write_all(b"well count\n")?;
        }
        for member in &mut members {
            let mut line = String::new();
            while line != "Server received your message: well count\n" {
                line.clear();
                if member.read_line(&mut line)? == 0 {
                    return Err(other("the server closed the connection"));
                }
            }
            count += 1;
        }
    }
    Ok(count)
}

/// Fails if the received bytes are not the expected ones.
fn expect(received: &[u8], expected: &[u8]) -> io::Result<()> {
    match received == expected {
        true => Ok(()),
        false => Err(other(format!("received {:?}", String::from_utf8_lossy(received)))),
    }
}

/// Uploads a file with the framed protocol repeatedly under new names. Returns the MiB.
pub(super) fn framed(server: &Server, until: Instant) -> io::Result<u64> {
    let file = vec![7; CHUNK_SIZE];
    let hashes: Vec<_> = (0..CHUNKS).map(|number| hash_chunk(number, &file)).collect();
    let digest = blake3::hash(&file.repeat(CHUNKS as usize)).into();
    let size = CHUNKS * CHUNK_SIZE as u64;
    let mut sent = 0;
    while Instant::now() < until {
        let name = format!("file-{:?}", Instant::now());
        let (mut stream, mut frames, mut bytes) =
            (server.connect()?, FrameWriter::default(), client_hello());
        let offer = Offer {
            is_directory: false,
            size: Some(size),
            mode: 0o644,
            modified: (0, 0),
            name: name.as_bytes(),
        };
        frames.write(&Frame::Offer(offer), &mut bytes);
        frames.write(&Frame::Begin(0), &mut bytes);
        for (number, hash) in (0..).zip(&hashes) {
            frames.write(&Frame::Data { number, hash: *hash, bytes: &file }, &mut bytes);
            stream.write_all(&bytes)?;
            bytes.clear();
        }
        frames.write(&Frame::End { size, digest }, &mut bytes);
        stream.write_all(&bytes)?;
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_end(&mut Vec::new())?;
        check_upload(server, &name, size)?;
        sent += size >> 20;
    }
    Ok(sent)
}

/// Uploads a file raw repeatedly. Returns the MiB.
pub(super) fn raw(server: &Server, until: Instant) -> io::Result<u64> {
    let (file, size) = (vec![7; CHUNK_SIZE], CHUNKS * CHUNK_SIZE as u64);
    let mut sent = 0;
    while Instant::now() < until {
        let mut stream = server.connect()?;
        for _ in 0..CHUNKS {
            stream.write_all(&file)?;
        }
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_end(&mut Vec::new())?;
        let name = fs::read_dir(server.out.path())?.filter_map(Result::ok);
        let mut names = name.filter_map(|entry| entry.file_name().into_string().ok());
        let name = names.find(|name| name.starts_with("output"));
        check_upload(server, &name.ok_or_else(|| other("received no file"))?, size)?;
        sent += size >> 20;
    }
    Ok(sent)
}

/// Checks the length of a received file and removes it.
fn check_upload(server: &Server, name: &str, size: u64) -> io::Result<()> {
    let path = server.out.path().join(name);
    let length = fs::metadata(&path)?.len();
    fs::remove_file(path)?;
    if length == size { Ok(()) } else { Err(other(format!("received {length} bytes"))) }
}
