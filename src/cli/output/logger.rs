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
use std::sync::Arc;
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::cli::args::PROGRAM;
use crate::cli::args::argv::EnvLookup;
use crate::cli::args::parse::OutputSettings;
use crate::cli::output::background_writer::BackgroundWriter;
use crate::cli::output::printer::Sink;
use crate::sync::lock;
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
pub enum LogFormat {
    /// Words.
    Plain,
    /// Words, the level in colour.
    Colored,
    /// A priority for the journal, then the text.
    Journal,
}

impl LogFormat {
    /// Finds the look for the stderr of this process.
    pub fn for_stderr(color: Color, env: EnvLookup<'_>) -> LogFormat {
        let stderr = io::stderr();
        let stream = rustix::fs::fstat(&stderr).ok();
        let stream = stream.map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
        LogFormat::detect(color, stderr.is_terminal(), stream.as_deref(), env)
    }

    /// Tells whether stdout is to be coloured.
    pub fn is_stdout_colored(color: Color, env: EnvLookup<'_>) -> bool {
        LogFormat::detect(color, io::stdout().is_terminal(), None, env) == LogFormat::Colored
    }

    /// Finds the look for a stream that is a terminal or not, by its device and inode.
    fn detect(color: Color, terminal: bool, stream: Option<&str>, env: EnvLookup<'_>) -> LogFormat {
        let journal = env("JOURNAL_STREAM");
        if !terminal && journal.is_some() && journal.as_deref() == stream.map(AsRef::as_ref) {
            return LogFormat::Journal;
        }
        let refused = env("NO_COLOR").is_some_and(|text| !text.is_empty());
        let dumb = env("TERM").is_none_or(|term| term == "dumb");
        let coloured = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !refused && !dumb,
        };
        if coloured { LogFormat::Colored } else { LogFormat::Plain }
    }

    /// Words one message, each of its lines with what stands before it and a line feed.
    fn format_message(self, level: Level, text: &str) -> String {
        let mut worded = String::new();
        for line in text.lines().map(escape) {
            let done = match self {
                LogFormat::Journal => writeln!(worded, "<{}>{line}", syslog_priority(level)),
                LogFormat::Plain => writeln!(worded, "{PROGRAM}: {}{line}", level_label(level)),
                LogFormat::Colored => {
                    let (on, off) = (level_color(level), "\x1b[0m");
                    writeln!(worded, "{PROGRAM}: {on}{}{off}{line}", level_label(level))
                }
            };
            done.expect("a String takes any text");
        }
        worded
    }
}

/// Returns the priority of a level, as syslog(3) numbers them.
fn syslog_priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

fn level_label(level: Level) -> &'static str {
    match level {
        Level::Error => "error: ",
        Level::Warn => "warning: ",
        Level::Info => "",
        Level::Debug => "debug: ",
        Level::Trace => "trace: ",
    }
}

fn level_color(level: Level) -> &'static str {
    match level {
        Level::Error => "\x1b[1;31m",
        Level::Warn => "\x1b[1;33m",
        Level::Info => "",
        Level::Debug | Level::Trace => "\x1b[2m",
    }
}

/// How long what is still to be logged may take at the end.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The log of the program.
#[derive(Debug)]
pub struct Logger {
    format: LogFormat,
    level: LevelFilter,
    writer: Arc<BackgroundWriter>,
}

impl Logger {
    /// Makes a log for this process's stderr, whose lines `sink` writes.
    pub fn new(output: &OutputSettings, env: EnvLookup<'_>, sink: Sink) -> Logger {
        let look = LogFormat::for_stderr(output.color, env);
        let write = move |text: &str| {
            let mut sink = lock(&sink);
            // Nobody is there to learn that stderr is closed.
            let _ = sink.write_all(text.as_bytes());
        };
        let dropped = move |count| {
            let text = format!("{count} lines of the log were dropped, since nobody read them");
            look.format_message(Level::Warn, &text)
        };
        Logger {
            format: look,
            level: level_filter(output),
            writer: Arc::new(BackgroundWriter::new("log", write, dropped)),
        }
    }

