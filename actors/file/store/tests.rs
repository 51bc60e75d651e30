//! Tests of the store without the actors around it.

use std::fs::{self, FileTimes};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::actors::file::store::*;
use crate::wire::file::CHUNK_SIZE;
use crate::wire::file::digest::{FileHasher, hash_chunk, hash_chunk_list};

mod names;

fn new_store(on_conflict: OnConflict) -> (TempDir, FileStore) {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { on_conflict, ..StoreConfig::default() };
    let store = FileStore::new(directory.path().into(), config);
    (directory, store)
}

fn file_request(name: &str, size: usize) -> FileRequest {
    let name = SafeName::parse(name.as_bytes()).unwrap();
    FileRequest { name, size: Some(size as u64), mode: 0o100_640, modified: (1_000_000_000, 7) }
}

fn create_partial(store: &FileStore, request: &FileRequest) -> PartialFile {
    match store.create(request).unwrap() {
        CreateOutcome::Partial(partial) => partial,
        CreateOutcome::Exists(_) => panic!("the file exists already"),
    }
}

fn write_chunks(partial: &mut PartialFile, chunks: &[&[u8]], from: u64) {
    for (number, chunk) in (from..).zip(chunks) {
        partial.write(chunk).unwrap();
        if chunk.len() == CHUNK_SIZE {
            partial.record_chunk(&hash_chunk(number, chunk));
        }
    }
}

fn test_bytes(length: usize) -> Vec<u8> {
    (0..length).map(|k| (k / 7) as u8).collect()
}

fn list_names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn committed_file_has_mode_time_and_no_leftovers() {
    let (directory, store) = new_store(OnConflict::Fail);
    let mut partial = create_partial(&store, &file_request("a/b/file", 5));
    partial.start_at(0).unwrap();
    partial.write(b"12345").unwrap();
    let inner = directory.path().join("a/b");
    assert_eq!(list_names(&inner), [".file.part", ".file.sums"]);
    assert_eq!(partial.commit().unwrap(), "a/b/file");
    assert_eq!(list_names(&inner), ["file"]);
    let metadata = fs::metadata(inner.join("file")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o640 & !store.shared.umask);
    let modified = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 7);
    assert_eq!(metadata.modified().unwrap(), modified);
}

#[test]
fn resumed_file_keeps_only_recorded_chunks() {
    let (directory, store) = new_store(OnConflict::Fail);
    let bytes = test_bytes(5 * CHUNK_SIZE + 9);
    let chunks: Vec<_> = bytes.chunks(CHUNK_SIZE).collect();
    let request = file_request("file", bytes.len());
    let mut partial = create_partial(&store, &request);
    assert_eq!(partial.verified_chunks(), 0);
    partial.start_at(0).unwrap();
    write_chunks(&mut partial, &chunks[..3], 0);
    partial.checkpoint().unwrap();
    // This chunk is written without a record, as if the process ended here.
    partial.write(chunks[3]).unwrap();
    drop(partial);
    let mut partial = create_partial(&store, &request);
    let hashes: Vec<_> = (0..3).map(|k| hash_chunk(k, chunks[k as usize])).collect();
    assert_eq!(partial.verified_chunks(), 3);
    assert_eq!(partial.verified_hash(), hash_chunk_list(&hashes));
    let mut hasher = partial.start_at(3).unwrap();
    write_chunks(&mut partial, &chunks[3..], 3);
    for (number, chunk) in (3..).zip(&chunks[3..]) {
        hasher.add(hash_chunk(number, chunk), chunk);
    }
    assert_eq!(hasher.finish(), Some(*blake3::hash(&bytes).as_bytes()));
    assert_eq!(partial.commit().unwrap(), "file");
    assert!(fs::read(directory.path().join("file")).unwrap() == bytes);
}

#[test]
fn partial_file_of_other_file_is_emptied() {
    let (directory, store) = new_store(OnConflict::Fail);
    let bytes = test_bytes(3 * CHUNK_SIZE);
    let first = file_request("file", bytes.len());
    let others = [
        FileRequest { size: Some(3), ..first.clone() },
        FileRequest { size: None, ..first.clone() },
        FileRequest { modified: (1, 1), ..first.clone() },
    ];
    for other in others {
        let mut partial = create_partial(&store, &first);
        partial.start_at(0).unwrap();
        write_chunks(&mut partial, &bytes.chunks(CHUNK_SIZE).collect::<Vec<_>>(), 0);
        partial.suspend();
        let mut partial = create_partial(&store, &other);
        assert_eq!(partial.verified_chunks(), 0, "{other:?}");
        partial.start_at(0).unwrap();
        partial.write(b"new").unwrap();
        partial.suspend();
        assert_eq!(fs::read(directory.path().join(".file.part")).unwrap(), b"new");
        assert_eq!(create_partial(&store, &first).verified_chunks(), 0);
    }
}

#[test]
fn start_at_earlier_chunk_drops_later_ones() {
    let (_directory, store) = new_store(OnConflict::Fail);
    let bytes = test_bytes(5 * CHUNK_SIZE);
    let chunks: Vec<_> = bytes.chunks(CHUNK_SIZE).collect();
    let request = file_request("file", bytes.len());
    let mut partial = create_partial(&store, &request);
    partial.start_at(0).unwrap();
    write_chunks(&mut partial, &chunks, 0);
    partial.suspend();
    let mut partial = create_partial(&store, &request);
    assert_eq!(partial.verified_chunks(), 5);
    assert_eq!(partial.start_at(2).unwrap().chunk_count(), 2);
    assert_eq!(partial.length(), 2 * CHUNK_SIZE as u64);
    partial.suspend();
    assert_eq!(create_partial(&store, &request).verified_chunks(), 2);
}

