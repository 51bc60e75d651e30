//! Tests of segments that grow, are pruned, are damaged, or are foreign files.

use tempfile::TempDir;

use crate::actors::chat::history::segments::*;
use crate::wire::chat::history_record::encode;

const MAX_BYTES: u64 = 64 << 10;

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open_log(directory: &TempDir) -> (SegmentLog, Vec<String>, Vec<String>) {
    let mut segments = SegmentLog::open(directory.path(), MAX_BYTES).unwrap();
    let mut lines = Vec::new();
    let warnings =
        segments.restore(|record| lines.push(record.line.trim_end().to_owned())).unwrap();
    (segments, lines, warnings)
}

/// Appends lines as one batch. Returns the number of appended lines and the error.
fn append(segments: &mut SegmentLog, lines: &[&str]) -> (usize, io::Result<()>) {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for line in lines {
        let line = format!("{line}\n");
        assert!(encode(Record { timestamp_ms: 0, room: "lobby", line: &line }, &mut bytes));
        ends.push(bytes.len());
    }
    segments.append(&bytes, &ends)
}

fn append_all(segments: &mut SegmentLog, lines: &[&str]) {
    let (count, result) = append(segments, lines);
    result.unwrap();
    assert_eq!(count, lines.len());
}

/// Returns the names of the files except `lock`, and their total size with `lock`.
fn list_segments(directory: &TempDir) -> (Vec<String>, u64) {
    let (mut names, mut bytes) = (Vec::new(), 0);
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        bytes += entry.metadata().unwrap().len();
        names.push(entry.file_name().into_string().unwrap());
    }
    names.retain(|name| name != "lock");
    names.sort_unstable();
    (names, bytes)
}

#[test]
fn reopened_history_continues_in_last_segment() {
    let directory = directory();
    let (mut segments, lines, warnings) = open_log(&directory);
    assert!(lines.is_empty() && warnings.is_empty());
    append_all(&mut segments, &["one", "two"]);
    segments.sync().unwrap();
    drop(segments);
    let (mut segments, lines, warnings) = open_log(&directory);
    assert_eq!((lines, warnings), (vec!["one".into(), "two".into()], vec![]));
    append_all(&mut segments, &["three"]);
    drop(segments);
    assert_eq!(open_log(&directory).1, ["one", "two", "three"]);
    assert_eq!(list_segments(&directory).0, ["000000000001.log"]);
}

#[test]
fn full_history_drops_oldest_segments_first() {
    let directory = directory();
    let (mut segments, ..) = open_log(&directory);
    let lines: Vec<String> = (0..600).map(|k| format!("{k} {}", "x".repeat(500))).collect();
    for batch in lines.chunks(37) {
        append_all(&mut segments, &batch.iter().map(String::as_str).collect::<Vec<_>>());
        let (names, bytes) = list_segments(&directory);
        assert!(bytes <= MAX_BYTES, "{bytes} bytes in {names:?}");
    }
    let (names, bytes) = list_segments(&directory);
    assert!(names.len() >= 7 && bytes > MAX_BYTES / 4 * 3, "{bytes} bytes in {names:?}");
    drop(segments);
    let (_, restored, warnings) = open_log(&directory);
    assert_eq!((restored.last(), warnings), (lines.last(), vec![]));
    assert_eq!(restored, lines[lines.len() - restored.len()..]);
}

#[test]
fn oversized_record_gets_its_own_segment() {
    let directory = directory();
    let (mut segments, ..) = open_log(&directory);
    let long = "x".repeat(20_000);
    append_all(&mut segments, &["before", &long, "after"]);
    drop(segments);
    let (_, lines, warnings) = open_log(&directory);
    assert_eq!((lines, warnings), (vec!["before".into(), long, "after".into()], vec![]));
    assert_eq!(list_segments(&directory).0.len(), 3);
}

#[test]
fn torn_end_is_truncated_and_reported_once() {
    let directory = directory();
    let (mut segments, ..) = open_log(&directory);
    append_all(&mut segments, &["one", "two"]);
    drop(segments);
    let path = directory.path().join("000000000001.log");
    let whole = fs::metadata(&path).unwrap().len();
    private_file_options().open(&path).unwrap().set_len(whole - 3).unwrap();
    let (mut segments, lines, warnings) = open_log(&directory);
    assert_eq!(lines, ["one"]);
    assert!(
        warnings.len() == 1 && warnings[0].contains("000000000001.log: its last"),
        "{warnings:?}"
    );
    append_all(&mut segments, &["three"]);
    drop(segments);
    let (_, lines, warnings) = open_log(&directory);
    assert_eq!((lines, warnings), (vec!["one".into(), "three".into()], vec![]));
}

#[test]
fn segment_with_torn_header_is_removed() {
    let directory = directory();
    fs::write(directory.path().join("000000000007.log"), &SEGMENT_HEADER[..3]).unwrap();
    let (mut segments, lines, warnings) = open_log(&directory);
    assert!(lines.is_empty() && warnings.len() == 1, "{warnings:?}");
    append_all(&mut segments, &["one"]);
    assert_eq!(list_segments(&directory).0, ["000000000001.log"]);
}