    /// Makes this the log of the process; if there is one already, that one stays.
    ///
    /// Returns who writes to stderr, for what is no message of the log.
    pub fn install(self) -> Arc<BackgroundWriter> {
        let (level, scribe) = (self.level, self.writer.clone());
        if log::set_boxed_logger(Box::new(self)).is_ok() {
            log::set_max_level(level);
        }
        scribe
    }
}

/// Returns how much is told: errors in a quiet run, usually up to what is good to know.
fn level_filter(output: &OutputSettings) -> LevelFilter {
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
            let text = self.format.format_message(record.level(), &record.args().to_string());
            self.writer.write(text);
        }
    }

    /// Waits a moment for whoever reads stderr.
    fn flush(&self) {
        self.writer.flush(FLUSH_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn detect(color: Color, terminal: bool, variables: &[(&str, &str)]) -> LogFormat {
        let env = |name: &str| {
            let found = variables.iter().find(|variable| variable.0 == name)?;
            Some(OsString::from(found.1))
        };
        LogFormat::detect(color, terminal, Some("8:42"), &env)
    }

    #[test]
    fn the_journal_is_told_by_device_and_inode() {
        let ours = [("JOURNAL_STREAM", "8:42"), ("TERM", "xterm")];
        assert_eq!(detect(Color::Always, false, &ours), LogFormat::Journal);
        assert_eq!(detect(Color::Auto, true, &ours), LogFormat::Colored);
        assert_eq!(detect(Color::Auto, false, &[("JOURNAL_STREAM", "8:43")]), LogFormat::Plain);
        assert_eq!(LogFormat::detect(Color::Auto, false, None, &|_| None), LogFormat::Plain);
    }

    #[test]
    fn colour_needs_a_terminal_that_wants_it() {
        let term = ("TERM", "xterm");
        assert_eq!(detect(Color::Auto, true, &[term]), LogFormat::Colored);
        assert_eq!(detect(Color::Auto, true, &[term, ("NO_COLOR", "")]), LogFormat::Colored);
        assert_eq!(detect(Color::Auto, true, &[term, ("NO_COLOR", "1")]), LogFormat::Plain);
        assert_eq!(detect(Color::Auto, true, &[("TERM", "dumb")]), LogFormat::Plain);
        assert_eq!(detect(Color::Auto, false, &[term]), LogFormat::Plain);
        assert_eq!(detect(Color::Always, false, &[("NO_COLOR", "1")]), LogFormat::Colored);
        assert_eq!(detect(Color::Never, true, &[term]), LogFormat::Plain);
    }

    #[test]
    fn each_look_shows_the_level_its_way() {
        assert_eq!(LogFormat::Plain.format_message(Level::Warn, "hm"), "sockactors: warning: hm\n");
        assert_eq!(LogFormat::Plain.format_message(Level::Info, "here"), "sockactors: here\n");
        assert_eq!(LogFormat::Journal.format_message(Level::Error, "a\nb"), "<3>a\n<3>b\n");
        let coloured = LogFormat::Colored.format_message(Level::Error, "no");
        assert_eq!(coloured, "sockactors: \x1b[1;31merror: \x1b[0mno\n");
    }

    #[test]
    fn what_a_peer_smuggled_in_is_escaped() {
        let worded = LogFormat::Colored.format_message(Level::Info, "\x1b]0;title\x07");
        assert!(!worded.contains('\x07') && !worded.contains("\x1b]"), "{worded:?}");
    }

    #[test]
    fn quiet_and_verbose_set_the_level() {
        let told =
            |quiet, verbose| level_filter(&OutputSettings { quiet, verbose, ..Default::default() });
        assert_eq!(told(true, 2), LevelFilter::Error);
        let levels = [told(false, 0), told(false, 1), told(false, 2), told(false, 9)];
        let [info, debug, trace, most] = levels;
        assert_eq!((info, debug), (LevelFilter::Info, LevelFilter::Debug));
        assert_eq!((trace, most), (LevelFilter::Trace, LevelFilter::Trace));
    }
}
