//! The terminal of a chat: a line editor below, and what is told above it.
//!
//! What comes in must not disturb what is being typed, so all that the program writes while an editor is at work goes
//! through the editor, which shows it above its own line: stdout's lines and the log's alike. A [`Terminal`] is
//! the door that they go through; once it is closed, they go straight to the screen.
//!
//! The editor reads on a thread of its own that nobody joins, as [`input`](stdin) does for plain lines, and
//! is left in the middle of its read when the program ends. It gets its keys from a [pseudoterminal](pty), so
//! the mode of the real one is never the editor's to change, and is put back by whoever closes the door.

pub mod chat_context;
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

use super::output::color::{colorize, nick_color};
use super::output::printer::Sink;
use crate::sync::lock;
use crate::wire::chat::command::{Command, parse};
use chat_context::ChatContext;
use pty::PtyProxy;

/// How long the first prompt waits for the name that stands in it, and how long another one does after a command
/// that may change it.
const JOIN_TIMEOUT: Duration = Duration::from_secs(1);
const PROMPT_UPDATE_TIMEOUT: Duration = Duration::from_millis(300);

/// How long what is still to be shown may take at the end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// What shows nothing when it is printed as a line: up, and down again.
const INVISIBLE_LINE: &str = "\x1b[A\n";

/// Lines that the arrow keys bring back.
const MAX_HISTORY: usize = 500;

/// A terminal with an editor.
#[derive(Clone)]
pub struct Terminal(Arc<TerminalShared>);

struct TerminalShared {
    /// Shows lines above the editor's.
    printer: Mutex<Box<dyn ExternalPrinter + Send>>,
    context: Mutex<ChatContext>,
    context_changed: Condvar,
    is_closed: AtomicBool,
    is_colored: bool,
    pty: PtyProxy,
    /// Kept, so that the handler of Ctrl-C that the editor puts back after each line is the program's, however soon
    /// the first line is read.
    _sigint: Signals,
}

/// An editor that has read nothing yet.
pub struct LineReader {
    editor: Editor<EditorHelper, MemHistory>,
    terminal: Terminal,
}

impl Terminal {
    /// Opens the process's terminal for an editor, in colours or without; nothing comes back where there is none
    /// that an editor can work at.
    pub fn open(is_coloured: bool) -> Option<(Terminal, LineReader)> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return None;
        }
        let interrupt = Signals::new([async_signal::Signal::Int]).ok()?;
        let config = Config::builder()
            .auto_add_history(true)
            .max_history_size(MAX_HISTORY)
            .ok()?
            .completion_type(CompletionType::List)
            .color_mode(if is_coloured { ColorMode::Enabled } else { ColorMode::Disabled })
            // Each line of a paste is a line of its own.
            .bracketed_paste(false)
            .build();
        let (keys, pseudo) = PtyProxy::open().ok()??;
        let history = MemHistory::with_config(&config);
        let mut editor = Editor::with_history(config, history).ok()?;
        let printer = editor.create_external_printer().ok()?;
        let terminal = Terminal(Arc::new(TerminalShared {
            printer: Mutex::new(Box::new(printer)),
            context: Mutex::default(),
            context_changed: Condvar::new(),
            is_closed: AtomicBool::new(false),
            is_colored: is_coloured,
            pty: keys,
            _sigint: interrupt,
        }));
        let shared = terminal.0.clone();
        let resumed = move || drop(shared.printer().print(INVISIBLE_LINE.into()));
        terminal.0.pty.forward(pseudo, resumed).ok()?;
        editor.set_helper(Some(EditorHelper(terminal.clone())));
        Some((terminal.clone(), LineReader { editor, terminal }))
    }

    /// Returns a sink whose lines are shown above the editor's, and learned from.
    pub fn stdout(&self) -> Sink {
        Arc::new(Mutex::new(AbovePrompt { terminal: self.clone(), is_log: false }))
    }

    /// Returns a sink whose lines are shown above the editor's.
    pub fn stderr(&self) -> Sink {
        Arc::new(Mutex::new(AbovePrompt { terminal: self.clone(), is_log: true }))
    }

    /// Puts the terminal back to how it was, after a moment for what is still to be shown.
    pub fn close(&self) {
        let (told, shown) = mpsc::channel();
        let shared = self.0.clone();
        let finish = move || {
            // A text is handed over when the last one is being shown, so two that show nothing wait for all others.
            for _ in 0..2 {
                let _ = shared.printer().print(INVISIBLE_LINE.into());
            }
            let _ = told.send(());
        };
        if thread::Builder::new().name("terminal".into()).spawn(finish).is_ok() {
            let _ = shown.recv_timeout(CLOSE_TIMEOUT);
        }
        self.0.is_closed.store(true, Ordering::Relaxed);
        self.0.pty.close();
        // What was being typed when it ended is nobody's any more.
        let _ = io::stdout().write_all(b"\r\x1b[J").and_then(|()| io::stdout().flush());
    }

    fn context(&self) -> MutexGuard<'_, ChatContext> {
        lock(&self.0.context)
    }

    /// Waits until `is_so`, or no longer.
    fn wait_until(&self, within: Duration, is_so: impl Fn(&ChatContext) -> bool) {
        let known = self.context();
        drop(self.0.context_changed.wait_timeout_while(known, within, |known| !is_so(known)));
    }

    /// Shows lines, each of them ended.
    fn print(&self, text: &str, is_log: bool) -> io::Result<()> {
        let mut shown = String::new();
        for line in text.lines() {
            if !is_log {
                self.context().update(line);
            }
            match self.0.is_colored && !is_log {
                true => shown.push_str(&colorize(line)),
                false => shown.push_str(line),
            }
            shown.push('\n');
        }
        self.0.context_changed.notify_all();
        if self.0.is_closed.load(Ordering::Relaxed) {
            return match is_log {
                true => io::stderr().write_all(shown.as_bytes()),
                false => io::stdout().write_all(shown.as_bytes()),
            };
        }
        self.0.printer().print(shown).map_err(io::Error::other)
    }
}

