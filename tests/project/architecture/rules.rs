//! Rules about single source files. Each is a function from a file to its faults.

use super::imports::module_path;
use super::layers::LAYERS;
use super::source::{Source, find_all, inline_modules, line_of, names};

/// Names that only the scheduler uses, so that a simulation can replace it.
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
/// The files of the scheduler: real threads and the simulation.
const SCHEDULER: [&str; 3] = ["src/reactor/", "src/runtime/executor/", "src/runtime/sim/"];

/// Exceptions from the seam: the file, the name that it uses, and the reason.
pub const SEAM_EXCEPTIONS: [(&str, &str, &str); 10] = [
    (
        "actors/file/store/active_uploads.rs",
        "Instant::now",
        "a guard that is dropped on a disk thread has no context, and its drop sets a deadline",
    ),
    (
        "actors/file/store/hash_cache.rs",
        "SystemTime::now",
        "it is compared with the times of files, which are those of the real clock",
    ),
    (
        "src/runtime/system/mod.rs",
        "Executor",
        "`System::on` takes the executor of the caller, and hands it to the scheduler",
    ),
    (
        "src/net/stream/connect.rs",
        "Timer",
        "net has no actor context, so the deadline of a connect has a timer of its own",
    ),
    ("src/net/stream/connect.rs", "Instant::now", "the same deadline"),
    (
        "src/cli/terminal/stdin.rs",
        "thread::Builder",
        "a read of stdin cannot be cancelled, so a thread does it",
    ),
    (
        "src/cli/terminal/pty.rs",
        "thread::Builder",
        "a read of the terminal cannot be cancelled either",
    ),
    (
        "src/cli/terminal/mod.rs",
        "thread::Builder",
        "the line editor blocks in a read, and at the end on a paused terminal",
    ),
    (
        "src/cli/output/background_writer.rs",
        "thread::Builder",
        "a paused terminal must not block an executor, so a thread writes to it",
    ),
    (
        "src/cli/output/lifecycle.rs",
        "Instant::now",
        "an observer has no context, and reports the real duration of the drain",
    ),
];

/// Access to the terminal, the arguments or the environment.
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

/// Names of sockets, which the runtime does not use.
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

/// Names of I/O and time, which pure functions on bytes do not use.
const NOT_PURE: [&str; 7] =
    ["smol", "rustix", "std::net", "std::fs", "std::thread", "async", "Instant::now"];

pub type Rule = fn(&Source) -> Vec<String>;

pub const RULES: [Rule; 9] =
    [layers, sockets, purity, outside, seam, global_executor, purpose, safety, time_sums];

/// The file that adds durations to times.
const TIME: &str = "src/time.rs";

/// Ends of the names of times.
const TIME_NAMES: [&str; 7] = ["now", "now()", "_at", "until", "since", "deadline", "epoch"];

/// Ends of the names of durations, in lower case.
const DURATION_NAMES: [&str; 8] =
    ["timeout", "interval", "delay", "period", "pause", "duration", "_after", "time_slice"];

fn fault(source: &Source, offset: usize, why: &str) -> String {
    format!("{}:{}: {why}", source.path, line_of(&source.with_tests, offset))
}

/// Returns a fault for each use of one of `words`.
fn uses(source: &Source, words: &[&str], why: &str) -> Vec<String> {
    let faults = words.iter().flat_map(|word| {
        find_all(&source.code, word).map(move |at| fault(source, at, &format!("{word}: {why}")))
    });
    faults.collect()
}

