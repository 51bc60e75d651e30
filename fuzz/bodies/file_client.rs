//! Arbitrary bytes as a hostile server of the file client.
//!
//! The framed sender runs in a simulation, on connections in memory. The first byte of an input
//! selects the files to send and the settings, the second one is the seed. Each further byte is an
//! action of the server. Its lower four bits select the action, the upper four bits are its number:
//!
//! | action | meaning |
//! |---|---|
//! | 0 | reads up to the next offer |
//! | 1 | reads up to the end of the file |
//! | 2 | answers an offer: it holds nothing |
//! | 3 | answers an offer: it holds the number of chunks, with their hash |
//! | 4 | answers an offer: it holds the number of chunks, with a wrong hash |
//! | 5 | reports the offered file as stored |
//! | 6 | reports other bytes as stored |
//! | 7 | rejects the file with the number as the code |
//! | 8 | sends `wait` frames |
//! | 9 | sends a frame that only a client sends |
//! | 10 | sends the next bytes as they are |
//! | 11 | sends a part of a valid frame |
//! | 12 | pauses for the number of seconds |
//! | 13 | reads what has arrived |
//! | 14 | waits for the client's next connection |
//! | 15 | sends a flood of `wait` frames |
//!
//! For every input these must hold:
//!
//! - The sender does not panic, and ends within its time limits.
//! - A file is reported as sent only if the server reported the hash of its bytes as stored.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use sockactors::actors::{FramedSender, Report, Reporter};
use sockactors::net::Stream;
use sockactors::runtime::{Child, Context, Exit, Lifecycle, Outcome, Strategy, Supervisor};
use sockactors::testing::Simulation;
use sockactors::wire::file::digest::{ChunkHash, FileHasher, hash_chunk, hash_chunk_list};
use sockactors::wire::file::{
    CHUNK_SIZE, Failed, Frame, FrameReader, FrameWriter, Stored, server_hello,
};

/// The sizes of the files. The first two are sent most often.
const SIZES: [usize; 3] = [0, 5, CHUNK_SIZE + 1];

/// The number of connections that a client can make.
const CONNECTIONS: usize = 3;

const TIMEOUT: Duration = Duration::from_secs(10);

/// The time limit of a run: 15 minutes for each reply on each connection, and the pauses.
const MAX_TIME: Duration = Duration::from_secs(4 * 3600);

/// The hashes of the chunks and of the bytes of each file.
fn file_hashes() -> &'static [(Vec<ChunkHash>, ChunkHash)] {
    static HASHES: OnceLock<Vec<(Vec<ChunkHash>, ChunkHash)>> = OnceLock::new();
    HASHES.get_or_init(|| {
        let hashes = SIZES.iter().map(|size| {
            let (mut hasher, mut chunks) = (FileHasher::default(), Vec::new());
            for (number, chunk) in vec![b'f'; *size].chunks(CHUNK_SIZE).enumerate() {
                chunks.push(hash_chunk(number as u64, chunk));
                hasher.add(chunks[number], chunk);
            }
            (chunks, hasher.finish().unwrap())
        });
        hashes.collect()
    })
}

/// The directory with the files that a thread sends, in memory if possible.
struct Directory(PathBuf);

thread_local! {
    static DIRECTORY: Directory = Directory::new();
}

