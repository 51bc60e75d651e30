//! The file receiver on connections in memory, with slow and silent senders.

use std::future::Future;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sockactors::actors::{
    BlockingPool, Connection, FileReceiver, FileStore, ReceiverConfig, Report, Reporter,
    StoreConfig,
};
use sockactors::net::Stream;
use sockactors::runtime::{Child, Context, Outcome, Pool, PoolAddress};
use sockactors::wire::file::digest::hash_chunk;
use sockactors::wire::file::{
    CHUNK_SIZE, Frame, FrameReader, FrameWriter, Offer, client_hello, server_hello,
};

use crate::support::simulation::drive;

const SECOND: Duration = Duration::from_secs(1);

/// The seeds of each test.
const SEEDS: u64 = 5;

/// The receivers of a simulated server.
struct Server {
    receivers: PoolAddress,
    store: Arc<FileStore>,
    reporter: Reporter,
    /// The reasons of the ended connections, and of the rejections.
    reasons: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// Starts a receiver, and returns the other end of its connection.
    async fn connect(&self) -> Stream {
        let (ours, theirs) = Stream::duplex(64 << 10);
        let connection = Connection::unlimited(theirs);
        let config = ReceiverConfig {
            idle_timeout: Some(900 * SECOND),
            min_rate: 64,
            ..ReceiverConfig::default()
        };
        let (store, reporter) = (self.store.clone(), self.reporter.clone());
        let pool = BlockingPool::inline();
        let receiver = FileReceiver::new(connection, config, store, pool, reporter);
        self.receivers.start(receiver).await.unwrap();
        ours
    }

    fn has_reason(&self, text: &str) -> bool {
        self.reasons.lock().unwrap().iter().any(|reason| reason.contains(text))
    }
}

/// Simulates a server and the steps of a test, which gets the server and the directory.
fn simulate<Fut: Future<Output = Outcome> + Send + 'static>(
    steps: impl Fn(Context<()>, Server) -> Fut + Send + Sync + Copy + 'static,
) {
    for seed in 0..SEEDS {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(FileStore::new(directory.path().into(), StoreConfig::default()));
        let build = |tree: &mut sockactors::runtime::Supervisor| {
            let reasons = Arc::new(Mutex::new(Vec::new()));
            let reported = reasons.clone();
            let listen = move || {
                let reported = reported.clone();
                async move |mut ctx: Context<Report>| -> Outcome {
                    while let Some(report) = ctx.recv().await {
                        if let Report::Disconnected { reason, .. }
                        | Report::Rejected { reason, .. } = report
                        {
                            reported.lock().unwrap().push(reason);
                        }
                    }
                    Ok(())
                }
            };
            let reporter = Reporter::new(tree.child(Child::new("listener", listen)));
            let receivers = tree.pool(Pool::new("receivers"));
            Server { receivers, store, reporter, reasons }
        };
        drive(seed, build, steps);
    }
}

/// A framed sender.
struct Sender {
    stream: Stream,
    writer: FrameWriter,
    reader: FrameReader,
}

impl Sender {
    async fn open(server: &Server) -> Sender {
        let stream = server.connect().await;
        stream.write_all(&client_hello()).await.unwrap();
        let mut hello = [0; 9];
        assert_eq!(stream.read(&mut hello).await.unwrap(), 9);
        assert_eq!(hello[..], server_hello(1)[..]);
        Sender { stream, writer: FrameWriter::default(), reader: FrameReader::default() }
    }

    fn encode(&mut self, frame: &Frame<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.writer.write(frame, &mut bytes);
        bytes
    }

    async fn send(&mut self, frame: &Frame<'_>) {
        let bytes = self.encode(frame);
        self.stream.write_all(&bytes).await.unwrap();
    }

    async fn send_offer(&mut self, name: &str, size: u64) -> Reply {
        self.send(&offer(name, size)).await;
        self.recv().await
    }

    async fn send_chunk(&mut self, number: u64, bytes: &[u8]) {
        self.send(&Frame::Data { number, hash: hash_chunk(number, bytes), bytes }).await;
    }

    async fn recv(&mut self) -> Reply {
        loop {
            match self.reader.next_frame().unwrap() {
                Some(Frame::Answer { chunk_count, .. }) => return Reply::ResumeAt(chunk_count),
                Some(Frame::Failed(failed)) => return Reply::Failed(failed.code),
                Some(Frame::Stored(_)) => return Reply::Stored,
                Some(_) => continue,
                None => {}
            }
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece).await {
                Ok(0) | Err(_) => return Reply::Closed,
                Ok(length) => self.reader.push(&piece[..length]),
            }
        }
    }

    /// Sends bytes one by one, after `pause` each. Returns the time until the server closes.
    async fn drip(&mut self, ctx: &Context<()>, bytes: &[u8], pause: Duration) -> Option<Duration> {
        let start = ctx.now();
        for byte in bytes {
            ctx.sleep(pause).await;
            if self.stream.write_all(&[*byte]).await.is_err() {
                return Some(ctx.now() - start);
            }
        }
        None
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Reply {
    ResumeAt(u64),
    Stored,
    Failed(u16),
    Closed,
}

fn offer(name: &str, size: u64) -> Frame<'_> {
    let modified = (1_000_000_000, 5);
    let (mode, name) = (0o644, name.as_bytes());
    Frame::Offer(Offer { is_directory: false, size: Some(size), mode, modified, name })
}

