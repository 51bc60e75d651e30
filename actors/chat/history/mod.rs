//! The journal of a chat: what is said in its rooms, kept on the disk.
//!
//! Whoever says something in a room hands it to a [`HistorySender`] and goes on: what waits for the disk is bounded in
//! lines and in bytes, and what finds no room there is left out of the history and counted. The journal takes what
//! waits, all of it at once, writes it, and has the disk hold it within a second. A disk that fails is told once and
//! tried again later; the chat does not notice.
//!
//! Files and counts are the [`HistoryStore`]'s, which belongs to the tree, and the batch in the journal's hand lies on a
//! [`JobQueue`]: a journal that crashes loses neither.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use crate::actors::{ChatRegistry, Report, Reporter, RoomMessage};
use crate::runtime::{Actor, Address, Context, JobQueue, Outcome};
use crate::sync::lock;
use crate::wire::chat::history_record::{Record, encode};
use segments::{HistoryError, SegmentLog};

/// How long what was written may be in the kernel's hand alone.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How long a disk that failed is left alone.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// How many bytes are written at once, about.
const MAX_BATCH_BYTES: usize = 256 << 10;

/// How many bytes of lines may wait for the disk.
const MAX_QUEUED_BYTES: usize = 4 << 20;

/// What was said, and the room that heard it.
#[derive(Debug)]
pub struct HistoryEntry {
    room: Arc<str>,
    message: Arc<RoomMessage>,
}

/// The history of a chat on the disk.
#[derive(Clone)]
pub struct HistoryStore(Arc<HistoryShared>);

struct HistoryShared {
    /// Held while the disk is written to, so no actor ever waits for it.
    state: Mutex<HistoryState>,
    jobs: JobQueue<WriteJob>,
    /// Bytes of the lines in the mailbox.
    queued_bytes: AtomicUsize,
    /// Lines that were left out since it was last told.
    dropped_lines: AtomicU64,
}

struct HistoryState {
    segments: SegmentLog,
    /// Since when the disk fails, and when it is tried again.
    retry_at: Option<Instant>,
    /// What is to be told.
    warnings: Vec<String>,
}

/// Work for a thread that may block.
struct WriteJob {
    records: Vec<u8>,
    /// Where each record ends.
    record_ends: Vec<usize>,
    /// When it was given.
    created_at: Instant,
    /// Whether the disk is to hold it all.
    sync: bool,
}

impl HistoryStore {
    /// Opens the history in a directory, made if there is none, that is to stay within so many bytes; gives a
    /// hall what was said, and returns a sentence for each part of it that is lost.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, or another process uses it.
    pub fn open(
        path: &std::path::Path,
        most: u64,
        hall: &ChatRegistry,
    ) -> Result<(HistoryStore, Vec<String>), HistoryError> {
        let mut segments = SegmentLog::open(path, most)?;
        hall.keep_closed_rooms();
        let faults = segments.restore(|record| {
            let since = Duration::from_millis(record.timestamp_ms.unsigned_abs());
            let at = match record.timestamp_ms < 0 {
                true => SystemTime::UNIX_EPOCH.checked_sub(since),
                false => SystemTime::UNIX_EPOCH.checked_add(since),
            };
            hall.restore(record.room, record.line, at.unwrap_or(SystemTime::UNIX_EPOCH));
        })?;
        let state = HistoryState { segments, retry_at: None, warnings: Vec::new() };
        let history = HistoryShared {
            state: Mutex::new(state),
            jobs: JobQueue::new(),
            queued_bytes: AtomicUsize::new(0),
            dropped_lines: AtomicU64::new(0),
        };
        Ok((HistoryStore(Arc::new(history)), faults))
    }

    fn write(&self, job: &WriteJob) {
        let mut state = lock(&self.0.state);
        if state.retry_at.is_some_and(|until| job.created_at < until) {
            self.count_dropped(job.record_ends.len());
            return;
        }
        let (done, mut result) = state.segments.append(&job.records, &job.record_ends);
        self.count_dropped(job.record_ends.len() - done);
        if job.sync && result.is_ok() {
            result = state.segments.sync();
        }
        match result {
            Err(error) => {
                let again = job.created_at.checked_add(RETRY_DELAY).unwrap_or(job.created_at);
                if state.retry_at.replace(again).is_none() {
                    let why = format!(
                        "the history in {} cannot be written: {error}; it is tried again, and what is said \
                         meanwhile is kept in memory alone",
                        state.segments.path.display()
                    );
                    state.warnings.push(why);
                }
            }
            Ok(()) if done > 0 && state.retry_at.take().is_some() => {
                let lost = self.0.dropped_lines.swap(0, Ordering::Relaxed);
                state.warnings.push(format!(
                    "the history is written again; {lost} lines were left out of it"
                ));
            }
            Ok(()) => {}
        }
    }

