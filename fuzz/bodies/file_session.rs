//! Arbitrary bytes as two peers of a file server whose disk fills up.
//!
//! The server's receivers run in a simulation, on connections in memory and a directory in memory.
//! The first byte of an input selects the settings, the second one is the seed. Of each further
//! byte the upper bit selects the peer, and the lower four bits select an action:
//!
//! | action | meaning |
//! |---|---|
//! | 0, 1, 2 | offers the file that the next byte selects |
//! | 3 | begins with the chunk that the next byte selects |
//! | 4, 5 | sends the next chunk of the offered file |
//! | 6 | ends the file |
//! | 7 | sends a wrong chunk or a wrong end |
//! | 8 | gives the file up |
//! | 9 | offers the directory that the next byte selects |
//! | 10 | sends the next bytes as they are |
//! | 11 | waits until nothing changes any more |
//! | 12 | waits until a reservation expires |
//! | 13 | waits until a slow sender is disconnected |
//! | 14 | connects again, with the file protocol |
//! | 15 | connects again, and sends raw bytes |
//!
//! For every input these must hold:
//!
//! - No receiver crashes or fails, and all have ended at the end.
//! - The replies are valid frames, and name no path of the server.
//! - A file with a final name was reported as stored, and has the bytes that were sent.
//! - The server creates no more files and directories than it may.
//! - Each partial file of a named file has at least one whole chunk, and a checksum file.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::io::IoSlice;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use sockactors::actors::{
    BlockingPool, Connection, FileReceiver, FileStore, OnConflict, ReceiverConfig, Report,
    Reporter, StoreConfig,
};
use sockactors::net::Stream;
use sockactors::runtime::{
    Child, Context, Lifecycle, Outcome, Pool, PoolAddress, Strategy, Supervisor,
};
use sockactors::testing::Simulation;
use sockactors::wire::file::digest::{ChunkHash, FileHasher, hash_chunk};
use sockactors::wire::file::{
    CHUNK_SIZE, Failed, Frame, FrameReader, FrameWriter, Offer, client_hello,
};

const INSTANT: Duration = Duration::from_nanos(1);
/// Longer than a reservation without data lasts.
const EXPIRY_WAIT: Duration = Duration::from_secs(12);
/// Longer than a sender below the minimum rate is tolerated.
const SLOW_WAIT: Duration = Duration::from_secs(70);
/// Longer than any limit.
const LONG_TIME: Duration = Duration::from_secs(36_000);

const NAMES: [&str; 8] = ["a", "b", "d/a", "d/e/a", "output0.txt", ".hidden", "../a", "a/b"];
const SIZES: [usize; 8] =
    [0, 1, 5, 500, CHUNK_SIZE, CHUNK_SIZE + 1, 2 * CHUNK_SIZE, 3 * CHUNK_SIZE + 7];

/// The whole chunks that one input may send. More of them find nothing more.
const MAX_CHUNKS: usize = 8;

/// The length of the server's hello.
const HELLO_LEN: usize = 9;

/// The byte of raw uploads.
const RAW_BYTE: u8 = b'r';

/// The longest chunks of all files, with the same bytes in each file.
struct Content {
    chunks: Vec<Vec<u8>>,
}

