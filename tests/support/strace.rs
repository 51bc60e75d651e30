//! strace, attached to a running server to record its system calls or make them fail.

use std::path::Path;
use std::process::{Command, Stdio};

use super::Program;
use super::peers::{require_tool, skip};

/// Returns whether strace is installed and may attach to a running program.
pub fn is_available() -> bool {
    if !require_tool("strace") {
        return false;
    }
    let mut idle = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
    let pid = idle.id().to_string();
    let strace = Program::start(Command::new("strace").args(["-p", &pid]));
    let message = strace.wait_for_error_line(|line| line.contains("attach"));
    drop(strace);
    let _ = idle.kill();
    let _ = idle.wait();
    let works = message.contains("attached");
    if !works {
        skip(&format!("strace may not attach here: {message}"));
    }
    works
}

/// Attaches strace to a server with these flags. Its output goes to `log`.
#[track_caller]
pub fn attach(server: &Program, flags: &[&str], log: &Path) -> Program {
    let pid = server.pid().to_string();
    let mut command = Command::new("strace");
    command.args(["-f", "-p", &pid, "-o"]).arg(log).args(flags);
    let strace = Program::start(&mut command);
    strace.wait_for_error_line(|line| line.contains("attached"));
    strace
}

/// Detaches strace. The server continues.
#[track_caller]
pub fn detach(strace: Program) {
    strace.interrupt();
    strace.wait();
}
