//! The vault, without the actors around it.

use std::fs::{self, FileTimes};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::actors::file::store::*;
use crate::wire::file::CHUNK_SIZE;
use crate::wire::file::digest::{FileHasher, hash_chunk};

pub(crate) mod names;

fn new_store(on_conflict: OnConflict) -> (TempDir, Arc<FileStore>) {
    let directory = tempfile::tempdir().unwrap();
    let limits = StoreConfig { on_conflict, ..StoreConfig::default() };
    let vault = Arc::new(FileStore::new(directory.path().into(), limits));
    (directory, vault)
}

fn file_request(name: &str, size: usize) -> FileRequest {
    let name = SafeName::parse(name.as_bytes()).unwrap();
    FileRequest { name, size: Some(size as u64), mode: 0o100_640, modified: (1_000_000_000, 7) }
}

fn create_partial(vault: &Arc<FileStore>, wanted: &FileRequest) -> PartialFile {
    match vault.create(wanted).unwrap() {
        CreateOutcome::Partial(part) => part,
        CreateOutcome::Exists(_) => panic!("a file is there already"),
    }
}

fn write_chunks(part: &mut PartialFile, chunks: &[&[u8]], from: u64) {
    for (number, chunk) in (from..).zip(chunks) {
        part.write(chunk).unwrap();
        if chunk.len() == CHUNK_SIZE {
            part.record_chunk(&hash_chunk(number, chunk));
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
fn a_file_appears_whole_with_its_mode_and_its_time_and_nothing_beside_it() {
    let (directory, vault) = new_store(OnConflict::Fail);
    let mut part = create_partial(&vault, &file_request("a/b/file", 5));
    part.start_at(0).unwrap();
    part.write(b"12345").unwrap();
    let inner = directory.path().join("a/b");
    assert_eq!(list_names(&inner), [".file.part", ".file.sums"]);
    assert_eq!(part.commit().unwrap(), "a/b/file");
    assert_eq!(list_names(&inner), ["file"]);
    let meta = fs::metadata(inner.join("file")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, 0o640 & !vault.umask);
    assert_eq!(meta.modified().unwrap(), SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 7));
}

#[test]
fn what_was_remembered_is_held_by_the_next_claim_and_the_rest_is_not() {
    let (directory, vault) = new_store(OnConflict::Fail);
    let file = test_bytes(5 * CHUNK_SIZE + 9);
    let chunks: Vec<_> = file.chunks(CHUNK_SIZE).collect();
    let wanted = file_request("file", file.len());
    let mut part = create_partial(&vault, &wanted);
    assert_eq!(part.verified_chunks(), 0);
    part.start_at(0).unwrap();
    write_chunks(&mut part, &chunks[..3], 0);
    part.checkpoint().unwrap();
    // Written, but not written down: whatever ends the process here leaves it so.
    part.write(chunks[3]).unwrap();
    drop(part);
    let mut part = create_partial(&vault, &wanted);
    let values: Vec<_> = (0..3).map(|k| hash_chunk(k, chunks[k as usize])).collect();
    assert_eq!(part.verified_chunks(), 3);
    assert_eq!(part.verified_hash(), crate::wire::file::digest::hash_chunk_list(&values));
    let mut digest = part.start_at(3).unwrap();
    write_chunks(&mut part, &chunks[3..], 3);
    for (number, chunk) in (3..).zip(&chunks[3..]) {
        digest.add(hash_chunk(number, chunk), chunk);
    }
    assert_eq!(digest.finish(), Some(*blake3::hash(&file).as_bytes()));
    assert_eq!(part.commit().unwrap(), "file");
    assert!(fs::read(directory.path().join("file")).unwrap() == file);
}

#[test]
fn a_part_of_another_file_or_of_none_is_begun_anew() {
    let (directory, vault) = new_store(OnConflict::Fail);
    let file = test_bytes(3 * CHUNK_SIZE);
    let first = file_request("file", file.len());
    let others = [
        FileRequest { size: Some(3), ..first.clone() },
        FileRequest { size: None, ..first.clone() },
        FileRequest { modified: (1, 1), ..first.clone() },
    ];
    for other in others {
        let mut part = create_partial(&vault, &first);
        part.start_at(0).unwrap();
        write_chunks(&mut part, &file.chunks(CHUNK_SIZE).collect::<Vec<_>>(), 0);
        part.suspend();
        let mut part = create_partial(&vault, &other);
        assert_eq!(part.verified_chunks(), 0, "{other:?}");
        part.start_at(0).unwrap();
        part.write(b"new").unwrap();
        part.suspend();
        assert_eq!(fs::read(directory.path().join(".file.part")).unwrap(), b"new");
        assert_eq!(create_partial(&vault, &first).verified_chunks(), 0);
    }
}

#[test]
fn going_back_forgets_what_comes_after() {
    let (_directory, vault) = new_store(OnConflict::Fail);
    let file = test_bytes(5 * CHUNK_SIZE);
    let chunks: Vec<_> = file.chunks(CHUNK_SIZE).collect();
    let wanted = file_request("file", file.len());
    let mut part = create_partial(&vault, &wanted);
    part.start_at(0).unwrap();
    write_chunks(&mut part, &chunks, 0);
    part.suspend();
    let mut part = create_partial(&vault, &wanted);
    assert_eq!(part.verified_chunks(), 5);
    assert_eq!(part.start_at(2).unwrap().chunk_count(), 2);
    assert_eq!(part.length(), 2 * CHUNK_SIZE as u64);
    part.suspend();
    assert_eq!(create_partial(&vault, &wanted).verified_chunks(), 2);
}

#[test]
fn one_has_a_part_and_others_are_told() {
    let (_directory, vault) = new_store(OnConflict::Fail);
    let wanted = file_request("file", 5);
    let part = create_partial(&vault, &wanted);
    assert!(matches!(vault.create(&wanted), Err(StoreError::Busy { .. })));
    drop(part);
    create_partial(&vault, &wanted).discard();
}

#[test]
fn a_file_that_is_there_is_found_by_its_size_and_its_time() {
    let (directory, vault) = new_store(OnConflict::Fail);
    let path = directory.path().join("file");
    let file = test_bytes(2 * CHUNK_SIZE + 5);
    fs::write(&path, &file).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 7);
    let times = FileTimes::new().set_modified(time);
    fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    let CreateOutcome::Exists(there) = vault.create(&file_request("file", file.len())).unwrap()
    else {
        panic!("it was not found");
    };
    assert_eq!(there.verified_chunks(), 3);
    assert_eq!(there.hasher().finish(), Some(*blake3::hash(&file).as_bytes()));
    assert_eq!(there.commit().unwrap(), "file");
    let other = vault.create(&file_request("file", file.len() + 1));
    assert!(matches!(other, Err(StoreError::Exists { .. })), "{other:?}");
}

#[test]
fn sizes_and_the_room_that_stays_free_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let limits = StoreConfig { max_size: Some(10), ..StoreConfig::default() };
    let small = Arc::new(FileStore::new(directory.path().into(), limits));
    assert!(matches!(
        small.create(&file_request("a", 11)),
        Err(StoreError::TooLarge { limit: 10 })
    ));
    let mut part = create_partial(&small, &FileRequest { size: None, ..file_request("a", 0) });
    part.start_at(0).unwrap();
    part.write(&[0; 10]).unwrap();
    assert!(matches!(part.write(&[0]), Err(StoreError::TooLarge { .. })));
    let limits = StoreConfig { keep_free: u64::MAX, ..StoreConfig::default() };
    let full = Arc::new(FileStore::new(directory.path().into(), limits));
    assert!(matches!(full.create(&file_request("b", 1)), Err(StoreError::DiskFull { .. })));
    assert!(matches!(full.create_numbered(), Err(StoreError::DiskFull { .. })));
    // But for the one that is in hand, nothing is left of what was refused.
    assert_eq!(list_names(directory.path()), [".a.part", ".a.sums"]);
    // What is promised to one is not there for another.
    let limits = StoreConfig::default();
    let vault = Arc::new(FileStore::new(directory.path().into(), limits));
    let free = free_bytes(directory.path());
    let first = create_partial(&vault, &file_request("c", free as usize / 3 * 2));
    assert!(matches!(
        vault.create(&file_request("d", free as usize / 3 * 2)),
        Err(StoreError::DiskFull { .. })
    ));
    drop(first);
    create_partial(&vault, &file_request("d", free as usize / 3 * 2));
}

