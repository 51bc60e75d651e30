//! Helpers of the end-to-end tests: programs that run with a deadline and whose output is recorded.
//!
//! Nothing here sleeps. A test waits for a line, a byte or an exit. After 20 seconds it panics with
//! the program's whole output.

// Each test program includes this module, and none uses all of it.
#![allow(dead_code)]

pub mod cgroup;
pub mod chat_client;
pub mod files;
pub mod framed_client;
pub mod framed_server;
pub mod hosts;
pub mod netns;
mod output;
pub mod peers;
pub mod process_stats;
pub mod serial;
pub mod strace;
pub mod terminal;
pub mod uploads;

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use output::OutputLog;
pub use output::ProgramOutput;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

/// The time that a test waits for one event.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// The built program.
pub const BINARY: &str = env!("CARGO_BIN_EXE_sockactors");

/// A running program, ours or a peer's. Drop kills it and its children.
pub struct Program {
    command: String,
    child: Child,
    pid: Pid,
    stdin: Option<ChildStdin>,
    stdout: Arc<OutputLog>,
    stderr: Arc<OutputLog>,
    endpoint: String,
    reaped: bool,
}

impl Program {
    /// Starts a program whose standard streams the test controls.
    #[track_caller]
    pub fn start(command: &mut Command) -> Program {
        let mut program = Program::with_unread_stdout(command);
        program.stdout = OutputLog::capture(program.child.stdout.take());
        program
    }

    /// Starts a program whose stdout is not read until [`Program::close_stdout`] drops it.
    #[track_caller]
    pub fn with_unread_stdout(command: &mut Command) -> Program {
        let inherited = std::env::vars_os().map(|(name, _)| name);
        for name in inherited.filter(|name| name.to_string_lossy().starts_with("SOCKACTORS_")) {
            if !command.get_envs().any(|(set, _)| set == name) {
                command.env_remove(name);
            }
        }
        let what = format!("{command:?}");
        let mut child = command
            .env("RUST_BACKTRACE", "0")
            .env("PYTHONUNBUFFERED", "1")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        Program {
            pid: Pid::from_child(&child),
            stdin: child.stdin.take(),
            stdout: OutputLog::capture(None::<std::io::Empty>),
            stderr: OutputLog::capture(child.stderr.take()),
            child,
            command: what,
            endpoint: String::new(),
            reaped: false,
        }
    }

    /// Starts our program with these arguments.
    #[track_caller]
    pub fn run(args: &[&str]) -> Program {
        Program::start(Command::new(BINARY).args(args))
    }

    /// Starts our program as a server, on a free port unless `--listen` is given, and waits until
    /// it listens.
    #[track_caller]
    pub fn server(args: &[&str]) -> Program {
        let mut command = Command::new(BINARY);
        command.args(args);
        if !args.contains(&"--listen") {
            command.args(["--listen", "127.0.0.1:0"]);
        }
        Program::start(&mut command).listening()
    }

    /// Waits until the program reports its endpoint, as text on stderr or as JSON on stdout.
    #[track_caller]
    pub fn listening(mut self) -> Program {
        let json = self.command.contains("\"--json\"");
        let (log, prefix) =
            if json { (&self.stdout, "\"endpoint\":\"") } else { (&self.stderr, "listening on ") };
        let endpoint = log.wait_for(DEADLINE, |bytes, _| {
            let text = String::from_utf8_lossy(bytes);
            let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
            lines.filter(|line| !json || line.contains("\"listening\"")).find_map(|line| {
                let (_, rest) = line.split_once(prefix)?;
                Some(rest.split(['"', ' ', '\n']).next()?.trim_end_matches([',', '.']).to_owned())
            })
        });
        self.endpoint = endpoint.unwrap_or_else(|| self.timed_out("where it listens"));
        self
    }

    /// Returns the server's endpoint in the syntax of the flags.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Returns the port of [`Program::endpoint`].
    #[track_caller]
    pub fn port(&self) -> u16 {
        let port = self.endpoint.rsplit(':').next().unwrap_or_default();
        port.parse().unwrap_or_else(|_| panic!("no port in {:?}", self.endpoint))
    }