/// Checks each path from the crate's root, also in tests, against the order of the layers.
fn layers(source: &Source) -> Vec<String> {
    let Some(module) = module_path(&source.path) else { return Vec::new() };
    if source.path == "src/lib.rs" {
        return Vec::new();
    }
    let own = module.first().and_then(|layer| LAYERS.iter().position(|name| name == layer));
    let code = &source.with_tests;
    let mut faults = Vec::new();
    let mut check = |offset: usize, rest: &str| {
        for name in names(rest) {
            match (LAYERS.iter().position(|layer| *layer == name), own) {
                (None, _) => faults.push(fault(source, offset, &format!("{name} is no layer"))),
                (Some(used), Some(own)) if used > own => {
                    let why = format!("{} uses {name}, which is above it", LAYERS[own]);
                    faults.push(fault(source, offset, &why));
                }
                // `main.rs` and `testing.rs` are above all layers.
                _ => {}
            }
        }
    };
    for root in ["crate::", "sockactors::"] {
        for offset in find_all(code, root) {
            check(offset, &code[offset + root.len()..]);
        }
    }
    for offset in find_all(code, "super::").filter(|at| !code[..*at].ends_with("super::")) {
        let mut rest = &code[offset..];
        let mut up = 0;
        while let Some(next) = rest.strip_prefix("super::") {
            (rest, up) = (next, up + 1);
        }
        if up >= module.len() + inline_modules(code, offset) {
            check(offset, rest);
        }
    }
    faults
}

fn sockets(source: &Source) -> Vec<String> {
    match source.is_in(&["src/runtime/"]) {
        true => uses(source, &SOCKETS, "the runtime knows no sockets"),
        false => Vec::new(),
    }
}

fn purity(source: &Source) -> Vec<String> {
    match source.is_in(&["src/wire/"]) {
        true => uses(source, &NOT_PURE, "wire holds pure functions on bytes"),
        false => Vec::new(),
    }
}

pub fn outside(source: &Source) -> Vec<String> {
    match source.is_in(&["src/", "actors/"]) && !source.is_in(&["src/cli/", "src/testing.rs"]) {
        true => uses(source, &OUTSIDE, "only cli prints and reads arguments or the environment"),
        false => Vec::new(),
    }
}

fn seam(source: &Source) -> Vec<String> {
    if !source.is_in(&["src/", "actors/"]) || source.is_in(&SCHEDULER) {
        return Vec::new();
    }
    let is_exception =
        |word: &str| SEAM_EXCEPTIONS.iter().any(|(path, w, _)| *path == source.path && *w == word);
    let words: Vec<_> = SEAM.into_iter().filter(|word| !is_exception(word)).collect();
    uses(
        source,
        &words,
        "time, tasks and randomness come from the scheduler (or add an exception with a reason)",
    )
}

fn global_executor(source: &Source) -> Vec<String> {
    let code = &source.with_tests;
    let paths = find_all(code, "smol::").filter(|at| names(&code[at + 6..]).contains(&"spawn"));
    paths.map(|at| fault(source, at, "smol::spawn starts a global executor")).collect()
}

/// Checks that a file begins with the text that explains it.
fn purpose(source: &Source) -> Vec<String> {
    match source.text.starts_with("//! ") {
        true => Vec::new(),
        false => vec![format!("{}:1: no `//!` text states the purpose", source.path)],
    }
}

/// Checks that a time and a duration are not added with `+`, which panics on overflow.
fn time_sums(source: &Source) -> Vec<String> {
    if !source.is_in(&["src/", "actors/"]) || source.path == TIME {
        return Vec::new();
    }
    let code = &source.code;
    let is_sum = |at: &usize| {
        let left = code[..*at].trim_end();
        let right = code[at + 1..].trim_start_matches('=').trim_start();
        let end = right.find(|c: char| !c.is_alphanumeric() && !"_.:".contains(c));
        let name = right[..end.unwrap_or(right.len())].to_lowercase();
        TIME_NAMES.iter().any(|end| left.ends_with(end))
            || right.starts_with("Duration::")
            || DURATION_NAMES.iter().any(|end| name.ends_with(end))
    };
    let sums = code.match_indices('+').map(|(at, _)| at).filter(is_sum);
    sums.map(|at| fault(source, at, "use time::deadline_after or saturating_add")).collect()
}

fn safety(source: &Source) -> Vec<String> {
    let code = &source.with_tests;
    find_all(code, "unsafe").map(|at| fault(source, at, "unsafe code")).collect()
}
