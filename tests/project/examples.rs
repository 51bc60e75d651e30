//! Runs every example, and compares what it prints with what its own head comment says.
//!
//! The comment of an example has, below "It prints:", a block that begins with ```` ```text ````. Its lines are the
//! example's stdout; `...` in a line stands for what differs from run to run, and a line that is only `...` for
//! any number of lines.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{BINARY, Program, directory};

/// Finds the block of what an example prints in its source.
fn promised(source: &str) -> Option<Vec<&str>> {
    let comment = source.lines().take_while(|line| line.starts_with("//!"));
    let text = comment.map(|line| line[3..].strip_prefix(' ').unwrap_or(&line[3..]));
    let mut block =
        text.skip_while(|line| !line.contains("It prints:")).skip_while(|line| *line != "```text");
    block.next()?;
    Some(block.take_while(|line| *line != "```").collect())
}

/// Whether a line is as promised, where `...` is any text.
fn is_like(line: &str, promised: &str) -> bool {
    match promised.split_once("...") {
        None => line == promised,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(i, _)| i)
                .chain([rest.len()])
                .any(|i| is_like(&rest[i..], after))
        }),
    }
}

/// Whether all lines are as promised, where a line `...` is any lines.
fn are_like(lines: &[&str], promised: &[&str]) -> bool {
    match promised.split_first() {
        None => lines.is_empty(),
        Some((&"...", rest)) => (0..=lines.len()).any(|i| are_like(&lines[i..], rest)),
        Some((first, rest)) => match lines.split_first() {
            Some((line, lines)) => is_like(line, first) && are_like(lines, rest),
            None => false,
        },
    }
}

/// The examples, by their sources.
fn sources() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = std::fs::read_dir(&directory).expect("there are examples");
    let mut sources: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    sources.sort();
    sources
}

#[test]
fn every_example_prints_what_its_comment_says() {
    let sources = sources();
    assert!(!sources.is_empty(), "there is no example");
    for path in sources {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let source = std::fs::read_to_string(&path).unwrap();
        let promised = promised(&source)
            .unwrap_or_else(|| panic!("{name}.rs does not say what \"It prints:\""));
        let binary = Path::new(BINARY).with_file_name("examples").join(name);
        assert!(binary.exists(), "{} is not built: cargo build --examples", binary.display());
        let directory = directory();
        let ended = Program::start(Command::new(binary).current_dir(directory.path())).wait();
        assert_eq!(ended.code, 0, "{name}\n{ended:?}");
        let out = ended.out();
        let lines: Vec<&str> = out.lines().collect();
        assert!(
            are_like(&lines, &promised),
            "{name}: its comment says\n{}\n{ended:?}",
            promised.join("\n")
        );
    }
}

#[test]
fn three_dots_stand_for_what_differs() {
    assert!(is_like("listening on 127.0.0.1:4711", "listening on ..."));
    assert!(is_like("took 3 ms, 4 bytes", "took ... ms, ... bytes"));
    assert!(!is_like("took 3 s", "took ... ms"));
    assert!(are_like(&["a", "b", "c"], &["a", "...", "c"]));
    assert!(are_like(&["a", "c"], &["a", "...", "c"]));
    assert!(!are_like(&["a", "c", "d"], &["a", "...", "c"]));
    let source = "//! This example shows it.\n//!\n//! It prints:\n//!\n//! ```text\n//! one\n//!  two\n//! ```\n\nfn main() {}\n";
    assert_eq!(promised(source), Some(vec!["one", " two"]));
}
