//! The terminal of a chat: a line editor below, and the program's output above it.
//!
//! Output must not disturb the line being typed. While the editor works, both stdout and the log
//! are written through it, and it shows them above its own line. A [`Terminal`] provides the sinks
//! for that. After it is closed, they write to the screen directly.
//!
//! The editor reads on a thread that is never joined, as [`stdin`] does for plain lines. The
//! program exits during its read. Its keys come from a [pseudoterminal](pty), so the editor never
//! changes the mode of the real terminal.

pub mod chat_context;
mod paste;
pub mod pty;
pub mod stdin;

use std::borrow::Cow;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::thread;
use std::time::Duration;

use async_signal::Signals;
use rustix::process::{Signal, getpid, kill_process};
use rustyline::completion::Completer;
use rustyline::error::{ReadlineError, Signal as ReadlineSignal};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, CompletionType, Config, Editor, ExternalPrinter, Helper};

use crate::cli::output::color::{colorize, nick_color};
use crate::cli::output::sink::Sink;
use crate::cli::terminal::chat_context::ChatContext;
use crate::cli::terminal::pty::PtyProxy;
use crate::sync::lock;
use crate::wire::chat::command::{Command, parse};

/// How long the first prompt waits for the nickname that it shows.
const JOIN_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a prompt waits for the result of a command that may change it.
const PROMPT_UPDATE_TIMEOUT: Duration = Duration::from_millis(300);

/// The maximum time that `close` waits for output that is not shown yet.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// A line that shows nothing: the cursor moves up, and down again.
const INVISIBLE_LINE: &str = "\x1b[A\n";

/// The number of typed lines that the arrow keys recall.
const MAX_HISTORY: usize = 500;

/// A terminal with a line editor.
#[derive(Clone)]
pub struct Terminal(Arc<TerminalShared>);

struct TerminalShared {
    /// The editor's printer, which shows lines above its own.
    printer: Mutex<Box<dyn ExternalPrinter + Send>>,
    context: Mutex<ChatContext>,
    context_changed: Condvar,
    is_closed: AtomicBool,
    is_colored: bool,
    pty: PtyProxy,
    /// The program's handler of SIGINT. The editor restores the previous handler after each line,
    /// so this one must be installed before the first line.
    _sigint: Signals,
}

/// A line editor that has not started to read.
pub struct LineReader {
    editor: Editor<EditorHelper, MemHistory>,
    terminal: Terminal,
}

impl Terminal {
    /// Opens the process's terminal for an editor, with or without colors.
    ///
    /// Returns `None` if stdin or stdout is not a terminal, or the editor cannot be set up.
    pub fn open(is_colored: bool) -> Option<(Terminal, LineReader)> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return None;
        }
        let sigint = Signals::new([async_signal::Signal::Int]).ok()?;
        let config = Config::builder()
            .auto_add_history(true)
            .max_history_size(MAX_HISTORY)
            .ok()?
            .completion_type(CompletionType::List)
            .color_mode(if is_colored { ColorMode::Enabled } else { ColorMode::Disabled })
            // Each line of a paste is entered as a line of its own.
            .bracketed_paste(false)
            .build();
        let (pty_proxy, pty) = PtyProxy::open().ok()??;
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, history).ok()?;
        let printer = editor.create_external_printer().ok()?;
        let terminal = Terminal(Arc::new(TerminalShared {
            printer: Mutex::new(Box::new(printer)),
            context: Mutex::default(),
            context_changed: Condvar::new(),
            is_closed: AtomicBool::new(false),
            is_colored,
            pty: pty_proxy,
            _sigint: sigint,
        }));
        let shared = terminal.0.clone();
        let on_resume = move || drop(shared.printer().print(INVISIBLE_LINE.into()));
        terminal.0.pty.forward(pty, on_resume).ok()?;
        editor.set_helper(Some(EditorHelper(terminal.clone())));
        Some((terminal.clone(), LineReader { editor, terminal }))
    }

    /// Returns a sink for stdout. Its lines are shown above the editor, and update the prompt.
    pub fn stdout(&self) -> Sink {
        Arc::new(Mutex::new(AbovePrompt { terminal: self.clone(), is_log: false }))
    }

    /// Returns a sink for the log. Its lines are shown above the editor.
    pub fn stderr(&self) -> Sink {
        Arc::new(Mutex::new(AbovePrompt { terminal: self.clone(), is_log: true }))
    }

    /// Waits a moment for the remaining output, and restores the terminal.
    pub fn close(&self) {
        let (sender, receiver) = mpsc::channel();
        let shared = self.0.clone();
        let finish = move || {
            // The printer accepts a line while the previous line is being shown. After the second
            // of these is accepted, all earlier lines have been shown.
            for _ in 0..2 {
                let _ = shared.printer().print(INVISIBLE_LINE.into());
            }
            let _ = sender.send(());
        };
        if thread::Builder::new().name("terminal".into()).spawn(finish).is_ok() {
            let _ = receiver.recv_timeout(CLOSE_TIMEOUT);
        }
        self.0.is_closed.store(true, Ordering::Relaxed);
        self.0.pty.close();
        // Remove the unfinished line.
        let _ = io::stdout().write_all(b"\r\x1b[J").and_then(|()| io::stdout().flush());
    }

    fn context(&self) -> MutexGuard<'_, ChatContext> {
        lock(&self.0.context)
    }

    /// Waits until `condition` holds, at most for `timeout`.
    fn wait_until(&self, timeout: Duration, condition: impl Fn(&ChatContext) -> bool) {
        let context = self.context();
        let is_waiting = |context: &mut ChatContext| !condition(context);
        drop(self.0.context_changed.wait_timeout_while(context, timeout, is_waiting));
    }

    /// Shows lines, each with a line feed.
    fn print(&self, text: &str, is_log: bool) -> io::Result<()> {
        let mut lines = String::new();
        for line in text.lines() {
            if !is_log {
                self.context().update(line);
            }
            match self.0.is_colored && !is_log {
                true => lines.push_str(&colorize(line)),
                false => lines.push_str(line),
            }
            lines.push('\n');
        }
        self.0.context_changed.notify_all();
        if self.0.is_closed.load(Ordering::Relaxed) {
            return match is_log {
                true => io::stderr().write_all(lines.as_bytes()),
                false => io::stdout().write_all(lines.as_bytes()),
            };
        }
        self.0.printer().print(lines).map_err(io::Error::other)
    }
}

