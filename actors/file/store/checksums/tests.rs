//! The sums, and what a power cut makes of them.

use std::fs;
use std::path::Path;

use rustix::fs::{CWD, Mode, openat};
use tempfile::TempDir;

use crate::actors::file::store::checksums::*;
use crate::wire::file::digest::hash_chunk_list;
use crate::wire::file::filename::SafeName;

const NO_LIMIT: u64 = u64::MAX;

fn file_request() -> FileRequest {
    let name = SafeName::parse(b"file").unwrap();
    FileRequest { name, size: Some(1 << 30), mode: 0, modified: (1, 2) }
}

fn temp_directory() -> (TempDir, OwnedFd) {
    let place = tempfile::tempdir().unwrap();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let directory = openat(CWD, place.path(), flags, Mode::empty()).unwrap();
    (place, directory)
}

fn checksum_path(place: &Path) -> std::path::PathBuf {
    place.join(".file.sums")
}

/// Makes it look as if the machine was started again since.
fn simulate_reboot(place: &Path) {
    let file = fs::File::options().read(true).write(true).open(checksum_path(place)).unwrap();
    for at in [64, 128] {
        let mut bytes = [0; 64];
        file.read_exact_at(&mut bytes, at).unwrap();
        if let Some(mark) = SyncMark::from_bytes(&bytes) {
            file.write_all_at(&SyncMark { boot_id: [9; 16], ..mark }.to_bytes(), at).unwrap();
        }
    }
}

fn chunk_hashes(count: u8) -> Vec<ChunkHash> {
    (0..count).map(|k| [k; 32]).collect()
}

fn create_filled(directory: &OwnedFd, count: u8) -> ChecksumFile {
    let mut sums = ChecksumFile::create(directory, &file_request()).unwrap();
    chunk_hashes(count).iter().for_each(|value| sums.push(value));
    sums.flush().unwrap();
    sums
}

#[test]
fn what_was_added_and_flushed_is_known_again() {
    let (_place, directory) = temp_directory();
    let mut sums = create_filled(&directory, 5);
    sums.push(&[7; 32]);
    drop(sums);
    let (_, known) = ChecksumFile::open(&directory, &file_request(), NO_LIMIT).unwrap().unwrap();
    assert_eq!(
        (known.chunk_count, known.list_hasher.finish()),
        (5, hash_chunk_list(&chunk_hashes(5)))
    );
    let (_, known) = ChecksumFile::open(&directory, &file_request(), 3).unwrap().unwrap();
    assert_eq!(
        (known.chunk_count, known.list_hasher.finish()),
        (3, hash_chunk_list(&chunk_hashes(3)))
    );
    assert_eq!(
        ChecksumFile::open(&directory, &file_request(), NO_LIMIT).unwrap().unwrap().1.chunk_count,
        3
    );
}

#[test]
fn after_a_power_cut_only_what_was_marked_is_known() {
    let (place, directory) = temp_directory();
    let mut sums = create_filled(&directory, 5);
    sums.mark_synced().unwrap();
    chunk_hashes(3).iter().for_each(|value| sums.push(value));
    sums.flush().unwrap();
    drop(sums);
    assert_eq!(
        ChecksumFile::open(&directory, &file_request(), NO_LIMIT).unwrap().unwrap().1.chunk_count,
        8
    );
    simulate_reboot(place.path());
    let (mut sums, known) =
        ChecksumFile::open(&directory, &file_request(), NO_LIMIT).unwrap().unwrap();
    assert_eq!(known.chunk_count, 5);
    // In this boot what is added counts again.
    sums.push(&[1; 32]);
    sums.flush().unwrap();
    drop(sums);
    assert_eq!(
        ChecksumFile::open(&directory, &file_request(), NO_LIMIT).unwrap().unwrap().1.chunk_count,
        6
    );
    simulate_reboot(place.path());
    assert_eq!(
        ChecksumFile::open(&directory, &file_request(), NO_LIMIT).unwrap().unwrap().1.chunk_count,
        5
    );
}

#[test]
fn going_back_lowers_the_mark_too() {
    let (place, directory) = temp_directory();
    let mut sums = create_filled(&directory, 5);
    sums.mark_synced().unwrap();
    assert_eq!(sums.truncate_to(2).unwrap().chunk_count, 2);
    chunk_hashes(3).iter().for_each(|value| sums.push(value));
    sums.flush().unwrap();
    drop(sums);
    simulate_reboot(place.path());
    assert_eq!(
        ChecksumFile::open(&directory, &file_request(), NO_LIMIT).unwrap().unwrap().1.chunk_count,
        2
    );
}

#[test]
fn any_changed_byte_costs_chunks_and_never_makes_one_up() {
    let (place, directory) = temp_directory();
    let mut sums = create_filled(&directory, 4);
    sums.mark_synced().unwrap();
    drop(sums);
    let whole = fs::read(checksum_path(place.path())).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(checksum_path(place.path()), &bytes).unwrap();
        if let Some((_, known)) = ChecksumFile::open(&directory, &file_request(), NO_LIMIT).unwrap()
        {
            let count = known.chunk_count as usize;
            assert!(
                count <= 4
                    && known.list_hasher.finish() == hash_chunk_list(&chunk_hashes(4)[..count]),
                "{at}"
            );
        }
    }
    for length in 0..whole.len() {
        fs::write(checksum_path(place.path()), &whole[..length]).unwrap();
        if let Some((_, known)) = ChecksumFile::open(&directory, &file_request(), NO_LIMIT).unwrap()
        {
            assert_eq!(known.chunk_count as usize, (length - 192) / 36);
        }
    }
}

#[test]
fn two_records_that_change_places_are_found() {
    let (place, directory) = temp_directory();
    drop(create_filled(&directory, 2));
    let mut bytes = fs::read(checksum_path(place.path())).unwrap();
    let (first, second) = bytes[192..].split_at_mut(36);
    first.swap_with_slice(second);
    fs::write(checksum_path(place.path()), &bytes).unwrap();
    assert_eq!(
        ChecksumFile::open(&directory, &file_request(), NO_LIMIT).unwrap().unwrap().1.chunk_count,
        0
    );
}
