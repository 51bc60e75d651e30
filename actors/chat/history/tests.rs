//! What a disk that fails does, what finds no room, and the times that come back.

use std::fs;

use tempfile::TempDir;

use crate::actors::chat::history::*;

const SECOND: Duration = Duration::from_secs(1);

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open_store(path: &std::path::Path) -> (HistoryStore, ChatRegistry) {
    let hall = ChatRegistry::new("lobby");
    let (history, faults) = HistoryStore::open(path, 1 << 20, &hall).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    (history, hall)
}

fn write_job(line: &str, time: i64, at: Instant) -> WriteJob {
    let mut bytes = Vec::new();
    assert!(encode(Record { timestamp_ms: time, room: "lobby", line }, &mut bytes));
    WriteJob { record_ends: vec![bytes.len()], records: bytes, created_at: at, sync: true }
}

#[test]
fn a_disk_that_fails_is_told_once_and_tried_again_later() {
    let directory = directory();
    let path = directory.path().join("history");
    let (history, _) = open_store(&path);
    fs::remove_dir_all(&path).unwrap();
    let start = Instant::now();
    history.write(&write_job("one\n", 0, start));
    let news = history.take_warnings();
    assert!(news.len() == 1 && news[0].contains("history cannot be written"), "{news:?}");
    history.write(&write_job("two\n", 0, start + RETRY_DELAY));
    fs::create_dir(&path).unwrap();
    history.write(&write_job("three\n", 0, start + 2 * RETRY_DELAY - SECOND));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "it is left alone for a while");
    assert!(history.take_warnings().is_empty());
    history.write(&write_job("four\n", 0, start + 2 * RETRY_DELAY));
    let news = history.take_warnings();
    assert!(news.len() == 1 && news[0].contains("again; 3 lines were left out"), "{news:?}");
    history.write(&write_job("five\n", 0, start + 2 * RETRY_DELAY));
    assert!(history.take_warnings().is_empty());
    drop(history);
    let (_, hall) = open_store(&path);
    assert_eq!(hall.directory().rooms["lobby"].log.recent(9).len(), 2);
}

#[test]
fn what_finds_no_room_is_left_out_and_counted() {
    let directory = directory();
    let (history, hall) = open_store(directory.path());
    let room = || hall.default_room().clone();
    let said = |size| {
        Arc::new(RoomMessage {
            line_count: 1,
            sender: None,
            text: format!("{}\n", "x".repeat(size)).into(),
            sent_at: SystemTime::UNIX_EPOCH,
        })
    };
    let few = HistorySender::new(history.clone(), Address::new(2));
    (0..5).for_each(|_| few.record(&room(), &said(1)));
    let told = |lines: u64| {
        vec![format!(
            "{lines} lines were left out of the history: more was said than the disk takes"
        )]
    };
    assert_eq!(history.take_warnings(), told(3));
    let many = HistorySender::new(history.clone(), Address::new(100));
    (0..100).for_each(|_| many.record(&room(), &said(MAX_QUEUED_BYTES / 10)));
    assert_eq!(history.take_warnings(), told(90));
    assert!(history.take_warnings().is_empty());
}

#[test]
fn a_line_comes_back_with_its_time() {
    let directory = directory();
    let (history, _) = open_store(directory.path());
    for time in [-1500, 0, 1_700_000_000_123, i64::MAX, i64::MIN] {
        history.write(&write_job("a line\n", time, Instant::now()));
    }
    assert!(history.take_warnings().is_empty());
    drop(history);
    let (_, hall) = open_store(directory.path());
    let times: Vec<_> =
        hall.directory().rooms["lobby"].log.recent(9).iter().map(|one| one.sent_at).collect();
    let epoch = SystemTime::UNIX_EPOCH;
    assert_eq!(times.len(), 5);
    assert_eq!(times[0], epoch - Duration::from_millis(1500));
    assert_eq!(times[1], epoch);
    assert_eq!(times[2], epoch + Duration::from_millis(1_700_000_000_123));
}