#[test]
fn foreign_files_are_left_alone() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    let foreign = ["000000000001.log", "1.log", "notes.txt", "00000000000x.log"];
    for name in foreign {
        fs::write(path(name), "my own").unwrap();
    }
    fs::create_dir(path("000000000002.log")).unwrap();
    std::os::unix::fs::symlink(path("notes.txt"), path("000000000003.log")).unwrap();
    let (mut segments, lines, warnings) = open_log(&directory);
    assert!(lines.is_empty() && warnings.len() == 1, "{warnings:?}");
    assert!(warnings[0].contains("000000000001.log is not a chat history"), "{warnings:?}");
    (0..200).for_each(|k| append_all(&mut segments, &[&format!("{k} {}", "x".repeat(900))]));
    for name in foreign {
        assert_eq!(fs::read(path(name)).unwrap(), b"my own", "{name}");
    }
    assert!(!path("000000000004.log").exists(), "our first segment has been pruned");
}

#[test]
fn second_open_fails_while_locked() {
    let directory = directory();
    let (segments, ..) = open_log(&directory);
    let error = SegmentLog::open(directory.path(), MAX_BYTES).unwrap_err();
    assert!(matches!(error, HistoryError::InUse { .. }), "{error}");
    drop(segments);
    open_log(&directory);
}

#[test]
fn write_error_starts_new_segment() {
    let directory = directory();
    let (mut segments, ..) = open_log(&directory);
    append_all(&mut segments, &["one"]);
    // A file that is open for reading only stands for a failing disk.
    segments.current = Some(File::open(directory.path().join("000000000001.log")).unwrap());
    let (count, result) = append(&mut segments, &["lost"]);
    assert!(count == 0 && result.is_err());
    append_all(&mut segments, &["two"]);
    drop(segments);
    let (_, lines, warnings) = open_log(&directory);
    assert_eq!((lines, warnings), (vec!["one".into(), "two".into()], vec![]));
    assert_eq!(list_segments(&directory).0, ["000000000001.log", "000000000002.log"]);
}

#[test]
fn append_fails_while_directory_is_missing() {
    let directory = directory();
    let path = directory.path().join("history");
    let mut segments = SegmentLog::open(&path, MAX_BYTES).unwrap();
    segments.restore(|_| {}).unwrap();
    fs::remove_dir_all(&path).unwrap();
    assert!(append(&mut segments, &["lost"]).1.is_err());
    fs::create_dir(&path).unwrap();
    append_all(&mut segments, &["kept"]);
    assert!(path.join("000000000001.log").exists());
}

#[test]
fn records_lost_by_failed_sync_are_counted() {
    let directory = directory();
    let (mut segments, ..) = open_log(&directory);
    append_all(&mut segments, &["one"]);
    segments.sync().unwrap();
    // A pipe takes bytes, but cannot be synced.
    let (_reader, writer) = rustix::pipe::pipe().unwrap();
    segments.current = Some(File::from(writer));
    append_all(&mut segments, &["two", "three"]);
    assert_eq!(segments.take_lost(), 0);
    segments.sync().unwrap_err();
    assert_eq!((segments.take_lost(), segments.take_lost()), (2, 0));
    segments.sync().unwrap();
    append_all(&mut segments, &["four"]);
    segments.sync().unwrap();
    assert_eq!(segments.take_lost(), 0);
}

#[test]
fn corrupt_record_loses_no_other_record() {
    let directory = directory();
    let (mut segments, ..) = open_log(&directory);
    let mut lines: Vec<String> = (0..30).map(|k| format!("{k} {}", "x".repeat(900))).collect();
    lines.iter().for_each(|line| append_all(&mut segments, &[line]));
    drop(segments);
    let path = directory.path().join("000000000002.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[SEGMENT_HEADER.len() + 1000] ^= 1;
    fs::write(&path, bytes).unwrap();
    let (_, restored, warnings) = open_log(&directory);
    assert_eq!(lines.remove(9), format!("9 {}", "x".repeat(900)));
    assert_eq!(restored, lines);
    let warning = format!("skipped 929 corrupt bytes in {}", path.display());
    assert_eq!(warnings, [warning]);
}

#[test]
fn smaller_limit_prunes_and_restores_newest_segments() {
    let directory = directory();
    let lines: Vec<String> = (0..200).map(|k| format!("{k} {}", "x".repeat(900))).collect();
    let mut segments = SegmentLog::open(directory.path(), 4 * MAX_BYTES).unwrap();
    // Smaller segments, to get more of them.
    segments.segment_size = MAX_BYTES / 8;
    segments.restore(|_| {}).unwrap();
    lines.iter().for_each(|line| append_all(&mut segments, &[line]));
    drop(segments);
    assert!(list_segments(&directory).0.len() > MAX_RESTORED_SEGMENTS + 5);
    let (_, restored, _) = open_log(&directory);
    assert!((100..150).contains(&restored.len()), "{} lines", restored.len());
    assert_eq!(restored, lines[lines.len() - restored.len()..]);
    let (names, bytes) = list_segments(&directory);
    assert!(bytes <= MAX_BYTES && names.len() > 4, "{bytes} bytes in {names:?}");
}
