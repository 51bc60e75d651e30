//! A scripted server of the file protocol, which may violate it. Each connection has a script.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::framed_client::chunk_hashes;
use sockactors::wire::file::digest::{ChunkHash, hash_chunk, hash_chunk_list};
use sockactors::wire::file::{
    CHUNK_SIZE, Failed, Frame, FrameReader, FrameWriter, Stored, server_hello,
};

/// The state of the server's files.
#[derive(Debug, Default)]
pub struct ServerFiles {
    /// The bytes of each file, complete or partial.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The names of stored files and created directories, in order.
    pub stored: Vec<String>,
    /// The first chunk of each `Begin` frame.
    pub resume_points: Vec<u64>,
    /// The total bytes of received chunks.
    pub chunk_bytes: usize,
    /// The codes of the client's `Failed` frames.
    pub failure_codes: Vec<u16>,
}

type Script = Box<dyn FnOnce(ServerConnection, &mut ServerFiles) + Send>;

/// Boxes a script.
pub fn script(with: impl FnOnce(ServerConnection, &mut ServerFiles) + Send + 'static) -> Script {
    Box::new(with)
}

/// Returns a script that accepts everything.
pub fn accept_all() -> Script {
    script(|talk, store| talk.handshake().serve(store))
}

/// Returns a script that closes the connection after `bytes` received bytes.
pub fn cut_after(bytes: usize) -> Script {
    script(move |mut talk, store| {
        talk.byte_limit = bytes;
        talk.handshake().serve(store);
    })
}

/// A running server.
pub struct ScriptedServer {
    pub address: String,
    thread: JoinHandle<ServerFiles>,
}

impl ScriptedServer {
    /// Starts a server that serves one connection per script and then exits.
    pub fn new(store: ServerFiles, scripts: Vec<Script>) -> ScriptedServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let served = std::thread::spawn(move || {
            let mut store = store;
            for script in scripts {
                script(ServerConnection::new(listener.accept().unwrap().0), &mut store);
            }
            store
        });
        ScriptedServer { address: at, thread: served }
    }

    pub fn join(self) -> ServerFiles {
        self.thread.join().unwrap()
    }
}

/// A connection of a script.
pub struct ServerConnection {
    pub stream: TcpStream,
    pub frames: FrameWriter,
    reader: FrameReader,
    /// The number of bytes to read before the connection is closed.
    pub byte_limit: usize,
    /// A hook that runs before each read.
    pub before_read: Option<Box<dyn FnMut() + Send>>,
}

impl ServerConnection {
    fn new(stream: TcpStream) -> ServerConnection {
        let (frames, reader) = (FrameWriter::default(), FrameReader::default());
        ServerConnection { stream, frames, reader, byte_limit: usize::MAX, before_read: None }
    }

    /// Reads the client's signature.
    pub fn read_hello(mut self) -> ServerConnection {
        let mut hello = [0; 10];
        let length = self.byte_limit.min(10);
        self.byte_limit -= length;
        let _ = self.stream.read_exact(&mut hello[..length]);
        self
    }

    /// Reads the client's signature, and replies to it.
    pub fn handshake(self) -> ServerConnection {
        let mut talk = self.read_hello();
        let _ = talk.stream.write_all(&server_hello(1));
        talk
    }

    pub fn send(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        self.frames.write(frame, &mut bytes);
        let _ = self.stream.write_all(&bytes);
    }

    pub fn send_failed(&mut self, code: u16, reason: &str) {
        self.send(&Frame::Failed(Failed { code, reason }));
    }

    /// Reads the next frame and passes it to `with`. Returns `false` at the end of the stream.
    pub fn recv(&mut self, with: impl FnOnce(Frame<'_>)) -> bool {
        loop {
            if let Some(frame) = self.reader.next_frame().unwrap() {
                with(frame);
                return true;
            }
            if let Some(pace) = &mut self.before_read {
                pace();
            }
            let mut piece = [0; 64 << 10];
            let limit = piece.len().min(self.byte_limit);
            match self.stream.read(&mut piece[..limit]) {
                Ok(0) | Err(_) => return false,
                Ok(length) => {
                    self.byte_limit -= length;
                    self.reader.push(&piece[..length]);
                }
            }
        }
    }

    /// Waits for an offer, and returns its file name.
    pub fn recv_offer(&mut self) -> Option<String> {
        let mut name = None;
        while name.is_none() {
            let received = self.recv(|frame| {
                if let Frame::Offer(offer) = frame {
                    name = Some(String::from_utf8(offer.name.into()).unwrap());
                }
            });
            if !received {
                return None;
            }
        }
        name
    }

    /// Takes files and directories until the client ends, and goes on with those that are there in
    /// part.
    pub fn serve(mut self, store: &mut ServerFiles) {
        let mut name = String::new();
        loop {
            let mut answer = None;
            let received = self.recv(|frame| answer = handle_frame(frame, &mut name, store));
            if !received {
                return;
            }
            match answer {
                Some(NextReply::ResumeAt(held, digest)) => {
                    self.send(&Frame::Answer { chunk_count: held, chunk_list_hash: digest })
                }
                Some(NextReply::Stored(size, digest)) => {
                    self.send(&Frame::Wait);
                    self.send(&Frame::Stored(Stored { size, digest, name: &name }));
                }
                None => {}
            }
        }
    }
}

enum NextReply {
    ResumeAt(u64, ChunkHash),
    Stored(u64, ChunkHash),
}

fn handle_frame(frame: Frame<'_>, name: &mut String, store: &mut ServerFiles) -> Option<NextReply> {
    match frame {
        Frame::Offer(offer) => {
            *name = String::from_utf8(offer.name.into()).unwrap();
            if offer.is_directory {
                store.stored.push(name.clone());
                return Some(NextReply::Stored(0, [0; 32]));
            }
            let held = store.files.entry(name.clone()).or_default();
            // An incomplete chunk does not count, unless it is the last one.
            if offer.size != Some(held.len() as u64) {
                held.truncate(held.len() / CHUNK_SIZE * CHUNK_SIZE);
            }
            let values = chunk_hashes(held);
            Some(NextReply::ResumeAt(values.len() as u64, hash_chunk_list(&values)))
        }
        Frame::Begin(number) => {
            store.resume_points.push(number);
            store.files.entry(name.clone()).or_default().truncate(number as usize * CHUNK_SIZE);
            None
        }
        Frame::Data { number, hash: given, bytes } => {
            assert_eq!(given, hash_chunk(number, bytes));
            let file = store.files.entry(name.clone()).or_default();
            assert_eq!(file.len(), number as usize * CHUNK_SIZE);
            file.extend_from_slice(bytes);
            store.chunk_bytes += bytes.len();
            None
        }
        Frame::End { size, digest } => {
            let file = &store.files[name];
            assert_eq!((file.len() as u64, ChunkHash::from(blake3::hash(file))), (size, digest));
            store.stored.push(name.clone());
            Some(NextReply::Stored(size, digest))
        }
        Frame::Failed(failed) => {
            store.failure_codes.push(failed.code);
            None
        }
        other => panic!("unexpected frame from the client: {other:?}"),
    }
}