impl Content {
    fn get() -> &'static Content {
        static CONTENT: OnceLock<Content> = OnceLock::new();
        CONTENT.get_or_init(|| {
            let chunk = |number: u8| vec![number ^ 0x5a; CHUNK_SIZE];
            Content { chunks: (0..4).map(chunk).collect() }
        })
    }

    /// Returns a chunk of a file of `size` bytes, or nothing after the last one.
    fn chunk(&self, size: usize, number: usize) -> &[u8] {
        let len = size.saturating_sub(number * CHUNK_SIZE).min(CHUNK_SIZE);
        self.chunks.get(number).map_or(&[], |chunk| &chunk[..len])
    }

    /// Returns the hash of a chunk of a file of `size` bytes. The hash of no bytes is arbitrary.
    fn chunk_hash(&self, size: usize, number: usize) -> ChunkHash {
        static WHOLE: OnceLock<Vec<ChunkHash>> = OnceLock::new();
        match self.chunk(size, number) {
            [] => [0; 32],
            chunk if chunk.len() == CHUNK_SIZE => {
                let whole = WHOLE.get_or_init(|| {
                    (0..)
                        .zip(&self.chunks)
                        .map(|(number, chunk)| hash_chunk(number, chunk))
                        .collect()
                });
                whole[number]
            }
            chunk => hash_chunk(number as u64, chunk),
        }
    }

    /// Returns the hash of a file of `size` bytes.
    fn digest(&self, size: usize) -> ChunkHash {
        static DIGESTS: OnceLock<Vec<ChunkHash>> = OnceLock::new();
        let digests = DIGESTS.get_or_init(|| {
            let digest = |size: &usize| {
                let mut hasher = FileHasher::default();
                for number in 0..size.div_ceil(CHUNK_SIZE) {
                    let chunk = self.chunk(*size, number);
                    hasher.add(hash_chunk(number as u64, chunk), chunk);
                }
                hasher.finish().unwrap()
            };
            SIZES.iter().map(digest).collect()
        });
        digests[SIZES.iter().position(|known| *known == size).unwrap()]
    }

    /// Returns whether bytes are a file of a known size, or a raw upload.
    fn matches(&self, bytes: &[u8]) -> bool {
        let is_file = || {
            let chunks = bytes.chunks(CHUNK_SIZE).enumerate();
            chunks.into_iter().all(|(number, chunk)| chunk == self.chunk(bytes.len(), number))
        };
        (SIZES.contains(&bytes.len()) && is_file()) || bytes.iter().all(|byte| *byte == RAW_BYTE)
    }
}

/// The directory of one thread, in memory if the machine has a file system for that.
struct Directory(PathBuf);

thread_local! {
    static DIRECTORY: RefCell<Option<Directory>> = const { RefCell::new(None) };
}

