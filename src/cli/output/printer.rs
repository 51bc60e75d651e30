//! The actor that writes the roles' reports to stdout.
//!
//! A terminal can be paused and a pipe can be full, and then a write takes as long as somebody likes. So the
//! narrator takes what waits in its mailbox as one batch, words it into one buffer, and has a thread of the
//! blocking pool write it at once: the executor goes on, many small lines cost one system call, and the
//! bounded mailbox is what holds the roles back.
//!
//! Nobody reading any more (a closed pipe, as in `sockactors ... | head -1`) is no failure: the narrator asks
//! for the program's end, once, and drops what is still told. Any other failure, such as a full disk behind
//! stdout, is told once on stderr and the work goes on.
//!
//! A program that runs both sides of a scenario has a narrator for each; they share one [`Sink`], so lines
//! never mix.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use log::Level;

use crate::actors::{Progress, Report};
use crate::cli::args::names::Side;
use crate::cli::output::json::format_report;
use crate::cli::output::progress::ProgressBars;
use crate::cli::output::text;
use crate::cli::output::text::OutputStream;
use crate::net::Peer;
use crate::runtime::{Actor, Context, JobQueue, Outcome};
use crate::scenario::Scenario;
use crate::sync::lock;

/// How many reports are written at once, at most.
const MAX_BATCH: usize = 256;

/// Where lines are written, shared by all who write there.
pub type Sink = Arc<Mutex<dyn Write + Send>>;

/// What is called, once for each kind of trouble, when what is told cannot be written.
pub type OnError = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// How reports are worded, and which.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Style {
    /// One JSON object a line, instead of words for people.
    pub json: bool,
    /// Results only.
    pub quiet: bool,
    /// A person is prompted, on stderr, when a client is ready for its next piece of input.
    pub prompt: bool,
}

/// Returns a sink that is the program's stdout.
pub fn stdout() -> Sink {
    Arc::new(Mutex::new(io::stdout()))
}

/// Returns a sink that is the program's stderr.
pub fn stderr() -> Sink {
    Arc::new(Mutex::new(io::stderr()))
}

/// Writes one whole line, and the line feed after it, to a sink.
///
/// # Errors
///
/// Returns what the sink's `write` or `flush` failed with.
pub fn write_line(sink: &Sink, line: &str) -> io::Result<()> {
    write_all(sink, format!("{line}\n").as_bytes())
}

fn write_all(sink: &Sink, bytes: &[u8]) -> io::Result<()> {
    // A writer that panicked leaves half a line at worst.
    let mut sink = lock(sink);
    sink.write_all(bytes)?;
    sink.flush()
}

/// The actor that words the reports of one side of a scenario; a clone is its next incarnation.
#[derive(Clone)]
pub struct Printer {
    scenario: Scenario,
    side: Side,
    style: Style,
    sink: Sink,
    bars: ProgressBars,
    on_error: OnError,
    /// What is being written, and what became of it: a crash loses no line and tells no failure twice.
    jobs: JobQueue<OutputBatch>,
    sink_state: Arc<Mutex<SinkState>>,
}

impl Printer {
    /// Makes a narrator that writes to `sink`, and calls `on_error` when that fails: with
    /// `BrokenPipe` when nobody reads any more.
    pub fn new(kind: Scenario, side: Side, style: Style, sink: Sink, on_error: OnError) -> Printer {
        let sight = Arc::new(Mutex::new(SinkState::Open));
        let bars = ProgressBars::default();
        Printer {
            scenario: kind,
            side,
            style,
            sink,
            bars,
            on_error,
            jobs: JobQueue::new(),
            sink_state: sight,
        }
    }

    /// Sets what shows how far files are.
    pub fn progress_bars(mut self, bars: ProgressBars) -> Printer {
        self.bars = bars;
        self
    }

    /// Words one report, and those that `more` gives, as one batch.
    fn build_batch(&self, first: &Report, mut more: impl FnMut() -> Option<Report>) -> OutputBatch {
        let mut batch = OutputBatch::default();
        self.format_into(first, &mut batch);
        for _ in 1..MAX_BATCH {
            match more() {
                Some(report) => self.format_into(&report, &mut batch),
                None => break,
            }
        }
        batch
    }

    /// Adds what is to be said of one report to a batch.
    fn format_into(&self, report: &Report, batch: &mut OutputBatch) {
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
        let wanted = !self.style.quiet || text::is_result(report);
        if self.style.json && wanted {
            batch.push_line(&format_report(self.scenario, self.side, report));
        }
        match text::format_report(self.scenario, self.side, report) {
            // What the log would drop is not worth the way to it.
            Some((OutputStream::Log(level), _)) if level > log::max_level() => {}
            Some((OutputStream::Log(level), text)) => batch.log_lines.push((level, text)),
            Some((OutputStream::Stdout, text)) if wanted && !self.style.json => {
                batch.push_line(&text)
            }
            _ => {}
        }
    }

    /// Writes a batch, and judges by the result whether anybody reads. Blocks as long as the terminal does.
    fn write_batch(&self, batch: OutputBatch, sight: SinkState) -> SinkState {
        if sight == SinkState::Closed || batch.is_empty() {
            return sight;
        }
        match batch.write(&self.sink, &self.bars) {
            Ok(()) => sight,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                (self.on_error)(&error);
                SinkState::Closed
            }
            Err(error) => {
                if sight == SinkState::Open {
                    (self.on_error)(&error);
                    log::error!("cannot write to stdout, lines are lost: {error}");
                }
                SinkState::Failing
            }
        }
    }

    /// Works off the desk.
    async fn run_jobs(&self) {
        let narrator = self.clone();
        let work = move |batch| {
            let mut sight = lock(&narrator.sink_state);
            *sight = narrator.write_batch(batch, *sight);
        };
        self.jobs.run_all(work).await;
    }
}

impl Actor for Printer {
    type Message = Report;

    async fn run(self, mut ctx: Context<Report>) -> Outcome {
        self.run_jobs().await;
        while let Some(report) = ctx.recv().await {
            let batch = self.build_batch(&report, || ctx.try_recv());
            if !batch.is_empty() {
                self.jobs.push(batch);
                self.run_jobs().await;
            }
        }
        Ok(())
    }
}

/// What is known of whoever reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SinkState {
    /// Nothing is amiss.
    Open,
    /// A write failed, and that was told.
    Failing,
    /// Nobody reads any more.
    Closed,
}

/// What one write takes along: lines for stdout, and messages for the log.
#[derive(Debug, Default)]
struct OutputBatch {
    lines: String,
    log_lines: Vec<(Level, String)>,
    prompt: bool,
    /// How far files are, in order.
    progress_updates: Vec<ProgressUpdate>,
}

/// What became of a file on its way.
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
        let is_said = self.lines.is_empty() && self.log_lines.is_empty() && !self.prompt;
        is_said && self.progress_updates.is_empty()
    }

    /// Writes all of it; blocks as long as the terminal does.
    fn write(self, sink: &Sink, bars: &ProgressBars) -> io::Result<()> {
        for step in self.progress_updates {
            match step {
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
            // Without a terminal to show the prompt on, the answer may still come.
            let _ = io::stderr().write_all(text::PROMPT.as_bytes());
        }
        written
    }
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, side, style) = (self.scenario, self.side, self.style);
        f.debug_struct("Narrator")
            .field("kind", &kind)
            .field("side", &side)
            .field("style", &style)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