    fn count_dropped(&self, lines: usize) {
        self.0.dropped_lines.fetch_add(lines as u64, Ordering::Relaxed);
    }

    fn take_warnings(&self) -> Vec<String> {
        let mut state = lock(&self.0.state);
        let mut news = std::mem::take(&mut state.warnings);
        // While the disk fails, the number is told at the end of it.
        if state.retry_at.is_none() {
            match self.0.dropped_lines.swap(0, Ordering::Relaxed) {
                0 => {}
                lost => news.push(format!(
                    "{lost} lines were left out of the history: more was said than the disk takes"
                )),
            }
        }
        news
    }
}

impl fmt::Debug for HistoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "History({} bytes waiting)", self.0.queued_bytes.load(Ordering::Relaxed))
    }
}

/// Where what was said is handed on to: a journal, or nowhere.
#[derive(Debug, Clone, Default)]
pub struct HistorySender(Option<(HistoryStore, Address<HistoryEntry>)>);

impl HistorySender {
    /// Makes a recorder for the journal of a history.
    pub fn new(history: HistoryStore, journal: Address<HistoryEntry>) -> HistorySender {
        HistorySender(Some((history, journal)))
    }

    /// Has what a room heard kept, if there is room for it now.
    pub(crate) fn record(&self, room: &Arc<str>, said: &Arc<RoomMessage>) {
        let Some((history, journal)) = &self.0 else { return };
        let (room, said) = (room.clone(), said.clone());
        let (size, waiting) = (said.text.len(), &history.0.queued_bytes);
        let fits = waiting.fetch_add(size, Ordering::Relaxed) <= MAX_QUEUED_BYTES;
        let count = said.line_count as usize;
        if !fits || journal.try_send(HistoryEntry { room, message: said }).is_err() {
            waiting.fetch_sub(size, Ordering::Relaxed);
            history.count_dropped(count);
        }
    }
}

/// The actor that writes down what is said.
#[derive(Debug)]
pub struct HistoryWriter {
    store: HistoryStore,
    reporter: Reporter,
}

impl HistoryWriter {
    /// Makes the journal of a history, which outlives it.
    pub fn new(history: HistoryStore, reporter: Reporter) -> HistoryWriter {
        HistoryWriter { store: history, reporter }
    }

    /// Takes what waits, as much as is written at once.
    fn collect_batch(
        &self,
        first: Option<HistoryEntry>,
        sync: bool,
        ctx: &mut Context<HistoryEntry>,
    ) -> WriteJob {
        let mut job =
            WriteJob { records: Vec::new(), record_ends: Vec::new(), created_at: ctx.now(), sync };
        let mut next = first;
        while let Some(HistoryEntry { room, message: said }) = next {
            self.store.0.queued_bytes.fetch_sub(said.text.len(), Ordering::Relaxed);
            let at = match said.sent_at.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
                Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
            };
            for line in said.lines() {
                match encode(Record { timestamp_ms: at, room: &room, line }, &mut job.records) {
                    true => job.record_ends.push(job.records.len()),
                    false => self.store.count_dropped(1),
                }
            }
            next = if job.records.len() < MAX_BATCH_BYTES { ctx.try_recv() } else { None };
        }
        job
    }

    /// Does what is on the desk, and tells what came of it.
    async fn run_jobs(&self) {
        let history = self.store.clone();
        self.store.0.jobs.run_all(move |job| history.write(&job)).await;
        for why in self.store.take_warnings() {
            self.reporter.send(|| Report::Warning { reason: why }).await;
        }
    }
}

impl Actor for HistoryWriter {
    type Message = HistoryEntry;

    async fn run(self, mut ctx: Context<HistoryEntry>) -> Outcome {
        self.run_jobs().await;
        let clock = ctx.clock().clone();
        // What the last incarnation wrote may not be on the disk yet.
        let mut sync_at = clock.now().checked_add(SYNC_INTERVAL);
        loop {
            let limit = sync_at.map(|at| at.saturating_duration_since(clock.now()));
            let (first, is_over) = match clock.timeout(limit, ctx.recv()).await {
                Some(Some(spoken)) => (Some(spoken), false),
                Some(None) => (None, true),
                None => (None, false),
            };
            if first.is_some() {
                sync_at = sync_at.or(clock.now().checked_add(SYNC_INTERVAL));
            }
            let sync = is_over || sync_at.is_some_and(|at| at <= clock.now());
            if sync {
                sync_at = None;
            }
            let job = self.collect_batch(first, sync, &mut ctx);
            self.store.0.jobs.push(job);
            self.run_jobs().await;
            if is_over {
                return Ok(());
            }
        }
    }
}

pub(crate) mod segments;

#[cfg(test)]
mod tests;
