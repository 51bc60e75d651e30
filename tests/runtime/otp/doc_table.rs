//! Compares the table of `docs/otp.md` with the tests here.

use std::collections::BTreeSet;
use std::fs;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The suite's cases with their state in the table.
fn rows(text: &str) -> Vec<(&str, &str)> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let (case, rest) = row.split_once("` | ").expect("a case and what is said of it");
        (case, rest.split_once(" |").expect("a second column").0)
    })
    .collect()
}

/// Returns the names of the tests in the sources beside this one.
fn tests() -> BTreeSet<String> {
    let folder = fs::read_dir(format!("{ROOT}/tests/runtime/otp")).unwrap();
    let files = folder.map(|entry| entry.unwrap().path());
    let mut tests = BTreeSet::new();
    for file in files.filter(|file| !file.ends_with("doc_table.rs")) {
        let source = fs::read_to_string(file).unwrap();
        for test in source.split("#[test]\nfn ").skip(1) {
            let name = test.split_once("()").expect("a test has no arguments").0;
            assert!(tests.insert(name.to_owned()), "{name} is there twice");
        }
    }
    tests
}

#[test]
fn the_table_has_each_case_once_and_each_one_that_is_held_has_a_test_of_its_name() {
    let text = fs::read_to_string(format!("{ROOT}/docs/otp.md")).unwrap();
    let rows = rows(&text);
    assert_eq!(rows.len(), 93, "the cases of the suite");
    let cases: BTreeSet<_> = rows.iter().map(|(case, _)| *case).collect();
    assert_eq!(cases.len(), rows.len(), "a case is there twice");
    assert!(rows.iter().all(|(_, state)| ["held", "not applicable"].contains(state)), "{rows:?}");
    let held: BTreeSet<_> = rows.iter().filter(|(_, state)| *state == "held").collect();
    let held: BTreeSet<_> = held.into_iter().map(|(case, _)| (*case).to_owned()).collect();
    assert_eq!(held, tests(), "what is said to be held, and what is tested");
    let counts = format!("{} of them apply here", held.len());
    assert!(text.contains(&counts), "the text counts as the table does: {counts}");
}