impl Directory {
    fn new() -> Directory {
        let memory = Path::new("/dev/shm");
        let base = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
        let thread = format!("{:?}", std::thread::current().id());
        let thread: String = thread.chars().filter(char::is_ascii_digit).collect();
        let path = base.join(format!("sockactors-fuzz-{}-{thread}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Directory(path)
    }

    fn clear(&self) {
        for entry in fs::read_dir(&self.0).unwrap() {
            let entry = entry.unwrap();
            match entry.file_type().unwrap().is_dir() {
                true => fs::remove_dir_all(entry.path()).unwrap(),
                false => fs::remove_file(entry.path()).unwrap(),
            }
        }
    }

    fn free_bytes(&self) -> u64 {
        let disk = rustix::fs::statvfs(&self.0).unwrap();
        disk.f_bavail * disk.f_frsize
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Checks one input.
pub fn check(input: &[u8]) {
    DIRECTORY.with_borrow_mut(|directory| {
        let directory = directory.get_or_insert_with(Directory::new);
        directory.clear();
        check_in(directory, input);
    });
}

fn check_in(directory: &Directory, input: &[u8]) {
    let Some((&[settings, seed], script)) = input.split_first_chunk() else { return };
    let max_files = [None, None, Some(1), Some(3)][usize::from(settings & 3)];
    let free = || directory.free_bytes();
    let store_config = StoreConfig {
        keep_free: match settings >> 2 & 3 {
            0 | 1 => 0,
            2 => free().saturating_sub(200 << 10),
            _ => free().saturating_sub(70 << 10),
        },
        max_files,
        max_size: (settings & 64 > 0).then_some(CHUNK_SIZE as u64),
        on_conflict: [
            OnConflict::Fail,
            OnConflict::Rename,
            OnConflict::Overwrite,
            OnConflict::Skip,
        ][usize::from(settings >> 4 & 3)],
    };
    let store = Arc::new(FileStore::new(directory.0.clone(), store_config));
    let stored = Arc::new(Mutex::new(BTreeSet::new()));
    let mut tree = Supervisor::new("files", Strategy::OneForOne).intensity(0, SLOW_WAIT);
    let reported = stored.clone();
    let listen = move || {
        let reported = reported.clone();
        async move |mut ctx: Context<Report>| -> Outcome {
            while let Some(report) = ctx.recv().await {
                if let Report::FileStored { name, .. } = report {
                    reported.lock().unwrap().insert(name);
                }
            }
            Ok(())
        }
    };
    let reporter = Reporter::new(tree.child(Child::new("listener", listen)));
    let receivers = tree.pool(Pool::new("receivers").mailbox(4));
    let server = Server { receivers, store, reporter, has_digest: settings & 128 > 0 };
    let script = Arc::new(script.to_vec());
    let driver = move || {
        let (server, script) = (server.clone(), script.clone());
        async move |ctx: Context<()>| -> Outcome { run_script(&ctx, &server, &script).await }
    };
    tree.child(Child::new("driver", driver).transient().significant());
    let crashes = Arc::new(Mutex::new(Vec::new()));
    let observed = crashes.clone();
    let outcome = Simulation::new(u64::from(seed))
        .observe(move |event| match event {
            Lifecycle::Exited { exit, .. } | Lifecycle::Stopped { exit, .. }
                if !exit.is_normal() =>
            {
                observed.lock().unwrap().push(event.to_string());
            }
            _ => {}
        })
        .run(tree);
    let crashes = crashes.lock().unwrap();
    assert!(crashes.is_empty() && outcome.is_ok(), "{outcome:?}: {crashes:#?}");
    let mut entries = 0;
    check_directory(&directory.0, "", &stored.lock().unwrap(), &mut entries);
    assert!(max_files.is_none_or(|max_files| entries <= max_files), "{entries} files");
}

/// Checks the files of a directory, and counts them and the directories.
fn check_directory(path: &Path, prefix: &str, stored: &BTreeSet<String>, entries: &mut u64) {
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        let file_name = entry.file_name().into_string().unwrap();
        let name = format!("{prefix}{file_name}");
        if entry.file_type().unwrap().is_dir() {
            *entries += 1;
            check_directory(&entry.path(), &format!("{name}/"), stored, entries);
            continue;
        }
        match file_name.strip_prefix('.') {
            None => {
                *entries += 1;
                assert!(stored.contains(&name), "{name} was not reported");
                let bytes = fs::read(entry.path()).unwrap();
                assert!(Content::get().matches(&bytes), "{name}: {} other bytes", bytes.len());
            }
            Some(hidden) if hidden.starts_with("output") => {}
            Some(hidden) => {
                let sums = path.join(format!(".{}.sums", hidden.trim_end_matches(".part")));
                if hidden.ends_with(".part") {
                    let len = entry.metadata().unwrap().len();
                    assert!(len >= CHUNK_SIZE as u64 && sums.exists(), "{name}: {len} bytes");
                }
            }
        }
    }
}

/// The receivers of the simulated server.
#[derive(Clone)]
struct Server {
    receivers: PoolAddress,
    store: Arc<FileStore>,
    reporter: Reporter,
    has_digest: bool,
}

impl Server {
    async fn connect(&self) -> Stream {
        let (ours, theirs) = Stream::duplex(256 << 10);
        let connection = Connection::unlimited(theirs);
        let config = ReceiverConfig {
            first_timeout: None,
            idle_timeout: Some(Duration::from_secs(900)),
            min_rate: 64,
            raw_digest: self.has_digest,
        };
        let (store, reporter) = (self.store.clone(), self.reporter.clone());
        let receiver =
            FileReceiver::new(connection, config, store, BlockingPool::inline(), reporter);
        // The pool is not limited, and is not stopping.
        let _ = self.receivers.start(receiver).await;
        ours
    }
}

/// A peer with its connection, and the file that it sends.
struct Peer {
    stream: Stream,
    writer: FrameWriter,
    reader: FrameReader,
    /// Whether the server's hello was read.
    has_hello: bool,
    /// Whether the connection is a raw upload, on which nothing but its first bytes is sent.
    is_raw: bool,
    size: usize,
    next_chunk: usize,
}

impl Peer {
    fn new(stream: Stream) -> Peer {
        let (writer, reader) = (FrameWriter::default(), FrameReader::default());
        Peer { stream, writer, reader, has_hello: false, is_raw: false, size: 0, next_chunk: 0 }
    }

    fn send_bytes(&self, bytes: &[u8]) {
        // What the server does not accept is lost.
        if !self.is_raw {
            let _ = self.stream.try_write_vectored(&[IoSlice::new(bytes)]);
        }
    }

    fn send(&mut self, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        self.writer.write(frame, &mut bytes);
        self.send_bytes(&bytes);
    }

    fn send_chunk(&mut self, number: usize, hash: Option<ChunkHash>) {
        let bytes = Content::get().chunk(self.size, number);
        let hash = hash.unwrap_or_else(|| Content::get().chunk_hash(self.size, number));
        self.send(&Frame::Data { number: number as u64, hash, bytes });
    }

    /// Reads and checks the replies.
    fn read(&mut self, path: &str) {
        let Peer { stream, reader, has_hello, .. } = self;
        while let Ok(1..) = stream.try_read_with(|bytes| {
            // The hello is written at once.
            let skip = if std::mem::replace(has_hello, true) { 0 } else { HELLO_LEN };
            reader.push(bytes.get(skip..).unwrap_or_default());
        }) {}
        while let Some(frame) = reader.next_frame().expect("a valid reply") {
            match frame {
                Frame::Answer { chunk_count, .. } => self.next_chunk = chunk_count as usize,
                Frame::Stored(_) | Frame::Wait => {}
                Frame::Failed(failed) => assert!(!failed.reason.contains(path), "{failed:?}"),
                frame => panic!("unexpected reply {frame:?}"),
            }
        }
    }
}

/// Runs the script of an input.
async fn run_script(ctx: &Context<()>, server: &Server, script: &[u8]) -> Outcome {
    let path = server.store.path().display().to_string();
    let mut peers: Vec<Peer> = Vec::new();
    for _ in 0..2 {
        peers.push(open_framed(server).await);
    }
    let (mut bytes, mut chunks) = (script.iter().copied(), 0);
    while let Some(byte) = bytes.next() {
        let peer = &mut peers[usize::from(byte >> 7)];
        match byte & 15 {
            0..=2 => {
                let choice = bytes.next().unwrap_or_default();
                peer.size = SIZES[usize::from(choice >> 3 & 7)];
                let name = NAMES[usize::from(choice & 7)].as_bytes();
                let size = (byte & 16 == 0).then_some(peer.size as u64);
                let modified = (1_000_000_000, u32::from(choice >> 6 & 1));
                let offer = Offer { is_directory: false, size, mode: 0o644, modified, name };
                peer.next_chunk = 0;
                peer.send(&Frame::Offer(offer));
            }
            3 => {
                let number = match bytes.next().unwrap_or_default() {
                    number @ 0..4 => u64::from(number),
                    _ => peer.next_chunk as u64,
                };
                peer.next_chunk = number as usize;
                peer.send(&Frame::Begin(number));
            }
            4 | 5 if chunks < MAX_CHUNKS => {
                chunks += usize::from(peer.size >= CHUNK_SIZE);
                peer.send_chunk(peer.next_chunk, None);
                peer.next_chunk += 1;
            }
            6 => {
                let digest = Content::get().digest(peer.size);
                peer.send(&Frame::End { size: peer.size as u64, digest });
            }
            7 if byte & 32 == 0 => peer.send_chunk(peer.next_chunk, Some([byte; 32])),
            7 => peer.send(&Frame::End { size: u64::from(byte), digest: [byte; 32] }),
            8 => peer.send(&Frame::Failed(Failed { code: 10, reason: "" })),
            9 => {
                let name = NAMES[usize::from(bytes.next().unwrap_or_default() & 7)].as_bytes();
                let (mode, modified) = (0o755, (0, 0));
                let offer = Offer { is_directory: true, size: Some(0), mode, modified, name };
                peer.send(&Frame::Offer(offer));
            }
            10 => {
                let count = usize::from(bytes.next().unwrap_or_default() % 16);
                let garbage: Vec<u8> = bytes.by_ref().take(count).collect();
                peer.send_bytes(&garbage);
            }
            11 => wait(ctx, &mut peers, &path, INSTANT).await,
            12 => wait(ctx, &mut peers, &path, EXPIRY_WAIT).await,
            13 => wait(ctx, &mut peers, &path, SLOW_WAIT).await,
            14 => *peer = open_framed(server).await,
            15 => {
                *peer = Peer::new(server.connect().await);
                let count = usize::from(bytes.next().unwrap_or_default());
                peer.send_bytes(&vec![RAW_BYTE; count]);
                (peer.has_hello, peer.is_raw) = (true, true);
            }
            _ => {}
        }
    }
    wait(ctx, &mut peers, &path, INSTANT).await;
    peers.clear();
    ctx.sleep(LONG_TIME).await;
    assert!(server.receivers.is_empty(), "all receivers have ended");
    Ok(())
}

async fn open_framed(server: &Server) -> Peer {
    let peer = Peer::new(server.connect().await);
    peer.send_bytes(&client_hello());
    peer
}

/// Lets time pass. The clock advances only when no task can run, so afterwards nothing changes any
/// more. Then the peers read the replies.
async fn wait(ctx: &Context<()>, peers: &mut [Peer], path: &str, time: Duration) {
    ctx.sleep(time).await;
    peers.iter_mut().for_each(|peer| peer.read(path));
}
