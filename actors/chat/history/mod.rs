//! The history of a chat on disk.
//!
//! A sender hands each message to a [`HistorySender`] and goes on. The queue to the disk is
//! bounded in lines and in bytes. Messages that do not fit are not saved, and are counted. The
//! [`HistoryWriter`] takes all queued messages as one batch, writes it, and syncs it to the disk
//! within a second. A disk that fails is reported once and retried later. The chat goes on.
//!
//! The files and counts are in the [`HistoryStore`], which belongs to the tree, and a batch being
//! written is in a [`JobQueue`]. So a writer that crashes loses neither.

pub(crate) mod segments;

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use crate::actors::chat::broadcast::message::RoomMessage;
use crate::actors::chat::history::segments::{HistoryError, SegmentLog};
use crate::actors::support::report::{Report, Reporter};
use crate::runtime::{Actor, Address, Context, JobQueue, Outcome};
use crate::sync::lock;
use crate::time::deadline_after;
use crate::wire::chat::history_record::{Record, encode};

/// Maximum time between writing a message and syncing it to the disk.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Time between two attempts to write to a disk that fails.
const RETRY_DELAY: Duration = Duration::from_secs(5);

/// Approximate maximum size of one write, in bytes.
const MAX_BATCH_BYTES: usize = 256 << 10;

/// Maximum size of the messages that wait for the disk, in bytes.
const MAX_QUEUED_BYTES: usize = 4 << 20;

/// A message to save, with its room.
#[derive(Debug)]
pub struct HistoryEntry {
    room: Arc<str>,
    message: Arc<RoomMessage>,
}

/// The history of a chat on disk. It outlives the writer. Cloning it clones the handle.
#[derive(Clone)]
pub struct HistoryStore(Arc<HistoryShared>);

struct HistoryShared {
    /// Locked during writes to the disk, by a blocking thread. No actor waits for this lock.
    state: Mutex<HistoryState>,
    jobs: JobQueue<WriteJob>,
    /// Size of the messages in the writer's mailbox, in bytes.
    queued_bytes: AtomicUsize,
    /// Number of lines that were not saved since the last warning about them.
    dropped_lines: AtomicU64,
}

struct HistoryState {
    segments: SegmentLog,
    /// When to retry the disk. `None` while it works.
    retry_at: Option<Instant>,
    /// Warnings that were not reported yet.
    warnings: Vec<String>,
}

/// A batch of records for a blocking thread to write.
struct WriteJob {
    records: Vec<u8>,
    /// The offset of each record's end.
    record_ends: Vec<usize>,
    created_at: Instant,
    /// Whether to sync the file afterwards.
    sync: bool,
}

impl HistoryStore {
    /// Opens the history in a directory, which is created if necessary, and limits it to
    /// `max_bytes` bytes. Calls `restore` with the room, the line and the time of each saved
    /// line in the newest segments, oldest first. Older lines are on disk only.
    ///
    /// Returns the store and a warning for each part of the history that is lost.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, or another process uses it.
    pub fn open(
        path: &Path,
        max_bytes: u64,
        mut restore: impl FnMut(&str, &str, SystemTime),
    ) -> Result<(HistoryStore, Vec<String>), HistoryError> {
        let mut segments = SegmentLog::open(path, max_bytes)?;
        let warnings = segments.restore(|record| {
            let offset = Duration::from_millis(record.timestamp_ms.unsigned_abs());
            let sent_at = match record.timestamp_ms < 0 {
                true => SystemTime::UNIX_EPOCH.checked_sub(offset),
                false => SystemTime::UNIX_EPOCH.checked_add(offset),
            };
            restore(record.room, record.line, sent_at.unwrap_or(SystemTime::UNIX_EPOCH));
        })?;
        let shared = HistoryShared {
            state: Mutex::new(HistoryState { segments, retry_at: None, warnings: Vec::new() }),
            jobs: JobQueue::new(),
            queued_bytes: AtomicUsize::new(0),
            dropped_lines: AtomicU64::new(0),
        };
        Ok((HistoryStore(Arc::new(shared)), warnings))
    }

    /// Writes a batch, and syncs it if asked. Blocks. Drops the batch while the disk fails.
    fn write(&self, job: &WriteJob) {
        let mut state = lock(&self.0.state);
        if state.retry_at.is_some_and(|retry_at| job.created_at < retry_at) {
            self.count_dropped(job.record_ends.len());
            return;
        }
        let (written, mut result) = state.segments.append(&job.records, &job.record_ends);
        self.count_dropped(job.record_ends.len() - written);
        if job.sync && result.is_ok() {
            result = state.segments.sync();
        }
        self.count_dropped(state.segments.take_lost());
        match result {
            Err(error) => {
                let retry_at = deadline_after(job.created_at, RETRY_DELAY);
                if state.retry_at.replace(retry_at).is_none() {
                    let warning = format!(
                        "cannot write the chat history in {}: {error}; retrying every \
                         {RETRY_DELAY:?}, messages are not saved meanwhile",
                        state.segments.path.display()
                    );
                    state.warnings.push(warning);
                }
            }
            Ok(()) if written > 0 && state.retry_at.take().is_some() => {
                let dropped = self.0.dropped_lines.swap(0, Ordering::Relaxed);
                state
                    .warnings
                    .push(format!("saving the chat history again; {dropped} lines were not saved"));
            }
            Ok(()) => {}
        }
    }

