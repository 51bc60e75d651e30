//! The architecture: layers, imports, side effects, names, the width of lines and wording.
//!
//! Each rule is a function from files to their faults, so that a test can also check that it
//! reports a file that breaks it.
//!
//! The test runs without the other tests in a second:
//!
//! ```sh
//! CARGO_MANIFEST_DIR=. rustc --edition 2024 --test tests/project/architecture/mod.rs \
//!     -o /tmp/architecture && /tmp/architecture
//! ```

mod imports;
mod layers;
mod rules;
mod source;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use imports::Edges;
use layers::{ORDERS, arrows};
use rules::{RULES, SEAM_EXCEPTIONS, outside};
use source::{Source, find_all, line_of, names};

/// The most edges that [`CYCLE_EXCEPTIONS`] may hold.
const MAX_CYCLE_EXCEPTIONS: usize = 5;

/// Edges that may close a cycle: the file, the file that it uses, and the reason.
const CYCLE_EXCEPTIONS: [(&str, &str, &str); 0] = [];

/// The protocols of the roles. A type name may be defined once in each of these folders.
const PROTOCOLS: [&str; 4] = ["actors/tcp/", "actors/udp/", "actors/file/", "actors/chat/"];

/// Fails on the faults of a rule, and lists them.
fn check(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}: {} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Describes the cycles of the graph, without the exceptions.
fn cycles(edges: &Edges, exceptions: &[(&str, &str, &str)]) -> Vec<String> {
    let mut edges = edges.clone();
    for (from, to, _) in exceptions {
        edges.get_mut(*from).and_then(|used| used.remove(*to));
    }
    let knots = imports::knots(&edges);
    knots.iter().flat_map(|knot| imports::describe(&edges, knot)).collect()
}

/// Returns a fault for each definition of a type whose name is defined elsewhere too.
fn duplicate_types(sources: &[Source]) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<(String, usize)>> = BTreeMap::new();
    for source in sources {
        for (name, offset) in imports::types(source) {
            let line = line_of(&source.code, offset);
            let places: &mut Vec<_> = places.entry(name).or_default();
            // Two definitions in one file are alternatives under `#[cfg]`.
            if places.last().is_none_or(|(path, _)| *path != source.path) {
                places.push((source.path.clone(), line));
            }
        }
    }
    let mut faults = Vec::new();
    for (name, places) in places {
        let protocols: BTreeSet<_> = places
            .iter()
            .filter_map(|(path, _)| PROTOCOLS.iter().find(|folder| path.starts_with(**folder)))
            .collect();
        if places.len() > 1 && protocols.len() < places.len() {
            let all: Vec<_> = places.iter().map(|(path, line)| format!("{path}:{line}")).collect();
            let others = |place: &String| {
                let others: Vec<_> = all.iter().filter(|other| *other != place).cloned().collect();
                others.join(", ")
            };
            let each = all
                .iter()
                .map(|place| format!("{place}: type {name} is also defined in {}", others(place)));
            faults.extend(each);
        }
    }
    faults.sort();
    faults
}

/// Returns the actors that a file defines.
fn roles(source: &Source) -> Vec<String> {
    let bodies =
        find_all(&source.code, "Actor for").map(|at| &source.code[at + "Actor for ".len()..]);
    bodies.map(|rest| names(rest)[0].to_owned()).collect()
}

/// Returns the faults of the table of roles: each role has a file of its own, and a row with it.
///
/// A row begins with the role and its file: ``| [`Greeter`] | `tcp/greeter.rs` |``.
fn role_table(sources: &[Source]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut rows = BTreeSet::new();
    let mut found = BTreeSet::new();
    for source in sources.iter().filter(|source| source.is_in(&["actors/"])) {
        if source.path == "actors/mod.rs" {
            for line in source.text.lines() {
                let cells: Vec<_> = line.split('|').map(|cell| cell.trim()).collect();
                if let ["//!", role, file, ..] = cells[..] {
                    if let Some(role) = role.strip_prefix("[`").and_then(|r| r.strip_suffix("`]")) {
                        rows.insert((role.to_owned(), file.trim_matches('`').to_owned()));
                    }
                }
            }
        }
        let roles = roles(source);
        if roles.len() > 1 {
            faults.push(format!("{}: one role per file, not {roles:?}", source.path));
        }
        let file = &source.path["actors/".len()..];
        found.extend(roles.into_iter().map(|role| (role, file.to_owned())));
    }
    for (role, file) in found.difference(&rows) {
        faults.push(format!("actors/mod.rs: no row | [`{role}`] | `{file}` |"));
    }
    for (role, file) in rows.difference(&found) {
        faults.push(format!("actors/mod.rs: {file} defines no role {role}"));
    }
    faults
}