impl TerminalShared {
    fn printer(&self) -> MutexGuard<'_, Box<dyn ExternalPrinter + Send>> {
        lock(&self.printer)
    }
}

impl LineReader {
    /// Starts a thread that passes typed lines, then `None`, to `on_line` until it returns `false`.
    ///
    /// Without a `prompt`, the prompt is the nickname and the room of the chat.
    ///
    /// # Errors
    ///
    /// Returns an error if the thread cannot be started.
    pub fn spawn(
        self,
        prompt: Option<&'static str>,
        on_line: impl FnMut(Option<Vec<u8>>) -> bool + Send + 'static,
    ) -> io::Result<()> {
        let work = move || self.run(prompt, on_line);
        thread::Builder::new().name("editor".to_owned()).spawn(work).map(drop)
    }

    fn run(
        mut self,
        prompt: Option<&'static str>,
        mut on_line: impl FnMut(Option<Vec<u8>>) -> bool,
    ) {
        let terminal = self.terminal.clone();
        if prompt.is_none() {
            terminal.wait_until(JOIN_TIMEOUT, ChatContext::has_joined);
        }
        loop {
            let text = prompt.map_or_else(|| terminal.context().prompt(), str::to_owned);
            let line = match self.editor.readline(&text) {
                Ok(line) => line,
                Err(ReadlineError::Signal(ReadlineSignal::Resize)) => continue,
                // The editor handled the signal while it read. Now the program's handler is
                // restored.
                Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => {
                    let _ = kill_process(getpid(), Signal::INT);
                    return;
                }
                // The end of the input, or a terminal that is gone.
                Err(_) => {
                    on_line(None);
                    return;
                }
            };
            let notices_seen = terminal.context().notices_seen;
            let (is_end, changes_prompt) = match parse(&line) {
                Command::Quit => (prompt.is_none(), false),
                Command::Nick(_) | Command::Join(_) | Command::Leave => (false, prompt.is_none()),
                _ => (false, false),
            };
            if !on_line(Some(line.into_bytes())) || is_end {
                return;
            }
            if changes_prompt {
                terminal.wait_until(PROMPT_UPDATE_TIMEOUT, |context| {
                    context.notices_seen > notices_seen
                });
            }
        }
    }
}

/// The writer behind a terminal's sinks.
struct AbovePrompt {
    terminal: Terminal,
    is_log: bool,
}

impl Write for AbovePrompt {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.terminal.print(&String::from_utf8_lossy(bytes), self.is_log)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The completion and the highlighting of the editor.
struct EditorHelper(Terminal);

impl Completer for EditorHelper {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(self.0.context().complete(&line[..pos]))
    }
}

impl Highlighter for EditorHelper {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        match prompt.split_once(['@', '>']) {
            Some((nick, _)) if !nick.is_empty() => {
                let rest = &prompt[nick.len()..];
                format!("{}{nick}\x1b[0m\x1b[2m{rest}\x1b[0m", nick_color(nick)).into()
            }
            _ => prompt.into(),
        }
    }
}

impl Hinter for EditorHelper {
    type Hint = String;
}

impl Validator for EditorHelper {}

impl Helper for EditorHelper {}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Terminal")
    }
}

impl fmt::Debug for LineReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LineReader")
    }
}
