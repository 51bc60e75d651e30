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
    let modified = (1_000_000_000, 7);
    FileRequest { name, size: Some(size as u64), mode: 0o100_640, modified, source: None }
}

/// Looks up a file, and returns its partial file, which is created if there is none.
fn try_create_partial(store: &FileStore, request: &FileRequest) -> Result<PartialFile, StoreError> {
    match store.look_up(request)? {
        OfferedFile::New => store.create(request),
        OfferedFile::Partial(mut partial) => {
            while !partial.verify(2)? {}
            Ok(*partial)
        }
        OfferedFile::Existing(_) => panic!("the file exists already"),
    }
}

fn create_partial(store: &FileStore, request: &FileRequest) -> PartialFile {
    try_create_partial(store, request).unwrap()
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
    let (directory, _) = new_store(OnConflict::Fail);
    // A server that was restarted does not know that the name belongs to another file.
    let store = || FileStore::new(directory.path().into(), StoreConfig::default());
    let bytes = test_bytes(3 * CHUNK_SIZE);
    let first = file_request("file", bytes.len());
    let others = [
        FileRequest { size: Some(3), ..first.clone() },
        FileRequest { size: None, ..first.clone() },
        FileRequest { modified: (1, 1), ..first.clone() },
    ];
    for other in others {
        let mut partial = create_partial(&store(), &first);
        partial.start_at(0).unwrap();
        write_chunks(&mut partial, &bytes.chunks(CHUNK_SIZE).collect::<Vec<_>>(), 0);
        partial.suspend();
        let mut partial = create_partial(&store(), &other);
        assert_eq!(partial.verified_chunks(), 0, "{other:?}");
        partial.start_at(0).unwrap();
        partial.write(b"new").unwrap();
        assert_eq!(fs::read(directory.path().join(".file.part")).unwrap(), b"new");
        partial.suspend();
        assert_eq!(create_partial(&store(), &first).verified_chunks(), 0);
    }
}

#[test]
fn start_at_first_chunk_drops_all() {
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
    assert_eq!(partial.start_at(0).unwrap().chunk_count(), 0);
    assert_eq!(partial.length(), 0);
    write_chunks(&mut partial, &chunks[..2], 0);
    partial.suspend();
    assert_eq!(create_partial(&store, &request).verified_chunks(), 2);
}

#[test]
fn lookup_of_new_file_creates_nothing() {
    let (directory, store) = new_store(OnConflict::Fail);
    let request = file_request("a/b/file", 5);
    assert!(matches!(store.look_up(&request), Ok(OfferedFile::New)));
    assert_eq!(list_names(directory.path()), [""; 0]);
    let mut partial = store.create(&request).unwrap();
    partial.start_at(0).unwrap();
    partial.suspend();
    assert_eq!(list_names(&directory.path().join("a/b")), [""; 0], "there was no chunk to keep");
}

#[test]
fn max_files_counts_files_and_directories() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig { max_files: Some(3), ..StoreConfig::default() };
    let store = FileStore::new(directory.path().into(), config);
    store.create(&file_request("gone", 5)).unwrap().discard();
    store.create_dir_all(&SafeName::parse(b"a").unwrap(), 0o755).unwrap();
    store.create(&file_request("a/b", 5)).unwrap().commit().unwrap();
    store.create_dir_all(&SafeName::parse(b"a").unwrap(), 0o755).unwrap();
    let mut numbered = store.create_numbered().unwrap();
    numbered.write(b"1").unwrap();
    let full = |result: Result<PartialFile, StoreError>| {
        assert!(matches!(result, Err(StoreError::TooManyFiles { limit: 3 })), "{result:?}");
    };
    full(store.create(&file_request("c", 5)));
    full(store.create_numbered());
    full(store.create(&file_request("d/e", 5)));
    assert_eq!(list_names(directory.path()), [".output0.txt.part", "a"]);
    numbered.discard();
    store.create(&file_request("c", 5)).unwrap().commit().unwrap();
}

#[test]
fn foreign_leftovers_are_not_trusted() {
    let (directory, store) = new_store(OnConflict::Fail);
    let (bytes, request) = (test_bytes(3 * CHUNK_SIZE), file_request("file", 3 * CHUNK_SIZE));
    let chunks: Vec<_> = bytes.chunks(CHUNK_SIZE).collect();
    let chown = |name: &str| {
        std::os::unix::fs::chown(directory.path().join(name), Some(4711), None).is_ok()
    };
    for foreign in [".file.part", ".file.sums"] {
        let mut partial = create_partial(&store, &request);
        partial.start_at(0).unwrap();
        write_chunks(&mut partial, &chunks, 0);
        partial.suspend();
        if !chown(foreign) {
            eprintln!("SKIPPED foreign_leftovers_are_not_trusted: only root can give files away");
            return;
        }
        assert!(matches!(store.look_up(&request), Ok(OfferedFile::New)), "{foreign}");
        let partial = store.create(&request).unwrap();
        let metadata = fs::metadata(directory.path().join(foreign)).unwrap();
        let ours = fs::metadata(directory.path()).unwrap();
        use std::os::unix::fs::MetadataExt;
        assert_eq!((metadata.uid(), partial.verified_chunks()), (ours.uid(), 0), "{foreign}");
        partial.discard();
    }
}

