//! Runs every example, and compares its output with the comment at its top.
//!
//! Below "It prints:" the comment has a block that begins with ```` ```text ````. Its lines are the
//! stdout of the example. `...` in a line stands for any text, and a line `...` for any lines.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{BINARY, Program, directory};

/// Returns the expected output in the source of an example.
fn expected_output(source: &str) -> Option<Vec<&str>> {
    let comment = source.lines().take_while(|line| line.starts_with("//!"));
    let text = comment.map(|line| line[3..].strip_prefix(' ').unwrap_or(&line[3..]));
    let mut block =
        text.skip_while(|line| !line.contains("It prints:")).skip_while(|line| *line != "```text");
    block.next()?;
    Some(block.take_while(|line| *line != "```").collect())
}

/// Reports whether a line matches a pattern, in which `...` is any text.
fn line_matches(line: &str, pattern: &str) -> bool {
    match pattern.split_once("...") {
        None => line == pattern,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(i, _)| i)
                .chain([rest.len()])
                .any(|i| line_matches(&rest[i..], after))
        }),
    }
}

/// Reports whether lines match patterns. A pattern `...` is any number of lines.
fn lines_match(lines: &[&str], patterns: &[&str]) -> bool {
    match patterns.split_first() {
        None => lines.is_empty(),
        Some((&"...", rest)) => (0..=lines.len()).any(|i| lines_match(&lines[i..], rest)),
        Some((first, rest)) => match lines.split_first() {
            Some((line, lines)) => line_matches(line, first) && lines_match(lines, rest),
            None => false,
        },
    }
}

/// Returns the paths of the examples.
fn sources() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let entries = std::fs::read_dir(&directory).expect("the directory of the examples is readable");
    let mut sources: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    sources.sort();
    sources
}

#[test]
fn examples_print_the_documented_output() {
    let sources = sources();
    assert!(!sources.is_empty(), "found no example");
    for path in sources {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let source = std::fs::read_to_string(&path).unwrap();
        let expected = expected_output(&source)
            .unwrap_or_else(|| panic!("{name}.rs has no block below \"It prints:\""));
        let binary = Path::new(BINARY).with_file_name("examples").join(name);
        assert!(binary.exists(), "{} is missing: run cargo build --examples", binary.display());
        let directory = directory();
        let ended = Program::start(Command::new(binary).current_dir(directory.path())).wait();
        assert_eq!(ended.code, 0, "{name}\n{ended:?}");
        let out = ended.out();
        let lines: Vec<&str> = out.lines().collect();
        assert!(
            lines_match(&lines, &expected),
            "{name} should print\n{}\n{ended:?}",
            expected.join("\n")
        );
    }
}

#[test]
fn three_dots_match_any_text_or_lines() {
    assert!(line_matches("listening on 127.0.0.1:4711", "listening on ..."));
    assert!(line_matches("took 3 ms, 4 bytes", "took ... ms, ... bytes"));
    assert!(!line_matches("took 3 s", "took ... ms"));
    assert!(lines_match(&["a", "b", "c"], &["a", "...", "c"]));
    assert!(lines_match(&["a", "c"], &["a", "...", "c"]));
    assert!(!lines_match(&["a", "c", "d"], &["a", "...", "c"]));
    let source = "//! An example.\n//!\n//! It prints:\n//!\n//! ```text\n//! one\n//!  two\n\
                  //! ```\n\nfn main() {}\n";
    assert_eq!(expected_output(source), Some(vec!["one", " two"]));
}
