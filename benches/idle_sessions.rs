//! What an idle chat session costs the server: its memory, and that it is left alone.
//!
//! The built program serves a chat over a Unix socket, and thousands of clients come in, each with one line that
//! is answered; then nobody says anything. All are in the first room, where everybody has heard the later ones
//! come. The memory is the process's own (`RssAnon`): what the kernel holds for a socket is its affair. It is
//! measured as growth between a first part of the crowd and the whole of it, so that neither the program itself
//! nor what the room remembers (it is full by then) counts. After that the server is watched while nobody says
//! a word: CPU time and switches of its threads should not grow at all.
//!
//!     cargo bench --bench idle_sessions                        # 5,000 and then 10,000 sessions more
//!     cargo bench --bench idle_sessions -- --sessions 3000     # how many there are in all
//!
//! Without cargo's `--bench`, or with `--test`, a few sessions prove that all is well.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use sockactors::net::raise_open_file_limit;

/// How long the server may take for anything.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many come at once.
const BATCH: usize = 200;

/// For how long a server that is at rest has done nothing. The watch over actors that keep their thread looks
/// once more within a second or two after the last turn.
const REST: Duration = Duration::from_secs(3);

/// A room remembers so many lines; as many must have come before the first reading.
const REMEMBERED: usize = 5000;

/// What a session says, and how the answer begins.
const WORD: &[u8] = b"/ack off\n";
const ANSWER: &[u8] = b"* receipts are off";

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("idle_sessions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> io::Result<()> {
    let has = |flag: &str| args.iter().any(|arg| arg == flag);
    let smoke = has("--test") || !has("--bench");
    let asked = args.iter().position(|arg| arg == "--sessions").and_then(|at| args.get(at + 1));
    let sessions: usize = match asked {
        Some(text) => text.parse().map_err(|_| other("--sessions takes a number"))?,
        None if smoke => 64,
        None => 15_000,
    };
    let first = REMEMBERED.min(sessions / 2);
    // The server inherits it.
    raise_open_file_limit();
    let server = Server::start()?;
    let mut crowd = Vec::new();
    let rest = if smoke { REST / 10 } else { REST };
    let mut readings = Vec::new();
    for count in [0, first, sessions] {
        server.bring_in(&mut crowd, count)?;
        server.at_rest(rest)?;
        readings.push((count as u64, server.memory()?));
        println!("RssAnon with {count} sessions: {} kB", server.memory()?);
    }
    let each = |(few, before): (u64, u64), (many, after): (u64, u64)| {
        after.saturating_sub(before) * 1024 / (many - few).max(1)
    };
    println!("each of all: {} B", each(readings[0], readings[2]));
    println!("each of the later ones: {} B", each(readings[1], readings[2]));

    let idle = Duration::from_secs(if smoke { 1 } else { 10 });
    let before = server.activity()?;
    thread::sleep(idle);
    let after = server.activity()?;
    println!(
        "in {idle:?} without a word: {} ns of CPU time, {} times a thread went on",
        after.0 - before.0,
        after.1 - before.1,
    );
    Ok(())
}

/// The program in a process of its own, which ends with this value.
struct Server {
    child: Child,
    socket: PathBuf,
    _place: tempfile::TempDir,
}

impl Server {
    fn start() -> io::Result<Server> {
        let place = tempfile::tempdir()?;
        let socket = place.path().join("chat");
        let listen = format!("unix:{}", socket.display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_sockactors"));
        command.args(["-q", "--scenario", "chat", "--max-conns", "16000", "--listen", &listen]);
        let quiet = command.env_clear().stdin(Stdio::null()).stdout(Stdio::null());
        let child = quiet.stderr(Stdio::null()).spawn()?;
        let server = Server { child, socket, _place: place };
        let since = Instant::now();
        while let Err(error) = UnixStream::connect(&server.socket) {
            if since.elapsed() > PATIENCE {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// Has clients come until there are `count` of them, each of which has its answer.
    fn bring_in(&self, crowd: &mut Vec<UnixStream>, count: usize) -> io::Result<()> {
        while crowd.len() < count {
            let known = crowd.len();
            for _ in 0..BATCH.min(count - known) {
                let mut stream = connect(&self.socket)?;
                stream.write_all(WORD)?;
                stream.set_nonblocking(true)?;
                crowd.push(stream);
            }
            let mut heard = vec![Vec::new(); crowd.len() - known];
            let mut left = heard.len();
            let since = Instant::now();
            while left > 0 {
                for (stream, heard) in crowd[known..].iter_mut().zip(&mut heard) {
                    if read(stream, heard)? && answered(heard) {
                        left -= 1;
                        // It is not counted twice.
                        heard.clear();
                    }
                }
                if since.elapsed() > PATIENCE {
                    return Err(other(format!("{left} clients got no answer")));
                }
                thread::sleep(Duration::from_millis(1));
            }
            for stream in crowd.iter_mut() {
                read(stream, &mut Vec::new())?;
            }
        }
        Ok(())
    }

    /// Waits until the server has nothing left to do.
    fn at_rest(&self, rest: Duration) -> io::Result<()> {
        let since = Instant::now();
        let mut activity = self.activity()?;
        loop {
            thread::sleep(rest);
            let now = self.activity()?;
            if now == activity {
                return Ok(());
            }
            if since.elapsed() > PATIENCE {
                return Err(other("the server never comes to rest"));
            }
            activity = now;
        }
    }

    /// Returns the kilobytes of memory that are the process's own.
    fn memory(&self) -> io::Result<u64> {
        field(&self.proc().join("status"), "RssAnon:")
    }

    /// Returns how long the threads were on a CPU, in nanoseconds, and how often they left it.
    fn activity(&self) -> io::Result<(u64, u64)> {
        let mut activity = (0, 0);
        for thread in fs::read_dir(self.proc().join("task"))? {
            let thread = thread?.path();
            // A thread may end between the two readings.
            let Ok(text) = fs::read_to_string(thread.join("schedstat")) else { continue };
            let spent = text.split_whitespace().next().and_then(|ns| ns.parse::<u64>().ok());
            activity.0 += spent.ok_or_else(|| other(format!("schedstat says {text:?}")))?;
            activity.1 += field(&thread.join("status"), "voluntary_ctxt_switches:")?;
        }
        Ok(activity)
    }

    fn proc(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.child.id()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already needs neither.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects, and waits while the server has too many to accept.
fn connect(socket: &Path) -> io::Result<UnixStream> {
    let since = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && since.elapsed() < PATIENCE => {
                thread::sleep(Duration::from_millis(1));
            }
            done => return done,
        }
    }
}

/// Takes in all that is there; tells whether there was anything.
fn read(stream: &mut UnixStream, heard: &mut Vec<u8>) -> io::Result<bool> {
    let before = heard.len();
    match stream.read_to_end(heard) {
        Ok(_) => Err(other(format!("the server closed: {:?}", String::from_utf8_lossy(heard)))),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(heard.len() > before),
        Err(error) => Err(error),
    }
}

fn answered(heard: &[u8]) -> bool {
    heard.split(|&byte| byte == b'\n').any(|line| line.starts_with(ANSWER))
}

/// Reads a number from a file of `/proc`.
fn field(file: &Path, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(file)?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let number = value.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| other(format!("{} has no {name}", file.display())))
}

fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::other(error)
}