impl Directory {
    fn new() -> Directory {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
        let thread = format!("{:?}", std::thread::current().id());
        let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
        let path = base.join(format!("sockactors-fuzz-client-{}-{thread}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        for (index, size) in SIZES.iter().enumerate() {
            fs::write(path.join(index.to_string()), vec![b'f'; *size]).unwrap();
        }
        Directory(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Checks one input.
pub fn check(input: &[u8]) {
    let Some((&[settings, seed], script)) = input.split_first_chunk() else { return };
    let indices = [&[1][..], &[1, 0], &[0, 1, 1], &[2, 1]][usize::from(settings & 3)];
    let paths: Vec<PathBuf> = DIRECTORY.with(|directory| {
        indices.iter().map(|index| directory.0.join(index.to_string())).collect()
    });
    let (ours, theirs): (Vec<_>, Vec<_>) =
        (0..CONNECTIONS).map(|_| Stream::duplex(256 << 10)).unzip();
    let mut tree = Supervisor::new("files", Strategy::OneForOne).intensity(0, TIMEOUT);
    let sent = Arc::new(Mutex::new(Vec::new()));
    let seen = sent.clone();
    let listen = move || {
        let seen = seen.clone();
        async move |mut ctx: Context<Report>| -> Outcome {
            while let Some(report) = ctx.recv().await {
                if let Report::FileSent { blake3, .. } = report {
                    seen.lock().unwrap().push(blake3);
                }
            }
            Ok(())
        }
    };
    let reporter = Reporter::new(tree.child(Child::new("listener", listen)));
    let honest = Arc::new(Mutex::new(Vec::new()));
    let server = Mutex::new(Some(Server::new(theirs, honest.clone())));
    let script = script.to_vec();
    let serve = move || {
        let (script, server) = (script.clone(), server.lock().unwrap().take());
        async move |ctx: Context<()>| -> Outcome {
            if let Some(mut server) = server {
                server.run(&ctx, &script).await;
                server.streams.clear();
            }
            ctx.sleep(MAX_TIME * 2).await;
            Ok(())
        }
    };
    tree.child(Child::new("server", serve).temporary());
    let (resume, streams) = (settings & 4 > 0, Mutex::new(Some(ours)));
    let send = move || {
        let endpoint = "127.0.0.1:1".parse().unwrap();
        let streams = streams.lock().unwrap().take().unwrap_or_default();
        FramedSender::new(endpoint, paths.clone(), TIMEOUT, reporter.clone())
            .resume(resume)
            .streams(streams)
    };
    tree.child(Child::new("client", send).temporary().significant());
    let late = move || {
        async move |ctx: Context<()>| -> Outcome {
            ctx.sleep(MAX_TIME).await;
            panic!("the client is held")
        }
    };
    tree.child(Child::new("limit", late).temporary());
    let panics = Arc::new(Mutex::new(Vec::new()));
    let observed = panics.clone();
    let outcome = Simulation::new(u64::from(seed))
        .observe(move |event| {
            if let Lifecycle::Exited { exit: Exit::Panicked { .. }, .. } = event {
                observed.lock().unwrap().push(event.to_string());
            }
        })
        .run(tree);
    let panics = panics.lock().unwrap();
    let has_ended = matches!(outcome, Ok(_) | Err(Exit::Failed(_)));
    assert!(panics.is_empty() && has_ended, "{outcome:?}: {panics:#?}");
    let honest = honest.lock().unwrap();
    for hash in sent.lock().unwrap().iter().flatten() {
        assert!(honest.iter().any(|stored| stored == hash), "{hash} was not stored");
    }
}

/// The server's side of the connections.
struct Server {
    /// The connections that are left, the last one first.
    streams: Vec<Stream>,
    writer: FrameWriter,
    reader: FrameReader,
    /// The name of the offered file.
    name: String,
    /// The hashes that were reported as stored.
    reported: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn new(streams: Vec<Stream>, reported: Arc<Mutex<Vec<String>>>) -> Server {
        let (writer, reader) = (FrameWriter::default(), FrameReader::default());
        Server { streams, writer, reader, name: String::new(), reported }
    }

    /// Runs the script of an input.
    async fn run(&mut self, ctx: &Context<()>, script: &[u8]) {
        self.greet().await;
        let mut bytes = script.iter().copied();
        while let Some(byte) = bytes.next() {
            let number = usize::from(byte >> 4);
            match byte & 15 {
                0 => self.read(ctx, |frame| matches!(frame, Frame::Offer(_))).await,
                1 => self.read(ctx, |frame| matches!(frame, Frame::End { .. })).await,
                2 => self.answer(0, hash_chunk_list(&[])),
                3 => {
                    let held = &self.hashes().0;
                    let held = &held[..number.min(held.len())];
                    self.answer(held.len() as u64, hash_chunk_list(held));
                }
                4 => self.answer(u64::MAX >> (number * 4), [byte; 32]),
                5 => self.report_stored(self.hashes().1),
                6 => self.report_stored([byte; 32]),
                7 => {
                    let reason = ["", "no\nreason", "\x1b[2J"][number % 3];
                    self.send(&Frame::Failed(Failed { code: number as u16, reason }));
                }
                8 => (0..number).for_each(|_| self.send(&Frame::Wait)),
                9 => {
                    let data = Frame::Data { number: 0, hash: [0; 32], bytes: b"x" };
                    let frames = [Frame::Begin(0), data, Frame::End { size: 0, digest: [0; 32] }];
                    self.send(&frames[number % 3]);
                }
                10 => {
                    let garbage: Vec<u8> = bytes.by_ref().take(number).collect();
                    self.write(&garbage);
                }
                11 => {
                    let mut frame = Vec::new();
                    self.writer.write(&Frame::Begin(u64::MAX), &mut frame);
                    self.write(&frame[..number]);
                }
                12 => ctx.sleep(Duration::from_secs(number as u64)).await,
                13 => drop(self.read_available()),
                14 => {
                    self.streams.pop();
                    (self.writer, self.reader) = (FrameWriter::default(), FrameReader::default());
                    self.greet().await;
                }
                _ => (0..number * 64).for_each(|_| self.send(&Frame::Wait)),
            }
        }
    }

    /// Reads the client's hello and replies.
    async fn greet(&mut self) {
        if let Some(stream) = self.streams.last() {
            let mut hello = [0; 10];
            if let Ok(1..) = stream.read(&mut hello).await {
                self.write(&server_hello(1));
            }
        }
    }

    fn hashes(&self) -> &'static (Vec<ChunkHash>, ChunkHash) {
        let index = self.name.parse().unwrap_or(0);
        &file_hashes()[index.min(SIZES.len() - 1)]
    }

    fn answer(&mut self, chunk_count: u64, chunk_list_hash: ChunkHash) {
        self.send(&Frame::Answer { chunk_count, chunk_list_hash });
    }

    fn report_stored(&mut self, digest: ChunkHash) {
        self.reported
            .lock()
            .unwrap()
            .push(digest.iter().map(|byte| format!("{byte:02x}")).collect());
        self.send(&Frame::Stored(Stored { size: 5, digest, name: "stored" }));
    }

    fn send(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        self.writer.write(frame, &mut bytes);
        self.write(&bytes);
    }

    /// Writes bytes without waiting. What does not fit is lost.
    fn write(&mut self, bytes: &[u8]) {
        if let Some(stream) = self.streams.last() {
            let _ = stream.try_write(bytes);
        }
    }

    /// Reads frames until the client has sent the one that `is_last` accepts, or is silent.
    async fn read(&mut self, ctx: &Context<()>, is_last: impl Fn(&Frame<'_>) -> bool) {
        loop {
            while let Ok(Some(frame)) = self.reader.next_frame() {
                if let Frame::Offer(offer) = &frame {
                    self.name = String::from_utf8_lossy(offer.name).into_owned();
                }
                if is_last(&frame) {
                    return;
                }
            }
            let Some(stream) = self.streams.last() else { return };
            let is_readable = ctx.timeout(TIMEOUT, stream.readable()).await.is_some();
            if !is_readable || !self.read_available() {
                return;
            }
        }
    }

    /// Reads what has arrived. Returns `false` at the end of the stream.
    fn read_available(&mut self) -> bool {
        let reader = &mut self.reader;
        self.streams.last().is_some_and(|stream| {
            matches!(stream.try_read_with(|bytes| reader.push(bytes)), Ok(1..))
        })
    }
}
