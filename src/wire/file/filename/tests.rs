//! Hostile names: each is rejected or harmless.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use crate::wire::file::filename::*;
use crate::wire::text::escape;

/// The parts of generated hostile names.
const PIECES: [&[u8]; 24] = [
    b"..",
    b".",
    b"",
    b"/",
    b"\\",
    b"\0",
    b"\n",
    b"\x1b[2J",
    b"\xff",
    b"\xc0\xae",
    b"\xed\xa0\x80",
    b" ",
    b"a",
    b"-rf",
    b"~",
    b"%2e%2e%2f",
    b"con",
    b".ssh",
    b"a.part",
    "\u{202e}".as_bytes(),
    "\u{ff0e}\u{ff0e}".as_bytes(),
    "\u{2215}".as_bytes(),
    "\u{200b}".as_bytes(),
    "\u{a0}".as_bytes(),
];

const REJECTED: [&[u8]; 50] = [
    b"",
    b"/",
    b"//",
    b".",
    b"..",
    b"...",
    b"../x",
    b"x/..",
    b"x/../y",
    b"x/./y",
    b"x//y",
    b"x/",
    b"/etc/passwd",
    b"//host/share",
    b"../../../../etc/passwd",
    b"..\\..\\boot.ini",
    b".bashrc",
    b"a/.ssh/authorized_keys",
    b".x.part",
    b"a/.x.sums",
    b"x\0",
    b"x\0.jpg",
    b"\0",
    b"x\ny",
    b"x\r",
    b"\tx",
    b"\x1b]0;title\x07",
    b"\x1b[31mred",
    b"x\x7f",
    b"x\xc2\x9b",
    b"x.",
    b"x ",
    b"x./y",
    b"x /y",
    b"x\xff",
    b"\xc0\xae\xc0\xae/x",
    b"\xe0\x80\xaf",
    "exe\u{202e}txt".as_bytes(),
    "\u{feff}x".as_bytes(),
    "x\u{3000}".as_bytes(),
    "x\u{ad}y".as_bytes(),
    "x\u{34f}y".as_bytes(),
    "x\u{3164}y".as_bytes(),
    "x\u{2800}y".as_bytes(),
    "x\u{fe0f}y".as_bytes(),
    "x\u{e0061}y".as_bytes(),
    "x\u{a0}y".as_bytes(),
    "x\u{2003}y".as_bytes(),
    "x\u{3000}y".as_bytes(),
    "x\u{200d}y".as_bytes(),
];

const HARMLESS: [&str; 14] = [
    "-rf",
    "con",
    "nul.txt",
    "C:\\temp",
    "a\\..\\b",
    "~root",
    "$(reboot)",
    "a;b",
    "%2e%2e%2fx",
    "\u{ff0e}\u{ff0e}\u{ff0f}x",
    "\u{2024}\u{2024}\u{2215}x",
    "grüezi/漢字.txt",
    "x..y",
    " x",
];

#[test]
fn hostile_names_are_rejected_or_harmless() {
    let mut corpus: BTreeSet<Vec<u8>> = REJECTED.iter().map(|name| name.to_vec()).collect();
    corpus.extend(HARMLESS.iter().map(|name| name.as_bytes().to_vec()));
    for left in PIECES {
        for right in PIECES {
            corpus.insert([left, right].concat());
            corpus.insert([left, b"/", right].concat());
            corpus.insert([b"x/".as_slice(), left, right, b"/y"].concat());
        }
    }
    assert!(corpus.len() >= 500, "{}", corpus.len());
    let mut accepted = 0;
    for bytes in corpus {
        let Ok(name) = SafeName::parse(&bytes) else { continue };
        accepted += 1;
        assert_eq!(name.as_str().as_bytes(), bytes);
        assert_eq!(escape(name.as_str()), name.as_str());
        let path = Path::new(name.as_str());
        assert!(
            path.components().all(|component| matches!(component, Component::Normal(_))),
            "{name}"
        );
        assert!(!name.as_str().split('/').any(|component| component.starts_with('.')), "{name}");
        let components: Vec<_> = name.directories().chain([name.file_name()]).collect();
        assert_eq!(components.join("/"), name.as_str());
    }
    assert!(accepted > HARMLESS.len(), "too few names were accepted");
}

#[test]
fn dangerous_names_are_rejected() {
    for name in REJECTED {
        assert!(SafeName::parse(name).is_err(), "{}", name.escape_ascii());
    }
}

#[test]
fn odd_names_are_accepted() {
    for name in HARMLESS {
        assert_eq!(SafeName::parse(name.as_bytes()).map(|name| name.0).as_deref(), Ok(name));
    }
}

#[test]
fn length_and_depth_are_limited() {
    let accepted = |name: String| SafeName::parse(name.as_bytes()).is_ok();
    assert!(accepted("x".repeat(MAX_COMPONENT_LEN)));
    assert!(!accepted("x".repeat(MAX_COMPONENT_LEN + 1)));
    assert!(accepted(["x"; MAX_DEPTH].join("/")));
    assert!(!accepted(["x"; MAX_DEPTH + 1].join("/")));
    assert!(!accepted(vec!["x".repeat(MAX_COMPONENT_LEN); 17].join("/")), "4249 bytes");
}

#[test]
fn derived_names_fit_into_255_bytes() {
    let longest = "x".repeat(MAX_COMPONENT_LEN);
    let name = SafeName::parse(longest.as_bytes()).unwrap();
    assert!(
        [name.partial_name(), name.checksum_name(), name.with_number(9999)]
            .iter()
            .all(|name| name.len() <= 255)
    );
    let name = SafeName::parse(b"a.b/archive.tar.gz").unwrap();
    assert_eq!(name.with_number(3), "archive.tar-3.gz");
    assert_eq!(SafeName::parse(b"a.b/notes").unwrap().with_number(1), "notes-1");
}
