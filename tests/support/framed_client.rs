//! A scripted client of the file protocol, which may violate it.

use std::io::{Read, Write};
use std::net::TcpStream;

use sockactors::wire::file::digest::{ChunkHash, hash_chunk, hash_chunk_list};
use sockactors::wire::file::{
    CHUNK_SIZE, Frame, FrameReader, FrameWriter, Offer, client_hello, server_hello,
};

/// A reply of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FramedReply {
    ResumeAt(u64, ChunkHash),
    Stored(u64, String),
    Failed(u16, String),
    Closed,
}

/// A framed connection.
pub struct FramedClient {
    pub stream: TcpStream,
    pub frames: FrameWriter,
    reader: FrameReader,
}

impl FramedClient {
    pub fn open(stream: TcpStream) -> FramedClient {
        FramedClient::try_open(stream).unwrap()
    }

    /// Opens a connection to a server that may vanish at any moment.
    pub fn try_open(stream: TcpStream) -> std::io::Result<FramedClient> {
        let mut framed =
            FramedClient { stream, frames: FrameWriter::default(), reader: FrameReader::default() };
        framed.stream.write_all(&client_hello())?;
        let mut answer = [0; 9];
        framed.stream.read_exact(&mut answer)?;
        assert_eq!(answer[..], server_hello(1)[..]);
        Ok(framed)
    }

    /// Sends frames.
    pub fn send_frames(&mut self, frames: &[Frame<'_>]) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| self.frames.write(frame, &mut bytes));
        self.stream.write_all(&bytes)
    }

    /// Receives the next reply, skipping `Wait` frames.
    pub fn recv(&mut self) -> FramedReply {
        loop {
            match self.reader.next_frame().unwrap() {
                Some(Frame::Wait) => continue,
                Some(Frame::Answer { chunk_count: held, chunk_list_hash: digest }) => {
                    return FramedReply::ResumeAt(held, digest);
                }
                Some(Frame::Stored(stored)) => {
                    return FramedReply::Stored(stored.size, stored.name.into());
                }
                Some(Frame::Failed(failed)) => {
                    return FramedReply::Failed(failed.code, failed.reason.into());
                }
                Some(other) => panic!("unexpected frame from the server: {other:?}"),
                None => {}
            }
            let mut piece = [0; 4096];
            match self.stream.read(&mut piece) {
                Ok(0) | Err(_) => return FramedReply::Closed,
                Ok(length) => self.reader.push(&piece[..length]),
            }
        }
    }

    pub fn send_offer(&mut self, name: &str, size: Option<u64>) -> FramedReply {
        let _ = self.send_frames(&[Frame::Offer(offer(name.as_bytes(), size))]);
        self.recv()
    }

    /// Sends chunks `from..until` of a file, without the end frame.
    pub fn send_chunks(&mut self, file: &[u8], from: u64, until: u64) -> std::io::Result<()> {
        self.send_frames(&[Frame::Begin(from)])?;
        for (number, bytes) in (0..until).zip(file.chunks(CHUNK_SIZE)).skip(from as usize) {
            self.send_frames(&[Frame::Data { number, hash: hash_chunk(number, bytes), bytes }])?;
        }
        Ok(())
    }

    /// Uploads a file after what the server has, and returns the final reply.
    pub fn upload(&mut self, name: &str, file: &[u8]) -> FramedReply {
        match self.send_offer(name, Some(file.len() as u64)) {
            FramedReply::ResumeAt(held, digest) => {
                let values = chunk_hashes(file);
                let from = match hash_chunk_list(&values[..held as usize]) == digest {
                    true => held,
                    false => 0,
                };
                let _ = self.send_chunks(file, from, u64::MAX);
                let _ = self.send_frames(&[end_frame(file)]);
                self.recv()
            }
            reply => reply,
        }
    }
}

/// Returns the offer of a file.
pub fn offer(name: &[u8], size: Option<u64>) -> Offer<'_> {
    Offer { is_directory: false, size, mode: 0o644, modified: (1_000_000_000, 5), name }
}

/// Returns the end frame of a file.
pub fn end_frame(file: &[u8]) -> Frame<'static> {
    Frame::End { size: file.len() as u64, digest: blake3::hash(file).into() }
}

/// Returns the hashes of a file's chunks.
pub fn chunk_hashes(file: &[u8]) -> Vec<ChunkHash> {
    (0..).zip(file.chunks(CHUNK_SIZE)).map(|(number, chunk)| hash_chunk(number, chunk)).collect()
}
