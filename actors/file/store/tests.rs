//! The vault, without the actors around it.

use std::fs::{self, FileTimes};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::actors::file::store::*;
use crate::wire::file::codec::CHUNK_SIZE;
use crate::wire::file::digest::{FileHasher, hash_chunk};

pub(crate) mod names;

fn vault(on_conflict: OnConflict) -> (TempDir, Arc<Vault>) {
    let directory = tempfile::tempdir().unwrap();
    let limits = VaultLimits { on_conflict, ..VaultLimits::default() };
    let vault = Arc::new(Vault::new(directory.path().into(), limits));
    (directory, vault)
}

fn wanted(name: &str, size: usize) -> Wanted {
    let name = SafeName::parse(name.as_bytes()).unwrap();
    Wanted { name, size: Some(size as u64), mode: 0o100_640, modified: (1_000_000_000, 7) }
}

fn claim(vault: &Arc<Vault>, wanted: &Wanted) -> Part {
    match vault.claim(wanted).unwrap() {
        Claimed::Part(part) => part,
        Claimed::There(_) => panic!("a file is there already"),
    }
}

fn write(part: &mut Part, chunks: &[&[u8]], from: u64) {
    for (number, chunk) in (from..).zip(chunks) {
        part.write(chunk).unwrap();
        if chunk.len() == CHUNK_SIZE {
            part.remember(&hash_chunk(number, chunk));
        }
    }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|k| (k / 7) as u8).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_appears_whole_with_its_mode_and_its_time_and_nothing_beside_it() {
    let (directory, vault) = vault(OnConflict::Fail);
    let mut part = claim(&vault, &wanted("a/b/file", 5));
    part.begin(0).unwrap();
    part.write(b"12345").unwrap();
    let inner = directory.path().join("a/b");
    assert_eq!(names(&inner), [".file.part", ".file.sums"]);
    assert_eq!(part.commit().unwrap(), "a/b/file");
    assert_eq!(names(&inner), ["file"]);
    let meta = fs::metadata(inner.join("file")).unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777, 0o640 & !vault.umask);
    assert_eq!(meta.modified().unwrap(), SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 7));
}

#[test]
fn what_was_remembered_is_held_by_the_next_claim_and_the_rest_is_not() {
    let (directory, vault) = vault(OnConflict::Fail);
    let file = bytes(5 * CHUNK_SIZE + 9);
    let chunks: Vec<_> = file.chunks(CHUNK_SIZE).collect();
    let wanted = wanted("file", file.len());
    let mut part = claim(&vault, &wanted);
    assert_eq!(part.held(), 0);
    part.begin(0).unwrap();
    write(&mut part, &chunks[..3], 0);
    part.checkpoint().unwrap();
    // Written, but not written down: whatever ends the process here leaves it so.
    part.write(chunks[3]).unwrap();
    drop(part);
    let mut part = claim(&vault, &wanted);
    let values: Vec<_> = (0..3).map(|k| hash_chunk(k, chunks[k as usize])).collect();
    assert_eq!(part.held(), 3);
    assert_eq!(part.held_values(), crate::wire::file::digest::hash_chunk_list(&values));
    let mut digest = part.begin(3).unwrap();
    write(&mut part, &chunks[3..], 3);
    for (number, chunk) in (3..).zip(&chunks[3..]) {
        digest.add(hash_chunk(number, chunk), chunk);
    }
    assert_eq!(digest.finish(), Some(*blake3::hash(&file).as_bytes()));
    assert_eq!(part.commit().unwrap(), "file");
    assert!(fs::read(directory.path().join("file")).unwrap() == file);
}

#[test]
fn a_part_of_another_file_or_of_none_is_begun_anew() {
    let (directory, vault) = vault(OnConflict::Fail);
    let file = bytes(3 * CHUNK_SIZE);
    let first = wanted("file", file.len());
    let others = [
        Wanted { size: Some(3), ..first.clone() },
        Wanted { size: None, ..first.clone() },
        Wanted { modified: (1, 1), ..first.clone() },
    ];
    for other in others {
        let mut part = claim(&vault, &first);
        part.begin(0).unwrap();
        write(&mut part, &file.chunks(CHUNK_SIZE).collect::<Vec<_>>(), 0);
        part.pause();
        let mut part = claim(&vault, &other);
        assert_eq!(part.held(), 0, "{other:?}");
        part.begin(0).unwrap();
        part.write(b"new").unwrap();
        part.pause();
        assert_eq!(fs::read(directory.path().join(".file.part")).unwrap(), b"new");
        assert_eq!(claim(&vault, &first).held(), 0);
    }
}

#[test]
fn going_back_forgets_what_comes_after() {
    let (_directory, vault) = vault(OnConflict::Fail);
    let file = bytes(5 * CHUNK_SIZE);
    let chunks: Vec<_> = file.chunks(CHUNK_SIZE).collect();
    let wanted = wanted("file", file.len());
    let mut part = claim(&vault, &wanted);
    part.begin(0).unwrap();
    write(&mut part, &chunks, 0);
    part.pause();
    let mut part = claim(&vault, &wanted);
    assert_eq!(part.held(), 5);
    assert_eq!(part.begin(2).unwrap().chunk_count(), 2);
    assert_eq!(part.length(), 2 * CHUNK_SIZE as u64);
    part.pause();
    assert_eq!(claim(&vault, &wanted).held(), 2);
}

