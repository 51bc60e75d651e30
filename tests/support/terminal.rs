//! A real terminal, which tmux plays: a program's keyboard and screen in the test's hands.

use std::fs;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::peers::require_tool;
use super::{BINARY, DEADLINE, directory};

/// The environment variable that the tmux server and every process in a terminal inherit.
const TERMINAL: &str = "TEST_TERMINAL";

/// One terminal, with one program in it; both end with it.
pub struct Terminal {
    /// The value of [`TERMINAL`] in this terminal's processes.
    id: String,
    /// Holds the socket of this terminal's own tmux server.
    directory: TempDir,
}

impl Terminal {
    /// Starts our program at a terminal, if tmux is there.
    #[track_caller]
    pub fn run(args: &[&str]) -> Option<Terminal> {
        let quoted: Vec<_> = args.iter().map(|arg| format!("'{arg}'")).collect();
        Terminal::shell(&format!("exec '{BINARY}' {}", quoted.join(" ")))
    }

    /// Starts a shell command at a terminal of 100 columns, if tmux is there. What is on the screen at its end
    /// stays there.
    #[track_caller]
    pub fn shell(command: &str) -> Option<Terminal> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if !require_tool("tmux") {
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", std::process::id());
        let terminal = Terminal { id, directory: directory() };
        let clean = "unset NO_COLOR; for name in $(env | sed -n 's/^\\(SOCKACTORS_[A-Z_]*\\)=.*/\\1/p'); do unset $name; done";
        let started = terminal.tmux(&[
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            "100",
            "-y",
            "50",
            &format!("{clean}; {command}"),
            ";",
            "set-option",
            "remain-on-exit",
            "on",
        ]);
        assert!(started.status.success(), "{started:?}");
        Some(terminal)
    }

    fn tmux(&self, args: &[&str]) -> Output {
        let socket = self.directory.path().join("tmux");
        let mut command = Command::new("tmux");
        command.env(TERMINAL, &self.id).args(["-u", "-S"]).arg(socket);
        command.args(args).output().unwrap()
    }

    /// Returns the processes of this terminal, each with its command line.
    fn processes(&self) -> Vec<(Pid, String)> {
        let wanted = format!("{TERMINAL}={}", self.id);
        let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let path = entry.ok()?.path();
            let pid = Pid::from_raw(path.file_name()?.to_str()?.parse().ok()?)?;
            // The environment of a process that has ended, or of another user, cannot be read.
            let environment = fs::read(path.join("environ")).ok()?;
            let is_ours = environment.split(|byte| *byte == 0).any(|set| set == wanted.as_bytes());
            let command = || fs::read_to_string(path.join("cmdline")).unwrap_or_default();
            is_ours.then(|| (pid, command().replace('\0', " ")))
        });
        entries.collect()
    }

    /// Types text as it stands; a line feed is the Enter key.
    pub fn type_text(&self, text: &str) {
        let mut lines = text.split('\n').peekable();
        while let Some(line) = lines.next() {
            if !line.is_empty() {
                self.tmux(&["send-keys", "-l", "--", line]);
            }
            if lines.peek().is_some() {
                self.press("Enter");
            }
        }
    }

    /// Presses a key that tmux knows by this name: `Enter`, `Tab`, `C-c`.
    pub fn press(&self, name: &str) {
        self.tmux(&["send-keys", name]);
    }

    /// Pastes text, as one piece.
    pub fn paste(&self, text: &str) {
        self.tmux(&["set-buffer", "--", text]);
        self.tmux(&["paste-buffer"]);
    }

    /// What is on the screen, and was, without colours.
    pub fn screen(&self) -> String {
        let shown = self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]);
        let text = String::from_utf8_lossy(&shown.stdout);
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// What is on the screen, with colours.
    pub fn screen_with_colors(&self) -> String {
        let shown = self.tmux(&["capture-pane", "-p", "-e"]);
        String::from_utf8_lossy(&shown.stdout).into_owned()
    }

    /// Waits until the screen is as `wanted`.
    #[track_caller]
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let until = Instant::now() + DEADLINE;
        loop {
            let screen = self.screen();
            if wanted(&screen) {
                return screen;
            }
            assert!(Instant::now() < until, "waited in vain for {what}:\n{screen}");
        }
    }

    /// Waits for a line on the screen.
    #[track_caller]
    pub fn wait_for_line(&self, line: &str) -> String {
        self.wait_for(line, |screen| screen.lines().any(|shown| shown == line))
    }

    /// Waits until the last line of the screen is this one: a prompt, and what is typed behind it.
    #[track_caller]
    pub fn wait_for_last_line(&self, line: &str) -> String {
        self.wait_for(line, |screen| screen.lines().last() == Some(line))
    }
}

impl Drop for Terminal {
    /// Ends the tmux server and every process of the terminal.
    ///
    /// The kernel sends SIGHUP to the foreground process group only when the terminal goes, so a job in the background
    /// has to be killed.
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
        let until = Instant::now() + DEADLINE;
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            if Instant::now() > until {
                assert!(std::thread::panicking(), "these outlive their terminal: {left:?}");
                return;
            }
            for (pid, _) in left {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}
