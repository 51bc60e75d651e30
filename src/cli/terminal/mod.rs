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
mod keys;
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
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{ColorMode, CompletionType, Config, Editor, ExternalPrinter, Helper};

use crate::cli::output::background_writer::BackgroundWriter;
use crate::cli::output::color::{colorize, nick_color};
use crate::cli::output::sink::Sink;
use crate::cli::terminal::chat_context::ChatContext;
use crate::cli::terminal::pty::{EditorStatus, PtyProxy};
use crate::sync::lock;
use crate::wire::chat::command::{Command, parse};

/// The maximum time that `close` waits for output that is not shown yet.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The maximum time that output waits for the editor to show a new prompt.
const RESTART_TIMEOUT: Duration = Duration::from_secs(1);

/// A line that shows nothing: the cursor moves up, and down again.
const INVISIBLE_LINE: &str = "\x1b[A\n";

/// Removes the line of the cursor and everything below it.
const CLEAR_BELOW: &str = "\r\x1b[J";

/// The number of typed lines that the arrow keys recall.
const MAX_HISTORY: usize = 500;

/// A terminal with a line editor.
#[derive(Clone)]
pub struct Terminal(Arc<TerminalShared>);

struct TerminalShared {
    /// The editor's printer, which shows lines above its own.
    printer: Mutex<Box<dyn ExternalPrinter + Send>>,
    context: Mutex<ChatContext>,
    editor: Mutex<EditorState>,
    editor_changed: Condvar,
    is_closed: AtomicBool,
    is_colored: bool,
    pty: PtyProxy,
    /// The program's handler of SIGINT. The editor restores the previous handler after each line,
    /// so this one must be installed before the first line.
    _sigint: Signals,
}

