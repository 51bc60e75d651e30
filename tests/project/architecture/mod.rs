//! The floors of the house: who may name whom, who may print, where time comes from, how long a file is.
//!
//! Each rule is a function from a source file to its faults, so that a test can also show each of them a file
//! that breaks it.

mod rules;
mod source;

use std::collections::BTreeSet;

use rules::{BESIDE_THE_SEAM, LONGEST, RULES, essay, outside};
use source::{Source, find_all, names};

/// The actors that a file defines.
fn roles(source: &Source) -> Vec<String> {
    let implemented =
        find_all(&source.code, "Actor for").map(|at| &source.code[at + "Actor for ".len()..]);
    implemented.map(|rest| names(rest)[0].to_owned()).collect()
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for letter in name.chars() {
        if letter.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(letter.to_lowercase());
    }
    snake
}

#[test]
fn every_file_keeps_the_rules_of_the_house() {
    let sources = Source::all(&["src", "actors", "tests", "examples", "benches"]);
    assert!(sources.len() > 50, "the sources are found");
    let faults: Vec<_> =
        sources.iter().flat_map(|s| RULES.iter().flat_map(|rule| rule(s))).collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    let lib = sources.iter().find(|source| source.path == "src/lib.rs").unwrap();
    assert!(lib.with_tests.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn an_exception_is_needed_and_has_a_reason() {
    let sources = Source::all(&["src", "actors"]);
    for (path, word, reason) in BESIDE_THE_SEAM {
        let source = sources.iter().find(|source| source.path == path);
        let used = source.is_some_and(|source| find_all(&source.code, word).next().is_some());
        assert!(used, "{path} does not use {word} any more; take it off the list");
        assert!(!reason.is_empty());
    }
}

#[test]
fn each_role_has_a_file_of_its_name_and_a_row_in_the_table() {
    let sources = Source::all(&["actors"]);
    let table = sources.iter().find(|source| source.path == "actors/mod.rs").unwrap();
    let rows =
        table.text.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split('`').next());
    let rows: BTreeSet<_> = rows.map(str::to_owned).collect();
    let mut found = BTreeSet::new();
    for source in &sources {
        let roles = roles(source);
        assert!(roles.len() <= 1, "{}: one role a file, not {roles:?}", source.path);
        for role in roles {
            assert_eq!(source.path, format!("actors/{}.rs", snake(&role)), "{role} is elsewhere");
            found.insert(role);
        }
    }
    assert_eq!(rows, found, "the table of actors/mod.rs, and the actors that there are");
}

#[test]
fn each_rule_catches_what_breaks_it() {
    let caught = |path: &str, text: &str| {
        let source = Source::new(path, &format!("//! Essay.\n{text}\n"));
        RULES.iter().flat_map(|rule| rule(&source)).count()
    };
    let broken = [
        ("src/runtime/x.rs", "use crate::net::Stream;"),
        ("src/net/x.rs", "use crate::{runtime::Exit, wire::chat};"),
        ("src/wire/x.rs", "fn f() { crate::actors::g() }"),
        ("actors/x.rs", "use super::super::scenario::Settings;"),
        ("src/scenario/x.rs", "mod inner {\n    use super::super::super::cli::run;\n}"),
        ("src/net/x.rs", "#[cfg(test)]\nmod tests {\n    use crate::actors::Hall;\n}"),
        ("src/runtime/x.rs", "use std::net::SocketAddr;"),
        ("src/runtime/x.rs", "use std::os::unix::net::UnixStream;"),
        ("src/wire/x.rs", "fn f() { std::fs::read(path) }"),
        ("actors/x.rs", "fn f() { println!(\"hello\") }"),
        ("src/scenario/x.rs", "fn f() { std::env::var(\"HOME\") }"),
        ("actors/x.rs", "fn f() { smol::Timer::after(second) }"),
        ("actors/x.rs", "fn f() { std::thread::spawn(g) }"),
        ("src/runtime/x.rs", "fn f() { Instant::now() }"),
        ("tests/x.rs", "fn f() { smol::spawn(g) }"),
        ("examples/x.rs", "use smol::{Task, spawn};"),
        ("benches/x.rs", "fn f() { unsafe { g() } }"),
    ];
    for (path, text) in broken {
        assert_eq!(caught(path, text), 1, "{path}: {text}");
    }
    assert_eq!(caught("actors/x.rs", &"\n".repeat(LONGEST)), 1);
    let behind_tests = "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\nfn g() { dbg!(1) }";
    let faults = outside(&Source::new("actors/x.rs", behind_tests));
    assert!(faults.len() == 1 && faults[0].starts_with("actors/x.rs:5: dbg!"), "{faults:?}");
    assert_eq!(essay(&Source::new("src/x.rs", "fn f() {}")).len(), 1);
    let kept = [
        ("src/cli/x.rs", "use crate::{actors::{Hall, Listener}, runtime::Exit};"),
        ("src/cli/x/tests.rs", "use super::super::json;\nfn f() { Instant::now() }"),
        (
            "actors/x.rs",
            "use super::Report;\n/// `println!(\"x\")`, crate::cli\nfn f<'a>(c: &'a u8) {}",
        ),
        (
            "actors/x.rs",
            "fn f() { g('\"', \"println! // {\", r#\"unsafe \" \"#, '\\'', b'\"') } /* dbg! */",
        ),
        (
            "src/net/x.rs",
            "#[cfg(test)]\nmod tests {\n    use super::*;\n    fn f() { Instant::now() }\n}",
        ),
        ("src/main.rs", "fn main() { sockactors::cli::main() }"),
        ("tests/x.rs", "fn f() { std::thread::spawn(g); Instant::now() }"),
    ];
    for (path, text) in kept {
        assert_eq!(caught(path, text), 0, "{path}: {text}");
    }
}
