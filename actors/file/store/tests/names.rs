//! What names lead to, and what is at them already.

use std::os::unix::fs::symlink;

use crate::actors::file::store::tests::*;

#[test]
fn a_name_that_is_taken_is_dealt_with_as_asked() {
    use OnConflict::{Fail, Overwrite, Rename, Skip};
    for on_conflict in [Fail, Rename, Overwrite, Skip] {
        let (directory, vault) = vault(on_conflict);
        fs::write(directory.path().join("a.txt"), "mine").unwrap();
        let claimed = vault.claim(&wanted("a.txt", 3));
        let read = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        match on_conflict {
            Fail => assert!(matches!(claimed, Err(VaultError::Exists { .. }))),
            Skip => assert!(matches!(claimed, Err(VaultError::Skipped { .. }))),
            Rename | Overwrite => {
                let Ok(Claimed::Part(mut part)) = claimed else { panic!("{claimed:?}") };
                part.begin(0).unwrap();
                part.write(b"new").unwrap();
                let name = part.commit().unwrap();
                let expected = if on_conflict == Rename { "a-1.txt" } else { "a.txt" };
                assert_eq!((name.as_str(), read(expected).as_str()), (expected, "new"));
            }
        }
        if on_conflict != Overwrite {
            assert_eq!(read("a.txt"), "mine");
        }
        let left: Vec<_> = names(directory.path());
        assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
    }
}

#[test]
fn a_name_that_is_taken_meanwhile_is_not_replaced() {
    for (on_conflict, stored) in [(OnConflict::Fail, None), (OnConflict::Rename, Some("a-1"))] {
        let (directory, vault) = vault(on_conflict);
        let mut part = claim(&vault, &wanted("a", 3));
        part.begin(0).unwrap();
        part.write(b"new").unwrap();
        fs::write(directory.path().join("a"), "mine").unwrap();
        assert_eq!(part.commit().ok().as_deref(), stored);
        assert_eq!(fs::read(directory.path().join("a")).unwrap(), b"mine");
        assert!(names(directory.path()).iter().all(|name| !name.starts_with('.')));
    }
}

#[test]
fn nothing_is_followed_and_nothing_that_is_not_ours_is_written_to() {
    let (directory, vault) = vault(OnConflict::Overwrite);
    let elsewhere = tempfile::tempdir().unwrap();
    let secret = elsewhere.path().join("secret");
    fs::write(&secret, "secret").unwrap();
    symlink(elsewhere.path(), directory.path().join("dir")).unwrap();
    assert!(matches!(vault.claim(&wanted("dir/file", 1)), Err(VaultError::Name(_))));
    assert!(vault.make_directory(&SafeName::parse(b"dir/new").unwrap(), 0o755).is_err());
    assert_eq!(names(elsewhere.path()), ["secret"]);
    symlink(&secret, directory.path().join("link")).unwrap();
    assert!(matches!(vault.claim(&wanted("link", 1)), Err(VaultError::Exists { .. })));
    // What lies at the hidden names is no part of ours.
    symlink(&secret, directory.path().join(".a.part")).unwrap();
    fs::hard_link(&secret, directory.path().join(".b.part")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, directory.path().join(".c.part"), Mode::RWXU).unwrap();
    symlink(&secret, directory.path().join(".d.sums")).unwrap();
    for name in ["a", "b", "c", "d"] {
        let mut part = claim(&vault, &wanted(name, 3));
        part.begin(0).unwrap();
        part.write(b"new").unwrap();
        part.commit().unwrap();
        assert_eq!(fs::read(directory.path().join(name)).unwrap(), b"new");
    }
    assert_eq!(fs::read(secret).unwrap(), b"secret");
}

#[test]
fn numbers_are_taken_in_turn_and_a_name_that_is_taken_is_left() {
    let (directory, vault) = vault(OnConflict::Fail);
    fs::write(directory.path().join("output0.txt"), "mine").unwrap();
    let mut first = vault.claim_number().unwrap();
    let second = vault.claim_number().unwrap();
    assert_eq!(first.hidden_name(), ".output1.txt.part");
    assert_eq!(second.hidden_name(), ".output2.txt.part");
    first.write(b"x").unwrap();
    fs::write(directory.path().join("output1.txt"), "mine too").unwrap();
    assert_eq!(first.commit().unwrap(), "output3.txt");
    second.pause();
    assert_eq!(names(directory.path()), ["output0.txt", "output1.txt", "output3.txt"]);
}
