//! The journal of a chat: what is said in its rooms, kept on the disk.
//!
//! Whoever says something in a room hands it to a [`Recorder`] and goes on: what waits for the disk is bounded in
//! lines and in bytes, and what finds no room there is left out of the history and counted. The journal takes what
//! waits, all of it at once, writes it, and has the disk hold it within a second. A disk that fails is told once and
//! tried again later; the chat does not notice.
//!
//! Files and counts are the [`History`]'s, which belongs to the tree, and the batch in the journal's hand lies on a
//! [`JobQueue`]: a journal that crashes loses neither.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::actors::{Hall, Report, Reporter, Said};
use crate::runtime::{Actor, Address, Context, JobQueue, Outcome};
use crate::wire::chat::history_record::{Record, encode};
use segments::{HistoryError, Segments};

/// How long what was written may be in the kernel's hand alone.
const SYNC_WITHIN: Duration = Duration::from_secs(1);

/// How long a disk that failed is left alone.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// How many bytes are written at once, about.
const BATCH: usize = 256 << 10;

/// How many bytes of lines may wait for the disk.
const WAITING: usize = 4 << 20;

/// What was said, and the room that heard it.
#[derive(Debug)]
pub struct Spoken {
    room: Arc<str>,
    said: Arc<Said>,
}

/// The history of a chat on the disk.
#[derive(Clone)]
pub struct History(Arc<Inner>);

struct Inner {
    /// Held while the disk is written to, so no actor ever waits for it.
    state: Mutex<State>,
    desk: JobQueue<Job>,
    /// Bytes of the lines in the mailbox.
    waiting: AtomicUsize,
    /// Lines that were left out since it was last told.
    lost: AtomicU64,
}

struct State {
    segments: Segments,
    /// Since when the disk fails, and when it is tried again.
    failing: Option<Instant>,
    /// What is to be told.
    news: Vec<String>,
}

/// Work for a thread that may block.
struct Job {
    bytes: Vec<u8>,
    /// Where each record ends.
    ends: Vec<usize>,
    /// When it was given.
    at: Instant,
    /// Whether the disk is to hold it all.
    sync: bool,
}

impl History {
    /// Opens the history in a directory, made if there is none, that is to stay within so many bytes; gives a
    /// hall what was said, and returns a sentence for each part of it that is lost.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, or another process uses it.
    pub fn open(
        path: &std::path::Path,
        most: u64,
        hall: &Hall,
    ) -> Result<(History, Vec<String>), HistoryError> {
        let mut segments = Segments::open(path, most)?;
        hall.remember();
        let faults = segments.restore(|record| {
            let since = Duration::from_millis(record.timestamp_ms.unsigned_abs());
            let at = match record.timestamp_ms < 0 {
                true => SystemTime::UNIX_EPOCH.checked_sub(since),
                false => SystemTime::UNIX_EPOCH.checked_add(since),
            };
            hall.restore(record.room, record.line, at.unwrap_or(SystemTime::UNIX_EPOCH));
        })?;
        let state = State { segments, failing: None, news: Vec::new() };
        let history = Inner {
            state: Mutex::new(state),
            desk: JobQueue::new(),
            waiting: AtomicUsize::new(0),
            lost: AtomicU64::new(0),
        };
        Ok((History(Arc::new(history)), faults))
    }

    fn work(&self, job: &Job) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failing.is_some_and(|until| job.at < until) {
            self.lose(job.ends.len());
            return;
        }
        let (done, mut result) = state.segments.append(&job.bytes, &job.ends);
        self.lose(job.ends.len() - done);
        if job.sync && result.is_ok() {
            result = state.segments.sync();
        }
        match result {
            Err(error) => {
                let again = job.at.checked_add(RETRY_AFTER).unwrap_or(job.at);
                if state.failing.replace(again).is_none() {
                    let why = format!(
                        "the history in {} cannot be written: {error}; it is tried again, and what is said \
                         meanwhile is kept in memory alone",
                        state.segments.path.display()
                    );
                    state.news.push(why);
                }
            }
            Ok(()) if done > 0 && state.failing.take().is_some() => {
                let lost = self.0.lost.swap(0, Ordering::Relaxed);
                state.news.push(format!(
                    "the history is written again; {lost} lines were left out of it"
                ));
            }
            Ok(()) => {}
        }
    }

    fn lose(&self, lines: usize) {
        self.0.lost.fetch_add(lines as u64, Ordering::Relaxed);
    }

    fn news(&self) -> Vec<String> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = std::mem::take(&mut state.news);
        // While the disk fails, the number is told at the end of it.
        if state.failing.is_none() {
            match self.0.lost.swap(0, Ordering::Relaxed) {
                0 => {}
                lost => news.push(format!(
                    "{lost} lines were left out of the history: more was said than the disk takes"
                )),
            }
        }
        news
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History({} bytes waiting)", self.0.waiting.load(Ordering::Relaxed))
    }
}

