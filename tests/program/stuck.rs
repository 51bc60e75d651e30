//! Programs that are stuck: nobody reads what they tell, or an actor never yields. They end all the same.

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

/// More than what a pipe holds, at some hundred bytes of narration for each connection.
const FLOOD: usize = 2000;

/// A pipe that nobody reads: the file is both of its ends.
fn pipe(path: &std::path::Path) -> File {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Whether a pipe takes nothing more. Its room is in pages and not in bytes, so the kernel has to say it.
fn is_full(pipe: &File) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(pipe, PollFlags::OUT)], Some(&now)).unwrap() == 0
}

/// Connects, and tells whether the greeting came within `patience`.
fn is_greeted(endpoint: &str, patience: Duration) -> bool {
    let mut client = connect(endpoint);
    client.set_read_timeout(Some(patience)).unwrap();
    let mut greeting = String::new();
    client.read_to_string(&mut greeting).is_ok() && greeting == "Thank you for connecting"
}

/// A shell that starts our server with a stream led into a pipe.
fn server_into(redirection: &str, pipe: &std::path::Path, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec \"$@\" {redirection}\"$PIPE\""), "sh", BINARY]);
    command.args(["--scenario", "tcp", "--listen", "127.0.0.1:0"]).args(args).env("PIPE", pipe);
    command
}

/// A server that tells JSON lines into a pipe that is full, with more to tell, and the pipe.
fn server_whose_stdout_is_full(directory: &std::path::Path, args: &[&str]) -> (Program, File) {
    let path = directory.join("stdout");
    let stdout = pipe(&path);
    // A flag in the environment, so that it is known to say on stderr where it listens.
    let mut command = server_into("1>", &path, args);
    let server = Program::start(command.env("SOCKACTORS_JSON", "1")).listening();
    // It may hold its clients up once there is no room for what it has to tell.
    let patience = Duration::from_millis(500);
    let served = (0..FLOOD).take_while(|_| !is_full(&stdout));
    served.for_each(|_| _ = is_greeted(server.endpoint(), patience));
    assert!(is_full(&stdout), "so much was told: {:?}", ioctl_fionread(&stdout));
    // More than there is room for.
    (0..100).for_each(|_| drop(connect(server.endpoint())));
    (server, stdout)
}

#[test]
fn a_server_that_nobody_reads_ends_when_it_is_asked_to() {
    let directory = directory();
    let args = ["--drain-timeout", "500ms"];
    let (server, _stdout) = server_whose_stdout_is_full(directory.path(), &args);
    server.terminate();
    server.wait().with_code(0);
}

#[test]
fn a_server_that_nobody_reads_ends_at_once_when_it_is_asked_to_again() {
    let directory = directory();
    let args = ["--drain-timeout", "10m"];
    let (server, _stdout) = server_whose_stdout_is_full(directory.path(), &args);
    server.terminate();
    server.wait_for_closed_port();
    server.terminate();
    server.wait();
}

#[test]
fn a_server_whose_log_nobody_reads_serves_and_ends() {
    let directory = directory();
    let path = directory.path().join("stderr");
    let stderr = pipe(&path);
    let server = Program::start(&mut server_into("2>", &path, &["-v", "--json"])).listening();
    let served = (0..FLOOD).take_while(|_| !is_full(&stderr));
    served.for_each(|_| assert!(is_greeted(server.endpoint(), crate::support::DEADLINE)));
    assert!(is_full(&stderr), "so much was logged: {:?}", ioctl_fionread(&stderr));
    // More than the log keeps for later.
    for _ in 0..300 {
        assert!(is_greeted(server.endpoint(), crate::support::DEADLINE));
    }
    // The tree has nowhere to go either, and holds up no other signal.
    server.signal(Signal::USR1);
    server.terminate();
    server.wait().with_code(0);
}

/// Where this is set, the test below is the program that it tests.
const BLOCKS: &str = "THIS_PROCESS_HAS_AN_ACTOR_THAT_BLOCKS";

/// Runs a system whose only actor blocks its thread for ever, and says when it has been asked to stop.
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
            let mut told = false;
            loop {
                if !told && is_stopping() {
                    println!("it was asked to stop");
                    told = true;
                }
                thread::park_timeout(Duration::from_millis(10));
            }
        }
    }));
    let _ = system.run(tree);
    println!("it ended");
}

#[test]
fn an_actor_that_never_yields_goes_down_at_the_second_signal() {
    if std::env::var_os(BLOCKS).is_some() {
        return block_for_ever();
    }
    let this = "stuck::an_actor_that_never_yields_goes_down_at_the_second_signal";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([this, "--exact", "--nocapture"]).env(BLOCKS, "1");
    let blocked = Program::start(&mut command);
    blocked.wait_for("it blocks\n");
    blocked.terminate();
    blocked.wait_for("it was asked to stop\n");
    blocked.terminate();
    let ended = blocked.wait();
    assert_eq!(ended.code, 128 + 15, "{ended:?}");
    assert!(!ended.out().contains("it ended"), "{ended:?}");
}
