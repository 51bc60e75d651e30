//! The file writer: the end of a pipeline, where bytes of any actor become files.
//!
//! It writes what it is sent into a part of a [`FileStore`], and gives the part its name once it is large or old enough, or when it
//! is told to. So each file appears whole and durable, and what reads them never meets a half one.
//!
//! What it was sent and has not written yet lies on a [`WriterState`], which belongs to the tree. A disk that fails ends an
//! incarnation with the error; the supervisor's backoff is the pause until the next one tries the same bytes again, and
//! meanwhile the bounded mailbox holds back whoever sends more. A file that was written and cannot be brought to the disk is
//! lost, as nobody knows what is on it; one that cannot get its name stays in its part. The error tells it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crate::actors::{BlockingPool, FileStore, PartialFile, Report, Reporter, StoreError};
use crate::runtime::{Actor, Context, Outcome, TimerId};
use crate::sync::lock;

/// What a file writer is told.
#[derive(Debug)]
pub enum WriterMessage {
    /// The next bytes.
    Bytes(Vec<u8>),
    /// The open file is to get its name now, and what comes next begins another. Without one, nothing happens.
    Rotate,
}

/// When a file is large or old enough.
#[derive(Debug, Clone, Copy, Default)]
pub struct RotationPolicy {
    /// After so many bytes; what is sent at once stays together. `None` is never.
    pub max_size: Option<u64>,
    /// So long after its first byte. `None` is never.
    pub max_age: Option<Duration>,
}

/// What a file writer has in hand: the open file, and what waits to be written. A clone is the same shelf.
#[derive(Debug, Clone)]
pub struct WriterState(Arc<WriterStateInner>);

#[derive(Debug)]
struct WriterStateInner {
    store: Arc<FileStore>,
    rotation: RotationPolicy,
    queue: Mutex<VecDeque<WriterMessage>>,
    /// Held while the disk is at work.
    open_file: Mutex<Option<PartialFile>>,
}

/// A file that got its name.
type RotatedFile = (String, u64);

impl WriterState {
    /// Makes a shelf with nothing on it. Its files are called `output0.txt`, `output1.txt`, ...
    pub fn new(vault: Arc<FileStore>, rotation: RotationPolicy) -> WriterState {
        let (waiting, open) = (Mutex::default(), Mutex::default());
        WriterState(Arc::new(WriterStateInner {
            store: vault,
            rotation,
            queue: waiting,
            open_file: open,
        }))
    }

    fn lock_queue(&self) -> MutexGuard<'_, VecDeque<WriterMessage>> {
        lock(&self.0.queue)
    }

    /// Writes what waits, and tells whether a file is open then. What could not be written waits still.
    fn write_queued(&self, named: &mut Vec<RotatedFile>) -> Result<bool, StoreError> {
        let mut open = lock(&self.0.open_file);
        loop {
            let Some(next) = self.lock_queue().pop_front() else { return Ok(open.is_some()) };
            match &next {
                WriterMessage::Bytes(bytes) => match self.write(&mut open, bytes) {
                    Ok(false) => {}
                    Ok(true) => self.lock_queue().push_front(WriterMessage::Rotate),
                    Err(error) => {
                        self.lock_queue().push_front(next);
                        return Err(error);
                    }
                },
                WriterMessage::Rotate => rotate(&mut open, named)?,
            }
        }
    }

    /// Writes bytes, and tells whether the file is large enough then.
    fn write(&self, open: &mut Option<PartialFile>, bytes: &[u8]) -> Result<bool, StoreError> {
        let mut part = match open.take() {
            Some(part) => part,
            None => self.0.store.create_numbered()?,
        };
        let written = part.write(bytes);
        let is_large = self.0.rotation.max_size.is_some_and(|size| part.length() >= size);
        *open = Some(part);
        written.map(|()| is_large)
    }
}

fn rotate(open: &mut Option<PartialFile>, named: &mut Vec<RotatedFile>) -> Result<(), StoreError> {
    if let Some(part) = open.take() {
        let length = part.length();
        named.push((part.commit()?, length));
    }
    Ok(())
}

/// Turns bytes of any actor into files.
#[derive(Debug)]
pub struct FileWriter {
    state: WriterState,
    blocking_pool: BlockingPool,
    reporter: Reporter,
}

impl FileWriter {
    /// Makes the writer of a shelf, which outlives it.
    pub fn new(shelf: WriterState, disk: BlockingPool, reporter: Reporter) -> FileWriter {
        FileWriter { state: shelf, blocking_pool: disk, reporter }
    }

    /// Writes what waits; `timer` ends the open file, if there is one.
    async fn write_queued(
        &self,
        ctx: &mut Context<WriterMessage>,
        timer: &mut Option<TimerId>,
    ) -> Outcome {
        let shelf = self.state.clone();
        let work = move || {
            let mut named = Vec::new();
            let worked = shelf.write_queued(&mut named);
            (worked, named)
        };
        let (worked, named) = self.blocking_pool.run(work).await;
        if !named.is_empty() {
            timer.take().map(|timer| ctx.cancel(timer));
        }
        for (name, bytes) in named {
            let took = Duration::ZERO;
            let file =
                || Report::FileStored { name, bytes, blake3: None, elapsed: took, peer: None };
            self.reporter.send(file).await;
        }
        let is_open = worked?;
        if let (true, None, Some(age)) = (is_open, &timer, self.state.0.rotation.max_age) {
            *timer = Some(ctx.send_after(age, WriterMessage::Rotate));
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
            while let Some(more) = ctx.try_recv() {
                self.state.lock_queue().push_back(more);
            }
            self.write_queued(&mut ctx, &mut timer).await?;
        }
        self.state.lock_queue().push_back(WriterMessage::Rotate);
        self.write_queued(&mut ctx, &mut timer).await
    }
}
