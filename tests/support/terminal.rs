//! A terminal, emulated by tmux, whose keyboard and screen the test controls.

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

/// A terminal with one program in it. Both end on drop.
pub struct Terminal {
    /// The value of [`TERMINAL`] in this terminal's processes.
    id: String,
    /// Holds the socket of this terminal's own tmux server.
    directory: TempDir,
}

impl Terminal {
    /// Starts our program at a terminal, or reports a skip without tmux.
    #[track_caller]
    pub fn run(args: &[&str]) -> Option<Terminal> {
        let quoted: Vec<_> = args.iter().map(|arg| format!("'{arg}'")).collect();
        Terminal::shell(&format!("exec '{BINARY}' {}", quoted.join(" ")))
    }

    /// Starts a shell command at a terminal of 100 columns, or reports a skip without tmux. The
    /// screen stays after the command's end.
    #[track_caller]
    pub fn shell(command: &str) -> Option<Terminal> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if !require_tool("tmux") {
            return None;
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let id = format!("{}-{number}", std::process::id());
        let terminal = Terminal { id, directory: directory() };
        let clean = "unset NO_COLOR; \
            for name in $(env | sed -n 's/^\\(SOCKACTORS_[A-Z_]*\\)=.*/\\1/p'); do unset $name; \
            done";
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

    /// Types text literally. A line feed is the Enter key.
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

    /// Presses a key by its tmux name: `Enter`, `Tab`, `C-c`.
    pub fn press(&self, name: &str) {
        self.tmux(&["send-keys", name]);
    }

    /// Pastes text as one piece, without marks around it, as an old terminal does.
    pub fn paste(&self, text: &str) {
        self.tmux(&["set-buffer", "--", text]);
        self.tmux(&["paste-buffer"]);
    }

    /// Pastes text as one piece, with marks around it if the program asked for them.
    pub fn paste_with_marks(&self, text: &str) {
        self.tmux(&["set-buffer", "--", text]);
        self.tmux(&["paste-buffer", "-p"]);
    }

    /// Closes the terminal's window, as its user does.
    pub fn close_window(&self) {
        self.tmux(&["set-option", "remain-on-exit", "off", ";", "kill-window"]);
    }

    /// Returns the process of this terminal whose command line contains `text`.
    #[track_caller]
    pub fn find_process(&self, text: &str) -> Pid {
        let found = self
            .processes()
            .into_iter()
            .find(|(_, command)| command.starts_with(BINARY) && command.contains(text));
        found.unwrap_or_else(|| panic!("no process has {text:?}")).0
    }

    /// Waits until no process of the terminal is left except tmux.
    #[track_caller]
    pub fn wait_until_empty(&self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let remaining = self.processes();
            if remaining.iter().all(|(_, command)| command.starts_with("tmux")) {
                return;
            }
            assert!(Instant::now() < deadline, "processes outlive their window: {remaining:?}");
        }
    }

    /// Returns the screen with its scrollback, without colours.
    pub fn screen(&self) -> String {
        let shown = self.tmux(&["capture-pane", "-p", "-J", "-S", "-"]);
        let text = String::from_utf8_lossy(&shown.stdout);
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// Returns the screen with colours.
    pub fn screen_with_colors(&self) -> String {
        let shown = self.tmux(&["capture-pane", "-p", "-e"]);
        String::from_utf8_lossy(&shown.stdout).into_owned()
    }

    /// Waits until `matches` accepts the screen, and returns it.
    #[track_caller]
    pub fn wait_for(&self, description: &str, matches: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let screen = self.screen();
            if matches(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "timed out waiting for {description}:\n{screen}");
        }
    }

    /// Waits for a line on the screen.
    #[track_caller]
    pub fn wait_for_line(&self, line: &str) -> String {
        self.wait_for(line, |screen| screen.lines().any(|shown| shown == line))
    }

    /// Waits until this is the last line of the screen: a prompt and the typed text.
    #[track_caller]
    pub fn wait_for_last_line(&self, line: &str) -> String {
        self.wait_for(line, |screen| screen.lines().last() == Some(line))
    }
}

impl Drop for Terminal {
    /// Ends the tmux server and every process of the terminal.
    ///
    /// When a terminal closes, the kernel sends SIGHUP only to the foreground process group. A
    /// background job has to be killed.
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
        let deadline = Instant::now() + DEADLINE;
        loop {
            let remaining = self.processes();
            if remaining.is_empty() {
                return;
            }
            if Instant::now() > deadline {
                assert!(
                    std::thread::panicking(),
                    "processes outlive their terminal: {remaining:?}"
                );
                return;
            }
            for (pid, _) in remaining {
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }
}
