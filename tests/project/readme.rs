//! Runs every command of the README, as it is written there.
//!
//! Each line of a ```sh block is a command. A server gets a free port (from the environment), and stays until
//! the next server of the same scenario or the end; whatever else is run has the lecture's ports replaced by the
//! real ones. A trailing `# prints: TEXT` is what the command has to print; one without it has to end well.
//! What fetches, builds or tests is recognised, and not run from inside of a test.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::support::peers::require_tool;
use crate::support::{BINARY, Program, directory};

/// The lecture's ports, and whose they are.
const PORTS: [(&str, &[&str]); 3] =
    [("12345", &["chat", "tcp"]), ("20001", &["udp"]), ("8080", &["file"])];

/// Commands that are a reader's, not a test's.
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

/// One command, and what it prints.
#[derive(Debug)]
struct Shell {
    line: String,
    prints: Option<String>,
}

/// Finds the commands in the ```sh blocks of a text; a backslash at the end joins two lines.
fn commands(text: &str) -> Vec<Shell> {
    let mut commands = Vec::new();
    let (mut within, mut begun) = (false, String::new());
    for line in text.lines() {
        match line.trim() {
            "```sh" => within = true,
            "```" => within = false,
            line if within => match line.strip_suffix('\\') {
                Some(part) => begun += part,
                None => {
                    begun += line;
                    commands.extend(command(&std::mem::take(&mut begun)));
                }
            },
            _ => {}
        }
    }
    commands
}

/// Reads one line; none if it is empty or only a comment.
fn command(line: &str) -> Option<Shell> {
    let (line, comment) = match line.split_once(" #") {
        _ if line.starts_with('#') => return None,
        Some((line, comment)) => (line, comment),
        None => (line, ""),
    };
    let line = line.trim().strip_prefix("$ ").unwrap_or(line.trim());
    let prints = comment.trim().strip_prefix("prints:").map(|text| text.trim().to_owned());
    (!line.is_empty()).then(|| Shell { line: line.to_owned(), prints })
}

impl Shell {
    fn is_not_run(&self) -> bool {
        NOT_RUN
            .iter()
            .any(|words| self.line == *words || self.line.starts_with(&format!("{words} ")))
    }

    /// The line with our program by its installed name, and examples by theirs.
    fn installed(&self) -> String {
        let line = self
            .line
            .replace("cargo run --release -- ", "sockactors ")
            .replace("cargo run -- ", "sockactors ");
        line.replace("cargo run --release --example ", "examples/")
            .replace("cargo run --example ", "examples/")
    }

    /// The scenario that the line names.
    fn scenario(&self) -> Option<&str> {
        let (_, rest) = self.line.split_once("--scenario")?;
        rest.trim_start_matches(['=', ' ']).split_whitespace().next()
    }

    /// The scenario that the line serves, if it starts a server.
    fn serves(&self) -> Option<&str> {
        let ends =
            ["--connect", "--role client", "--role both", "--help", "--version", "--completions"];
        let is_ours = self.installed().starts_with("sockactors ");
        if is_ours && !ends.iter().any(|flag| self.line.contains(flag)) {
            self.scenario()
        } else {
            None
        }
    }

    /// The tools of others that the line uses.
    fn tools(&self) -> impl Iterator<Item = &'static str> {
        let words: Vec<&str> = self.line.split_whitespace().collect();
        ["python3", "ncat", "nc", "socat"].into_iter().filter(move |tool| words.contains(tool))
    }

    /// The line with the lecture's ports replaced by those of the running servers.
    fn with_ports(&self, servers: &HashMap<String, Program>) -> String {
        let mut line = self.installed();
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

/// A shell that finds the built program and the examples.
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
fn every_command_of_the_readme_does_what_it_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = std::fs::read_to_string(root.join("README.md")).expect("there is a README.md");
    let commands = commands(&readme);
    assert!(!commands.is_empty(), "the README shows no command");

    // What the commands read is where a reader has it; what they write goes with the test.
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
        if let Some(scenario) = command.serves() {
            // The lecture's tcp and chat share a port, so at most one of them runs.
            if let Some((_, same)) =
                PORTS.iter().find(|(_, scenarios)| scenarios.contains(&scenario))
            {
                servers.retain(|running, _| !same.contains(&running.as_str()));
            }
            let mut start = shell(&format!("exec {}", command.installed()), directory.path());
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
            // Some of what is shown goes on until a person ends it.
            Some(text) => program.wait_for(text),
            None => _ = program.wait().with_code(0),
        }
    }
}

#[test]
fn a_block_of_commands_is_read_line_by_line() {
    let text = "text\n```sh\n# only a comment\ncargo run --release -- --scenario chat   # in one terminal\n\n\
        printf hi | \\\nnc 127.0.0.1 12345  # prints: Thank you\ncargo test\n```\n```rust\nlet no = 1;\n```\n";
    let found = commands(text);
    let lines: Vec<&str> = found.iter().map(|command| command.line.as_str()).collect();
    assert_eq!(
        lines,
        ["cargo run --release -- --scenario chat", "printf hi | nc 127.0.0.1 12345", "cargo test"]
    );
    assert_eq!(found[0].serves(), Some("chat"));
    assert_eq!(found[0].installed(), "sockactors --scenario chat");
    assert_eq!(found[1].prints.as_deref(), Some("Thank you"));
    assert_eq!(found[1].tools().collect::<Vec<_>>(), ["nc"]);
    assert!(found[2].is_not_run() && !found[1].is_not_run());
}
