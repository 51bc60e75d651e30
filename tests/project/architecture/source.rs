//! Source files with comments and the contents of literals blanked, as the rules read them.

use std::fs;
use std::path::Path;

/// A Rust source file of the package.
pub struct Source {
    /// The path from the package's root.
    pub path: String,
    pub text: String,
    /// The text with comments, literals and unit tests blanked. Offsets are those of `text`.
    pub code: String,
    /// Like `code`, but with the inline unit tests.
    pub with_tests: String,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Source {
        let with_tests = blank(text);
        let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
        let code = if is_test { String::new() } else { without_tests(&with_tests) };
        Source { path: path.to_owned(), text: text.to_owned(), code, with_tests }
    }

    /// Reads every Rust file below these directories of the package.
    pub fn all(directories: &[&str]) -> Vec<Source> {
        let files = read_files(directories, &["rs"]);
        files.iter().map(|(path, text)| Source::new(path, text)).collect()
    }

    pub fn is_in(&self, directories: &[&str]) -> bool {
        directories.iter().any(|directory| self.path.starts_with(directory))
    }
}

/// Reads the files with these extensions, sorted by path, below directories of the package.
///
/// A directory may also be a single file. Build directories are left out.
pub fn read_files(directories: &[&str], extensions: &[&str]) -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    let mut pending: Vec<_> = directories.iter().map(|name| root.join(name)).collect();
    while let Some(path) = pending.pop() {
        let extension = path.extension().and_then(|extension| extension.to_str());
        if path.is_dir() && !path.ends_with("target") {
            pending.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.is_file() && extension.is_some_and(|found| extensions.contains(&found)) {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            files.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
    files.sort();
    files
}

/// Returns the line number of an offset.
pub fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

pub fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Finds the offsets of a word or path, but not inside of longer names.
pub fn find_all<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(offset, _)| offset).filter(move |offset| {
        let before = code[..*offset].bytes().next_back();
        let after = code[offset + word.len()..].bytes().next();
        let ends_in_word = word.bytes().next_back().is_some_and(is_word);
        !(before.is_some_and(is_word) || ends_in_word && after.is_some_and(is_word))
    })
}

/// Returns the first name of a path, or of each path in a group in braces.
pub fn names(code: &str) -> Vec<&str> {
    let word = |text: &str| text.bytes().take_while(|byte| is_word(*byte)).count();
    let Some(group) = code.strip_prefix('{') else {
        return vec![&code[..word(code)]];
    };
    let (mut depth, mut found, mut expected) = (0, Vec::new(), true);
    for (offset, byte) in group.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' if depth == 0 => break,
            b'}' => depth -= 1,
            b',' if depth == 0 => expected = true,
            _ if expected && is_word(byte) => {
                found.push(&group[offset..offset + word(&group[offset..])]);
                expected = false;
            }
            _ => {}
        }
    }
    found
}

/// Counts the inline modules around an offset.
pub fn inline_modules(code: &str, offset: usize) -> usize {
    let (mut open, mut start) = (Vec::new(), 0);
    for (at, byte) in code[..offset].bytes().enumerate() {
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

/// Blanks the inline test modules.
fn without_tests(code: &str) -> String {
    let mut code = code.to_owned();
    while let Some(begin) = code.find("#[cfg(test)]\nmod tests {") {
        let mut depth = 0;
        let end = code[begin..].bytes().position(|byte| {
            depth += i32::from(byte == b'{') - i32::from(byte == b'}');
            byte == b'}' && depth == 0
        });
        let end = end.map_or(code.len(), |end| begin + end + 1);
        // The blank has the length of the module, so that all offsets stay valid.
        let blank: String =
            code[begin..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        code.replace_range(begin..end, &blank);
    }
    code
}

/// Blanks comments and the contents of string and character literals.
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
    // The `b` of a raw byte string stands before its `r`.
    at.checked_sub(1).is_some_and(|k| is_word(bytes[k]) && bytes[k] != b'b')
}

/// Returns the length up to and including `end`, or the whole length.
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

/// Returns the length of a raw string and how much of it to keep. A raw name is kept.
fn raw(rest: &[u8]) -> (usize, usize) {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return (1, 1);
    }
    let end = [&b"\""[..], &vec![b'#'; hashes]].concat();
    (2 + hashes + until(&rest[2 + hashes..], &end), 1)
}

/// Returns the length of a character literal and how much of it to keep. A lifetime is kept.
fn character(rest: &[u8]) -> (usize, usize) {
    match rest {
        [_, b'\\', _, more @ ..] => (3 + until(more, b"'"), 1),
        _ => match rest.iter().take(6).skip(1).position(|byte| *byte == b'\'') {
            // A literal holds one character of at most four bytes. The two lifetimes of
            // `'a, 'b` stand between quotes as well.
            Some(k @ 1..=4)
                if std::str::from_utf8(&rest[1..=k]).is_ok_and(|c| c.chars().count() == 1) =>
            {
                (k + 2, 1)
            }
            _ => (1, 1),
        },
    }
}
