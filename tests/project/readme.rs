//! Runs every command of the README.
//!
//! Each line of a ```sh block is a command. A server gets a free port from the environment, and
//! runs until the next server of the same scenario or the end. In other commands the lecture's
//! ports are replaced by the real ones. A command with a trailing `# prints: TEXT` must print the
//! text. Any other command must exit with code 0. Commands that fetch, build or test are not run.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::support::peers::require_tool;
use crate::support::{BINARY, Program, directory};

/// The lecture's ports and their scenarios.
const PORTS: [(&str, &[&str]); 3] =
    [("12345", &["chat", "tcp"]), ("20001", &["udp"]), ("8080", &["file"])];

/// The beginnings of commands that the test does not run.
const NOT_RUN: [&str; 14] = [
    "cd",
    "make",
    "git clone",
    "cargo add",
    "cargo bench",
    "cargo build",
    "cargo clippy",
    "cargo doc",
    "cargo fmt",
    "cargo install",
    "cargo package",
    "cargo test",
    "sudo",
    "apt",
];

/// A command and its expected output.
#[derive(Debug)]
struct ShellCommand {
    line: String,
    prints: Option<String>,
}

/// Returns the commands in the ```sh blocks of a text. A backslash at the end joins two lines.
fn commands(text: &str) -> Vec<ShellCommand> {
    let mut commands = Vec::new();
    let (mut in_block, mut joined) = (false, String::new());
    for line in text.lines() {
        match line.trim() {
            "```sh" => in_block = true,
            "```" => in_block = false,
            line if in_block => match line.strip_suffix('\\') {
                Some(part) => joined += part,
                None => {
                    joined += line;
                    commands.extend(command(&std::mem::take(&mut joined)));
                }
            },
            _ => {}
        }
    }
    commands
}

/// Parses a line, or returns none for an empty line or a comment.
fn command(line: &str) -> Option<ShellCommand> {
    let (line, comment) = match line.split_once(" #") {
        _ if line.starts_with('#') => return None,
        Some((line, comment)) => (line, comment),
        None => (line, ""),
    };
    let line = line.trim().strip_prefix("$ ").unwrap_or(line.trim());
    let prints = comment.trim().strip_prefix("prints:").map(|text| text.trim().to_owned());
    (!line.is_empty()).then(|| ShellCommand { line: line.to_owned(), prints })
}

impl ShellCommand {
    /// Reports whether the test skips the command.
    fn is_not_run(&self) -> bool {
        NOT_RUN
            .iter()
            .any(|words| self.line == *words || self.line.starts_with(&format!("{words} ")))
    }

    /// Returns the line with the names of the built program and examples in place of `cargo run`.
    fn with_built_programs(&self) -> String {
        let line = self
            .line
            .replace("cargo run --release -- ", "sockactors ")
            .replace("cargo run -- ", "sockactors ");
        line.replace("cargo run --release --example ", "examples/")
            .replace("cargo run --example ", "examples/")
    }

    /// Returns the scenario of the line.
    fn scenario(&self) -> Option<&str> {
        let (_, rest) = self.line.split_once("--scenario")?;
        rest.trim_start_matches(['=', ' ']).split_whitespace().next()
    }

    /// Returns the scenario of the line if it starts a server.
    fn server_scenario(&self) -> Option<&str> {
        let other_modes =
            ["--connect", "--role client", "--role both", "--help", "--version", "--completions"];
        let is_ours = self.with_built_programs().starts_with("sockactors ");
        if is_ours && !other_modes.iter().any(|flag| self.line.contains(flag)) {
            self.scenario()
        } else {
            None
        }
    }

