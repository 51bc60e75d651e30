//! What a disk that fails does, what finds no room, and the times that come back.

use std::fs;

use tempfile::TempDir;

use crate::actors::chat::history::*;

const SECOND: Duration = Duration::from_secs(1);

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(path: &std::path::Path) -> (History, Hall) {
    let hall = Hall::new("lobby");
    let (history, faults) = History::open(path, 1 << 20, &hall).unwrap();
    assert!(faults.is_empty(), "{faults:?}");
    (history, hall)
}

fn job(line: &str, time: i64, at: Instant) -> Job {
    let mut bytes = Vec::new();
    assert!(encode(Record { timestamp_ms: time, room: "lobby", line }, &mut bytes));
    Job { ends: vec![bytes.len()], bytes, at, sync: true }
}

#[test]
fn a_disk_that_fails_is_told_once_and_tried_again_later() {
    let directory = directory();
    let path = directory.path().join("history");
    let (history, _) = open(&path);
    fs::remove_dir_all(&path).unwrap();
    let start = Instant::now();
    history.work(&job("one\n", 0, start));
    let news = history.news();
    assert!(news.len() == 1 && news[0].contains("history cannot be written"), "{news:?}");
    history.work(&job("two\n", 0, start + RETRY_AFTER));
    fs::create_dir(&path).unwrap();
    history.work(&job("three\n", 0, start + 2 * RETRY_AFTER - SECOND));
    assert_eq!(fs::read_dir(&path).unwrap().count(), 0, "it is left alone for a while");
    assert!(history.news().is_empty());
    history.work(&job("four\n", 0, start + 2 * RETRY_AFTER));
    let news = history.news();
    assert!(news.len() == 1 && news[0].contains("again; 3 lines were left out"), "{news:?}");
    history.work(&job("five\n", 0, start + 2 * RETRY_AFTER));
    assert!(history.news().is_empty());
    drop(history);
    let (_, hall) = open(&path);
    assert_eq!(hall.book().rooms["lobby"].ring.last(9).len(), 2);
}

#[test]
fn what_finds_no_room_is_left_out_and_counted() {
    let directory = directory();
    let (history, hall) = open(directory.path());
    let room = || hall.name().clone();
    let said = |size| {
        Arc::new(Said {
            count: 1,
            from: None,
            line: format!("{}\n", "x".repeat(size)).into(),
            at: SystemTime::UNIX_EPOCH,
        })
    };
    let few = Recorder::new(history.clone(), Address::new(2));
    (0..5).for_each(|_| few.keep(&room(), &said(1)));
    let told = |lines: u64| {
        vec![format!(
            "{lines} lines were left out of the history: more was said than the disk takes"
        )]
    };
    assert_eq!(history.news(), told(3));
    let many = Recorder::new(history.clone(), Address::new(100));
    (0..100).for_each(|_| many.keep(&room(), &said(WAITING / 10)));
    assert_eq!(history.news(), told(90));
    assert!(history.news().is_empty());
}

#[test]
fn a_line_comes_back_with_its_time() {
    let directory = directory();
    let (history, _) = open(directory.path());
    for time in [-1500, 0, 1_700_000_000_123, i64::MAX, i64::MIN] {
        history.work(&job("a line\n", time, Instant::now()));
    }
    assert!(history.news().is_empty());
    drop(history);
    let (_, hall) = open(directory.path());
    let times: Vec<_> = hall.book().rooms["lobby"].ring.last(9).iter().map(|one| one.at).collect();
    let epoch = SystemTime::UNIX_EPOCH;
    assert_eq!(times.len(), 5);
    assert_eq!(times[0], epoch - Duration::from_millis(1500));
    assert_eq!(times[1], epoch);
    assert_eq!(times[2], epoch + Duration::from_millis(1_700_000_000_123));
}