#[test]
fn dripping_sender_is_disconnected_after_a_minute() {
    simulate(|ctx, server| async move {
        // Within a file.
        let mut sender = Sender::open(&server).await;
        assert_eq!(sender.send_offer("slow", 1 << 20).await, Reply::ResumeAt(0));
        sender.send(&Frame::Begin(0)).await;
        let chunk = [7; CHUNK_SIZE];
        let hash = hash_chunk(0, &chunk);
        let data = sender.encode(&Frame::Data { number: 0, hash, bytes: &chunk });
        let elapsed = sender.drip(&ctx, &data, SECOND).await.expect("it was disconnected");
        assert!((59 * SECOND..=63 * SECOND).contains(&elapsed), "{elapsed:?}");
        assert!(server.has_reason("slower than 64 B/s"));
        // Within a frame between files.
        let mut sender = Sender::open(&server).await;
        let bytes = sender.encode(&offer(&"x".repeat(200), 5));
        let elapsed = sender.drip(&ctx, &bytes, SECOND).await.expect("it was disconnected");
        assert!((59 * SECOND..=63 * SECOND).contains(&elapsed), "{elapsed:?}");
        Ok(())
    });
}

#[test]
fn sender_above_minimum_rate_and_idle_sender_continue() {
    simulate(|ctx, server| async move {
        let mut sender = Sender::open(&server).await;
        ctx.sleep(600 * SECOND).await;
        assert_eq!(sender.send_offer("file", CHUNK_SIZE as u64).await, Reply::ResumeAt(0));
        // The sender may hash what it has before it begins.
        ctx.sleep(600 * SECOND).await;
        sender.send(&Frame::Begin(0)).await;
        let chunk = [7; CHUNK_SIZE];
        let hash = hash_chunk(0, &chunk);
        let data = sender.encode(&Frame::Data { number: 0, hash, bytes: &chunk });
        for piece in data.chunks(100) {
            ctx.sleep(SECOND).await;
            sender.stream.write_all(piece).await?;
        }
        let digest = blake3::hash(&chunk).into();
        sender.send(&Frame::End { size: CHUNK_SIZE as u64, digest }).await;
        assert_eq!(sender.recv().await, Reply::Stored);
        Ok(())
    });
}

#[test]
fn raw_sender_may_drip() {
    simulate(|ctx, server| async move {
        let raw = server.connect().await;
        for _ in 0..60 {
            raw.write_all(b"x").await?;
            ctx.sleep(30 * SECOND).await;
        }
        raw.shutdown_write()?;
        ctx.sleep(SECOND).await;
        let stored = std::fs::read(server.store.path().join("output0.txt"))?;
        assert_eq!(stored, [b'x'; 60]);
        Ok(())
    });
}

#[test]
fn silent_sender_loses_reserved_space_after_ten_seconds() {
    simulate(|ctx, server| async move {
        let large = free_bytes(server.store.path()) / 5 * 3;
        let mut silent = Sender::open(&server).await;
        assert_eq!(silent.send_offer("silent", large).await, Reply::ResumeAt(0));
        silent.send(&Frame::Begin(0)).await;
        silent.send_chunk(0, &[7; CHUNK_SIZE]).await;
        ctx.sleep(9 * SECOND).await;
        let mut other = Sender::open(&server).await;
        assert_eq!(other.send_offer("other", large).await, Reply::Failed(5));
        ctx.sleep(2 * SECOND).await;
        assert_eq!(other.send_offer("other", large).await, Reply::ResumeAt(0));
        other.send(&Frame::Begin(0)).await;
        other.send_chunk(0, &[7; CHUNK_SIZE]).await;
        // The space is taken, so the silent upload fails with its next data.
        ctx.sleep(SECOND).await;
        silent.send_chunk(1, &[7; CHUNK_SIZE]).await;
        assert_eq!(silent.recv().await, Reply::Failed(5));
        Ok(())
    });
}

#[test]
fn stop_is_told_to_sender_of_offered_file() {
    for seed in 0..SEEDS {
        let directory = tempfile::tempdir().unwrap();
        let store = Arc::new(FileStore::new(directory.path().into(), StoreConfig::default()));
        let left = Arc::new(Mutex::new(Vec::new()));
        let senders = left.clone();
        let build = |tree: &mut sockactors::runtime::Supervisor| {
            let receivers = tree.pool(Pool::new("receivers"));
            let (reporter, reasons) = (Reporter::disabled(), Arc::default());
            Server { receivers, store, reporter, reasons }
        };
        drive(seed, build, move |_, server: Server| async move {
            let mut offered = Sender::open(&server).await;
            assert_eq!(offered.send_offer("file", 5).await, Reply::ResumeAt(0));
            let idle = Sender::open(&server).await;
            senders.lock().unwrap().extend([offered, idle]);
            Ok(())
        });
        let senders = std::mem::take(&mut *left.lock().unwrap());
        let codes: Vec<_> = senders.into_iter().map(read_failure).collect();
        assert_eq!(codes, [Some(9), None]);
    }
}

/// Returns the code of the last failure that a sender has received and not read.
fn read_failure(mut sender: Sender) -> Option<u16> {
    let mut piece = [0; 1024];
    loop {
        match sender.stream.try_read(&mut piece) {
            Ok(0) => break,
            Ok(length) => sender.reader.push(&piece[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it is still open"),
            Err(error) => panic!("{error}"),
        }
    }
    match sender.reader.next_frame().unwrap() {
        Some(Frame::Failed(failed)) => Some(failed.code),
        Some(frame) => panic!("{frame:?}"),
        None => None,
    }
}

fn free_bytes(path: &Path) -> u64 {
    let disk = rustix::fs::statvfs(path).unwrap();
    disk.f_bavail * disk.f_frsize
}
