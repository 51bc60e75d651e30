//! Tests of failing disks, full queues and restored times.

use std::fs;

use tempfile::TempDir;

use crate::actors::chat::history::*;

const SECOND: Duration = Duration::from_secs(1);

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Opens a store, and returns the times of its lines too.
fn open_store(path: &Path) -> (HistoryStore, Vec<SystemTime>) {
    let mut times = Vec::new();
    let restore = |room: &str, _: &str, sent_at| {
        assert_eq!(room, "lobby");
        times.push(sent_at);
    };
    let (store, warnings) = HistoryStore::open(path, 1 << 20, restore).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    (store, times)
}

fn write_job(line: &str, timestamp_ms: i64, created_at: Instant) -> WriteJob {
    let mut records = Vec::new();
    assert!(encode(Record { timestamp_ms, room: "lobby", line }, &mut records));
    WriteJob { record_ends: vec![records.len()], records, created_at, sync: true }
}

#[test]
fn failing_disk_is_reported_once_and_retried() {
    let directory = directory();
    let path = directory.path().join("history");
    let (store, _) = open_store(&path);
    fs::remove_dir_all(&path).unwrap();
    let start = Instant::now();
    store.write(&write_job("one\n", 0, start));
    let warnings = store.take_warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("cannot write"), "{warnings:?}");
    store.write(&write_job("two\n", 0, start + RETRY_DELAY));
    fs::create_dir(&path).unwrap();
    store.write(&write_job("three\n", 0, start + 2 * RETRY_DELAY - SECOND));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "no attempt before the delay is over");
    assert!(store.take_warnings().is_empty());
    store.write(&write_job("four\n", 0, start + 2 * RETRY_DELAY));
    let warnings = store.take_warnings();
    assert!(
        warnings.len() == 1 && warnings[0].contains("again; 3 lines were not saved"),
        "{warnings:?}"
    );
    store.write(&write_job("five\n", 0, start + 2 * RETRY_DELAY));
    assert!(store.take_warnings().is_empty());
    drop(store);
    let (_, times) = open_store(&path);
    assert_eq!(times.len(), 2);
}

#[test]
fn full_queue_drops_and_counts_lines() {
    let directory = directory();
    let (store, _) = open_store(directory.path());
    let room: Arc<str> = "lobby".into();
    let message = |size| {
        Arc::new(RoomMessage {
            line_count: 1,
            sender: None,
            text: format!("{}\n", "x".repeat(size)).into(),
            sent_at: SystemTime::UNIX_EPOCH,
        })
    };
    let few = HistorySender::new(store.clone(), Address::new(2));
    (0..5).for_each(|_| few.record(&room, &message(1)));
    let warning = |lines: u64| {
        vec![format!("{lines} lines of the chat history were not saved: the disk is too slow")]
    };
    assert_eq!(store.take_warnings(), warning(3));
    let many = HistorySender::new(store.clone(), Address::new(100));
    (0..100).for_each(|_| many.record(&room, &message(MAX_QUEUED_BYTES / 10)));
    assert_eq!(store.take_warnings(), warning(90));
    assert!(store.take_warnings().is_empty());
}

#[test]
fn line_is_restored_with_its_time() {
    let directory = directory();
    let (store, _) = open_store(directory.path());
    for timestamp_ms in [-1500, 0, 1_700_000_000_123, i64::MAX, i64::MIN] {
        store.write(&write_job("a line\n", timestamp_ms, Instant::now()));
    }
    assert!(store.take_warnings().is_empty());
    drop(store);
    let (_, times) = open_store(directory.path());
    let epoch = SystemTime::UNIX_EPOCH;
    assert_eq!(times.len(), 5);
    assert_eq!(times[0], epoch - Duration::from_millis(1500));
    assert_eq!(times[1], epoch);
    assert_eq!(times[2], epoch + Duration::from_millis(1_700_000_000_123));
}
