//! The log, on stderr: for people, or for the journal.
//!
//! Under systemd, stderr is a socket of the journal, which takes a line's priority from a prefix such as
//! `<4>`; it says so by the variable JOURNAL_STREAM, which holds the device and the inode of that socket, so
//! that a stderr that was sent elsewhere since is not mistaken for it (systemd.exec(5)). Everybody else gets
//! `sockactors: warning: text`, with the level in colour where a terminal wants it.
//!
//! Each message is written with one call, a failing write is ignored (there is nobody left to tell), and
//! whatever a peer managed to get into a message is escaped here too, as the last door.

use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::cli::args::PROGRAM;
use crate::cli::args::argv::Env;
use crate::cli::args::parse::OutputSettings;
use crate::cli::output::background_writer::Scribe;
use crate::cli::output::printer::Sink;
use crate::wire::text::escape;

/// Whether stderr is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Color {
    /// Where it is a terminal, unless NO_COLOR is set or TERM is `dumb`.
    #[default]
    Auto,
    /// Wherever it goes, except to the journal.
    Always,
    /// Nowhere.
    Never,
}

impl Color {
    /// Every choice with its name, as `--color` takes it.
    pub const CHOICES: [(&'static str, Color); 3] =
        [("auto", Color::Auto), ("always", Color::Always), ("never", Color::Never)];
}

/// What a line of the log looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Words.
    Plain,
    /// Words, the level in colour.
    Coloured,
    /// A priority for the journal, then the text.
    Journal,
}

impl Look {
    /// Finds the look for the stderr of this process.
    pub fn of_stderr(color: Color, env: Env<'_>) -> Look {
        let stderr = io::stderr();
        let stream = rustix::fs::fstat(&stderr).ok();
        let stream = stream.map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
        Look::find(color, stderr.is_terminal(), stream.as_deref(), env)
    }

    /// Tells whether stdout is to be coloured.
    pub fn is_stdout_coloured(color: Color, env: Env<'_>) -> bool {
        Look::find(color, io::stdout().is_terminal(), None, env) == Look::Coloured
    }

    /// Finds the look for a stream that is a terminal or not, by its device and inode.
    fn find(color: Color, terminal: bool, stream: Option<&str>, env: Env<'_>) -> Look {
        let journal = env("JOURNAL_STREAM");
        if !terminal && journal.is_some() && journal.as_deref() == stream.map(AsRef::as_ref) {
            return Look::Journal;
        }
        let refused = env("NO_COLOR").is_some_and(|text| !text.is_empty());
        let dumb = env("TERM").is_none_or(|term| term == "dumb");
        let coloured = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !refused && !dumb,
        };
        if coloured { Look::Coloured } else { Look::Plain }
    }

    /// Words one message, each of its lines with what stands before it and a line feed.
    fn word(self, level: Level, text: &str) -> String {
        let mut worded = String::new();
        for line in text.lines().map(escape) {
            let done = match self {
                Look::Journal => writeln!(worded, "<{}>{line}", priority(level)),
                Look::Plain => writeln!(worded, "{PROGRAM}: {}{line}", label(level)),
                Look::Coloured => {
                    let (on, off) = (colour(level), "\x1b[0m");
                    writeln!(worded, "{PROGRAM}: {on}{}{off}{line}", label(level))
                }
            };
            done.expect("a String takes any text");
        }
        worded
    }
}

/// Returns the priority of a level, as syslog(3) numbers them.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

fn label(level: Level) -> &'static str {
    match level {
        Level::Error => "error: ",
        Level::Warn => "warning: ",
        Level::Info => "",
        Level::Debug => "debug: ",
        Level::Trace => "trace: ",
    }
}

fn colour(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[1;31m",
        Level::Warn => "\x1b[1;33m",
        Level::Info => "",
        Level::Debug | Level::Trace => "\x1b[2m",
    }
}

/// How long what is still to be logged may take at the end.
const FLUSH_WITHIN: Duration = Duration::from_secs(1);

/// The log of the program.
#[derive(Debug)]
pub struct Logger {
    look: Look,
    level: LevelFilter,
    scribe: Arc<Scribe>,
}

impl Logger {
    /// Makes a log for this process's stderr, whose lines `sink` writes.
    pub fn new(output: &OutputSettings, env: Env<'_>, sink: Sink) -> Logger {
        let look = Look::of_stderr(output.color, env);
        let write = move |text: &str| {
            let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
            // Nobody is there to learn that stderr is closed.
            let _ = sink.write_all(text.as_bytes());
        };
        let dropped = move |count| {
            let text = format!("{count} lines of the log were dropped, since nobody read them");
            look.word(Level::Warn, &text)
        };
        Logger { look, level: level(output), scribe: Arc::new(Scribe::new("log", write, dropped)) }
    }

