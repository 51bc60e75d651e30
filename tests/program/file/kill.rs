//! A server that is killed anywhere on a file's path. Files with final names are whole, stored
//! files exist, and the sender resumes.
//!
//! The server is killed at the entry of each of its system calls on a file's path, and at random
//! moments. `SOCKACTORS_POINTS` sets the total number of points.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::support::framed_client::FramedReply;
use crate::support::uploads::{
    env_number, files_below, is_hidden, seeded_bytes, seeded_number, upload, upload_chunks,
    upload_raw,
};
use crate::support::{DEADLINE, Program, directory, serial, strace};
use rustix::process::{Pid, Signal};
use sockactors::wire::file::CHUNK_SIZE;

/// The system calls on a file's path.
const CALLS: &str = "\
    open,openat,mkdirat,newfstatat,statx,fstat,fcntl,flock,fstatfs,ftruncate,\
    lseek,read,pread64,recvfrom,sendto,write,pwrite64,pipe2,splice,fdatasync,\
    fsync,fchmod,utimensat,renameat2,unlinkat,close";

fn server(out: &Path) -> Program {
    Program::server(&["--scenario", "file", "--json", "--out", out.to_str().unwrap()])
}

/// The uploads: a large file in two attempts, a small one, and a raw one.
struct Load {
    large: Vec<u8>,
    small: Vec<u8>,
    raw: Vec<u8>,
}

impl Load {
    fn new() -> Load {
        let file = |seed, length| seeded_bytes(seed, length);
        Load {
            large: file("large", 9 * CHUNK_SIZE + 5),
            small: file("small", 100),
            raw: file("raw", 300_000),
        }
    }

    /// Uploads everything, until it is stored or the server has exited. Records the stored files.
    fn send(&self, server: &Program, stored: &mut Vec<String>) -> io::Result<()> {
        let at = server.endpoint();
        upload_chunks(at, "deep/er/large", &self.large, 5)?;
        for (name, file) in [("deep/er/large", &self.large), ("small", &self.small)] {
            match upload(at, name, file)? {
                FramedReply::Stored(length, given) => {
                    assert_eq!((length, &*given), (file.len() as u64, name));
                    stored.push(given);
                }
                FramedReply::Closed => return Err(io::ErrorKind::ConnectionReset.into()),
                reply => panic!("{name}: {reply:?}"),
            }
        }
        upload_raw(at, &self.raw)
    }

    /// Checks that files with final names are whole, and that stored files exist.
    fn check(&self, out: &Path, stored: &[String]) {
        let there: BTreeMap<_, _> = files_below(out).into_iter().collect();
        for (name, file) in there.iter().filter(|(name, _)| !is_hidden(name)) {
            let expected = match &**name {
                "deep/er/large" => &self.large,
                "small" => &self.small,
                name if name.starts_with("output") => &self.raw,
                name => panic!("{name} is nothing that was sent"),
            };
            assert!(file == expected, "{name} is not what was sent: {} bytes", file.len());
        }
        for name in stored {
            assert!(there.contains_key(name), "{name} was stored, and is gone: {:?}", there.keys());
        }
    }
}