#[test]
fn one_has_a_part_and_others_are_told() {
    let (_directory, vault) = vault(OnConflict::Fail);
    let wanted = wanted("file", 5);
    let part = claim(&vault, &wanted);
    assert!(matches!(vault.claim(&wanted), Err(VaultError::Busy { .. })));
    drop(part);
    claim(&vault, &wanted).discard();
}

#[test]
fn a_file_that_is_there_is_found_by_its_size_and_its_time() {
    let (directory, vault) = vault(OnConflict::Fail);
    let path = directory.path().join("file");
    let file = bytes(2 * CHUNK_SIZE + 5);
    fs::write(&path, &file).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 7);
    let times = FileTimes::new().set_modified(time);
    fs::File::options().write(true).open(&path).unwrap().set_times(times).unwrap();
    let Claimed::There(there) = vault.claim(&wanted("file", file.len())).unwrap() else {
        panic!("it was not found");
    };
    assert_eq!(there.held(), 3);
    assert_eq!(there.digest().finish(), Some(*blake3::hash(&file).as_bytes()));
    assert_eq!(there.confirm().unwrap(), "file");
    let other = vault.claim(&wanted("file", file.len() + 1));
    assert!(matches!(other, Err(VaultError::Exists { .. })), "{other:?}");
}

#[test]
fn sizes_and_the_room_that_stays_free_are_kept() {
    let directory = tempfile::tempdir().unwrap();
    let limits = VaultLimits { max_size: Some(10), ..VaultLimits::default() };
    let small = Arc::new(Vault::new(directory.path().into(), limits));
    assert!(matches!(small.claim(&wanted("a", 11)), Err(VaultError::TooLarge { most: 10 })));
    let mut part = claim(&small, &Wanted { size: None, ..wanted("a", 0) });
    part.begin(0).unwrap();
    part.write(&[0; 10]).unwrap();
    assert!(matches!(part.write(&[0]), Err(VaultError::TooLarge { .. })));
    let limits = VaultLimits { keep_free: u64::MAX, ..VaultLimits::default() };
    let full = Arc::new(Vault::new(directory.path().into(), limits));
    assert!(matches!(full.claim(&wanted("b", 1)), Err(VaultError::Full { .. })));
    assert!(matches!(full.claim_number(), Err(VaultError::Full { .. })));
    // But for the one that is in hand, nothing is left of what was refused.
    assert_eq!(names(directory.path()), [".a.part", ".a.sums"]);
    // What is promised to one is not there for another.
    let limits = VaultLimits::default();
    let vault = Arc::new(Vault::new(directory.path().into(), limits));
    let free = free_bytes(directory.path());
    let first = claim(&vault, &wanted("c", free as usize / 3 * 2));
    assert!(matches!(
        vault.claim(&wanted("d", free as usize / 3 * 2)),
        Err(VaultError::Full { .. })
    ));
    drop(first);
    claim(&vault, &wanted("d", free as usize / 3 * 2));
}

fn free_bytes(path: &Path) -> u64 {
    let disk = rustix::fs::statvfs(path).unwrap();
    disk.f_bavail * disk.f_frsize
}

#[test]
fn only_old_parts_are_reaped() {
    let (directory, vault) = vault(OnConflict::Fail);
    for name in ["old", "dir/old", "held"] {
        let mut part = claim(&vault, &wanted(name, 5));
        part.begin(0).unwrap();
        part.write(b"1").unwrap();
        part.pause();
    }
    let mut raw = vault.claim_number().unwrap();
    raw.write(b"1").unwrap();
    raw.pause();
    fs::write(directory.path().join(".theirs.part"), "").unwrap();
    fs::write(directory.path().join(".outputx.txt.part"), "").unwrap();
    let held = claim(&vault, &wanted("held", 5));
    assert_eq!(vault.reap(0).unwrap(), [""; 0]);
    let mut reaped = vault.reap(i64::MAX).unwrap();
    reaped.sort();
    assert_eq!(reaped, [".old.part", ".output0.txt.part", "dir/.old.part"]);
    drop(held);
    let left = [".held.part", ".held.sums", ".outputx.txt.part", ".theirs.part", "dir"];
    assert_eq!(names(directory.path()), left);
}

#[test]
fn a_directory_that_vanished_fails_the_claim_and_keeps_the_number() {
    let (directory, _) = vault(OnConflict::Fail);
    let gone = directory.path().join("gone");
    let vault = Arc::new(Vault::new(gone.clone(), VaultLimits::default()));
    assert!(matches!(vault.claim_number(), Err(VaultError::Io { .. })));
    fs::create_dir(&gone).unwrap();
    assert_eq!(vault.claim_number().unwrap().hidden_name(), ".output0.txt.part");
}

#[test]
fn the_digest_of_nothing_is_known() {
    let (_directory, vault) = vault(OnConflict::Fail);
    let mut part = claim(&vault, &wanted("empty", 0));
    let digest: FileHasher = part.begin(0).unwrap();
    assert_eq!(digest.finish(), Some(*blake3::hash(b"").as_bytes()));
    assert_eq!(part.commit().unwrap(), "empty");
}
