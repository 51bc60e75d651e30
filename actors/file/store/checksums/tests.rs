//! The sums, and what a power cut makes of them.

use std::fs;
use std::path::Path;

use rustix::fs::{CWD, Mode, openat};
use tempfile::TempDir;

use crate::actors::file::store::checksums::*;
use crate::wire::file::digest::hash_chunk_list;
use crate::wire::file::filename::SafeName;

const MANY: u64 = u64::MAX;

fn wanted() -> Wanted {
    let name = SafeName::parse(b"file").unwrap();
    Wanted { name, size: Some(1 << 30), mode: 0, modified: (1, 2) }
}

fn place() -> (TempDir, OwnedFd) {
    let place = tempfile::tempdir().unwrap();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let directory = openat(CWD, place.path(), flags, Mode::empty()).unwrap();
    (place, directory)
}

fn of(place: &Path) -> std::path::PathBuf {
    place.join(".file.sums")
}

/// Makes it look as if the machine was started again since.
fn reboot(place: &Path) {
    let file = fs::File::options().read(true).write(true).open(of(place)).unwrap();
    for at in [64, 128] {
        let mut bytes = [0; 64];
        file.read_exact_at(&mut bytes, at).unwrap();
        if let Some(mark) = Mark::of(&bytes) {
            file.write_all_at(&Mark { boot: [9; 16], ..mark }.bytes(), at).unwrap();
        }
    }
}

fn values(count: u8) -> Vec<ChunkHash> {
    (0..count).map(|k| [k; 32]).collect()
}

fn filled(directory: &OwnedFd, count: u8) -> Sums {
    let mut sums = Sums::create(directory, &wanted()).unwrap();
    values(count).iter().for_each(|value| sums.add(value));
    sums.flush().unwrap();
    sums
}

#[test]
fn what_was_added_and_flushed_is_known_again() {
    let (_place, directory) = place();
    let mut sums = filled(&directory, 5);
    sums.add(&[7; 32]);
    drop(sums);
    let (_, known) = Sums::open(&directory, &wanted(), MANY).unwrap().unwrap();
    assert_eq!((known.count, known.values.finish()), (5, hash_chunk_list(&values(5))));
    let (_, known) = Sums::open(&directory, &wanted(), 3).unwrap().unwrap();
    assert_eq!((known.count, known.values.finish()), (3, hash_chunk_list(&values(3))));
    assert_eq!(Sums::open(&directory, &wanted(), MANY).unwrap().unwrap().1.count, 3);
}

#[test]
fn after_a_power_cut_only_what_was_marked_is_known() {
    let (place, directory) = place();
    let mut sums = filled(&directory, 5);
    sums.mark().unwrap();
    values(3).iter().for_each(|value| sums.add(value));
    sums.flush().unwrap();
    drop(sums);
    assert_eq!(Sums::open(&directory, &wanted(), MANY).unwrap().unwrap().1.count, 8);
    reboot(place.path());
    let (mut sums, known) = Sums::open(&directory, &wanted(), MANY).unwrap().unwrap();
    assert_eq!(known.count, 5);
    // In this boot what is added counts again.
    sums.add(&[1; 32]);
    sums.flush().unwrap();
    drop(sums);
    assert_eq!(Sums::open(&directory, &wanted(), MANY).unwrap().unwrap().1.count, 6);
    reboot(place.path());
    assert_eq!(Sums::open(&directory, &wanted(), MANY).unwrap().unwrap().1.count, 5);
}

#[test]
fn going_back_lowers_the_mark_too() {
    let (place, directory) = place();
    let mut sums = filled(&directory, 5);
    sums.mark().unwrap();
    assert_eq!(sums.keep(2).unwrap().count, 2);
    values(3).iter().for_each(|value| sums.add(value));
    sums.flush().unwrap();
    drop(sums);
    reboot(place.path());
    assert_eq!(Sums::open(&directory, &wanted(), MANY).unwrap().unwrap().1.count, 2);
}

#[test]
fn any_changed_byte_costs_chunks_and_never_makes_one_up() {
    let (place, directory) = place();
    let mut sums = filled(&directory, 4);
    sums.mark().unwrap();
    drop(sums);
    let whole = fs::read(of(place.path())).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(of(place.path()), &bytes).unwrap();
        if let Some((_, known)) = Sums::open(&directory, &wanted(), MANY).unwrap() {
            let count = known.count as usize;
            assert!(
                count <= 4 && known.values.finish() == hash_chunk_list(&values(4)[..count]),
                "{at}"
            );
        }
    }
    for length in 0..whole.len() {
        fs::write(of(place.path()), &whole[..length]).unwrap();
        if let Some((_, known)) = Sums::open(&directory, &wanted(), MANY).unwrap() {
            assert_eq!(known.count as usize, (length - 192) / 36);
        }
    }
}

#[test]
fn two_records_that_change_places_are_found() {
    let (place, directory) = place();
    drop(filled(&directory, 2));
    let mut bytes = fs::read(of(place.path())).unwrap();
    let (first, second) = bytes[192..].split_at_mut(36);
    first.swap_with_slice(second);
    fs::write(of(place.path()), &bytes).unwrap();
    assert_eq!(Sums::open(&directory, &wanted(), MANY).unwrap().unwrap().1.count, 0);
}