fn free_bytes(path: &Path) -> u64 {
    let disk = rustix::fs::statvfs(path).unwrap();
    disk.f_bavail * disk.f_frsize
}

#[test]
fn only_old_parts_are_reaped() {
    let (directory, vault) = new_store(OnConflict::Fail);
    for name in ["old", "dir/old", "held"] {
        let mut part = create_partial(&vault, &file_request(name, 5));
        part.start_at(0).unwrap();
        part.write(b"1").unwrap();
        part.suspend();
    }
    let mut raw = vault.create_numbered().unwrap();
    raw.write(b"1").unwrap();
    raw.suspend();
    fs::write(directory.path().join(".theirs.part"), "").unwrap();
    fs::write(directory.path().join(".outputx.txt.part"), "").unwrap();
    let held = create_partial(&vault, &file_request("held", 5));
    assert_eq!(vault.remove_stale(0).unwrap(), [""; 0]);
    let mut reaped = vault.remove_stale(i64::MAX).unwrap();
    reaped.sort();
    assert_eq!(reaped, [".old.part", ".output0.txt.part", "dir/.old.part"]);
    drop(held);
    let left = [".held.part", ".held.sums", ".outputx.txt.part", ".theirs.part", "dir"];
    assert_eq!(list_names(directory.path()), left);
}

#[test]
fn a_directory_that_vanished_fails_the_claim_and_keeps_the_number() {
    let (directory, _) = new_store(OnConflict::Fail);
    let gone = directory.path().join("gone");
    let vault = Arc::new(FileStore::new(gone.clone(), StoreConfig::default()));
    assert!(matches!(vault.create_numbered(), Err(StoreError::Io { .. })));
    fs::create_dir(&gone).unwrap();
    assert_eq!(vault.create_numbered().unwrap().temp_name(), ".output0.txt.part");
}

#[test]
fn the_digest_of_nothing_is_known() {
    let (_directory, vault) = new_store(OnConflict::Fail);
    let mut part = create_partial(&vault, &file_request("empty", 0));
    let digest: FileHasher = part.start_at(0).unwrap();
    assert_eq!(digest.finish(), Some(*blake3::hash(b"").as_bytes()));
    assert_eq!(part.commit().unwrap(), "empty");
}