    /// Makes this the log of the process; if there is one already, that one stays.
    ///
    /// Returns who writes to stderr, for what is no message of the log.
    pub fn install(self) -> Arc<Scribe> {
        let (level, scribe) = (self.level, self.scribe.clone());
        if log::set_boxed_logger(Box::new(self)).is_ok() {
            log::set_max_level(level);
        }
        scribe
    }
}

/// Returns how much is told: errors in a quiet run, usually up to what is good to know.
fn level(output: &OutputSettings) -> LevelFilter {
    match (output.quiet, output.verbose) {
        (true, _) => LevelFilter::Error,
        (false, 0) => LevelFilter::Info,
        (false, 1) => LevelFilter::Debug,
        (false, _) => LevelFilter::Trace,
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The inner life of a dependency interests nobody who asks this program to tell more.
        let ours = metadata.target().starts_with(PROGRAM);
        metadata.level() <= self.level && (ours || metadata.level() <= Level::Warn)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = self.look.word(record.level(), &record.args().to_string());
            self.scribe.write(text);
        }
    }

    /// Waits a moment for whoever reads stderr.
    fn flush(&self) {
        self.scribe.finish(FLUSH_WITHIN);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn find(color: Color, terminal: bool, variables: &[(&str, &str)]) -> Look {
        let env = |name: &str| {
            let found = variables.iter().find(|variable| variable.0 == name)?;
            Some(OsString::from(found.1))
        };
        Look::find(color, terminal, Some("8:42"), &env)
    }

    #[test]
    fn the_journal_is_told_by_device_and_inode() {
        let ours = [("JOURNAL_STREAM", "8:42"), ("TERM", "xterm")];
        assert_eq!(find(Color::Always, false, &ours), Look::Journal);
        assert_eq!(find(Color::Auto, true, &ours), Look::Coloured);
        assert_eq!(find(Color::Auto, false, &[("JOURNAL_STREAM", "8:43")]), Look::Plain);
        assert_eq!(Look::find(Color::Auto, false, None, &|_| None), Look::Plain);
    }

    #[test]
    fn colour_needs_a_terminal_that_wants_it() {
        let term = ("TERM", "xterm");
        assert_eq!(find(Color::Auto, true, &[term]), Look::Coloured);
        assert_eq!(find(Color::Auto, true, &[term, ("NO_COLOR", "")]), Look::Coloured);
        assert_eq!(find(Color::Auto, true, &[term, ("NO_COLOR", "1")]), Look::Plain);
        assert_eq!(find(Color::Auto, true, &[("TERM", "dumb")]), Look::Plain);
        assert_eq!(find(Color::Auto, false, &[term]), Look::Plain);
        assert_eq!(find(Color::Always, false, &[("NO_COLOR", "1")]), Look::Coloured);
        assert_eq!(find(Color::Never, true, &[term]), Look::Plain);
    }

    #[test]
    fn each_look_shows_the_level_its_way() {
        assert_eq!(Look::Plain.word(Level::Warn, "hm"), "sockactors: warning: hm\n");
        assert_eq!(Look::Plain.word(Level::Info, "here"), "sockactors: here\n");
        assert_eq!(Look::Journal.word(Level::Error, "a\nb"), "<3>a\n<3>b\n");
        let coloured = Look::Coloured.word(Level::Error, "no");
        assert_eq!(coloured, "sockactors: \x1b[1;31merror: \x1b[0mno\n");
    }

    #[test]
    fn what_a_peer_smuggled_in_is_escaped() {
        let worded = Look::Coloured.word(Level::Info, "\x1b]0;title\x07");
        assert!(!worded.contains('\x07') && !worded.contains("\x1b]"), "{worded:?}");
    }

    #[test]
    fn quiet_and_verbose_set_the_level() {
        let told = |quiet, verbose| level(&OutputSettings { quiet, verbose, ..Default::default() });
        assert_eq!(told(true, 2), LevelFilter::Error);
        let levels = [told(false, 0), told(false, 1), told(false, 2), told(false, 9)];
        let [info, debug, trace, most] = levels;
        assert_eq!((info, debug), (LevelFilter::Info, LevelFilter::Debug));
        assert_eq!((trace, most), (LevelFilter::Trace, LevelFilter::Trace));
    }
}
