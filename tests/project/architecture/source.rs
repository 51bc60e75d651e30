//! Rust source as the rules look at it: without comments, doc examples and the contents of literals.

use std::fs;
use std::path::Path;

/// A source file, by its path from the package's root.
pub struct Source {
    pub path: String,
    pub text: String,
    /// The text with comments and literals blanked, and unit tests too; its lines are those of `text`.
    pub code: String,
    /// The code with its inline unit tests.
    pub with_tests: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let with_tests = blank(text);
        let code = match path.ends_with("/tests.rs") {
            true => String::new(),
            false => without_tests(&with_tests),
        };
        Source { path: path.to_owned(), text: text.to_owned(), code, with_tests }
    }

    /// Reads every source file below these directories of the package.
    pub fn all(directories: &[&str]) -> Vec<Source> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        let mut left: Vec<_> = directories.iter().map(|name| root.join(name)).collect();
        while let Some(directory) = left.pop() {
            for entry in fs::read_dir(&directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() && !path.ends_with("target") {
                    left.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                    files.push(Source::new(name, &fs::read_to_string(&path).unwrap()));
                }
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        files
    }

    pub fn is_in(&self, directories: &[&str]) -> bool {
        directories.iter().any(|directory| self.path.starts_with(directory))
    }
}

/// The number of the line that holds this place.
pub fn line_of(text: &str, place: usize) -> usize {
    text[..place].matches('\n').count() + 1
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Finds a word or path where it stands for itself, not as a part of a longer name.
pub fn find_all<'a>(code: &'a str, wanted: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(wanted).map(|(place, _)| place).filter(move |place| {
        let before = code[..*place].bytes().next_back();
        let after = code[place + wanted.len()..].bytes().next();
        let ends_in_word = wanted.bytes().next_back().is_some_and(is_word);
        !(before.is_some_and(is_word) || ends_in_word && after.is_some_and(is_word))
    })
}

/// The first names of the paths that go on from here: one, or those of a group in braces.
pub fn names(code: &str) -> Vec<&str> {
    let word = |text: &str| text.bytes().take_while(|byte| is_word(*byte)).count();
    let Some(group) = code.strip_prefix('{') else {
        return vec![&code[..word(code)]];
    };
    let (mut depth, mut found, mut expected) = (0, Vec::new(), true);
    for (place, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            b',' if depth == 0 => expected = true,
            _ if expected && is_word(byte) => {
                found.push(&group[place..place + word(&group[place..])]);
                expected = false;
            }
            _ => {}
        }
    }
    found
}

/// How many inline modules enclose a place.
pub fn inline_modules(code: &str, place: usize) -> usize {
    let (mut open, mut start) = (Vec::new(), 0);
    for (at, byte) in code[..place].bytes().enumerate() {
        match byte {
            b'{' => open.push(code[start..at].split_whitespace().rev().nth(1) == Some("mod")),
            b'}' => drop(open.pop()),
            b';' => {}
            _ => continue,
        }
        start = at + 1;
    }
    open.iter().filter(|is_module| **is_module).count()
}

/// Blanks the inline modules that only a test build has.
fn without_tests(code: &str) -> String {
    let mut code = code.to_owned();
    while let Some(begin) = code.find("#[cfg(test)]\nmod tests {") {
        let mut depth = 0;
        let end = code[begin..].bytes().position(|byte| {
            depth += i32::from(byte == b'{') - i32::from(byte == b'}');
            byte == b'}' && depth == 0
        });
        let end = end.map_or(code.len(), |end| begin + end + 1);
        // As long as what it replaces, so that places in the code stay what they are.
        let blank: String =
            code[begin..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        code.replace_range(begin..end, &blank);
    }
    code
}

/// Blanks comments, and what is between the quotes of strings and characters.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let (len, kept) = match rest {
            [b'/', b'/', ..] => (until(rest, b"\n").saturating_sub(1).max(2), 0),
            [b'/', b'*', ..] => (block_comment(rest), 0),
            [b'"', ..] => (string(rest), 1),
            [b'r', b'"' | b'#', ..] if !before_is_word(bytes, at) => raw(rest),
            [b'\'', ..] => character(rest),
            _ => (1, 1),
        };
        for (k, byte) in rest[..len].iter().enumerate() {
            let keep = *byte == b'\n' || k < kept;
            code.push(if keep { *byte } else { b' ' });
        }
        at += len;
    }
    String::from_utf8(code).unwrap()
}

fn before_is_word(bytes: &[u8], at: usize) -> bool {
    // A byte string's `b` stands before the `r`.
    at.checked_sub(1).is_some_and(|k| is_word(bytes[k]) && bytes[k] != b'b')
}

/// The length up to and with `end`, or the whole.
fn until(rest: &[u8], end: &[u8]) -> usize {
    rest.windows(end.len()).position(|found| found == end).map_or(rest.len(), |k| k + end.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != b'"' {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// A raw string, or a raw name, of which everything is kept.
fn raw(rest: &[u8]) -> (usize, usize) {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return (1, 1);
    }
    let end = [&b"\""[..], &vec![b'#'; hashes]].concat();
    (2 + hashes + until(&rest[2 + hashes..], &end), 1)
}

/// A character, or a lifetime, of which everything is kept.
fn character(rest: &[u8]) -> (usize, usize) {
    match rest {
        [_, b'\\', _, more @ ..] => (3 + until(more, b"'"), 1),
        _ => match rest.iter().take(6).skip(1).position(|byte| *byte == b'\'') {
            // One character of up to four bytes; `'a, 'b` has a second quote too, but two lifetimes.
            Some(k @ 1..=4)
                if std::str::from_utf8(&rest[1..=k]).is_ok_and(|c| c.chars().count() == 1) =>
            {
                (k + 2, 1)
            }
            _ => (1, 1),
        },
    }
}
