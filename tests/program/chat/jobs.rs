//! The chat at a terminal as a job of a shell, and at a terminal that disappears.

use crate::support::chat_client::LineClient;
use crate::support::terminal::Terminal;
use crate::support::{BINARY, Program, directory};

/// Starts an interactive shell at a terminal, in which `job` stands for the program.
fn shell(job: &str) -> Option<Terminal> {
    let shell = Terminal::shell("PS1='$ ' HISTFILE= exec bash --norc -i")?;
    shell.wait_for_last_line("$");
    shell.type_text(&format!("job() {{ '{BINARY}' --scenario chat {job}; }}\n"));
    shell.wait_for("the shell's prompt", |screen| screen.lines().count() > 1);
    Some(shell)
}

/// Waits until a chat server accepts a member, and returns the member's session.
fn joined(at: &str) -> LineClient {
    let path = at.strip_prefix("unix:").unwrap();
    let deadline = std::time::Instant::now() + crate::support::DEADLINE;
    while std::os::unix::net::UnixStream::connect(path).is_err() {
        assert!(std::time::Instant::now() < deadline, "no server at {at}");
    }
    LineClient::joined(at)
}

/// Opens a shell in which a server of `at` runs in the foreground, and waits for its prompt.
fn serving_shell(at: &str) -> Option<Terminal> {
    let shell = shell(&format!("--listen {at}"))?;
    shell.type_text("job\n");
    shell.wait_for("the prompt below the endpoint", |screen| {
        screen.contains("listening on ") && screen.lines().last() == Some("operator>")
    });
    Some(shell)
}

#[test]
fn suspended_server_serves_in_background() {
    let directory = directory();
    let at = format!("unix:{}/chat", directory.path().display());
    let Some(shell) = serving_shell(&at) else { return };
    shell.press("C-z");
    shell.wait_for("the shell's prompt", |screen| {
        screen.contains("Stopped") && screen.lines().last() == Some("$")
    });
    shell.type_text("bg\n");
    let mut ada = joined(&at);
    shell.wait_for("the narration", |screen| screen.contains("here I am"));
    // The shell's own commands are echoed and run, and the job has not been stopped.
    shell.type_text("jobs; echo mine\n");
    shell.wait_for_line("mine");
    let screen = shell.screen();
    assert!(screen.contains("Running") && !screen.contains("Stopped (tty"), "{screen}");
    assert!(!screen.split_once("bg\n").unwrap().1.contains("operator>"), "{screen}");
    shell.type_text("fg\n");
    shell.wait_for_last_line("operator>");
    shell.type_text("/announce back\n");
    ada.wait_for(|line| line.contains("back"));
}

#[test]
fn server_started_in_background_takes_commands_after_fg() {
    let directory = directory();
    let at = format!("unix:{}/chat", directory.path().display());
    let Some(shell) = shell(&format!("--listen {at}")) else { return };
    shell.type_text("job &\n");
    let mut ada = joined(&at);
    shell.type_text("echo mine\n");
    shell.wait_for_line("mine");
    shell.type_text("fg\n");
    shell.wait_for_last_line("operator>");
    shell.type_text("/announce here\n");
    ada.wait_for(|line| line.contains("here"));
    shell.press("C-c");
    ada.wait_for(|line| line.contains("good bye"));
    shell.wait_for_last_line("$");
    // The shell echoes again.
    shell.type_text("echo as it was\n");
    shell.wait_for_line("as it was");
}

#[test]
fn stopped_client_resumes_with_its_terminal() {
    let server = Program::server(&["--scenario", "chat"]);
    let at = server.endpoint();
    let Some(shell) = shell(&format!("--connect {at} --nick ada")) else { return };
    shell.type_text("job\n");
    shell.wait_for_last_line("ada@lobby>");
    shell.type_text("half a li");
    shell.wait_for_last_line("ada@lobby> half a li");
    // Another process stops it, so the client cannot restore the terminal.
    let client = shell.find_process("--nick ada");
    rustix::process::kill_process(client, rustix::process::Signal::STOP).unwrap();
    shell.wait_for("the shell's prompt", |screen| screen.lines().last() == Some("$"));
    shell.type_text("fg\n");
    shell.wait_for_last_line("ada@lobby> half a li");
    let mut bob = LineClient::joined(at);
    shell.type_text("ne\n");
    bob.wait_for_line("ada: half a line");
}

#[test]
fn server_in_background_ends_without_terminal_mode() {
    let directory = directory();
    let at = format!("unix:{}/chat", directory.path().display());
    let Some(shell) = shell(&format!("--listen {at}")) else { return };
    shell.type_text("job &\n");
    joined(&at);
    shell.type_text("kill $!; wait; echo \"ended $?\"\n");
    shell.wait_for_line("ended 0");
}

#[test]
fn closed_window_ends_server_and_client() {
    let directory = directory();
    let at = format!("unix:{}/chat", directory.path().display());
    let args = ["--scenario", "chat", "--listen", &at];
    let Some(server) = Terminal::run(&args) else { return };
    server.wait_for_last_line("operator>");
    let client = Terminal::run(&["--scenario", "chat", "--connect", &at, "--nick", "ada"]).unwrap();
    client.wait_for_last_line("ada@lobby>");
    let mut bob = LineClient::joined(&at);
    client.close_window();
    client.wait_until_empty();
    bob.wait_for_line("* ada left");
    server.close_window();
    server.wait_until_empty();
    while bob.next_line().is_ok_and(|line| line.is_some()) {}
}

#[test]
fn closed_window_ends_job_in_background() {
    let directory = directory();
    let at = format!("unix:{}/chat", directory.path().display());
    let Some(shell) = serving_shell(&at) else { return };
    shell.press("C-z");
    shell.wait_for("the shell's prompt", |screen| screen.lines().last() == Some("$"));
    shell.type_text("bg\n");
    joined(&at);
    shell.close_window();
    shell.wait_until_empty();
}