#[test]
fn only_same_file_makes_upload_yield_and_keeps_its_chunks() {
    let (_directory, store) = new_store(OnConflict::Fail);
    let (bytes, request) = (test_bytes(4 * CHUNK_SIZE), file_request("file", 4 * CHUNK_SIZE));
    let chunks: Vec<_> = bytes.chunks(CHUNK_SIZE).collect();
    let others = [
        FileRequest { size: Some(3), ..request.clone() },
        FileRequest { modified: (1, 1), ..request.clone() },
    ];
    let mut first = create_partial(&store, &request);
    first.start_at(0).unwrap();
    write_chunks(&mut first, &chunks[..2], 0);
    let busy = |result: Result<PartialFile, StoreError>| {
        assert!(matches!(result, Err(StoreError::Busy { .. })), "{result:?}");
    };
    let yield_requested = || {
        use futures_lite::future::{block_on, poll_once};
        block_on(poll_once(Box::pin(store.yield_requested("file")))).is_some()
    };
    for other in &others {
        busy(try_create_partial(&store, other));
        busy(store.create(other));
    }
    assert!(!yield_requested());
    busy(try_create_partial(&store, &request));
    assert!(yield_requested());
    first.suspend();
    // The name belongs to the file that has yielded, and its chunks are kept.
    for other in &others {
        busy(try_create_partial(&store, other));
        busy(store.create(other));
    }
    busy(store.create(&request));
    for _ in 0..2 {
        let mut second = create_partial(&store, &request);
        assert_eq!(second.verified_chunks(), 2);
        busy(second.start_at(0).map(|_| unreachable!()));
        second.start_at(2).unwrap();
        write_chunks(&mut second, &chunks[2..3], 2);
        second.discard();
    }
    let mut last = create_partial(&store, &request);
    last.start_at(2).unwrap();
    write_chunks(&mut last, &chunks[2..], 2);
    assert_eq!(last.commit().unwrap(), "file");
}

#[test]
fn interrupted_upload_keeps_its_name_for_same_file() {
    let (_directory, store) = new_store(OnConflict::Fail);
    let (bytes, request) = (test_bytes(3 * CHUNK_SIZE), file_request("file", 3 * CHUNK_SIZE));
    let chunks: Vec<_> = bytes.chunks(CHUNK_SIZE).collect();
    let mut first = create_partial(&store, &request);
    first.start_at(0).unwrap();
    write_chunks(&mut first, &chunks[..2], 0);
    first.suspend();
    let other = FileRequest { size: Some(5), ..request.clone() };
    assert!(matches!(try_create_partial(&store, &other), Err(StoreError::Busy { .. })));
    assert!(matches!(store.create(&other), Err(StoreError::Busy { .. })));
    // The same file may continue, or begin anew.
    let second = create_partial(&store, &request);
    assert_eq!(second.verified_chunks(), 2);
    second.suspend();
    let mut last = create_partial(&store, &request);
    last.start_at(0).unwrap();
    write_chunks(&mut last, &chunks, 0);
    assert_eq!(last.commit().unwrap(), "file");
}

#[test]
fn replaced_partial_file_is_not_published() {
    let (directory, store) = new_store(OnConflict::Fail);
    let mut partial = create_partial(&store, &file_request("file", 3));
    partial.start_at(0).unwrap();
    partial.write(b"own").unwrap();
    let hidden = directory.path().join(SafeName::parse(b"file").unwrap().partial_name());
    std::fs::remove_file(&hidden).unwrap();
    std::fs::write(&hidden, "evil").unwrap();
    assert!(matches!(partial.commit(), Err(StoreError::Io { .. })));
    assert!(!directory.path().join("file").exists());
}

#[test]
fn second_upload_of_file_is_busy() {
    let (_directory, store) = new_store(OnConflict::Fail);
    let request = file_request("file", 5);
    let partial = create_partial(&store, &request);
    assert!(matches!(store.look_up(&request), Err(StoreError::Busy { .. })));
    assert!(matches!(store.create(&request), Err(StoreError::Busy { .. })));
    drop(partial);
    // The second request was for the same file, so its name is protected for a while.
    let other = FileRequest { size: Some(6), ..request };
    let request = FileRequest { name: SafeName::parse(b"other").unwrap(), ..other };
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
    let look_up = || match store.look_up(&file_request("file", bytes.len())).unwrap() {
        OfferedFile::Existing(existing) => existing,
        other => panic!("the existing file was not matched: {other:?}"),
    };
    let mut existing = look_up();
    assert!(!existing.verify(1).unwrap() && !existing.verify(1).unwrap());
    while !existing.verify(1).unwrap() {}
    assert_eq!(existing.verified_chunks(), 3);
    assert_eq!(existing.hasher().finish(), Some(*blake3::hash(&bytes).as_bytes()));
    assert_eq!(existing.commit().unwrap(), "file");
    let other = store.look_up(&file_request("file", bytes.len() + 1));
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
    assert!(matches!(full.look_up(&file_request("b", 1)), Err(StoreError::DiskFull { .. })));
    assert!(matches!(full.create(&file_request("b/c", 1)), Err(StoreError::DiskFull { .. })));
    assert!(matches!(full.create_numbered(), Err(StoreError::DiskFull { .. })));
    // The rejected files left nothing. The first one is still open.
    assert_eq!(list_names(directory.path()), [".a.part", ".a.sums"]);
}

