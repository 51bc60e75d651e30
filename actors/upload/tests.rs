//! Uploads, without the actors around them.

use super::*;

fn transfer(dir: &Path) -> Transfer {
    Transfer::new(Arc::new(Directory::new(dir.into(), 0)))
}

#[test]
fn smoke() {
    let dir = tempfile::tempdir().unwrap();
    let transfer = transfer(dir.path());
    transfer.write(b"one ");
    transfer.write(b"two");
    assert_eq!(transfer.part().as_deref(), Some("output0.txt.part"));
    let stored = transfer.finish(7).unwrap();
    assert_eq!((stored.name.as_str(), stored.bytes), ("output0.txt", 7));
    assert_eq!(stored.blake3, blake3::hash(b"one two").to_hex().as_str());
    assert_eq!(fs::read(dir.path().join("output0.txt")).unwrap(), b"one two");
}

#[test]
fn a_file_that_is_there_is_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("output0.txt"), "mine").unwrap();
    let transfer = transfer(dir.path());
    transfer.write(b"x");
    // Somebody takes the next name while the upload is under way.
    fs::write(dir.path().join("output1.txt"), "mine too").unwrap();
    assert_eq!(transfer.finish(1).unwrap().name, "output2.txt");
    assert_eq!(fs::read(dir.path().join("output0.txt")).unwrap(), b"mine");
    assert_eq!(fs::read(dir.path().join("output1.txt")).unwrap(), b"mine too");
}

#[test]
fn a_lost_chunk_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let transfer = transfer(dir.path());
    transfer.write(b"abc");
    let error = transfer.finish(5).unwrap_err();
    assert!(matches!(error, StoreError::Incomplete { missing: 2, .. }), "{error}");
    assert!(!dir.path().join("output0.txt").exists());
}

#[test]
fn space_that_is_to_stay_free_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Arc::new(Directory::new(dir.path().into(), u64::MAX));
    let first = Transfer::new(directory.clone());
    first.write(b"abc");
    assert!(first.has_failed());
    assert!(matches!(first.finish(3), Err(StoreError::Full { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_that_vanished_fails_the_upload_and_keeps_the_number() {
    let dir = tempfile::tempdir().unwrap();
    let directory = Arc::new(Directory::new(dir.path().join("gone"), 0));
    let first = Transfer::new(directory.clone());
    first.write(b"abc");
    assert!(matches!(first.finish(3), Err(StoreError::Io(_))));
    fs::create_dir(dir.path().join("gone")).unwrap();
    let second = Transfer::new(directory);
    second.write(b"abc");
    assert_eq!(second.finish(3).unwrap().name, "output0.txt");
}
