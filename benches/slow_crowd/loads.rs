//! What those who behave well do until their time is up, each of whom knows what has to come back.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::time::Instant;

use sockactors::wire::file::digest::hash_chunk;
use sockactors::wire::file::{CHUNK_SIZE, Frame, FrameWriter, Offer, client_hello};

use super::{Server, other};

/// Connections under way at once, and members of a chat.
const AT_ONCE: usize = 8;

/// The length of an upload in chunks of the file protocol.
const CHUNKS: u64 = 64;

/// Is greeted, several at a time.
pub(super) fn greetings(server: &Server, until: Instant) -> io::Result<u64> {
    let mut greeted = 0;
    while Instant::now() < until {
        let streams = (0..AT_ONCE).map(|_| server.connect()).collect::<io::Result<Vec<_>>>()?;
        for mut stream in streams {
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard)?;
            is(&heard, b"Thank you for connecting")?;
            greeted += 1;
        }
    }
    Ok(greeted)
}

/// Says lines, each member in a room of its own, and waits for the receipts.
pub(super) fn words(server: &Server, until: Instant) -> io::Result<u64> {
    let mut members = Vec::new();
    for number in 0..AT_ONCE {
        let mut stream = server.connect()?;
        writeln!(stream, "/join room{number}")?;
        members.push(BufReader::new(stream));
    }
    let mut said = 0;
    while Instant::now() < until {
        for member in &mut members {
            member.get_mut().write_all(b"well said\n")?;
        }
        for member in &mut members {
            let mut line = String::new();
            while line != "Server received your message: well said\n" {
                line.clear();
                if member.read_line(&mut line)? == 0 {
                    return Err(other("the server closed"));
                }
            }
            said += 1;
        }
    }
    Ok(said)
}

/// What a sender of frames says first, without the rest of its offer.
pub(super) fn offering() -> Vec<u8> {
    let mut bytes = client_hello();
    let name = [b'x'; 200];
    let offer =
        Offer { is_directory: false, size: None, mode: 0o644, modified: (0, 0), name: &name };
    FrameWriter::default().write(&Frame::Offer(offer), &mut bytes);
    bytes.truncate(client_hello().len() + 5);
    bytes
}

fn is(heard: &[u8], wanted: &[u8]) -> io::Result<()> {
    match heard == wanted {
        true => Ok(()),
        false => Err(other(format!("heard {:?}", String::from_utf8_lossy(heard)))),
    }
}

/// Sends a file in frames over and over, each time under a new name; returns the MiB.
pub(super) fn framed(server: &Server, until: Instant) -> io::Result<u64> {
    let file = vec![7; CHUNK_SIZE];
    let values: Vec<_> = (0..CHUNKS).map(|number| hash_chunk(number, &file)).collect();
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
        for (number, value) in (0..).zip(&values) {
            frames.write(&Frame::Data { number, hash: *value, bytes: &file }, &mut bytes);
            stream.write_all(&bytes)?;
            bytes.clear();
        }
        frames.write(&Frame::End { size, digest }, &mut bytes);
        stream.write_all(&bytes)?;
        stream.shutdown(Shutdown::Write)?;
        stream.read_to_end(&mut Vec::new())?;
        arrived(server, &name, size)?;
        sent += size >> 20;
    }
    Ok(sent)
}

/// Sends a file raw over and over; returns the MiB.
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
        arrived(server, &name.ok_or_else(|| other("nothing arrived"))?, size)?;
        sent += size >> 20;
    }
    Ok(sent)
}

/// Looks whether a file arrived, and removes it.
fn arrived(server: &Server, name: &str, size: u64) -> io::Result<()> {
    let path = server.out.path().join(name);
    let length = fs::metadata(&path)?.len();
    fs::remove_file(path)?;
    if length == size { Ok(()) } else { Err(other(format!("{length} bytes arrived"))) }
}
