//! The actor that writes the roles' reports to stdout.
//!
//! A paused terminal or a full pipe blocks a write for any length of time. The
//! printer takes all reports from its mailbox as one batch, formats them into one buffer, and
//! writes it on a thread of the blocking pool. The executor is not blocked, and many short lines
//! cost one system call. The bounded mailbox is the backpressure for the roles.
//!
//! Peers cause a server's lines, so a server prints at most 1,000 of them per second. The rest is
//! dropped before it is formatted, and counted. A client's lines are its results, which are never
//! dropped.
//!
//! A closed pipe, as in `sockactors ... | head -1`, is no failure: the printer calls its error
//! callback once and drops all later lines. It logs any other error, such as a full disk behind
//! stdout, once, and continues.
//!
//! A program that runs both sides of a scenario has a printer for each. They share one [`Sink`],
//! so their lines are never mixed.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use log::Level;

use crate::actors::{Progress, Report};
use crate::cli::output::json;
use crate::cli::output::line_limit::LineLimit;
use crate::cli::output::progress::ProgressBars;
use crate::cli::output::sink::{Sink, write_all};
use crate::cli::output::text::{self, OutputStream};
use crate::net::Peer;
use crate::runtime::{Actor, Context, JobQueue, Outcome};
use crate::scenario::{Scenario, Side};
use crate::sync::lock;

/// The maximum number of reports that are written at once.
const MAX_BATCH: usize = 256;

/// A callback for write errors. It is called once for a closed pipe and once for other errors.
pub type OnError = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// The form and the selection of the printed reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// Whether each report is one JSON object per line, instead of text for people.
    pub json: bool,
    /// Whether only results are printed.
    pub quiet: bool,
    /// Whether stderr shows a prompt when a client is ready for the next file name.
    pub prompt: bool,
}

/// The actor that prints the reports of one side of a scenario. A clone is its next incarnation.
#[derive(Clone)]
pub struct Printer {
    scenario: Scenario,
    side: Side,
    style: Style,
    sink: Sink,
    bars: ProgressBars,
    on_error: OnError,
    /// The batches to write. They survive a crash, so that no line is lost.
    jobs: JobQueue<OutputBatch>,
    /// The limit of a server's lines. It survives a crash, so that no count is lost.
    line_limit: Arc<Mutex<LineLimit>>,
    /// The result of the last write. It survives a crash, so that no error is logged twice.
    sink_state: Arc<Mutex<SinkState>>,
}

impl Printer {
    /// Creates a printer that writes to `sink` and passes write errors to `on_error`.
    pub fn new(
        scenario: Scenario,
        side: Side,
        style: Style,
        sink: Sink,
        on_error: OnError,
    ) -> Printer {
        Printer {
            scenario,
            side,
            style,
            sink,
            bars: ProgressBars::default(),
            on_error,
            jobs: JobQueue::new(),
            line_limit: Arc::default(),
            sink_state: Arc::new(Mutex::new(SinkState::Open)),
        }
    }

    /// Sets the progress bars to update.
    pub fn progress_bars(self, bars: ProgressBars) -> Printer {
        Printer { bars, ..self }
    }

    /// Formats one report, and those that `more` returns, as one batch of the time `now`.
    fn build_batch(
        &self,
        first: Option<Report>,
        now: Instant,
        mut more: impl FnMut() -> Option<Report>,
    ) -> OutputBatch {
        let mut batch = OutputBatch::default();
        let mut limit = lock(&self.line_limit);
        let first = first.into_iter();
        for report in first.chain(std::iter::from_fn(&mut more)).take(MAX_BATCH) {
            self.format_into(&report, &mut limit, now, &mut batch);
        }
        if let Some(lines) = limit.take_due(now) {
            self.format_dropped(lines, &mut batch);
        }
        batch
    }

    /// Adds one report to a batch, unless its lines exceed the limit.
    fn format_into(
        &self,
        report: &Report,
        limit: &mut LineLimit,
        now: Instant,
        batch: &mut OutputBatch,
    ) {
        if matches!(report, Report::Ready) {
            batch.prompt |= self.style.prompt;
            return;
        }
        if self.bars.is_visible() {
            batch.progress_updates.extend(ProgressUpdate::from_report(report));
        }
        if matches!(report, Report::Progress(_)) {
            return;
        }
        if Level::Debug <= log::max_level() {
            let details = text::format_details(report);
            batch.log_lines.extend(details.map(|details| (Level::Debug, details)));
        }
        let stream = text::output_stream(self.scenario, self.side, report);
        let is_wanted = !self.style.quiet || text::is_result(report);
        let for_stdout = is_wanted && (self.style.json || stream == OutputStream::Stdout);
        // The log drops a line above its level, so that line does not have to be formatted.
        let log_level = match stream {
            OutputStream::Log(level) if level <= log::max_level() => Some(level),
            _ => None,
        };
        let is_shown = for_stdout || log_level.is_some();
        if !is_shown || !limit.try_acquire(self.limited_lines(report), now) {
            return;
        }
        match (for_stdout, self.style.json) {
            (false, _) => {}
            (true, true) => {
                batch.push_line(&json::format_report(self.scenario, self.side, report));
            }
            (true, false) => self.format_text(report, |text| batch.push_line(&text)),
        }
        if let Some(level) = log_level {
            self.format_text(report, |text| batch.log_lines.push((level, text)));
        }
    }

