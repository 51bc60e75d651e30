//! A server of the file protocol that does as it is told, right or wrong: one script for each connection.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

use super::framed_client::values;
use sockactors::wire::file::codec::{
    CHUNK_SIZE, Failed, Frame, FrameReader, FrameWriter, Stored, server_hello,
};
use sockactors::wire::file::digest::{ChunkHash, hash_chunk, hash_chunk_list};

/// What has come so far.
#[derive(Debug, Default)]
pub struct Store {
    /// The bytes of each file, whole or not.
    pub files: BTreeMap<String, Vec<u8>>,
    /// What was stored or made, in order.
    pub done: Vec<String>,
    /// The number that each sending of chunks began with.
    pub begun: Vec<u64>,
    /// Bytes of chunks that came.
    pub moved: usize,
    /// The codes that the client failed with.
    pub failed: Vec<u16>,
}

type Script = Box<dyn FnOnce(Talk, &mut Store) + Send>;

/// Makes one connection's script.
pub fn script(with: impl FnOnce(Talk, &mut Store) + Send + 'static) -> Script {
    Box::new(with)
}

/// A script that takes everything.
pub fn takes_all() -> Script {
    script(|talk, store| talk.welcome().serve(store))
}

/// A script that takes so many bytes, then cuts the connection.
pub fn cuts_after(bytes: usize) -> Script {
    script(move |mut talk, store| {
        talk.left = bytes;
        talk.welcome().serve(store);
    })
}

/// A running server.
pub struct Depot {
    pub at: String,
    served: JoinHandle<Store>,
}

impl Depot {
    /// Starts one that serves so many connections as there are scripts, then is gone.
    pub fn new(store: Store, scripts: Vec<Script>) -> Depot {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let served = std::thread::spawn(move || {
            let mut store = store;
            for script in scripts {
                script(Talk::new(listener.accept().unwrap().0), &mut store);
            }
            store
        });
        Depot { at, served }
    }

    pub fn store(self) -> Store {
        self.served.join().unwrap()
    }
}

/// One connection.
pub struct Talk {
    pub stream: TcpStream,
    pub frames: FrameWriter,
    reader: FrameReader,
    /// How many bytes are read before the connection is cut.
    pub left: usize,
    /// What is done before each read.
    pub pace: Option<Box<dyn FnMut() + Send>>,
}

impl Talk {
    fn new(stream: TcpStream) -> Talk {
        let (frames, reader) = (FrameWriter::default(), FrameReader::default());
        Talk { stream, frames, reader, left: usize::MAX, pace: None }
    }

    /// Hears the client's signature.
    pub fn greeted(mut self) -> Talk {
        let mut hello = [0; 10];
        let length = self.left.min(10);
        self.left -= length;
        let _ = self.stream.read_exact(&mut hello[..length]);
        self
    }

    /// Hears the client's signature, and answers it.
    pub fn welcome(self) -> Talk {
        let mut talk = self.greeted();
        let _ = talk.stream.write_all(&server_hello(1));
        talk
    }

    pub fn say(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        self.frames.write(frame, &mut bytes);
        let _ = self.stream.write_all(&bytes);
    }

    pub fn fail(&mut self, code: u16, why: &str) {
        self.say(&Frame::Failed(Failed { code, reason: why }));
    }

    /// Reads up to the next frame and hands it on; `false` at the end.
    pub fn hear(&mut self, with: impl FnOnce(Frame<'_>)) -> bool {
        loop {
            if let Some(frame) = self.reader.next_frame().unwrap() {
                with(frame);
                return true;
            }
            if let Some(pace) = &mut self.pace {
                pace();
            }
            let mut piece = [0; 64 << 10];
            let most = piece.len().min(self.left);
            match self.stream.read(&mut piece[..most]) {
                Ok(0) | Err(_) => return false,
                Ok(length) => {
                    self.left -= length;
                    self.reader.push(&piece[..length]);
                }
            }
        }
    }

    /// Waits for an offer, and returns its name.
    pub fn offered(&mut self) -> Option<String> {
        let mut name = None;
        while name.is_none() {
            let heard = self.hear(|frame| {
                if let Frame::Offer(offer) = frame {
                    name = Some(String::from_utf8(offer.name.into()).unwrap());
                }
            });
            if !heard {
                return None;
            }
        }
        name
    }

    /// Takes files and directories until the client ends, and goes on with those that are there in part.
    pub fn serve(mut self, store: &mut Store) {
        let mut name = String::new();
        loop {
            let mut answer = None;
            let heard = self.hear(|frame| answer = step(frame, &mut name, store));
            if !heard {
                return;
            }
            match answer {
                Some(Said::Held(held, digest)) => {
                    self.say(&Frame::Answer { chunk_count: held, chunk_list_hash: digest })
                }
                Some(Said::Stored(size, digest)) => {
                    self.say(&Frame::Wait);
                    self.say(&Frame::Stored(Stored { size, digest, name: &name }));
                }
                None => {}
            }
        }
    }
}

enum Said {
    Held(u64, ChunkHash),
    Stored(u64, ChunkHash),
}

fn step(frame: Frame<'_>, name: &mut String, store: &mut Store) -> Option<Said> {
    match frame {
        Frame::Offer(offer) => {
            *name = String::from_utf8(offer.name.into()).unwrap();
            if offer.is_directory {
                store.done.push(name.clone());
                return Some(Said::Stored(0, [0; 32]));
            }
            let held = store.files.entry(name.clone()).or_default();
            // A chunk that came in part is none, unless it is the last one.
            if offer.size != Some(held.len() as u64) {
                held.truncate(held.len() / CHUNK_SIZE * CHUNK_SIZE);
            }
            let values = values(held);
            Some(Said::Held(values.len() as u64, hash_chunk_list(&values)))
        }
        Frame::Begin(number) => {
            store.begun.push(number);
            store.files.entry(name.clone()).or_default().truncate(number as usize * CHUNK_SIZE);
            None
        }
        Frame::Data { number, hash: given, bytes } => {
            assert_eq!(given, hash_chunk(number, bytes));
            let file = store.files.entry(name.clone()).or_default();
            assert_eq!(file.len(), number as usize * CHUNK_SIZE);
            file.extend_from_slice(bytes);
            store.moved += bytes.len();
            None
        }
        Frame::End { size, digest } => {
            let file = &store.files[name];
            assert_eq!((file.len() as u64, ChunkHash::from(blake3::hash(file))), (size, digest));
            store.done.push(name.clone());
            Some(Said::Stored(size, digest))
        }
        Frame::Failed(failed) => {
            store.failed.push(failed.code);
            None
        }
        other => panic!("a client said {other:?}"),
    }
}