    fn count_dropped(&self, lines: usize) {
        self.0.dropped_lines.fetch_add(lines as u64, Ordering::Relaxed);
    }

    fn take_warnings(&self) -> Vec<String> {
        let mut state = lock(&self.0.state);
        let mut warnings = std::mem::take(&mut state.warnings);
        // While the disk fails, lines are only counted. The number is reported at the end.
        if state.retry_at.is_none() {
            match self.0.dropped_lines.swap(0, Ordering::Relaxed) {
                0 => {}
                dropped => warnings.push(format!(
                    "{dropped} lines of the chat history were not saved: the disk is too slow"
                )),
            }
        }
        warnings
    }
}

impl fmt::Debug for HistoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HistoryStore({} bytes queued)", self.0.queued_bytes.load(Ordering::Relaxed))
    }
}

/// A handle that queues messages for a [`HistoryWriter`]. The default one drops them.
#[derive(Debug, Clone, Default)]
pub struct HistorySender(Option<(HistoryStore, Address<HistoryEntry>)>);

impl HistorySender {
    /// Creates a handle for the writer of a store.
    pub fn new(store: HistoryStore, writer: Address<HistoryEntry>) -> HistorySender {
        HistorySender(Some((store, writer)))
    }

    /// Queues a room's message without waiting. If the queue is full, the message is dropped and
    /// counted.
    pub(crate) fn record(&self, room: &Arc<str>, message: &Arc<RoomMessage>) {
        let Some((store, writer)) = &self.0 else { return };
        let (room, message) = (room.clone(), message.clone());
        let (size, queued_bytes) = (message.text.len(), &store.0.queued_bytes);
        let fits = queued_bytes.fetch_add(size, Ordering::Relaxed) <= MAX_QUEUED_BYTES;
        let line_count = message.line_count as usize;
        if !fits || writer.try_send(HistoryEntry { room, message }).is_err() {
            queued_bytes.fetch_sub(size, Ordering::Relaxed);
            store.count_dropped(line_count);
        }
    }
}

/// The actor that writes messages to the history on disk.
#[derive(Debug)]
pub struct HistoryWriter {
    store: HistoryStore,
    reporter: Reporter,
}

impl HistoryWriter {
    /// Creates the writer of a store.
    pub fn new(store: HistoryStore, reporter: Reporter) -> HistoryWriter {
        HistoryWriter { store, reporter }
    }

    /// Encodes `first` and the messages in the mailbox, up to [`MAX_BATCH_BYTES`].
    fn collect_batch(
        &self,
        first: Option<HistoryEntry>,
        sync: bool,
        ctx: &mut Context<HistoryEntry>,
    ) -> WriteJob {
        let mut job =
            WriteJob { records: Vec::new(), record_ends: Vec::new(), created_at: ctx.now(), sync };
        let mut next = first;
        while let Some(HistoryEntry { room, message }) = next {
            self.store.0.queued_bytes.fetch_sub(message.text.len(), Ordering::Relaxed);
            let timestamp_ms = match message.sent_at.duration_since(SystemTime::UNIX_EPOCH) {
                Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
                Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
            };
            for line in message.lines() {
                match encode(Record { timestamp_ms, room: &room, line }, &mut job.records) {
                    true => job.record_ends.push(job.records.len()),
                    false => self.store.count_dropped(1),
                }
            }
            next = if job.records.len() < MAX_BATCH_BYTES { ctx.try_recv() } else { None };
        }
        job
    }

    /// Runs the queued jobs on a blocking thread and reports their warnings.
    async fn run_jobs(&self) {
        let store = self.store.clone();
        self.store.0.jobs.run_all(move |job| store.write(&job)).await;
        for reason in self.store.take_warnings() {
            self.reporter.send(|| Report::Warning { reason }).await;
        }
    }
}

impl Actor for HistoryWriter {
    type Message = HistoryEntry;

    async fn run(self, mut ctx: Context<HistoryEntry>) -> Outcome {
        self.run_jobs().await;
        let clock = ctx.clock().clone();
        // The previous incarnation may not have synced its last write.
        let mut sync_at = Some(deadline_after(clock.now(), SYNC_INTERVAL));
        loop {
            let timeout = sync_at.map(|at| at.saturating_duration_since(clock.now()));
            let (first, is_stopping) = match clock.timeout(timeout, ctx.recv()).await {
                Some(Some(entry)) => (Some(entry), false),
                Some(None) => (None, true),
                None => (None, false),
            };
            if first.is_some() {
                sync_at.get_or_insert_with(|| deadline_after(clock.now(), SYNC_INTERVAL));
            }
            let sync = is_stopping || sync_at.is_some_and(|at| at <= clock.now());
            if sync {
                sync_at = None;
            }
            let job = self.collect_batch(first, sync, &mut ctx);
            self.store.0.jobs.push(job);
            self.run_jobs().await;
            if is_stopping {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