#[test]
fn second_upload_of_file_is_busy() {
    let (_directory, store) = new_store(OnConflict::Fail);
    let request = file_request("file", 5);
    let partial = create_partial(&store, &request);
    assert!(matches!(store.create(&request), Err(StoreError::Busy { .. })));
    drop(partial);
    create_partial(&store, &request).discard();
}

#[test]
fn existing_file_is_matched_by_size_and_time() {
    let (directory, store) = new_store(OnConflict::Fail);
    let path = directory.path().join("file");
    let bytes = test_bytes(2 * CHUNK_SIZE + 5);
    fs::write(&path, &bytes).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 7);
    let times = FileTimes::new().set_modified(time);
    fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    let CreateOutcome::Exists(existing) = store.create(&file_request("file", bytes.len())).unwrap()
    else {
        panic!("the existing file was not matched");
    };
    assert_eq!(existing.verified_chunks(), 3);
    assert_eq!(existing.hasher().finish(), Some(*blake3::hash(&bytes).as_bytes()));
    assert_eq!(existing.commit().unwrap(), "file");
    let other = store.create(&file_request("file", bytes.len() + 1));
    assert!(matches!(other, Err(StoreError::Exists { .. })), "{other:?}");
}

#[test]
fn size_limit_and_free_space_are_enforced() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { max_size: Some(10), ..StoreConfig::default() };
    let small = FileStore::new(directory.path().into(), config);
    assert!(matches!(
        small.create(&file_request("a", 11)),
        Err(StoreError::TooLarge { limit: 10 })
    ));
    let mut partial = create_partial(&small, &FileRequest { size: None, ..file_request("a", 0) });
    partial.start_at(0).unwrap();
    partial.write(&[0; 10]).unwrap();
    assert!(matches!(partial.write(&[0]), Err(StoreError::TooLarge { .. })));
    let config = StoreConfig { keep_free: u64::MAX, ..StoreConfig::default() };
    let full = FileStore::new(directory.path().into(), config);
    assert!(matches!(full.create(&file_request("b", 1)), Err(StoreError::DiskFull { .. })));
    assert!(matches!(full.create_numbered(), Err(StoreError::DiskFull { .. })));
    // The rejected files left nothing. The first one is still open.
    assert_eq!(list_names(directory.path()), [".a.part", ".a.sums"]);
    // Space that is reserved for one file is not available to another.
    let store = FileStore::new(directory.path().into(), StoreConfig::default());
    let free = free_bytes(directory.path());
    let first = create_partial(&store, &file_request("c", free as usize / 3 * 2));
    assert!(matches!(
        store.create(&file_request("d", free as usize / 3 * 2)),
        Err(StoreError::DiskFull { .. })
    ));
    drop(first);
    create_partial(&store, &file_request("d", free as usize / 3 * 2));
}

fn free_bytes(path: &Path) -> u64 {
    let disk = rustix::fs::statvfs(path).unwrap();
    disk.f_bavail * disk.f_frsize
}

#[test]
fn size_limit_error_names_limit_and_flag() {
    let error = StoreError::TooLarge { limit: 10 << 20 };
    assert_eq!(error.to_string(), "file exceeds the size limit of 10MiB (--max-size)");
}

#[test]
fn remove_stale_removes_only_old_partial_files() {
    let (directory, store) = new_store(OnConflict::Fail);
    for name in ["old", "dir/old", "held"] {
        let mut partial = create_partial(&store, &file_request(name, 5));
        partial.start_at(0).unwrap();
        partial.write(b"1").unwrap();
        partial.suspend();
    }
    let mut numbered = store.create_numbered().unwrap();
    numbered.write(b"1").unwrap();
    numbered.suspend();
    fs::write(directory.path().join(".theirs.part"), "").unwrap();
    fs::write(directory.path().join(".outputx.txt.part"), "").unwrap();
    let held = create_partial(&store, &file_request("held", 5));
    assert_eq!(store.remove_stale(0).unwrap(), [""; 0]);
    let mut removed = store.remove_stale(i64::MAX).unwrap();
    removed.sort();
    assert_eq!(removed, [".old.part", ".output0.txt.part", "dir/.old.part"]);
    drop(held);
    let left = [".held.part", ".held.sums", ".outputx.txt.part", ".theirs.part", "dir"];
    assert_eq!(list_names(directory.path()), left);
}

#[test]
fn missing_directory_does_not_use_up_number() {
    let (directory, _) = new_store(OnConflict::Fail);
    let missing = directory.path().join("missing");
    let store = FileStore::new(missing.clone(), StoreConfig::default());
    assert!(matches!(store.create_numbered(), Err(StoreError::Io { .. })));
    fs::create_dir(&missing).unwrap();
    assert_eq!(store.create_numbered().unwrap().temp_name(), ".output0.txt.part");
}

#[test]
fn empty_file_has_hash_of_nothing() {
    let (_directory, store) = new_store(OnConflict::Fail);
    let mut partial = create_partial(&store, &file_request("empty", 0));
    let hasher: FileHasher = partial.start_at(0).unwrap();
    assert_eq!(hasher.finish(), Some(*blake3::hash(b"").as_bytes()));
    assert_eq!(partial.commit().unwrap(), "empty");
}