#[test]
fn every_source_file_keeps_the_rules() {
    let sources = Source::all(&["src", "actors", "tests", "examples", "benches"]);
    assert!(sources.len() > 50, "found only {} source files", sources.len());
    let faults: Vec<_> =
        sources.iter().flat_map(|s| RULES.iter().flat_map(|rule| rule(s))).collect();
    check("rules", &faults);
    let lib = sources.iter().find(|source| source.path == "src/lib.rs").unwrap();
    assert!(lib.with_tests.contains("#![forbid(unsafe_code)]"));
}

#[test]
fn seam_exceptions_are_used_and_have_reasons() {
    let sources = Source::all(&["src", "actors"]);
    for (path, word, reason) in SEAM_EXCEPTIONS {
        let source = sources.iter().find(|source| source.path == path);
        let used = source.is_some_and(|source| find_all(&source.code, word).next().is_some());
        assert!(used, "{path} does not use {word}: remove the exception");
        assert!(!reason.is_empty());
    }
}

#[test]
fn files_import_each_other_without_a_cycle() {
    let edges = imports::edges(&Source::all(&["src", "actors"]));
    assert!(edges.len() > 100, "found imports in only {} files", edges.len());
    assert!(CYCLE_EXCEPTIONS.len() <= MAX_CYCLE_EXCEPTIONS);
    for (from, to, reason) in CYCLE_EXCEPTIONS {
        let is_used = edges.get(from).is_some_and(|used| used.contains_key(to));
        assert!(is_used, "{from} does not use {to}: remove the exception");
        assert!(!reason.is_empty());
    }
    check("import cycle", &cycles(&edges, &CYCLE_EXCEPTIONS));
}

#[test]
fn folders_use_only_the_folders_below() {
    let edges = imports::edges(&Source::all(&["src", "actors"]));
    check("folder order", &arrows(&edges, &ORDERS));
}

#[test]
fn type_names_are_defined_once() {
    let faults: Vec<_> = duplicate_types(&Source::all(&["src", "actors"]));
    check("type name", &faults);
}

#[test]
fn each_role_has_one_file_and_a_row() {
    check("role", &role_table(&Source::all(&["actors"])));
}

#[test]
fn lines_have_at_most_100_columns() {
    let files = texts::read(&texts::WIDTH_CHECKED);
    let faults: Vec<_> = files.iter().flat_map(texts::width).collect();
    check("line width", &faults);
}

#[test]
fn texts_use_no_banned_wording() {
    let files = texts::read(&texts::WORDING_CHECKED);
    let faults: Vec<_> = files.iter().flat_map(texts::wording).collect();
    check("wording", &faults);
}

#[test]
fn source_rules_report_files_that_break_them() {
    let count = |path: &str, text: &str| {
        let source = Source::new(path, &format!("//! Purpose.\n{text}\n"));
        RULES.iter().flat_map(|rule| rule(&source)).count()
    };
    let broken = [
        ("src/runtime/x.rs", "use crate::net::Stream;"),
        ("src/wire/x.rs", "use crate::{runtime::Exit, net::Stream};"),
        ("src/wire/x.rs", "fn f() { crate::actors::g() }"),
        ("actors/x.rs", "fn f() { clock.now() + TIMEOUT }"),
        ("actors/x.rs", "fn f() { self.sent_at += schedule.interval }"),
        ("src/net/x.rs", "fn f() { start + Duration::from_secs(1) }"),
        ("actors/x.rs", "use super::super::scenario::Settings;"),
        ("src/scenario/x.rs", "mod inner {\n    use super::super::super::cli::run;\n}"),
        ("src/net/x.rs", "#[cfg(test)]\nmod tests {\n    use crate::actors::Greeter;\n}"),
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
        assert_eq!(count(path, text), 1, "{path}: {text}");
    }
    let after_tests = "#[cfg(test)]\nmod tests {\n    fn f() {}\n}\nfn g() { dbg!(1) }";
    let faults: Vec<_> = outside(&Source::new("actors/x.rs", after_tests));
    assert!(faults.len() == 1 && faults[0].starts_with("actors/x.rs:5: dbg!"), "{faults:?}");
    let without_purpose = Source::new("src/x.rs", "fn f() {}");
    assert_eq!(RULES.iter().flat_map(|rule| rule(&without_purpose)).count(), 1);
    let kept = [
        ("src/cli/x.rs", "use crate::{actors::{Greeter, Listener}, runtime::Exit};"),
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
        assert_eq!(count(path, text), 0, "{path}: {text}");
    }
}