impl TerminalShared {
    fn printer(&self) -> MutexGuard<'_, Box<dyn ExternalPrinter + Send>> {
        lock(&self.printer)
    }
}

impl LineReader {
    /// Hands every line that is typed, and at the end `None`, to `take`, until it returns `false`.
    ///
    /// `prompt` stands before the line where it is given, and otherwise who the person is, and where.
    ///
    /// # Errors
    ///
    /// Fails if no thread can be started.
    pub fn spawn(
        self,
        prompt: Option<&'static str>,
        take: impl FnMut(Option<Vec<u8>>) -> bool + Send + 'static,
    ) -> io::Result<()> {
        let work = move || self.run(prompt, take);
        thread::Builder::new().name("editor".to_owned()).spawn(work).map(drop)
    }

    fn run(mut self, prompt: Option<&'static str>, mut take: impl FnMut(Option<Vec<u8>>) -> bool) {
        let terminal = self.terminal.clone();
        if prompt.is_none() {
            terminal.wait_until(JOIN_TIMEOUT, ChatContext::has_joined);
        }
        loop {
            let before = prompt.map_or_else(|| terminal.context().prompt(), str::to_owned);
            let line = match self.editor.readline(&before) {
                Ok(line) => line,
                Err(ReadlineError::Signal(ReadlineSignal::Resize)) => continue,
                // The editor has the signal's handler while it reads; now it is the program's again.
                Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => {
                    let _ = kill_process(getpid(), Signal::INT);
                    return;
                }
                // The end, or a terminal that is gone.
                Err(_) => {
                    take(None);
                    return;
                }
            };
            let notices = terminal.context().notices_seen;
            let (ends, changes) = match parse(&line) {
                Command::Quit => (prompt.is_none(), false),
                Command::Nick(_) | Command::Join(_) | Command::Leave => (false, prompt.is_none()),
                _ => (false, false),
            };
            if !take(Some(line.into_bytes())) || ends {
                return;
            }
            if changes {
                terminal.wait_until(PROMPT_UPDATE_TIMEOUT, |known| known.notices_seen > notices);
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

/// What helps the one who types.
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
        f.write_str("Reader")
    }
}
