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
use std::sync::{Arc, Mutex, PoisonError};

use log::Level;

use crate::actors::{Progress, Report};
use crate::cli::args::names::Side;
use crate::cli::output::json::json;
use crate::cli::output::progress::Bars;
use crate::cli::output::text;
use crate::cli::output::text::Stream;
use crate::net::Peer;
use crate::runtime::{Actor, Context, JobQueue, Outcome};
use crate::scenario::Kind;

/// How many reports are written at once, at most.
const BATCH: usize = 256;

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
    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    sink.write_all(bytes)?;
    sink.flush()
}

/// The actor that words the reports of one side of a scenario; a clone is its next incarnation.
#[derive(Clone)]
pub struct Narrator {
    kind: Kind,
    side: Side,
    style: Style,
    sink: Sink,
    bars: Bars,
    on_error: OnError,
    /// What is being written, and what became of it: a crash loses no line and tells no failure twice.
    desk: JobQueue<Batch>,
    sight: Arc<Mutex<Sight>>,
}

impl Narrator {
    /// Makes a narrator that writes to `sink`, and calls `on_error` when that fails: with
    /// `BrokenPipe` when nobody reads any more.
    pub fn new(kind: Kind, side: Side, style: Style, sink: Sink, on_error: OnError) -> Narrator {
        let sight = Arc::new(Mutex::new(Sight::Seen));
        let bars = Bars::default();
        Narrator { kind, side, style, sink, bars, on_error, desk: JobQueue::new(), sight }
    }

    /// Sets what shows how far files are.
    pub fn bars(mut self, bars: Bars) -> Narrator {
        self.bars = bars;
        self
    }

    /// Words one report, and those that `more` gives, as one batch.
    fn batch(&self, first: &Report, mut more: impl FnMut() -> Option<Report>) -> Batch {
        let mut batch = Batch::default();
        self.word(first, &mut batch);
        for _ in 1..BATCH {
            match more() {
                Some(report) => self.word(&report, &mut batch),
                None => break,
            }
        }
        batch
    }

    /// Adds what is to be said of one report to a batch.
    fn word(&self, report: &Report, batch: &mut Batch) {
        if matches!(report, Report::Ready) {
            batch.prompt |= self.style.prompt;
            return;
        }
        if self.bars.are_shown() {
            batch.moves.extend(Move::of(report));
        }
        if matches!(report, Report::Progress(_)) {
            return;
        }
        let wanted = !self.style.quiet || text::is_result(report);
        if self.style.json && wanted {
            batch.add_line(&json(self.kind, self.side, report));
        }
        match text::line(self.kind, self.side, report) {
            // What the log would drop is not worth the way to it.
            Some((Stream::Err(level), _)) if level > log::max_level() => {}
            Some((Stream::Err(level), text)) => batch.asides.push((level, text)),
            Some((Stream::Out, text)) if wanted && !self.style.json => batch.add_line(&text),
            _ => {}
        }
    }

    /// Writes a batch, and judges by the result whether anybody reads. Blocks as long as the terminal does.
    fn tell(&self, batch: Batch, sight: Sight) -> Sight {
        if sight == Sight::Closed || batch.is_empty() {
            return sight;
        }
        match batch.write(&self.sink, &self.bars) {
            Ok(()) => sight,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                (self.on_error)(&error);
                Sight::Closed
            }
            Err(error) => {
                if sight == Sight::Seen {
                    (self.on_error)(&error);
                    log::error!("cannot write to stdout, lines are lost: {error}");
                }
                Sight::Failing
            }
        }
    }

    /// Works off the desk.
    async fn clear(&self) {
        let narrator = self.clone();
        let work = move |batch| {
            let mut sight = narrator.sight.lock().unwrap_or_else(PoisonError::into_inner);
            *sight = narrator.tell(batch, *sight);
        };
        self.desk.run_all(work).await;
    }
}

impl Actor for Narrator {
    type Message = Report;

    async fn run(self, mut ctx: Context<Report>) -> Outcome {
        self.clear().await;
        while let Some(report) = ctx.recv().await {
            let batch = self.batch(&report, || ctx.try_recv());
            if !batch.is_empty() {
                self.desk.push(batch);
                self.clear().await;
            }
        }
        Ok(())
    }
}

/// What is known of whoever reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// Nothing is amiss.
    Seen,
    /// A write failed, and that was told.
    Failing,
    /// Nobody reads any more.
    Closed,
}

/// What one write takes along: lines for stdout, and messages for the log.
#[derive(Debug, Default)]
struct Batch {
    lines: String,
    asides: Vec<(Level, String)>,
    prompt: bool,
    /// How far files are, in order.
    moves: Vec<Move>,
}

/// What became of a file on its way.
#[derive(Debug)]
enum Move {
    On(Progress),
    Over(Option<Peer>),
    AllOver,
}

impl Move {
    fn of(report: &Report) -> Option<Move> {
        Some(match report {
            Report::Progress(file) => Move::On(file.clone()),
            Report::Sent { .. } => Move::Over(None),
            Report::File { peer, .. } => Move::Over(peer.clone()),
            Report::Disconnected { peer, .. } => Move::Over(Some(peer.clone())),
            Report::Total(_) => Move::AllOver,
            _ => return None,
        })
    }
}

impl Batch {
    fn add_line(&mut self, line: &str) {
        self.lines.push_str(line);
        self.lines.push('\n');
    }

    fn is_empty(&self) -> bool {
        let is_said = self.lines.is_empty() && self.asides.is_empty() && !self.prompt;
        is_said && self.moves.is_empty()
    }

    /// Writes all of it; blocks as long as the terminal does.
    fn write(self, sink: &Sink, bars: &Bars) -> io::Result<()> {
        for step in self.moves {
            match step {
                Move::On(file) => bars.show(&file),
                Move::Over(peer) => bars.end(peer.as_ref()),
                Move::AllOver => bars.end_all(),
            }
        }
        for (level, text) in self.asides {
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

impl fmt::Debug for Narrator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, side, style) = (self.kind, self.side, self.style);
        f.debug_struct("Narrator")
            .field("kind", &kind)
            .field("side", &side)
            .field("style", &style)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