/// Returns the names that the server has reported as stored.
fn narrated(server: &Program) -> Vec<String> {
    let out = String::from_utf8(server.stdout()).unwrap();
    let lines = out.split_inclusive('\n').filter(|line| line.ends_with('\n'));
    let files = lines.filter(|line| line.contains("\"event\":\"file\""));
    let name = |line: &str| {
        let (_, rest) = line.split_once("\"name\":\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    files.map(name).collect()
}

/// Runs a server that may be killed, and after it another one. Returns whether the first one was
/// killed.
fn survive<D>(load: &Load, disturb: impl FnOnce(&Program) -> D) -> bool {
    let out = directory();
    let mut stored = Vec::new();
    let first = server(out.path());
    let disturber = disturb(&first);
    let killed = load.send(&first, &mut stored).is_err();
    first.signal(Signal::KILL);
    stored.extend(narrated(&first));
    // The process ID is not reused before it is reaped.
    drop(disturber);
    drop(first);
    load.check(out.path(), &stored);
    let second = server(out.path());
    load.send(&second, &mut stored).unwrap();
    second.terminate();
    let out_of_it = second.wait();
    out_of_it.with_code(0);
    load.check(out.path(), &stored);
    let left: Vec<_> = files_below(out.path()).into_iter().map(|(name, _)| name).collect();
    let is_raw = |name: &String| name.starts_with(".output") && name.ends_with(".part");
    assert!(left.iter().all(|name| !is_hidden(name) || is_raw(name)), "left: {left:?}");
    killed
}

/// Returns the number of calls per system call, of the thread that makes most of them.
fn calls(load: &Load) -> BTreeMap<String, usize> {
    let (out, mut counts) = (directory(), BTreeMap::<(String, String), usize>::new());
    let log = out.path().join("log");
    let server =
        server(&fs::create_dir(out.path().join("out")).map(|()| out.path().join("out")).unwrap());
    let strace = strace::attach(&server, &["-e", &format!("trace={CALLS}")], &log);
    load.send(&server, &mut Vec::new()).unwrap();
    strace::detach(strace);
    for line in fs::read_to_string(log).unwrap().lines().filter(|line| !line.contains("resumed>")) {
        let mut words = line.split_whitespace();
        let (Some(thread), Some(call)) = (words.next(), words.next()) else { continue };
        if let Some((call, _)) = call.split_once('(') {
            *counts.entry((call.into(), thread.into())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((call, _), count) in counts {
        let known: &mut usize = most.entry(call).or_default();
        *known = count.max(*known);
    }
    most
}

/// Kills a server after a delay, unless it is dropped before.
struct Killer(Option<(mpsc::Sender<()>, JoinHandle<()>)>);

impl Killer {
    fn new(server: &Program, moment: Duration) -> Killer {
        let pid = Pid::from_raw(server.pid() as i32).unwrap();
        let (called_off, is_called_off) = mpsc::channel::<()>();
        let killer = std::thread::spawn(move || {
            // The delay is the point of the test. Nothing is awaited.
            if is_called_off.recv_timeout(moment) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        });
        Killer(Some((called_off, killer)))
    }
}

impl Drop for Killer {
    fn drop(&mut self) {
        if let Some((called_off, killer)) = self.0.take() {
            drop(called_off);
            let _ = killer.join();
        }
    }
}

#[test]
fn kill_in_any_system_call_tears_and_loses_no_file() {
    let _serial = serial::lock();
    if !strace::is_available() {
        return;
    }
    let load = Load::new();
    let mut points: Vec<_> = calls(&load)
        .into_iter()
        .flat_map(|(call, count)| (1..=count).map(move |nth| (call.clone(), nth)))
        .collect();
    assert!(points.len() > 50, "{points:?}");
    points.sort_by_key(|point| seeded_number(format!("{point:?}"), usize::MAX));
    let wanted = env_number("SOCKACTORS_POINTS", 40) / 2;
    let mut killed = BTreeMap::<&str, usize>::new();
    for (call, nth) in points.iter().cycle().take(wanted) {
        let inject = format!("inject={call}:signal=KILL:when={nth}");
        let flags = ["-e", &format!("trace={call}"), "-e", &inject];
        let log = Path::new("/dev/null");
        if survive(&load, |server| strace::attach(server, &flags, log)) {
            *killed.entry(call).or_default() += 1;
        }
    }
    let count: usize = killed.values().sum();
    println!("killed at {count} of {wanted} points of {}: {killed:?}", points.len());
    assert!(count > wanted / 3, "so few were killed: {killed:?}");
}

#[test]
fn kill_at_any_moment_tears_and_loses_no_file() {
    let _serial = serial::lock();
    let load = Load::new();
    let (out, begun) = (directory(), Instant::now());
    let undisturbed = server(out.path());
    load.send(&undisturbed, &mut Vec::new()).unwrap();
    let most = begun.elapsed().min(DEADLINE).as_micros() as usize;
    drop(undisturbed);
    let wanted = env_number("SOCKACTORS_POINTS", 40).div_ceil(2);
    let mut killed = 0;
    for point in 0..wanted {
        let moment = Duration::from_micros(seeded_number(format!("moment {point}"), most) as u64);
        killed += usize::from(survive(&load, |server| Killer::new(server, moment)));
    }
    println!("killed at {killed} of {wanted} moments within {most} us");
    assert!(killed > 0);
}

/// Returns what is missing or out of order in the sequence that must precede a stored file. `flags`
/// are strace's.
fn missing_before_stored(flags: &[&str]) -> Option<String> {
    let (out, load) = (directory(), Load::new());
    let log = out.path().join("log");
    let there = out.path().join("out");
    fs::create_dir(&there).unwrap();
    let server = server(&there);
    let calls = ["-y", "-s", "200", "-e", "trace=fsync,renameat2,mkdirat,sendto"];
    let strace = strace::attach(&server, &[&calls[..], flags].concat(), &log);
    upload(server.endpoint(), "deep/er/large", &load.large).unwrap();
    strace::detach(strace);
    let log = fs::read_to_string(log).unwrap();
    let within = |path: &str| format!("<{}>", there.join(path).display());
    let steps = [
        ("mkdirat(", "\"deep\"".to_owned()),
        ("fsync(", format!("<{}>", there.display())),
        ("mkdirat(", "\"er\"".into()),
        ("fsync(", within("deep")),
        ("fsync(", within("deep/er/.large.part")),
        ("renameat2(", "\"large\"".into()),
        ("fsync(", within("deep/er")),
        ("sendto(", "deep/er/large".into()),
    ];
    let mut lines = log.lines().filter(|line| !line.contains("(INJECTED)"));
    let missing = steps
        .iter()
        .find(|(call, what)| !lines.any(|line| line.contains(call) && line.contains(what)));
    missing.map(|(call, what)| format!("no {call} of {what} in its place:\n{log}"))
}

#[test]
fn stored_follows_sync_of_file_name_and_directories() {
    if strace::is_available() {
        assert_eq!(missing_before_stored(&[]), None);
    }
}

#[test]
fn missing_sync_is_detected() {
    if strace::is_available() {
        let missing = missing_before_stored(&["-e", "inject=fsync:retval=0"]);
        assert!(missing.is_some_and(|missing| missing.starts_with("no fsync(")));
    }
}
