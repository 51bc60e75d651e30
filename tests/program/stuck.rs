//! Programs whose output is not read, or with an actor that never yields. They end nevertheless.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::chat_client::connect;
use crate::support::{BINARY, Program, directory};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::io::ioctl_fionread;
use rustix::process::Signal;
use sockactors::runtime::{Child, Context, NodeState, Outcome, Strategy, Supervisor, System};

/// Connections whose output, about a hundred bytes each, exceeds the capacity of a pipe.
const FLOOD: usize = 2000;

/// Makes a pipe without a reader. The file holds both ends.
fn unread_pipe(path: &std::path::Path) -> File {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Returns whether a pipe is full. Its capacity is in pages, not in bytes, so only poll(2) tells.
fn is_full(pipe: &File) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(pipe, PollFlags::OUT)], Some(&now)).unwrap() == 0
}

/// Connects, and returns whether the greeting arrived within `timeout`.
fn is_greeted(endpoint: &str, timeout: Duration) -> bool {
    let mut client = connect(endpoint);
    client.set_read_timeout(Some(timeout)).unwrap();
    let mut greeting = String::new();
    client.read_to_string(&mut greeting).is_ok() && greeting == "Thank you for connecting"
}

/// Returns a shell command that starts our server with a stream redirected to a pipe.
fn server_into(redirection: &str, pipe: &std::path::Path, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$@\" {redirection}\"$PIPE\""), "sh", BINARY]);
    command.args(["--scenario", "tcp", "--listen", "127.0.0.1:0"]).args(args).env("PIPE", pipe);
    command
}

/// Starts a server whose JSON output has filled a pipe, and returns it with the pipe.
fn server_with_full_stdout(directory: &std::path::Path, args: &[&str]) -> (Program, File) {
    let path = directory.join("stdout");
    let stdout = unread_pipe(&path);
    // Set the flag by the environment, so that `listening` looks for the endpoint on stderr.
    let mut command = server_into("1>", &path, args);
    let server = Program::start(command.env("SOCKACTORS_JSON", "1")).listening();
    // The server may delay its clients once the pipe is full.
    let timeout = Duration::from_millis(500);
    let served = (0..FLOOD).take_while(|_| !is_full(&stdout));
    served.for_each(|_| _ = is_greeted(server.endpoint(), timeout));
    assert!(is_full(&stdout), "bytes in the pipe: {:?}", ioctl_fionread(&stdout));
    // Exceed the capacity.
    (0..100).for_each(|_| drop(connect(server.endpoint())));
    (server, stdout)
}

#[test]
fn server_with_blocked_stdout_ends_at_signal() {
    let directory = directory();
    let args = ["--drain-timeout", "500ms"];
    let (server, _stdout) = server_with_full_stdout(directory.path(), &args);
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn server_with_blocked_stdout_ends_at_second_signal() {
    let directory = directory();
    let args = ["--drain-timeout", "10m"];
    let (server, _stdout) = server_with_full_stdout(directory.path(), &args);
    server.terminate();
    server.wait_for_closed_port();
    server.terminate();
    server.wait();
}

#[test]
fn server_with_blocked_stderr_serves_and_ends() {
    let directory = directory();
    let path = directory.path().join("stderr");
    let stderr = unread_pipe(&path);
    let server = Program::start(&mut server_into("2>", &path, &["-v", "--json"])).listening();
    let served = (0..FLOOD).take_while(|_| !is_full(&stderr));
    served.for_each(|_| assert!(is_greeted(server.endpoint(), crate::support::DEADLINE)));
    assert!(is_full(&stderr), "bytes in the pipe: {:?}", ioctl_fionread(&stderr));
    // Exceed the log's queue.
    for _ in 0..300 {
        assert!(is_greeted(server.endpoint(), crate::support::DEADLINE));
    }
    // The tree cannot be printed either, and must not delay other signals.
    server.signal(Signal::USR1);
    server.terminate();
    server.wait().with_code(0);
}

/// If this variable is set, the test below runs as its own child process.
const CHILD_VARIABLE: &str = "THIS_PROCESS_HAS_AN_ACTOR_THAT_BLOCKS";

/// Runs a system whose only actor blocks its thread for ever, and prints when a stop is requested.
fn block_for_ever() {
    let system = System::new().signals();
    let handle = system.handle();
    let mut tree = Supervisor::new("t", Strategy::OneForOne);
    tree.child(Child::new("x", move || {
        let handle = handle.clone();
        async move |_: Context<()>| -> Outcome {
            println!("it blocks");
            let is_stopping =
                || handle.tree().is_some_and(|tree| tree.state == NodeState::Stopping);
            let mut printed = false;
            loop {
                if !printed && is_stopping() {
                    println!("it was asked to stop");
                    printed = true;
                }
                thread::park_timeout(Duration::from_millis(10));
            }
        }
    }));
    let _ = system.run(tree);
    println!("it ended");
}

#[test]
fn actor_that_never_yields_ends_at_second_signal() {
    if std::env::var_os(CHILD_VARIABLE).is_some() {
        return block_for_ever();
    }
    let this = "stuck::actor_that_never_yields_ends_at_second_signal";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([this, "--exact", "--nocapture"]).env(CHILD_VARIABLE, "1");
    let blocked = Program::start(&mut command);
    blocked.wait_for("it blocks\n");
    blocked.terminate();
    blocked.wait_for("it was asked to stop\n");
    blocked.terminate();
    let ended = blocked.wait();
    assert_eq!(ended.code, 128 + 15, "{ended:?}");
    assert!(!ended.out().contains("it ended"), "{ended:?}");
}