    /// Returns the external tools of the line.
    fn tools(&self) -> impl Iterator<Item = &'static str> {
        let words: Vec<&str> = self.line.split_whitespace().collect();
        ["python3", "ncat", "nc", "socat"].into_iter().filter(move |tool| words.contains(tool))
    }

    /// Returns the line with the ports of the running servers in place of the lecture's.
    fn with_ports(&self, servers: &HashMap<String, Program>) -> String {
        let mut line = self.with_built_programs();
        for (port, scenarios) in PORTS {
            let named = |scenario: &&&str| self.scenario().is_none_or(|name| name == **scenario);
            let server = scenarios.iter().filter(named).find_map(|scenario| servers.get(*scenario));
            if let Some(server) = server {
                let real = server.port().to_string();
                line = line.replace(&format!("127.0.0.1:{port}"), &format!("127.0.0.1:{real}"));
                line = line.replace(&format!("127.0.0.1 {port}"), &format!("127.0.0.1 {real}"));
                line = line.replace(&format!("localhost {port}"), &format!("127.0.0.1 {real}"));
            }
        }
        line
    }
}

/// Returns a shell command that finds the built program and the examples.
fn shell(line: &str, cwd: &Path) -> Command {
    let built = Path::new(BINARY).parent().unwrap();
    let mut path = OsString::from(built);
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let mut command = Command::new("sh");
    let line = line.replace("examples/", &format!("{}/examples/", built.display()));
    command.args(["-c", &line]).env("PATH", path).current_dir(cwd);
    command
}

#[test]
fn readme_commands_print_the_documented_output() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("README.md is readable");
    let commands = commands(&readme);
    assert!(!commands.is_empty(), "found no command in README.md");

    // The commands find the files that they read, and write into the directory of the test.
    let directory = directory();
    for name in ["README.md", "Cargo.toml", "tests", "examples"] {
        if root.join(name).exists() {
            std::os::unix::fs::symlink(root.join(name), directory.path().join(name)).unwrap();
        }
    }

    let mut servers: HashMap<String, Program> = HashMap::new();
    for command in commands.iter().filter(|command| !command.is_not_run()) {
        if !command.tools().all(require_tool) {
            continue;
        }
        eprintln!("{}", command.line);
        if let Some(scenario) = command.server_scenario() {
            // In the lecture tcp and chat share a port, so only one of them runs.
            if let Some((_, same)) =
                PORTS.iter().find(|(_, scenarios)| scenarios.contains(&scenario))
            {
                servers.retain(|running, _| !same.contains(&running.as_str()));
            }
            let mut start =
                shell(&format!("exec {}", command.with_built_programs()), directory.path());
            if !command.line.contains("--listen") {
                start.env("SOCKACTORS_LISTEN", "127.0.0.1:0");
            }
            servers.insert(scenario.to_owned(), Program::start(&mut start).listening());
            continue;
        }
        let mut start = shell(&command.with_ports(&servers), directory.path());
        if command.line.contains("--role both") {
            start.env("SOCKACTORS_LISTEN", "127.0.0.1:0");
        }
        let program = Program::start(&mut start);
        match &command.prints {
            // Some commands run until a person stops them.
            Some(text) => program.wait_for(text),
            None => _ = program.wait().with_code(0),
        }
    }
}

#[test]
fn shell_block_is_parsed_line_by_line() {
    let text = "text\n```sh\n# only a comment\n\
        cargo run --release -- --scenario chat   # in one terminal\n\n\
        printf hi | \\\nnc 127.0.0.1 12345  # prints: Thank you\ncargo test\n```\n\
        ```rust\nlet no = 1;\n```\n";
    let found = commands(text);
    let lines: Vec<&str> = found.iter().map(|command| command.line.as_str()).collect();
    assert_eq!(
        lines,
        ["cargo run --release -- --scenario chat", "printf hi | nc 127.0.0.1 12345", "cargo test"]
    );
    assert_eq!(found[0].server_scenario(), Some("chat"));
    assert_eq!(found[0].with_built_programs(), "sockactors --scenario chat");
    assert_eq!(found[1].prints.as_deref(), Some("Thank you"));
    assert_eq!(found[1].tools().collect::<Vec<_>>(), ["nc"]);
    assert!(found[2].is_not_run() && !found[1].is_not_run());
}
