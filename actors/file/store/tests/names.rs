//! Tests of taken names, links and numbered files.

use std::os::unix::fs::symlink;

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::actors::file::store::tests::*;

#[test]
fn taken_name_follows_conflict_policy() {
    use OnConflict::{Fail, Overwrite, Rename, Skip};
    for on_conflict in [Fail, Rename, Overwrite, Skip] {
        let (directory, store) = new_store(on_conflict);
        fs::write(directory.path().join("a.txt"), "mine").unwrap();
        let created = store.create(&file_request("a.txt", 3));
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        match on_conflict {
            Fail => assert!(matches!(created, Err(StoreError::Exists { .. }))),
            Skip => assert!(matches!(created, Err(StoreError::Skipped { .. }))),
            Rename | Overwrite => {
                let mut partial = created.unwrap();
                partial.start_at(0).unwrap();
                partial.write(b"new").unwrap();
                let name = partial.commit().unwrap();
                let expected = if on_conflict == Rename { "a-1.txt" } else { "a.txt" };
                assert_eq!((name.as_str(), read(expected).as_str()), (expected, "new"));
            }
        }
        if on_conflict != Overwrite {
            assert_eq!(read("a.txt"), "mine");
        }
        let left: Vec<_> = list_names(directory.path());
        assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
    }
}

#[test]
fn name_taken_during_upload_is_not_replaced() {
    for (on_conflict, stored) in [(OnConflict::Fail, None), (OnConflict::Rename, Some("a-1"))] {
        let (directory, store) = new_store(on_conflict);
        let mut partial = create_partial(&store, &file_request("a", 3));
        partial.start_at(0).unwrap();
        partial.write(b"new").unwrap();
        fs::write(directory.path().join("a"), "mine").unwrap();
        assert_eq!(partial.commit().ok().as_deref(), stored);
        assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"mine");
        assert!(list_names(directory.path()).iter().all(|name| !name.starts_with('.')));
    }
}

#[test]
fn links_are_neither_followed_nor_written() {
    let (directory, store) = new_store(OnConflict::Overwrite);
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = elsewhere.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    symlink(elsewhere.path(), directory.path().join("dir")).unwrap();
    assert!(matches!(store.create(&file_request("dir/file", 1)), Err(StoreError::InvalidName(_))));
    assert!(store.create_dir_all(&SafeName::parse(b"dir/new").unwrap(), 0o755).is_err());
    assert_eq!(list_names(elsewhere.path()), ["secret"]);
    symlink(&secret, directory.path().join("link")).unwrap();
    assert!(matches!(store.create(&file_request("link", 1)), Err(StoreError::Exists { .. })));
    // Files of another process at the hidden names are not partial files of ours.
    symlink(&secret, directory.path().join(".a.part")).unwrap();
    fs::hard_link(&secret, directory.path().join(".b.part")).unwrap();
    mkfifoat(CWD, directory.path().join(".c.part"), Mode::RWXU).unwrap();
    symlink(&secret, directory.path().join(".d.sums")).unwrap();
    for name in ["a", "b", "c", "d"] {
        let mut partial = create_partial(&store, &file_request(name, 3));
        partial.start_at(0).unwrap();
        partial.write(b"new").unwrap();
        partial.commit().unwrap();
        assert_eq!(fs::read(directory.path().join(name)).unwrap(), b"new");
    }
    assert_eq!(fs::read(secret).unwrap(), b"secret");
}

#[test]
fn numbered_files_skip_taken_names() {
    let (directory, store) = new_store(OnConflict::Fail);
    fs::write(directory.path().join("output0.txt"), "mine").unwrap();
    let mut first = store.create_numbered().unwrap();
    let second = store.create_numbered().unwrap();
    assert_eq!(first.temp_name(), ".output1.txt.part");
    assert_eq!(second.temp_name(), ".output2.txt.part");
    first.write(b"x").unwrap();
    fs::write(directory.path().join("output1.txt"), "mine too").unwrap();
    assert_eq!(first.commit().unwrap(), "output3.txt");
    second.suspend();
    assert_eq!(list_names(directory.path()), ["output0.txt", "output1.txt", "output3.txt"]);
}
