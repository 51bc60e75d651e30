//! The file writer at the end of a pipeline: bytes from any actor become complete files.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_channel::Receiver;
use sockactors::actors::{
    BlockingPool, FileWriter, Report, Reporter, RotationPolicy, WriterMessage, WriterState,
};
use sockactors::actors::{FileStore, StoreConfig};
use sockactors::runtime::{
    Address, Child, Context, Handle, Outcome, StopReason, Strategy, Supervisor, System,
};

struct Running {
    writer: Address<WriterMessage>,
    /// The names of files, with their sizes.
    files: Receiver<(String, u64)>,
    handle: Handle,
    thread: thread::JoinHandle<StopReason>,
}

fn start(out: &Path, rotation: RotationPolicy) -> Running {
    let vault = Arc::new(FileStore::new(out.into(), StoreConfig::default()));
    let (shelf, disk) = (WriterState::new(vault, rotation), BlockingPool::new(1));
    let (told, files) = async_channel::unbounded();
    let mut tree = Supervisor::new("pipeline", Strategy::OneForOne);
    let listen = move || {
        let told = told.clone();
        async move |mut ctx: Context<Report>| -> Outcome {
            while let Some(report) = ctx.recv().await {
                if let Report::FileStored { name, bytes, .. } = report {
                    told.send((name, bytes)).await?;
                }
            }
            Ok(())
        }
    };
    let reporter = Reporter::new(tree.child(Child::new("listener", listen)));
    let writer = tree.child(Child::new("writer", move || {
        FileWriter::new(shelf.clone(), disk.clone(), reporter.clone())
    }));
    let system = System::new();
    let handle = system.handle();
    let thread = thread::spawn(move || system.run(tree).unwrap());
    Running { writer, files, handle, thread }
}

impl Running {
    fn send(&self, bytes: &[u8]) {
        smol::block_on(self.writer.send(WriterMessage::Bytes(bytes.into()))).unwrap();
    }

    fn file(&self) -> (String, u64) {
        let late = async {
            smol::Timer::after(Duration::from_secs(20)).await;
            panic!("no file got its name");
        };
        smol::block_on(smol::future::or(self.files.recv(), late)).unwrap()
    }

    fn stop(self) -> Vec<(String, u64)> {
        self.handle.stop();
        self.thread.join().unwrap();
        std::iter::from_fn(|| self.files.try_recv().ok()).collect()
    }
}

#[test]
fn full_file_is_published_and_next_started() {
    let out = tempfile::tempdir().unwrap();
    let running = start(out.path(), RotationPolicy { max_size: Some(10), max_age: None });
    for piece in ["four", "more", "last", "five5"] {
        running.send(piece.as_bytes());
    }
    assert_eq!(running.file(), ("output0.txt".into(), 12));
    assert_eq!(fs::read(out.path().join("output0.txt")).unwrap(), b"fourmorelast");
    assert_eq!(running.stop(), [("output1.txt".into(), 5)]);
    assert_eq!(fs::read(out.path().join("output1.txt")).unwrap(), b"five5");
}

#[test]
fn old_file_is_published() {
    let out = tempfile::tempdir().unwrap();
    let age = Some(Duration::from_millis(20));
    let running = start(out.path(), RotationPolicy { max_size: None, max_age: age });
    running.send(b"one");
    assert_eq!(running.file(), ("output0.txt".into(), 3));
    running.send(b"two");
    assert_eq!(running.file(), ("output1.txt".into(), 3));
    assert_eq!(running.stop(), []);
}

#[test]
fn publish_request_publishes_nonempty_file() {
    let out = tempfile::tempdir().unwrap();
    let running = start(out.path(), RotationPolicy::default());
    smol::block_on(running.writer.send(WriterMessage::Rotate)).unwrap();
    running.send(b"one");
    smol::block_on(running.writer.send(WriterMessage::Rotate)).unwrap();
    assert_eq!(running.file(), ("output0.txt".into(), 3));
    assert_eq!(running.stop(), []);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 1);
}

#[test]
fn temporary_disk_error_loses_nothing() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("later");
    let running = start(&out, RotationPolicy { max_size: Some(6), max_age: None });
    running.send(b"one");
    running.send(b"two");
    fs::create_dir(&out).unwrap();
    assert_eq!(running.file(), ("output0.txt".into(), 6));
    assert_eq!(fs::read(out.join("output0.txt")).unwrap(), b"onetwo");
    running.stop();
}

#[test]
fn removed_directory_causes_no_duplicate_write() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("out");
    fs::create_dir(&out).unwrap();
    let running = start(&out, RotationPolicy { max_size: Some(6), max_age: None });
    running.send(b"one");
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while fs::metadata(out.join(".output0.txt.part")).map_or(0, |part| part.len()) < 3 {
        assert!(std::time::Instant::now() < until, "nothing is written");
    }
    fs::remove_dir_all(&out).unwrap();
    fs::create_dir(&out).unwrap();
    // The file is large enough now, but its final name is not available.
    running.send(b"two");
    running.send(b"three!");
    assert_eq!(running.file(), ("output1.txt".into(), 6));
    assert_eq!(fs::read(out.join("output1.txt")).unwrap(), b"three!");
    assert_eq!(running.stop(), []);
}