    /// Returns the process ID.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to the program's stdin.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("its stdin is open");
        stdin.write_all(bytes.as_ref()).and_then(|()| stdin.flush()).unwrap();
    }

    /// Closes the program's stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Closes the read end of stdout after [`Program::with_unread_stdout`].
    pub fn close_stdout(&mut self) {
        self.child.stdout = None;
    }

    /// Waits for a line on stdout, and returns it.
    #[track_caller]
    pub fn wait_for_line(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.stdout.wait_for_line(wanted).unwrap_or_else(|| self.timed_out("a line on stdout"))
    }

    /// Waits for a line on stderr, and returns it.
    #[track_caller]
    pub fn wait_for_error_line(&self, wanted: impl Fn(&str) -> bool) -> String {
        self.stderr.wait_for_line(wanted).unwrap_or_else(|| self.timed_out("a line on stderr"))
    }

    /// Waits until stdout contains this text, in a complete line or not.
    #[track_caller]
    pub fn wait_for(&self, words: &str) {
        self.wait_for_matches(words, 1);
    }

    /// Waits until stdout contains this text `times` times.
    #[track_caller]
    pub fn wait_for_matches(&self, words: &str, times: usize) {
        let count = |bytes: &[u8]| String::from_utf8_lossy(bytes).matches(words).count();
        let found = |bytes: &[u8], _| (count(bytes) >= times).then_some(());
        self.stdout.wait_for(DEADLINE, found).unwrap_or_else(|| self.timed_out(words));
    }

    /// Returns the output on stdout so far.
    pub fn stdout(&self) -> Vec<u8> {
        self.stdout.bytes()
    }

    /// Returns the output on stderr so far.
    pub fn stderr(&self) -> Vec<u8> {
        self.stderr.bytes()
    }

    /// Sends SIGINT.
    pub fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Waits until the server accepts no more connections, as after a stop request.
    #[track_caller]
    pub fn wait_for_closed_port(&self) {
        let deadline = std::time::Instant::now() + DEADLINE;
        while std::net::TcpStream::connect(&self.endpoint).is_ok() {
            if std::time::Instant::now() > deadline {
                self.timed_out::<()>("its port to close");
            }
        }
    }

    /// Sends a signal, unless the program has exited.
    pub fn signal(&self, signal: Signal) {
        let _ = rustix::process::kill_process(self.pid, signal);
    }

    /// Closes stdin, waits for the exit, and returns the output.
    #[track_caller]
    pub fn wait(self) -> ProgramOutput {
        self.wait_within(DEADLINE)
    }

    /// Like [`Program::wait`], with a longer timeout.
    #[track_caller]
    pub fn wait_within(mut self, within: Duration) -> ProgramOutput {
        self.stdin = None;
        self.wait_while_stdin_is_open(within)
    }

    /// Like [`Program::wait`], but leaves stdin open.
    #[track_caller]
    pub fn wait_while_stdin_is_open(mut self, within: Duration) -> ProgramOutput {
        let (pid, (sender, exited)) = (self.pid, std::sync::mpsc::channel());
        // The process stays a zombie, so that its ID is not reused while this thread waits.
        std::thread::spawn(move || {
            let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let _ = sender.send(rustix::process::waitid(WaitId::Pid(pid), ended));
        });
        if exited.recv_timeout(within).is_err() {
            self.timed_out::<()>("its end");
        }
        self.kill_group();
        let status = self.child.wait().unwrap();
        self.reaped = true;
        for log in [&self.stdout, &self.stderr] {
            log.wait_for(DEADLINE, |_, _| None::<()>);
        }
        let signal = std::os::unix::process::ExitStatusExt::signal(&status);
        let code = status.code().or(signal.map(|signal| 128 + signal)).unwrap_or(-1);
        ProgramOutput { code, stdout: self.stdout.bytes(), stderr: self.stderr.bytes() }
    }

    /// Kills the program's process group. The ID is not reused before the program is reaped.
    fn kill_group(&self) {
        let _ = rustix::process::kill_process_group(self.pid, Signal::KILL);
    }

    #[track_caller]
    fn timed_out<T>(&self, missing: &str) -> T {
        let (out, err) = (self.stdout.bytes(), self.stderr.bytes());
        let (out, err) = (String::from_utf8_lossy(&out), String::from_utf8_lossy(&err));
        panic!(
            "timed out waiting for {missing}: {}\n--- stdout\n{out}\n--- stderr\n{err}",
            self.command
        )
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.reaped {
            self.kill_group();
            let _ = self.child.wait();
        }
    }
}

/// Runs our program to its end, with this stdin.
#[track_caller]
pub fn sockactors(args: &[&str], stdin: &str) -> ProgramOutput {
    let mut program = Program::run(args);
    if let Some(pipe) = program.stdin.as_mut() {
        // A program that reads no input may have exited already.
        let _ = pipe.write_all(stdin.as_bytes());
    }
    program.wait()
}

/// Creates a temporary directory whose path is short enough for a Unix socket in it.
pub fn directory() -> tempfile::TempDir {
    let base = Some(std::env::temp_dir()).filter(|base| base.as_os_str().len() <= 40);
    let base = base.unwrap_or_else(|| "/tmp".into());
    tempfile::Builder::new().prefix("sockactors-").tempdir_in(base).unwrap()
}