/// The state of the editor.
///
/// The editor cannot change its prompt. To show a new one it restarts: it hides the line, ends its
/// read as after Ctrl-C, and reads again with the same text.
#[derive(Debug, Default)]
struct EditorState {
    is_reading: bool,
    /// The prompt of the current read, unless it never changes.
    prompt: Option<String>,
    /// The text being typed, and the position of the cursor.
    line: String,
    position: usize,
    /// Whether a restart is requested.
    is_restarting: bool,
    /// Whether the keys for the restart are on their way.
    is_restart_sent: bool,
    /// Whether the editor has received them. It draws its line once more before it ends its read.
    is_ending: bool,
    /// Whether the editor draws nothing.
    is_hidden: bool,
    /// The number of typed Ctrl-C that the editor has not handled.
    interrupts: usize,
    /// The number of Ctrl-C that the editor has handled, also those for restarts.
    handled_interrupts: u64,
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
            // The editor passes its text to the helper only if it may have colors.
            .color_mode(ColorMode::Enabled)
            // The real terminal's mode belongs to `pty`.
            .bracketed_paste(false)
            .build();
        let (pty_proxy, pty) = PtyProxy::open().ok()?;
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, history).ok()?;
        let printer = editor.create_external_printer().ok()?;
        let terminal = Terminal(Arc::new(TerminalShared {
            printer: Mutex::new(Box::new(printer)),
            context: Mutex::default(),
            editor: Mutex::default(),
            editor_changed: Condvar::new(),
            is_closed: AtomicBool::new(false),
            is_colored,
            pty: pty_proxy,
            _sigint: sigint,
        }));
        terminal.0.pty.forward(pty, Box::new(EditorMonitor::new(&terminal))).ok()?;
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
        let terminal = self.clone();
        let finish = move || {
            // The printer accepts a line while the previous line is being shown. After the second
            // of these is accepted, all earlier lines have been shown.
            for _ in 0..2 {
                terminal.show(INVISIBLE_LINE);
            }
            let _ = sender.send(());
        };
        if thread::Builder::new().name("terminal".into()).spawn(finish).is_ok() {
            let _ = receiver.recv_timeout(CLOSE_TIMEOUT);
        }
        self.0.is_closed.store(true, Ordering::Relaxed);
        if self.0.pty.close() {
            // Remove the unfinished line.
            write_now(CLEAR_BELOW);
        }
    }

    fn context(&self) -> MutexGuard<'_, ChatContext> {
        lock(&self.0.context)
    }

    fn editor(&self) -> MutexGuard<'_, EditorState> {
        lock(&self.0.editor)
    }

    fn printer(&self) -> MutexGuard<'_, Box<dyn ExternalPrinter + Send>> {
        lock(&self.0.printer)
    }

    /// Returns whether there is a prompt below the output.
    fn has_prompt(&self) -> bool {
        !self.0.is_closed.load(Ordering::Relaxed) && self.0.pty.is_in_foreground()
    }

    /// Shows a text above the prompt.
    fn show(&self, text: &str) {
        if self.has_prompt() {
            // This fails only if the terminal is gone.
            let _ = self.printer().print(text.into());
        }
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
        let mut printer = self.printer();
        self.wait_for_restart();
        if !self.has_prompt() {
            return match is_log {
                true => io::stderr().write_all(lines.as_bytes()),
                false => io::stdout().write_all(lines.as_bytes()),
            };
        }
        printer.print(lines).map_err(io::Error::other)?;
        self.update_prompt();
        Ok(())
    }

    /// Waits until the editor has restarted. It removes its line, and would remove output that is
    /// written at the same time.
    fn wait_for_restart(&self) {
        let is_restarting = |state: &mut EditorState| state.is_restarting;
        let editor = self.editor();
        drop(self.0.editor_changed.wait_timeout_while(editor, RESTART_TIMEOUT, is_restarting));
    }

    /// Restarts the editor if its prompt is out of date.
    fn update_prompt(&self) {
        let prompt = self.context().prompt();
        let mut editor = self.editor();
        let is_outdated = editor.prompt.as_ref().is_some_and(|shown| *shown != prompt);
        if is_outdated && editor.is_reading && !editor.is_restarting {
            editor.is_restarting = true;
            drop(editor);
            self.0.pty.wake();
        }
    }

    /// Marks the end of a restart.
    fn finish_restart(&self) {
        let mut editor = self.editor();
        (editor.is_restarting, editor.is_restart_sent) = (false, false);
        drop(editor);
        self.0.editor_changed.notify_all();
    }
}

/// Writes to the terminal directly. A terminal that is gone is not an error.
fn write_now(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush());
}

