//! Measures the memory and the CPU time of idle chat sessions in the server.
//!
//! The program serves a chat on a Unix socket. Thousands of clients join the first room, send one
//! command each, read the answer and all announcements, and are silent. Memory is the growth of
//! `RssAnon` from the first 5,000 sessions to all of them. So neither the program itself nor the
//! room's message log, which is full by then, counts. Memory of the kernel does not count either.
//! Afterwards the CPU time and the context switches of the idle server should not grow.
//!
//!     cargo bench --bench idle_sessions                        # 5,000, then 15,000 sessions
//!     cargo bench --bench idle_sessions -- --sessions 3000     # another total
//!
//! Without cargo's `--bench`, or with `--test`, a run has a few sessions and checks the answers.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use sockactors::net::raise_open_file_limit;

/// The timeout of each step of the server.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The clients that connect at once.
const BATCH: usize = 200;

/// The time without activity after which the server counts as idle.
///
/// The watchdog for blocked threads runs once more a second or two after the last poll.
const REST: Duration = Duration::from_secs(3);

/// The capacity of a room's message log, which fills before the first measurement.
const LOG_CAPACITY: usize = 5000;

/// The command of each client, and the start of its answer.
const COMMAND: &[u8] = b"/ack off\n";
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
    let value = args.iter().position(|arg| arg == "--sessions").and_then(|at| args.get(at + 1));
    let sessions: usize = match value {
        Some(text) => text.parse().map_err(|_| other("--sessions needs a number"))?,
        None if smoke => 64,
        None => 15_000,
    };
    let first = LOG_CAPACITY.min(sessions / 2);
    // The server inherits the limit.
    raise_open_file_limit();
    let server = Server::start()?;
    let mut clients = Vec::new();
    let rest = if smoke { REST / 10 } else { REST };
    let mut readings = Vec::new();
    for count in [0, first, sessions] {
        server.connect_until(&mut clients, count)?;
        server.wait_until_idle(rest)?;
        readings.push((count as u64, server.memory()?));
        println!("RssAnon with {count} sessions: {} kB", server.memory()?);
    }
    let each = |(few, before): (u64, u64), (many, after): (u64, u64)| {
        after.saturating_sub(before) * 1024 / (many - few).max(1)
    };
    println!("memory of each session: {} B", each(readings[0], readings[2]));
    println!("memory of each later session: {} B", each(readings[1], readings[2]));

    let idle = Duration::from_secs(if smoke { 1 } else { 10 });
    let before = server.activity()?;
    thread::sleep(idle);
    let after = server.activity()?;
    println!(
        "in {idle:?} without input: {} ns of CPU time, {} context switches",
        after.0 - before.0,
        after.1 - before.1,
    );
    Ok(())
}

/// The program in a child process. Dropping this kills it.
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
            if since.elapsed() > TIMEOUT {
                return Err(error);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    /// Connects clients until there are `count`, and waits for the answer to each.
    fn connect_until(&self, clients: &mut Vec<UnixStream>, count: usize) -> io::Result<()> {
        while clients.len() < count {
            let known = clients.len();
            for _ in 0..BATCH.min(count - known) {
                let mut stream = connect(&self.socket)?;
                stream.write_all(COMMAND)?;
                stream.set_nonblocking(true)?;
                clients.push(stream);
            }
            let mut received = vec![Vec::new(); clients.len() - known];
            let mut left = received.len();
            let since = Instant::now();
            while left > 0 {
                for (stream, received) in clients[known..].iter_mut().zip(&mut received) {
                    if read(stream, received)? && answered(received) {
                        left -= 1;
                        // An answer counts once.
                        received.clear();
                    }
                }
                if since.elapsed() > TIMEOUT {
                    return Err(other(format!("{left} clients got no answer")));
                }
                thread::sleep(Duration::from_millis(1));
            }
            for stream in clients.iter_mut() {
                read(stream, &mut Vec::new())?;
            }
        }
        Ok(())
    }

    /// Waits until the server is idle for `rest`.
    fn wait_until_idle(&self, rest: Duration) -> io::Result<()> {
        let since = Instant::now();
        let mut activity = self.activity()?;
        loop {
            thread::sleep(rest);
            let now = self.activity()?;
            if now == activity {
                return Ok(());
            }
            if since.elapsed() > TIMEOUT {
                return Err(other("the server did not become idle"));
            }
            activity = now;
        }
    }

    /// Returns the anonymous resident memory in kB.
    fn memory(&self) -> io::Result<u64> {
        field(&self.proc().join("status"), "RssAnon:")
    }

    /// Returns the CPU time of all threads in ns, and their voluntary context switches.
    fn activity(&self) -> io::Result<(u64, u64)> {
        let mut activity = (0, 0);
        for thread in fs::read_dir(self.proc().join("task"))? {
            let thread = thread?.path();
            // A thread may end between the two reads.
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
        // Both calls fail if the server has already exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Connects, and retries while the backlog is full.
fn connect(socket: &Path) -> io::Result<UnixStream> {
    let since = Instant::now();
    loop {
        match UnixStream::connect(socket) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && since.elapsed() < TIMEOUT => {
                thread::sleep(Duration::from_millis(1));
            }
            done => return done,
        }
    }
}

/// Reads all available bytes, and reports whether there were any.
fn read(stream: &mut UnixStream, received: &mut Vec<u8>) -> io::Result<bool> {
    let before = received.len();
    match stream.read_to_end(received) {
        Ok(_) => Err(other(format!("the server closed: {:?}", String::from_utf8_lossy(received)))),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(received.len() > before),
        Err(error) => Err(error),
    }
}

fn answered(received: &[u8]) -> bool {
    received.split(|&byte| byte == b'\n').any(|line| line.starts_with(ANSWER))
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
