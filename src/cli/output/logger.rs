//! The log on stderr: for people, or for the systemd journal.
//!
//! Under systemd, stderr may be a socket of the journal. The journal reads the priority of a line
//! from a prefix such as `<4>`. The variable JOURNAL_STREAM holds the device and the inode of that
//! socket, so a stderr that was redirected later is not mistaken for it (systemd.exec(5)). On any
//! other stderr a line is `sockactors: warning: text`, with a colored level on a terminal.
//!
//! Each message is written with one call. A failing write is ignored, because there is no other
//! place to report it. Every message is escaped again here, because it may hold text from a peer.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::cli::args::PROGRAM;
use crate::cli::args::argv::EnvLookup;
use crate::cli::output::background_writer::BackgroundWriter;
use crate::cli::output::settings::{Color, OutputSettings};
use crate::cli::output::sink::Sink;
use crate::sync::lock;
use crate::wire::text::escape;

/// How long a flush at the end waits for a blocked stderr.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The format of a line of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// The program, the level and the text.
    Plain,
    /// As `Plain`, with a colored level.
    Colored,
    /// The priority for the journal, then the text.
    Journal,
}

impl LogFormat {
    /// Returns the format for this process's stderr.
    pub fn for_stderr(color: Color, env: EnvLookup<'_>) -> LogFormat {
        let stderr = io::stderr();
        let stream = rustix::fs::fstat(&stderr).ok();
        let stream = stream.map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
        LogFormat::detect(color, stderr.is_terminal(), stream.as_deref(), env)
    }

    /// Returns whether stdout should be colored.
    pub fn is_stdout_colored(color: Color, env: EnvLookup<'_>) -> bool {
        LogFormat::detect(color, io::stdout().is_terminal(), None, env) == LogFormat::Colored
    }

    /// Returns the format for a stream. `stream` is its device and inode.
    fn detect(
        color: Color,
        is_terminal: bool,
        stream: Option<&str>,
        env: EnvLookup<'_>,
    ) -> LogFormat {
        let journal = env("JOURNAL_STREAM");
        if !is_terminal && journal.is_some() && journal.as_deref() == stream.map(AsRef::as_ref) {
            return LogFormat::Journal;
        }
        let is_forbidden = env("NO_COLOR").is_some_and(|text| !text.is_empty());
        let is_dumb = env("TERM").is_none_or(|term| term == "dumb");
        let is_colored = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !is_forbidden && !is_dumb,
        };
        if is_colored { LogFormat::Colored } else { LogFormat::Plain }
    }

    /// Formats one message as one line. A line feed inside of it is escaped, so that a text from a
    /// peer cannot forge a message.
    fn format_message(self, level: Level, text: &str) -> String {
        let line = escape(text.trim_end());
        match self {
            LogFormat::Journal => format!("<{}>{line}\n", syslog_priority(level)),
            LogFormat::Plain => format!("{PROGRAM}: {}{line}\n", level_label(level)),
            LogFormat::Colored => {
                let (on, off) = (level_color(level), "\x1b[0m");
                format!("{PROGRAM}: {on}{}{off}{line}\n", level_label(level))
            }
        }
    }
}

/// Returns the priority of a level, as in syslog(3).
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

/// The logger of the program.
#[derive(Debug)]
pub struct Logger {
    format: LogFormat,
    level: LevelFilter,
    writer: Arc<BackgroundWriter>,
}

impl Logger {
    /// Creates a logger for this process's stderr, which writes its lines to `sink`.
    pub fn new(output: &OutputSettings, env: EnvLookup<'_>, sink: Sink) -> Logger {
        let format = LogFormat::for_stderr(output.color, env);
        let write = move |text: &str| {
            // A closed stderr cannot be reported anywhere.
            let _ = lock(&sink).write_all(text.as_bytes());
        };
        let format_dropped = move |count| {
            let text = format!("dropped {count} log lines because stderr was blocked");
            format.format_message(Level::Warn, &text)
        };
        Logger {
            format,
            level: level_filter(output),
            writer: Arc::new(BackgroundWriter::new("log", write, format_dropped)),
        }
    }