/// Builds the import graph of files given by their paths and texts.
fn graph(files: &[(&str, &str)]) -> Edges {
    let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    imports::edges(&sources)
}

#[test]
fn cycle_check_reports_files_that_use_each_other() {
    // A re-export stands between the two files.
    let edges = graph(&[
        ("src/lib.rs", "mod net; pub use net::Stream;"),
        ("src/net/mod.rs", "mod stream; mod peer; pub use stream::{Stream, Half as Part};"),
        (
            "src/net/stream.rs",
            "use super::peer::{self, Peer as Other}; struct Stream; enum Half {}",
        ),
        ("src/net/peer.rs", "struct Peer; fn f() -> crate::net::Part { crate::Stream::new() }"),
    ]);
    let expected = "src/net/peer.rs -> src/net/stream.rs (Half, Stream) -> src/net/peer.rs (Peer)";
    assert_eq!(cycles(&edges, &[]), [expected]);
    let exception = ("src/net/stream.rs", "src/net/peer.rs", "a reason");
    assert!(cycles(&edges, &[exception]).is_empty());

    // Three files, a parent among them, by a child's path, a glob and an alias of a module.
    let edges = graph(&[
        ("src/lib.rs", "mod net;"),
        ("src/net/mod.rs", "mod a; mod b; trait Top {} fn f(x: a::A) {}"),
        ("src/net/a.rs", "use super::b as other; struct A(other::B);"),
        ("src/net/b.rs", "mod inner { use super::super::*; } struct B;"),
    ]);
    let expected = "src/net/a.rs -> src/net/b.rs (B) -> src/net/mod.rs (*) -> src/net/a.rs (A)";
    assert_eq!(cycles(&edges, &[]), [expected]);

    // A name that a file re-exports and uses.
    let edges = graph(&[
        ("src/lib.rs", "mod net;"),
        ("src/net/mod.rs", "mod a; pub(crate) use a::A; struct Top(A);"),
        ("src/net/a.rs", "struct A; impl A { fn f(_: super::Top) {} }"),
    ]);
    assert_eq!(cycles(&edges, &[]).len(), 1);
}

#[test]
fn cycle_check_accepts_re_exports_and_tests() {
    let edges = graph(&[
        ("src/lib.rs", "mod net; pub use net::Stream;"),
        ("src/net/mod.rs", "mod a; mod b; pub use a::A; pub use b::B; pub(super) struct Top;"),
        ("src/net/a.rs", "use crate::net::Top; use log::warn; struct A; fn f() { log::info() }"),
        (
            "src/net/b.rs",
            "use super::A;\n/// See crate::net::B.\nstruct B;\n#[cfg(test)]\nmod tests {\n    use \
             crate::net::c;\n}",
        ),
        ("src/net/b/tests.rs", "use super::super::a::A;"),
        ("src/net/log.rs", "use super::B; fn warn() {}"),
    ]);
    assert!(cycles(&edges, &[]).is_empty(), "{:?}", cycles(&edges, &[]));
    let b = &edges["src/net/b.rs"];
    assert!(b.len() == 1 && b.contains_key("src/net/a.rs"), "{b:?}");
}

#[test]
fn folder_check_reports_edges_up_and_aside() {
    let files = |path, text| {
        graph(&[
            ("src/lib.rs", "mod actors;"),
            ("actors/mod.rs", "mod support; mod tcp; mod udp;"),
            ("actors/support/mod.rs", "pub mod x; struct S;"),
            ("actors/tcp/mod.rs", "struct T;"),
            ("actors/udp/mod.rs", "struct U;"),
            ("actors/new.rs", "struct N;"),
            (path, text),
        ])
    };
    let faults = |path, text| arrows(&files(path, text), &ORDERS);
    assert_eq!(
        faults("actors/support/x.rs", "use crate::actors::tcp::T;"),
        ["actors/support/x.rs: uses actors/tcp/mod.rs (T), which is above it"]
    );
    assert_eq!(
        faults("actors/udp/x.rs", "use crate::actors::tcp::T;"),
        ["actors/udp/x.rs: uses actors/tcp/mod.rs (T), which is beside it"]
    );
    assert_eq!(faults("actors/udp/x.rs", "use crate::actors::new::N;").len(), 1);
    let below = "use crate::actors::udp::U; use crate::actors::support::S;";
    assert!(faults("actors/udp/x.rs", below).is_empty());
}

