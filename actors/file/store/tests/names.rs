//! What names lead to, and what is at them already.

use std::os::unix::fs::symlink;

use crate::actors::file::store::tests::*;

#[test]
fn a_name_that_is_taken_is_dealt_with_as_asked() {
    use OnConflict::{Fail, Overwrite, Rename, Skip};
    for on_conflict in [Fail, Rename, Overwrite, Skip] {
        let (directory, vault) = new_store(on_conflict);
        fs::write(directory.path().join("a.txt"), "mine").unwrap();
        let claimed = vault.create(&file_request("a.txt", 3));
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        match on_conflict {
            Fail => assert!(matches!(claimed, Err(StoreError::Exists { .. }))),
            Skip => assert!(matches!(claimed, Err(StoreError::Skipped { .. }))),
            Rename | Overwrite => {
                let Ok(CreateOutcome::Partial(mut part)) = claimed else { panic!("{claimed:?}") };
                part.start_at(0).unwrap();
                part.write(b"new").unwrap();
                let name = part.commit().unwrap();
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
fn a_name_that_is_taken_meanwhile_is_not_replaced() {
    for (on_conflict, stored) in [(OnConflict::Fail, None), (OnConflict::Rename, Some("a-1"))] {
        let (directory, vault) = new_store(on_conflict);
        let mut part = create_partial(&vault, &file_request("a", 3));
        part.start_at(0).unwrap();
        part.write(b"new").unwrap();
        fs::write(directory.path().join("a"), "mine").unwrap();
        assert_eq!(part.commit().ok().as_deref(), stored);
        assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"mine");
        assert!(list_names(directory.path()).iter().all(|name| !name.starts_with('.')));
    }
}

#[test]
fn nothing_is_followed_and_nothing_that_is_not_ours_is_written_to() {
    let (directory, vault) = new_store(OnConflict::Overwrite);
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = elsewhere.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    symlink(elsewhere.path(), directory.path().join("dir")).unwrap();
    assert!(matches!(vault.create(&file_request("dir/file", 1)), Err(StoreError::InvalidName(_))));
    assert!(vault.create_dir_all(&SafeName::parse(b"dir/new").unwrap(), 0o755).is_err());
    assert_eq!(list_names(elsewhere.path()), ["secret"]);
    symlink(&secret, directory.path().join("link")).unwrap();
    assert!(matches!(vault.create(&file_request("link", 1)), Err(StoreError::Exists { .. })));
    // What lies at the hidden names is no part of ours.
    symlink(&secret, directory.path().join(".a.part")).unwrap();
    fs::hard_link(&secret, directory.path().join(".b.part")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, directory.path().join(".c.part"), Mode::RWXU).unwrap();
    symlink(&secret, directory.path().join(".d.sums")).unwrap();
    for name in ["a", "b", "c", "d"] {
        let mut part = create_partial(&vault, &file_request(name, 3));
        part.start_at(0).unwrap();
        part.write(b"new").unwrap();
        part.commit().unwrap();
        assert_eq!(fs::read(directory.path().join(name)).unwrap(), b"new");
    }
    assert_eq!(fs::read(secret).unwrap(), b"secret");
}

#[test]
fn numbers_are_taken_in_turn_and_a_name_that_is_taken_is_left() {
    let (directory, vault) = new_store(OnConflict::Fail);
    fs::write(directory.path().join("output0.txt"), "mine").unwrap();
    let mut first = vault.create_numbered().unwrap();
    let second = vault.create_numbered().unwrap();
    assert_eq!(first.temp_name(), ".output1.txt.part");
    assert_eq!(second.temp_name(), ".output2.txt.part");
    first.write(b"x").unwrap();
    fs::write(directory.path().join("output1.txt"), "mine too").unwrap();
    assert_eq!(first.commit().unwrap(), "output3.txt");
    second.suspend();
    assert_eq!(list_names(directory.path()), ["output0.txt", "output1.txt", "output3.txt"]);
}