/// How a read of the editor ended.
enum ReadEnd {
    Line(String),
    /// Ctrl-C removed the text.
    Cleared,
    /// The prompt has changed. The text on both sides of the cursor is kept.
    Restarted(String, String),
    /// Ctrl-C on an empty line, or SIGINT.
    Interrupted,
    /// The end of the input, or a terminal that is gone.
    Eof,
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
        let mut text = (String::new(), String::new());
        while self.terminal.0.pty.wait_for_foreground() {
            match self.read(prompt, std::mem::take(&mut text)) {
                ReadEnd::Line(line) => {
                    let is_end = prompt.is_none() && matches!(parse(&line), Command::Quit);
                    if !on_line(Some(line.into_bytes())) || is_end {
                        return;
                    }
                }
                ReadEnd::Cleared => {}
                ReadEnd::Restarted(left, right) => text = (left, right),
                ReadEnd::Interrupted => {
                    // The editor has restored the program's handler.
                    let _ = kill_process(getpid(), Signal::INT);
                    return;
                }
                ReadEnd::Eof => break,
            }
        }
        on_line(None);
    }

    /// Reads a line that begins with `text`, which is given on both sides of the cursor.
    fn read(&mut self, prompt: Option<&'static str>, text: (String, String)) -> ReadEnd {
        let terminal = self.terminal.clone();
        let shown = {
            let mut editor = terminal.editor();
            // A prompt that changes after this finds the editor reading, and restarts it.
            editor.is_reading = true;
            let shown = prompt.map_or_else(|| terminal.context().prompt(), str::to_owned);
            editor.prompt = prompt.is_none().then(|| shown.clone());
            shown
        };
        let result = self.editor.readline_with_initial(&shown, (&text.0, &text.1));
        let mut editor = terminal.editor();
        (editor.is_reading, editor.is_ending, editor.is_hidden) = (false, false, false);
        let line = std::mem::take(&mut editor.line);
        let (interrupts, is_restart_sent) = (editor.interrupts, editor.is_restart_sent);
        editor.interrupts = interrupts.saturating_sub(usize::from(result.is_err()));
        editor.handled_interrupts += u64::from(matches!(result, Err(ReadlineError::Interrupted)));
        let position = editor.position;
        drop(editor);
        terminal.0.pty.wake();
        match result {
            Ok(line) => ReadEnd::Line(line),
            Err(ReadlineError::Interrupted) if interrupts > 0 && line.is_empty() => {
                ReadEnd::Interrupted
            }
            Err(ReadlineError::Interrupted) if interrupts > 0 => ReadEnd::Cleared,
            Err(ReadlineError::Interrupted) if is_restart_sent => {
                write_now(&format!("\x1b[A{CLEAR_BELOW}"));
                terminal.finish_restart();
                let (left, right) = line.split_at_checked(position).unwrap_or((&line, ""));
                ReadEnd::Restarted(left.to_owned(), right.to_owned())
            }
            Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => ReadEnd::Interrupted,
            Err(_) => ReadEnd::Eof,
        }
    }
}

/// The editor as the thread of the keys sees it.
struct EditorMonitor {
    terminal: Terminal,
    /// Shows texts on its own thread, because the editor may be waiting for keys meanwhile.
    writer: BackgroundWriter,
}

impl EditorMonitor {
    fn new(terminal: &Terminal) -> EditorMonitor {
        let shown = terminal.clone();
        let write = move |text: &str| {
            shown.show(text);
            shown.update_prompt();
        };
        let terminal = terminal.clone();
        EditorMonitor { terminal, writer: BackgroundWriter::new("notes", write, |_| String::new()) }
    }
}

impl EditorStatus for EditorMonitor {
    fn is_line_empty(&self) -> bool {
        self.terminal.editor().line.is_empty()
    }

    fn expect_interrupt(&self) -> bool {
        let mut editor = self.terminal.editor();
        editor.interrupts += usize::from(editor.is_reading);
        editor.is_reading
    }

    fn expect_restart(&self) -> bool {
        let mut editor = self.terminal.editor();
        let is_new = editor.is_restarting && !editor.is_restart_sent;
        editor.is_restart_sent |= is_new;
        is_new
    }

    fn handled_interrupts(&self) -> u64 {
        self.terminal.editor().handled_interrupts
    }

    fn show(&self, text: &str) {
        self.writer.write(format!("{text}\n"));
    }

    fn redraw(&self) {
        self.writer.write(INVISIBLE_LINE.into());
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
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.0.editor().is_hidden { "".into() } else { line.into() }
    }

    /// Records the text, which the editor passes at each change.
    fn highlight_char(&self, line: &str, position: usize, _: CmdKind) -> bool {
        let mut editor = self.0.editor();
        (editor.line, editor.position) = (line.into(), position);
        false
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        is_own: bool,
    ) -> Cow<'b, str> {
        let mut editor = self.0.editor();
        // The keys for a restart make the editor show a prompt of its own first.
        editor.is_ending |= editor.is_restarting && !is_own;
        editor.is_hidden |= editor.is_ending && is_own;
        if editor.is_hidden {
            return "".into();
        }
        drop(editor);
        match prompt.split_once(['@', '>']) {
            Some((nick, _)) if !nick.is_empty() && self.0.0.is_colored => {
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