/// Begins a file of a size, which is reserved. The error is that of the lookup or of the start.
fn begin(
    store: &FileStore,
    name: &str,
    size: u64,
    source: Option<&str>,
) -> Result<PartialFile, StoreError> {
    let source = source.map(|source| source.parse().unwrap());
    let request = FileRequest { source, size: Some(size), ..file_request(name, 0) };
    let mut partial = try_create_partial(store, &request)?;
    partial.start_at(0)?;
    Ok(partial)
}

fn is_full<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::DiskFull { .. }))
}

#[test]
fn reserved_space_is_not_available_to_later_uploads() {
    let (directory, store) = new_store(OnConflict::Fail);
    let free = free_bytes(directory.path());
    let mut first = begin(&store, "a", free / 3 * 2, None).unwrap();
    assert!(is_full(store.look_up(&file_request("b", (free / 3 * 2) as usize))));
    assert!(is_full(begin(&store, "b", free / 3 * 2, None)));
    // An offer alone reserves nothing, and neither does a reservation without data.
    assert!(first.expire_reservation() && !first.has_reservation());
    let second = begin(&store, "b", free / 3 * 2, None).unwrap();
    assert!(is_full(first.write(b"1")), "the space is taken again only if it still fits");
    drop(second);
    first.write(b"1").unwrap();
    assert!(first.has_reservation());
    assert!(is_full(begin(&store, "c", free / 3 * 2, None)));
}

#[test]
fn sizes_near_maximum_do_not_overflow() {
    let (directory, store) = new_store(OnConflict::Fail);
    let _held = begin(&store, "a", free_bytes(directory.path()) / 2, None).unwrap();
    for size in [u64::MAX - 1, u64::MAX / 2, 1 << 62] {
        assert!(is_full(begin(&store, "b", size, None)), "{size}");
        assert!(is_full(begin(&store, "c", size, Some("192.0.2.1"))), "{size}");
    }
    begin(&store, "d", 5, None).unwrap();
}

#[test]
fn source_reserves_half_of_space_at_most() {
    let (directory, store) = new_store(OnConflict::Fail);
    let free = free_bytes(directory.path());
    let greedy: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|name| begin(&store, name, free / 5 * 2, Some("192.0.2.1")))
        .collect();
    assert!(greedy[0].is_ok() && greedy[1].is_ok(), "{greedy:?}");
    begin(&store, "d", free / 5 * 2, Some("192.0.2.2")).unwrap();
}

#[test]
fn upload_in_progress_keeps_its_space() {
    let (directory, store) = new_store(OnConflict::Fail);
    let mut raw = store.create_numbered().unwrap();
    raw.write(b"first").unwrap();
    let later: Vec<_> = (0..40)
        .map_while(|k| {
            let free = free_bytes(directory.path());
            begin(&store, &format!("later-{k}"), (free / 100 * 90) >> k, None).ok()
        })
        .collect();
    assert!(later.len() > 1);
    raw.write(&[7; 1 << 20]).unwrap();
}

fn free_bytes(path: &Path) -> u64 {
    let disk = rustix::fs::statvfs(path).unwrap();
    disk.f_bavail * disk.f_frsize
}

#[test]
fn size_limit_error_names_limit_and_flag() {
    let error = StoreError::TooLarge { limit: 10 << 20 };
    assert_eq!(error.to_string(), "file exceeds the size limit of 10 MiB (--max-size)");
}

#[test]
fn remove_stale_removes_only_old_partial_files() {
    let (directory, store) = new_store(OnConflict::Fail);
    let bytes = test_bytes(2 * CHUNK_SIZE);
    for name in ["old", "dir/old", "held"] {
        let mut partial = create_partial(&store, &file_request(name, 3 * CHUNK_SIZE));
        partial.start_at(0).unwrap();
        write_chunks(&mut partial, &bytes.chunks(CHUNK_SIZE).collect::<Vec<_>>(), 0);
        partial.suspend();
    }
    let mut numbered = store.create_numbered().unwrap();
    numbered.write(b"1").unwrap();
    numbered.suspend();
    fs::write(directory.path().join(".theirs.part"), "").unwrap();
    fs::write(directory.path().join(".outputx.txt.part"), "").unwrap();
    let held = create_partial(&store, &file_request("held", 3 * CHUNK_SIZE));
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
