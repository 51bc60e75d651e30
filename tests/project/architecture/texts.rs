//! The rules about text: the width of lines, and wording.

use super::source::{is_word, line_of, read_files};

/// The most columns that a line of source or Markdown may have.
pub const MAX_COLUMNS: usize = 100;

/// Words that no text uses, because they hide the subject or the limit of a sentence.
const BANNED: [&str; 4] = ["whoever", "somebody", "so many", "as many as may be"];

/// Words that no summary of a doc comment begins with.
const BANNED_OPENINGS: [&str; 5] = ["Has ", "What ", "Who ", "How far", "So many"];

/// The files with rules about text.
pub const WIDTH_CHECKED: [&str; 10] = [
    "src",
    "actors",
    "tests",
    "benches",
    "examples",
    "fuzz",
    "docs",
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
];
pub const WORDING_CHECKED: [&str; 8] =
    ["src", "actors", "tests", "benches", "examples", "docs", "README.md", "CHANGELOG.md"];

/// Reads Rust and Markdown files.
pub fn read(directories: &[&str]) -> Vec<(String, String)> {
    read_files(directories, &["rs", "md"])
}

/// Returns a fault for each line over 100 columns. Tables and lines with a URL may be longer.
pub fn width((path, text): &(String, String)) -> Vec<String> {
    let is_table = |line: &str| {
        let comment = ["//!", "///"].iter().find_map(|marker| line.strip_prefix(marker));
        comment.unwrap_or(line).trim_start().starts_with('|')
    };
    let mut faults = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let columns = line.chars().count();
        if columns > MAX_COLUMNS && !line.contains("://") && !is_table(line.trim_start()) {
            faults.push(format!("{path}:{}: {columns} columns", number + 1));
        }
    }
    faults
}

/// Returns a fault for each banned word, also where a phrase continues on the next line.
///
/// The files of this test have to name the words, so they are not checked for them.
pub fn wording((path, text): &(String, String)) -> Vec<String> {
    let mut faults = Vec::new();
    let mut is_doc = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_start();
        let comment = ["//! ", "/// "].iter().find_map(|marker| line.strip_prefix(marker));
        let opening = comment.filter(|_| !is_doc && path.ends_with(".rs")).and_then(|summary| {
            BANNED_OPENINGS.iter().find(|opening| summary.starts_with(**opening))
        });
        if let Some(opening) = opening {
            let number = number + 1;
            faults.push(format!("{path}:{number}: the summary begins with {:?}", opening.trim()));
        }
        is_doc = line.starts_with("//!") || line.starts_with("///");
    }
    if path.starts_with("tests/project/architecture/") {
        return faults;
    }
    let (flat, offsets) = flatten(text);
    for word in BANNED {
        for (at, _) in flat.match_indices(word) {
            let before = flat[..at].bytes().next_back();
            let after = flat[at + word.len()..].bytes().next();
            if !before.is_some_and(is_word) && !after.is_some_and(is_word) {
                faults.push(format!("{path}:{}: {word:?}", line_of(text, offsets[at])));
            }
        }
    }
    faults
}

/// Joins the lines of a text in lower case, without indentation and comment markers.
///
/// Returns with it the offset in the text of each byte.
fn flatten(text: &str) -> (String, Vec<usize>) {
    let (mut flat, mut offsets) = (Vec::new(), Vec::new());
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let skipped = line.len() - line.trim_start_matches(['/', '!', ' ']).len();
        for (at, byte) in line.bytes().enumerate().skip(skipped) {
            flat.push(if byte == b'\n' { b' ' } else { byte.to_ascii_lowercase() });
            offsets.push(start + at);
        }
        start += line.len();
    }
    (String::from_utf8(flat).unwrap(), offsets)
}