/// Where what was said is handed on to: a journal, or nowhere.
#[derive(Debug, Clone, Default)]
pub struct Recorder(Option<(History, Address<Spoken>)>);

impl Recorder {
    /// Makes a recorder for the journal of a history.
    pub fn new(history: History, journal: Address<Spoken>) -> Recorder {
        Recorder(Some((history, journal)))
    }

    /// Has what a room heard kept, if there is room for it now.
    pub(crate) fn keep(&self, room: &Arc<str>, said: &Arc<Said>) {
        let Some((history, journal)) = &self.0 else { return };
        let (room, said) = (room.clone(), said.clone());
        let (size, waiting) = (said.line.len(), &history.0.waiting);
        let fits = waiting.fetch_add(size, Ordering::Relaxed) <= WAITING;
        let count = said.count as usize;
        if !fits || journal.try_send(Spoken { room, said }).is_err() {
            waiting.fetch_sub(size, Ordering::Relaxed);
            history.lose(count);
        }
    }
}

/// The actor that writes down what is said.
#[derive(Debug)]
pub struct ChatJournal {
    history: History,
    reporter: Reporter,
}

impl ChatJournal {
    /// Makes the journal of a history, which outlives it.
    pub fn new(history: History, reporter: Reporter) -> ChatJournal {
        ChatJournal { history, reporter }
    }

    /// Takes what waits, as much as is written at once.
    fn batch(&self, first: Option<Spoken>, sync: bool, ctx: &mut Context<Spoken>) -> Job {
        let mut job = Job { bytes: Vec::new(), ends: Vec::new(), at: ctx.now(), sync };
        let mut next = first;
        while let Some(Spoken { room, said }) = next {
            self.history.0.waiting.fetch_sub(said.line.len(), Ordering::Relaxed);
            let at = match said.at.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
                Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
            };
            for line in said.lines() {
                match encode(Record { timestamp_ms: at, room: &room, line }, &mut job.bytes) {
                    true => job.ends.push(job.bytes.len()),
                    false => self.history.lose(1),
                }
            }
            next = if job.bytes.len() < BATCH { ctx.try_recv() } else { None };
        }
        job
    }

    /// Does what is on the desk, and tells what came of it.
    async fn work(&self) {
        let history = self.history.clone();
        self.history.0.desk.run_all(move |job| history.work(&job)).await;
        for why in self.history.news() {
            self.reporter.send(|| Report::Rejected { peer: None, reason: why }).await;
        }
    }
}

impl Actor for ChatJournal {
    type Message = Spoken;

    async fn run(self, mut ctx: Context<Spoken>) -> Outcome {
        self.work().await;
        let clock = ctx.clock().clone();
        // What the last incarnation wrote may not be on the disk yet.
        let mut sync_at = clock.now().checked_add(SYNC_WITHIN);
        loop {
            let limit = sync_at.map(|at| at.saturating_duration_since(clock.now()));
            let (first, is_over) = match clock.timeout(limit, ctx.recv()).await {
                Some(Some(spoken)) => (Some(spoken), false),
                Some(None) => (None, true),
                None => (None, false),
            };
            if first.is_some() {
                sync_at = sync_at.or(clock.now().checked_add(SYNC_WITHIN));
            }
            let sync = is_over || sync_at.is_some_and(|at| at <= clock.now());
            if sync {
                sync_at = None;
            }
            let job = self.batch(first, sync, &mut ctx);
            self.history.0.desk.push(job);
            self.work().await;
            if is_over {
                return Ok(());
            }
        }
    }
}

pub(crate) mod segments;

#[cfg(test)]
mod tests;
