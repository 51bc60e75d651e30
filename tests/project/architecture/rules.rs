//! The rules, each a function from a source file to its faults.

use super::source::{Source, find_all, inline_modules, line_of, names};

/// The floors, from the lowest to the highest. A file uses its own and what stands below it.
const FLOORS: [&str; 8] =
    ["sync", "reactor", "runtime", "net", "wire", "actors", "scenario", "cli"];

/// Lines of a file at most.
pub const LONGEST: usize = 300;

/// What only the scheduler may name, so that a simulation can stand in for it.
const SEAM: [&str; 10] = [
    "Instant::now",
    "SystemTime::now",
    "Timer",
    "fastrand",
    "thread::spawn",
    "thread::Builder",
    "thread::sleep",
    "Executor",
    "LocalExecutor",
    "async_io",
];
/// The seam itself: the real world with its threads, and the simulated one.
const SCHEDULER: [&str; 5] = [
    "src/reactor/mod.rs",
    "src/reactor/timer.rs",
    "src/runtime/scheduler.rs",
    "src/runtime/threads.rs",
    "src/runtime/world.rs",
];

/// The seam's exceptions, each with its reason.
pub const BESIDE_THE_SEAM: [(&str, &str, &str); 7] = [
    (
        "src/net/dial.rs",
        "Timer",
        "net stands beside actors, without a context: the deadline of a connect",
    ),
    ("src/net/dial.rs", "Instant::now", "the same deadline"),
    (
        "src/cli/input.rs",
        "thread::Builder",
        "a read of stdin cannot be given up, so it has a thread",
    ),
    ("src/cli/keys.rs", "thread::Builder", "so has one of the terminal in its place"),
    (
        "src/cli/terminal.rs",
        "thread::Builder",
        "the line editor waits in a read, too, and at the end for a terminal that may be paused",
    ),
    (
        "src/cli/scribe.rs",
        "thread::Builder",
        "a terminal that is paused must hold up no executor, so what is written to it has a thread",
    ),
    (
        "src/cli/watch.rs",
        "Instant::now",
        "an observer has no context: how long the drain took, for people",
    ),
];

/// What reaches a terminal, an argument or the environment.
const OUTSIDE: [&str; 16] = [
    "println!",
    "eprintln!",
    "print!",
    "eprint!",
    "dbg!",
    "io::stdout",
    "io::stderr",
    "io::stdin",
    "stdout()",
    "stderr()",
    "stdin()",
    "env::args",
    "env::args_os",
    "env::var",
    "env::var_os",
    "env::vars",
];

/// What a runtime that knows no socket does not name.
const SOCKETS: [&str; 10] = [
    "std::net",
    "unix::net",
    "rustix::net",
    "smol::net",
    "smol::Async",
    "async_net",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "rustix",
];

/// What pure functions on bytes do not name.
const NOT_PURE: [&str; 7] =
    ["smol", "rustix", "std::net", "std::fs", "std::thread", "async", "Instant::now"];

pub type Rule = fn(&Source) -> Vec<String>;

pub const RULES: [Rule; 9] =
    [floors, sockets, purity, outside, seam, global_executor, length, essay, safety];

fn fault(source: &Source, place: usize, why: &str) -> String {
    format!("{}:{}: {why}", source.path, line_of(&source.with_tests, place))
}

/// A fault for each place where the code of these directories names one of `words`.
fn named(source: &Source, words: &[&str], why: &str) -> Vec<String> {
    let faults = words.iter().flat_map(|word| {
        find_all(&source.code, word).map(move |at| fault(source, at, &format!("{word}: {why}")))
    });
    faults.collect()
}

/// The names of the modules down to a file, from the crate's root; none for what is not part of the library.
fn module(path: &str) -> Option<Vec<&str>> {
    let inside = path.strip_prefix("src/").or(path.starts_with("actors/").then_some(path))?;
    let names = inside.strip_suffix(".rs")?.split('/');
    Some(names.filter(|name| !["mod", "lib", "main"].contains(name)).collect())
}

fn floors(source: &Source) -> Vec<String> {
    let Some(module) = module(&source.path) else { return Vec::new() };
    if source.path == "src/lib.rs" {
        return Vec::new();
    }
    let own = module.first().and_then(|floor| FLOORS.iter().position(|name| name == floor));
    let code = &source.with_tests;
    let mut faults = Vec::new();
    let mut judge = |place: usize, rest: &str| {
        for name in names(rest) {
            match (FLOORS.iter().position(|floor| *floor == name), own) {
                (None, _) => faults.push(fault(source, place, &format!("{name} is no floor"))),
                (Some(used), Some(own)) if used > own => {
                    let why = format!("{} uses {name}, which stands above it", FLOORS[own]);
                    faults.push(fault(source, place, &why));
                }
                // The door stands above all.
                _ => {}
            }
        }
    };
    for root in ["crate::", "sockactors::"] {
        for place in find_all(code, root) {
            judge(place, &code[place + root.len()..]);
        }
    }
    for place in find_all(code, "super::").filter(|place| !code[..*place].ends_with("super::")) {
        let mut rest = &code[place..];
        let mut up = 0;
        while let Some(next) = rest.strip_prefix("super::") {
            (rest, up) = (next, up + 1);
        }
        if up >= module.len() + inline_modules(code, place) {
            judge(place, rest);
        }
    }
    faults
}

fn sockets(source: &Source) -> Vec<String> {
    match source.is_in(&["src/runtime/"]) {
        true => named(source, &SOCKETS, "the runtime knows no socket"),
        false => Vec::new(),
    }
}

fn purity(source: &Source) -> Vec<String> {
    match source.is_in(&["src/wire/"]) {
        true => named(source, &NOT_PURE, "the wire is pure functions on bytes"),
        false => Vec::new(),
    }
}

pub fn outside(source: &Source) -> Vec<String> {
    match source.is_in(&["src/", "actors/"]) && !source.is_in(&["src/cli/", "src/testing.rs"]) {
        true => named(source, &OUTSIDE, "only cli prints, reads flags and the environment"),
        false => Vec::new(),
    }
}

fn seam(source: &Source) -> Vec<String> {
    if !source.is_in(&["src/", "actors/"]) || SCHEDULER.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let excepted =
        |word: &str| BESIDE_THE_SEAM.iter().any(|(path, w, _)| *path == source.path && *w == word);
    let words: Vec<_> = SEAM.into_iter().filter(|word| !excepted(word)).collect();
    named(
        source,
        &words,
        "time, tasks and chance come through the scheduler (or say why not, in this test)",
    )
}

fn global_executor(source: &Source) -> Vec<String> {
    let code = &source.with_tests;
    let paths = find_all(code, "smol::").filter(|at| names(&code[at + 6..]).contains(&"spawn"));
    paths.map(|at| fault(source, at, "smol::spawn brings a global executor; own one")).collect()
}

fn length(source: &Source) -> Vec<String> {
    match source.text.lines().count() {
        lines if lines > LONGEST => vec![format!("{}:{lines}: over {LONGEST} lines", source.path)],
        _ => Vec::new(),
    }
}

pub fn essay(source: &Source) -> Vec<String> {
    match source.text.starts_with("//! ") {
        true => Vec::new(),
        false => vec![format!("{}:1: it does not open with `//!`: what is it for?", source.path)],
    }
}

fn safety(source: &Source) -> Vec<String> {
    let code = &source.with_tests;
    find_all(code, "unsafe").map(|at| fault(source, at, "no unsafe code here")).collect()
}