    /// Makes this the logger of the process, unless there already is one.
    ///
    /// Returns the writer to stderr, for texts that are not log messages.
    pub fn install(self) -> Arc<BackgroundWriter> {
        let (level, writer) = (self.level, self.writer.clone());
        if log::set_boxed_logger(Box::new(self)).is_ok() {
            log::set_max_level(level);
        }
        writer
    }
}

/// Returns the maximum level of the log: errors in a quiet run, info by default.
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
        // `--verbose` raises the level of this program only, not of its dependencies.
        let is_own = metadata.target().starts_with(PROGRAM);
        metadata.level() <= self.level && (is_own || metadata.level() <= Level::Warn)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = self.format.format_message(record.level(), &record.args().to_string());
            self.writer.write(text);
        }
    }

    /// Waits until the queued lines are written, at most for [`FLUSH_TIMEOUT`].
    fn flush(&self) {
        self.writer.flush(FLUSH_TIMEOUT);
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    fn detect(color: Color, is_terminal: bool, variables: &[(&str, &str)]) -> LogFormat {
        let env = |name: &str| {
            let variable = variables.iter().find(|variable| variable.0 == name)?;
            Some(OsString::from(variable.1))
        };
        LogFormat::detect(color, is_terminal, Some("8:42"), &env)
    }

    #[test]
    fn journal_is_detected_by_device_and_inode() {
        let ours = [("JOURNAL_STREAM", "8:42"), ("TERM", "xterm")];
        assert_eq!(detect(Color::Always, false, &ours), LogFormat::Journal);
        assert_eq!(detect(Color::Auto, true, &ours), LogFormat::Colored);
        assert_eq!(detect(Color::Auto, false, &[("JOURNAL_STREAM", "8:43")]), LogFormat::Plain);
        assert_eq!(LogFormat::detect(Color::Auto, false, None, &|_| None), LogFormat::Plain);
    }

    #[test]
    fn automatic_color_needs_a_capable_terminal() {
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
    fn each_format_shows_the_level() {
        assert_eq!(LogFormat::Plain.format_message(Level::Warn, "hm"), "sockactors: warning: hm\n");
        assert_eq!(LogFormat::Plain.format_message(Level::Info, "here"), "sockactors: here\n");
        assert_eq!(LogFormat::Journal.format_message(Level::Error, "no"), "<3>no\n");
        let colored = LogFormat::Colored.format_message(Level::Error, "no");
        assert_eq!(colored, "sockactors: \x1b[1;31merror: \x1b[0mno\n");
    }

    #[test]
    fn line_feed_in_message_does_not_begin_another() {
        let forged = "failed: x\nsockactors: error: forged\u{2028}\r\n";
        for format in [LogFormat::Plain, LogFormat::Colored, LogFormat::Journal] {
            let line = format.format_message(Level::Warn, forged);
            assert_eq!(line.lines().count(), 1, "{line:?}");
            assert!(line.ends_with("x\\nsockactors: error: forged\n"), "{line:?}");
        }
    }

    #[test]
    fn control_characters_in_messages_are_escaped() {
        let line = LogFormat::Colored.format_message(Level::Info, "\x1b]0;title\x07");
        assert!(!line.contains('\x07') && !line.contains("\x1b]"), "{line:?}");
    }

    #[test]
    fn quiet_and_verbose_set_the_level() {
        let level =
            |quiet, verbose| level_filter(&OutputSettings { quiet, verbose, ..Default::default() });
        assert_eq!(level(true, 2), LevelFilter::Error);
        let levels = [level(false, 0), level(false, 1), level(false, 2), level(false, 9)];
        let [info, debug, trace, more] = levels;
        assert_eq!((info, debug), (LevelFilter::Info, LevelFilter::Debug));
        assert_eq!((trace, more), (LevelFilter::Trace, LevelFilter::Trace));
    }
}