    /// Formats a report as text, and passes it to `output` if it is shown.
    fn format_text(&self, report: &Report, output: impl FnOnce(String)) {
        if let Some(text) = text::format_report(self.scenario, self.side, report) {
            output(text);
        }
    }

    /// Returns the number of lines of a report that count for the limit.
    fn limited_lines(&self, report: &Report) -> u32 {
        match (self.side, report) {
            (Side::Client, _) => 0,
            // The operator causes these lines and not a peer, or they are rare.
            (
                _,
                Report::Listening { .. }
                | Report::Warning { .. }
                | Report::ChatLine(_)
                | Report::OperatorAction { .. },
            ) => 0,
            // The lecture's sentence, and a line that names the sender.
            (_, Report::Message { .. } | Report::FileStored { .. }) if !self.style.json => 2,
            (Side::Server, _) => 1,
        }
    }

    /// Adds the number of dropped lines to a batch.
    fn format_dropped(&self, lines: u64, batch: &mut OutputBatch) {
        match self.style.json {
            true => batch.push_line(&json::format_dropped(lines)),
            false => batch.log_lines.push((Level::Warn, text::format_dropped(lines))),
        }
    }

    /// Writes a batch and returns the new state of the sink. Blocks as long as the terminal does.
    fn write_batch(&self, batch: OutputBatch, state: SinkState) -> SinkState {
        if state == SinkState::Closed || batch.is_empty() {
            return state;
        }
        match batch.write(&self.sink, &self.bars) {
            Ok(()) => state,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                (self.on_error)(&error);
                SinkState::Closed
            }
            Err(error) => {
                if state == SinkState::Open {
                    (self.on_error)(&error);
                    log::error!("cannot write to stdout, output is lost: {error}");
                }
                SinkState::Failing
            }
        }
    }

    /// Writes the queued batches on a thread that may block.
    async fn run_jobs(&self) {
        let printer = self.clone();
        let work = move |batch| {
            let mut state = lock(&printer.sink_state);
            *state = printer.write_batch(batch, *state);
        };
        self.jobs.run_all(work).await;
    }
}

impl Actor for Printer {
    type Message = Report;

    async fn run(self, mut ctx: Context<Report>) -> Outcome {
        // Write what the previous incarnation left.
        self.run_jobs().await;
        let clock = ctx.clock().clone();
        loop {
            let report_at = lock(&self.line_limit).report_at();
            let timeout = report_at.map(|at| at.saturating_duration_since(clock.now()));
            let received = clock.timeout(timeout, ctx.recv()).await;
            let is_stopping = matches!(received, Some(None));
            let mut batch =
                self.build_batch(received.flatten(), clock.now(), || match is_stopping {
                    true => None,
                    false => ctx.try_recv(),
                });
            if is_stopping {
                let dropped = lock(&self.line_limit).take_dropped();
                dropped.into_iter().for_each(|lines| self.format_dropped(lines, &mut batch));
            }
            if !batch.is_empty() {
                self.jobs.push(batch);
                self.run_jobs().await;
            }
            if is_stopping {
                return Ok(());
            }
        }
    }
}

/// The state of the sink after the last write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SinkState {
    /// No write has failed.
    Open,
    /// A write failed, and the error was logged.
    Failing,
    /// The reader closed the pipe. Nothing is written any more.
    Closed,
}

/// The output of one batch of reports.
#[derive(Debug, Default)]
struct OutputBatch {
    /// Lines for stdout.
    lines: String,
    log_lines: Vec<(Level, String)>,
    prompt: bool,
    progress_updates: Vec<ProgressUpdate>,
}

/// A change of the progress bars.
#[derive(Debug)]
enum ProgressUpdate {
    Advanced(Progress),
    FileFinished(Option<Peer>),
    AllFinished,
}

impl ProgressUpdate {
    fn from_report(report: &Report) -> Option<ProgressUpdate> {
        Some(match report {
            Report::Progress(file) => ProgressUpdate::Advanced(file.clone()),
            Report::FileSent { .. } => ProgressUpdate::FileFinished(None),
            Report::FileStored { peer, .. } => ProgressUpdate::FileFinished(peer.clone()),
            Report::Disconnected { peer, .. } => ProgressUpdate::FileFinished(Some(peer.clone())),
            Report::TransferSummary(_) => ProgressUpdate::AllFinished,
            _ => return None,
        })
    }
}

impl OutputBatch {
    fn push_line(&mut self, line: &str) {
        self.lines.push_str(line);
        self.lines.push('\n');
    }

    fn is_empty(&self) -> bool {
        self.lines.is_empty()
            && self.log_lines.is_empty()
            && !self.prompt
            && self.progress_updates.is_empty()
    }

    /// Writes the whole batch. Blocks as long as the terminal does.
    fn write(self, sink: &Sink, bars: &ProgressBars) -> io::Result<()> {
        for update in self.progress_updates {
            match update {
                ProgressUpdate::Advanced(file) => bars.update(&file),
                ProgressUpdate::FileFinished(peer) => bars.finish_file(peer.as_ref()),
                ProgressUpdate::AllFinished => bars.finish_all(),
            }
        }
        for (level, text) in self.log_lines {
            log::log!(level, "{text}");
        }
        let written = match self.lines.as_bytes() {
            b"" => Ok(()),
            lines => write_all(sink, lines),
        };
        if self.prompt {
            // Input may arrive even if the prompt cannot be shown.
            let _ = io::stderr().write_all(text::PROMPT.as_bytes());
        }
        written
    }
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printer")
            .field("scenario", &self.scenario)
            .field("side", &self.side)
            .field("style", &self.style)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
