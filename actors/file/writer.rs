//! The file writer: an actor at the end of a pipeline that writes bytes to files.
//!
//! It writes the bytes it receives to a partial file of a [`FileStore`]. The file gets its name
//! when it is large or old enough, or on request. So each file appears complete and durable, and
//! its readers never see half of one.
//!
//! Bytes that were received and not written yet wait in a [`WriterState`], which belongs to the
//! tree and survives a restart. A disk error ends the incarnation. The supervisor's backoff is the
//! pause before the next one retries the same bytes. Meanwhile the bounded mailbox holds back the
//! senders. A written file that cannot be synced is lost, because its content on the disk is
//! unknown. A file that cannot be renamed stays a partial file. The error says which it was.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::actors::file::store::FileStore;
use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::partial::PartialFile;
use crate::actors::{BlockingPool, Report, Reporter};
use crate::runtime::{Actor, Context, Outcome, TimerId};
use crate::sync::lock;

/// A message to a [`FileWriter`].
#[derive(Debug)]
pub enum WriterMessage {
    /// Append these bytes.
    Bytes(Vec<u8>),
    /// Name the open file now, and start another with the next bytes. Does nothing if no file is
    /// open.
    Rotate,
}

/// The size and age at which a file is complete.
#[derive(Debug, Clone, Copy, Default)]
pub struct RotationPolicy {
    /// The size in bytes at which a file is complete. One message is never split between two
    /// files. `None` sets no size limit.
    pub max_size: Option<u64>,
    /// The time after the first byte at which a file is complete. `None` sets no age.
    pub max_age: Option<Duration>,
}

/// The open file of a file writer and its queue. Clones share the same state.
#[derive(Debug, Clone)]
pub struct WriterState(Arc<WriterStateInner>);

#[derive(Debug)]
struct WriterStateInner {
    store: Arc<FileStore>,
    rotation: RotationPolicy,
    queue: Mutex<VecDeque<WriterMessage>>,
    /// Locked during all disk operations.
    open_file: Mutex<Option<PartialFile>>,
}

/// The name and size of a complete file.
type RotatedFile = (String, u64);

impl WriterState {
    /// Creates a state without an open file. The files will be named `output0.txt`, `output1.txt`
    /// and so on.
    pub fn new(store: Arc<FileStore>, rotation: RotationPolicy) -> WriterState {
        let (queue, open_file) = (Mutex::default(), Mutex::default());
        WriterState(Arc::new(WriterStateInner { store, rotation, queue, open_file }))
    }

    fn lock_queue(&self) -> MutexGuard<'_, VecDeque<WriterMessage>> {
        lock(&self.0.queue)
    }

    /// Writes the queue to the disk and returns whether a file is open afterwards. After an error
    /// the rest stays in the queue.
    fn write_queued(&self, rotated: &mut Vec<RotatedFile>) -> Result<bool, StoreError> {
        let mut open_file = lock(&self.0.open_file);
        loop {
            let Some(message) = self.lock_queue().pop_front() else {
                return Ok(open_file.is_some());
            };
            match &message {
                WriterMessage::Bytes(bytes) => match self.write(&mut open_file, bytes) {
                    Ok(false) => {}
                    Ok(true) => self.lock_queue().push_front(WriterMessage::Rotate),
                    Err(error) => {
                        self.lock_queue().push_front(message);
                        return Err(error);
                    }
                },
                WriterMessage::Rotate => rotate(&mut open_file, rotated)?,
            }
        }
    }

    /// Writes bytes and returns whether the file has reached its size.
    fn write(&self, open_file: &mut Option<PartialFile>, bytes: &[u8]) -> Result<bool, StoreError> {
        let mut partial = match open_file.take() {
            Some(partial) => partial,
            None => self.0.store.create_numbered()?,
        };
        let written = partial.write(bytes);
        let is_large = self.0.rotation.max_size.is_some_and(|size| partial.length() >= size);
        *open_file = Some(partial);
        written.map(|()| is_large)
    }
}

fn rotate(
    open_file: &mut Option<PartialFile>,
    rotated: &mut Vec<RotatedFile>,
) -> Result<(), StoreError> {
    if let Some(partial) = open_file.take() {
        let length = partial.length();
        rotated.push((partial.commit()?, length));
    }
    Ok(())
}

/// An actor that writes the bytes it receives to files.
#[derive(Debug)]
pub struct FileWriter {
    state: WriterState,
    blocking_pool: BlockingPool,
    reporter: Reporter,
}

impl FileWriter {
    /// Creates a writer. Its restarts continue with the same `state`.
    pub fn new(state: WriterState, blocking_pool: BlockingPool, reporter: Reporter) -> FileWriter {
        FileWriter { state, blocking_pool, reporter }
    }

    /// Writes the queue to the disk. Keeps `timer` running while a file is open.
    async fn write_queued(
        &self,
        ctx: &mut Context<WriterMessage>,
        timer: &mut Option<TimerId>,
    ) -> Outcome {
        let state = self.state.clone();
        let job = move || {
            let mut rotated = Vec::new();
            let written = state.write_queued(&mut rotated);
            (written, rotated)
        };
        let (written, rotated) = self.blocking_pool.run(job).await;
        if !rotated.is_empty() {
            timer.take().map(|timer| ctx.cancel(timer));
        }
        for (name, bytes) in rotated {
            let elapsed = Duration::ZERO;
            let report = || Report::FileStored { name, bytes, blake3: None, elapsed, peer: None };
            self.reporter.send(report).await;
        }
        let is_open = written?;
        if let (true, None, Some(max_age)) = (is_open, &timer, self.state.0.rotation.max_age) {
            *timer = Some(ctx.send_after(max_age, WriterMessage::Rotate));
        }
        Ok(())
    }
}

impl Actor for FileWriter {
    type Message = WriterMessage;

    async fn run(self, mut ctx: Context<WriterMessage>) -> Outcome {
        let mut timer = None;
        self.write_queued(&mut ctx, &mut timer).await?;
        while let Some(message) = ctx.recv().await {
            self.state.lock_queue().push_back(message);
            while let Some(message) = ctx.try_recv() {
                self.state.lock_queue().push_back(message);
            }
            self.write_queued(&mut ctx, &mut timer).await?;
        }
        self.state.lock_queue().push_back(WriterMessage::Rotate);
        self.write_queued(&mut ctx, &mut timer).await
    }
}