#[test]
fn type_check_reports_names_defined_twice() {
    let faults = |files: &[(&str, &str)]| {
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        duplicate_types(&sources)
    };
    let twice = [
        ("src/net/a.rs", "\npub struct Peer<T>(T);"),
        ("actors/tcp/b.rs", "type Peer = u8; impl Iterator for C { type Item = u8; }"),
        ("actors/udp/c.rs", "impl Iterator for D { type Item = u8; }"),
    ];
    let expected = [
        "actors/tcp/b.rs:1: type Peer is also defined in src/net/a.rs:2",
        "src/net/a.rs:2: type Peer is also defined in actors/tcp/b.rs:1",
    ];
    assert_eq!(faults(&twice), expected);
    let siblings = [("actors/tcp/a.rs", "struct Client;"), ("actors/udp/a.rs", "enum Client {}")];
    assert!(faults(&siblings).is_empty());
    let cousins = [("actors/tcp/a.rs", "struct Client;"), ("actors/tcp/b.rs", "trait Client {}")];
    assert_eq!(faults(&cousins).len(), 2);
    let with_test = [
        ("actors/tcp/a.rs", "struct Client;"),
        ("src/x.rs", "#[cfg(test)]\nmod tests {\n    struct Client;\n}"),
        ("src/net/tests.rs", "struct Client;"),
    ];
    assert!(faults(&with_test).is_empty());
}

#[test]
fn role_check_reports_missing_and_wrong_rows() {
    let faults = |table: &str| {
        let files = [
            ("actors/mod.rs", table),
            ("actors/tcp/greeter.rs", "impl Actor for Greeter {}"),
            ("actors/tcp/both.rs", "impl<M: Send> Actor for A<M> {} impl Actor for B {}"),
        ];
        let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        role_table(&sources)
    };
    let table =
        "//! | [`Greeter`] | `tcp/greet.rs` | greets |\n//! | [`A`] | `tcp/both.rs` | a |\n";
    let expected = [
        "actors/tcp/both.rs: one role per file, not [\"A\", \"B\"]",
        "actors/mod.rs: no row | [`B`] | `tcp/both.rs` |",
        "actors/mod.rs: no row | [`Greeter`] | `tcp/greeter.rs` |",
        "actors/mod.rs: tcp/greet.rs defines no role Greeter",
    ];
    assert_eq!(faults(table), expected);
}

#[test]
fn width_check_reports_long_lines() {
    let long = "x".repeat(100);
    let faults = |path: &str, line: &str| texts::width(&(path.to_owned(), format!("\n{line}\n")));
    assert_eq!(faults("src/x.rs", &format!("{long}é")), ["src/x.rs:2: 101 columns"]);
    assert_eq!(faults("docs/x.md", &format!("- {long}")).len(), 1);
    for line in [
        format!("{}é", "x".repeat(99)),
        format!("| a | {long} |"),
        format!("    //! | {long}"),
        format!("//! [page]: https://example.org/{long}"),
    ] {
        assert!(faults("src/x.rs", &line).is_empty(), "{line}");
    }
}

#[test]
fn wording_check_reports_banned_words() {
    let faults = |path: &str, text: &str| texts::wording(&(path.to_owned(), text.to_owned()));
    for text in [
        "/// Has a task run.",
        "fn f() {}\n    /// What is left.\n    /// More.",
        "//! Who may come in.",
        "/// How far it is.",
        "/// So many at most.",
        "// Whoever comes waits.",
        "//! It is somebody's turn.",
        "    // There are so\n    // many of them.",
        "let text = \"as many as may be\";",
    ] {
        let count = 1 + usize::from(text.starts_with("/// So many"));
        assert_eq!(faults("src/x.rs", text).len(), count, "{text}");
    }
    assert_eq!(faults("docs/x.md", "There are so\nmany.")[0], "docs/x.md:1: \"so many\"");
    for text in ["/// Returns it.\n/// What is left stays.", "// also many", "struct Hash;"] {
        assert!(faults("src/x.rs", text).is_empty(), "{text}");
    }
}
