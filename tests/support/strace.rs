//! strace, at a server that is already up: what it does on the disk is watched, or made to fail.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Program;
use super::peers::{require_tool, skip};

/// Whether strace is there and may be set at a program that is running.
pub fn is_available() -> bool {
    if !require_tool("strace") {
        return false;
    }
    let mut idle = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pid = idle.id().to_string();
    let strace = Program::start(Command::new("strace").args(["-p", &pid]));
    let told = strace.wait_for_error_line(|line| line.contains("attach"));
    drop(strace);
    let _ = idle.kill();
    let _ = idle.wait();
    let works = told.contains("attached");
    if !works {
        skip(&format!("strace may not be used here: {told}"));
    }
    works
}

/// Sets strace at a server, with these flags; what it sees goes into `log`.
#[track_caller]
pub fn attach(server: &Program, flags: &[&str], log: &Path) -> Program {
    let pid = server.pid().to_string();
    let mut command = Command::new("strace");
    command.args(["-f", "-p", &pid, "-o"]).arg(log).args(flags);
    let strace = Program::start(&mut command);
    strace.wait_for_error_line(|line| line.contains("attached"));
    strace
}

/// Takes strace away again; the server goes on.
#[track_caller]
pub fn detach(strace: Program) {
    strace.interrupt();
    strace.wait();
}
