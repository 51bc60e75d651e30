//! Tests of the checksum file, including its state after a power cut.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, openat};
use tempfile::TempDir;

use crate::actors::file::store::checksums::*;
use crate::wire::file::digest::hash_chunk_list;
use crate::wire::file::filename::SafeName;

const NO_LIMIT: u64 = u64::MAX;

fn file_request() -> FileRequest {
    let name = SafeName::parse(b"file").unwrap();
    FileRequest { name, size: Some(1 << 30), mode: 0, modified: (1, 2), source: None }
}

fn temp_directory() -> (TempDir, OwnedFd) {
    let temp_dir = tempfile::tempdir().unwrap();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let directory = openat(CWD, temp_dir.path(), flags, Mode::empty()).unwrap();
    (temp_dir, directory)
}

fn checksum_path(directory: &Path) -> PathBuf {
    directory.join(".file.sums")
}

/// Changes the boot in both marks, as if the machine had been rebooted.
fn simulate_reboot(directory: &Path) {
    let path = checksum_path(directory);
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    for offset in [64, 128] {
        let mut bytes = [0; 64];
        file.read_exact_at(&mut bytes, offset).unwrap();
        if let Some(mark) = SyncMark::from_bytes(&bytes) {
            file.write_all_at(&SyncMark { boot_id: [9; 16], ..mark }.to_bytes(), offset).unwrap();
        }
    }
}

fn chunk_hashes(count: u8) -> Vec<ChunkHash> {
    (0..count).map(|k| [k; 32]).collect()
}

fn create_filled(directory: &OwnedFd, count: u8) -> ChecksumFile {
    let mut checksums = ChecksumFile::create(directory, &file_request()).unwrap();
    chunk_hashes(count).iter().for_each(|hash| checksums.push(hash));
    checksums.flush().unwrap();
    checksums
}

fn open(directory: &OwnedFd, max_chunks: u64) -> Option<(ChecksumFile, VerifiedPrefix)> {
    let mut checksums = ChecksumFile::open(directory, &file_request(), max_chunks).unwrap()?;
    let mut verified = VerifiedPrefix::default();
    // Records are read in pieces, here two at a time.
    while !checksums.verify(&mut verified, 2).unwrap() {}
    Some((checksums, verified))
}

fn verified(directory: &OwnedFd, max_chunks: u64) -> VerifiedPrefix {
    open(directory, max_chunks).unwrap().1
}

#[test]
fn reopened_file_knows_flushed_hashes() {
    let (_temp_dir, directory) = temp_directory();
    let mut checksums = create_filled(&directory, 5);
    checksums.push(&[7; 32]);
    drop(checksums);
    for (max_chunks, count) in [(NO_LIMIT, 5), (3, 3)] {
        let verified = verified(&directory, max_chunks);
        assert_eq!(
            (verified.chunk_count, verified.list_hasher.finish()),
            (u64::from(count), hash_chunk_list(&chunk_hashes(count)))
        );
    }
    assert_eq!(verified(&directory, NO_LIMIT).chunk_count, 3);
}

#[test]
fn power_cut_keeps_only_marked_hashes() {
    let (temp_dir, directory) = temp_directory();
    let mut checksums = create_filled(&directory, 5);
    checksums.mark_synced().unwrap();
    chunk_hashes(3).iter().for_each(|hash| checksums.push(hash));
    checksums.flush().unwrap();
    drop(checksums);
    assert_eq!(verified(&directory, NO_LIMIT).chunk_count, 8);
    simulate_reboot(temp_dir.path());
    let (mut checksums, verified_prefix) = open(&directory, NO_LIMIT).unwrap();
    assert_eq!(verified_prefix.chunk_count, 5);
    // Hashes that are added during the new boot are valid.
    checksums.push(&[1; 32]);
    checksums.flush().unwrap();
    drop(checksums);
    assert_eq!(verified(&directory, NO_LIMIT).chunk_count, 6);
    simulate_reboot(temp_dir.path());
    assert_eq!(verified(&directory, NO_LIMIT).chunk_count, 5);
}

#[test]
fn truncation_lowers_the_mark() {
    let (temp_dir, directory) = temp_directory();
    let mut checksums = create_filled(&directory, 5);
    checksums.mark_synced().unwrap();
    checksums.truncate_to(2).unwrap();
    assert_eq!(checksums.chunk_count(), 2);
    chunk_hashes(3).iter().for_each(|hash| checksums.push(hash));
    checksums.flush().unwrap();
    drop(checksums);
    simulate_reboot(temp_dir.path());
    assert_eq!(verified(&directory, NO_LIMIT).chunk_count, 2);
}

#[test]
fn damaged_file_yields_only_correct_hashes() {
    let (temp_dir, directory) = temp_directory();
    let mut checksums = create_filled(&directory, 4);
    checksums.mark_synced().unwrap();
    drop(checksums);
    let whole = fs::read(checksum_path(temp_dir.path())).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(checksum_path(temp_dir.path()), &bytes).unwrap();
        if let Some((_, verified)) = open(&directory, NO_LIMIT) {
            let count = verified.chunk_count as usize;
            assert!(
                count <= 4
                    && verified.list_hasher.finish() == hash_chunk_list(&chunk_hashes(4)[..count]),
                "{at}"
            );
        }
    }
    for length in 0..whole.len() {
        fs::write(checksum_path(temp_dir.path()), &whole[..length]).unwrap();
        if let Some((_, verified)) = open(&directory, NO_LIMIT) {
            assert_eq!(verified.chunk_count as usize, (length - 192) / 36);
        }
    }
}

#[test]
fn swapped_records_are_rejected() {
    let (temp_dir, directory) = temp_directory();
    drop(create_filled(&directory, 2));
    let mut bytes = fs::read(checksum_path(temp_dir.path())).unwrap();
    let (first, second) = bytes[192..].split_at_mut(36);
    first.swap_with_slice(second);
    fs::write(checksum_path(temp_dir.path()), &bytes).unwrap();
    assert_eq!(verified(&directory, NO_LIMIT).chunk_count, 0);
}
