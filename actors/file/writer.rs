//! The file writer: the end of a pipeline, where bytes of any actor become files.
//!
//! It writes what it is sent into a part of a [`Vault`], and gives the part its name once it is large or old enough, or when it
//! is told to. So each file appears whole and durable, and what reads them never meets a half one.
//!
//! What it was sent and has not written yet lies on a [`Shelf`], which belongs to the tree. A disk that fails ends an
//! incarnation with the error; the supervisor's backoff is the pause until the next one tries the same bytes again, and
//! meanwhile the bounded mailbox holds back whoever sends more. A file that was written and cannot be brought to the disk is
//! lost, as nobody knows what is on it; one that cannot get its name stays in its part. The error tells it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::actors::{BlockingPool, Part, Report, Reporter, Vault, VaultError};
use crate::runtime::{Actor, Context, Outcome, TimerId};

/// What a file writer is told.
#[derive(Debug)]
pub enum Store {
    /// The next bytes.
    Bytes(Vec<u8>),
    /// The open file is to get its name now, and what comes next begins another. Without one, nothing happens.
    Rotate,
}

/// When a file is large or old enough.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rotation {
    /// After so many bytes; what is sent at once stays together. `None` is never.
    pub size: Option<u64>,
    /// So long after its first byte. `None` is never.
    pub age: Option<Duration>,
}

/// What a file writer has in hand: the open file, and what waits to be written. A clone is the same shelf.
#[derive(Debug, Clone)]
pub struct Shelf(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    vault: Arc<Vault>,
    rotation: Rotation,
    waiting: Mutex<VecDeque<Store>>,
    /// Held while the disk is at work.
    open: Mutex<Option<Part>>,
}

/// A file that got its name.
type Named = (String, u64);

impl Shelf {
    /// Makes a shelf with nothing on it. Its files are called `output0.txt`, `output1.txt`, ...
    pub fn new(vault: Arc<Vault>, rotation: Rotation) -> Shelf {
        let (waiting, open) = (Mutex::default(), Mutex::default());
        Shelf(Arc::new(Inner { vault, rotation, waiting, open }))
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Store>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits, and tells whether a file is open then. What could not be written waits still.
    fn work(&self, named: &mut Vec<Named>) -> Result<bool, VaultError> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let Some(next) = self.waiting().pop_front() else { return Ok(open.is_some()) };
            match &next {
                Store::Bytes(bytes) => match self.write(&mut open, bytes) {
                    Ok(false) => {}
                    Ok(true) => self.waiting().push_front(Store::Rotate),
                    Err(error) => {
                        self.waiting().push_front(next);
                        return Err(error);
                    }
                },
                Store::Rotate => rotate(&mut open, named)?,
            }
        }
    }

    /// Writes bytes, and tells whether the file is large enough then.
    fn write(&self, open: &mut Option<Part>, bytes: &[u8]) -> Result<bool, VaultError> {
        let mut part = match open.take() {
            Some(part) => part,
            None => self.0.vault.claim_number()?,
        };
        let written = part.write(bytes);
        let is_large = self.0.rotation.size.is_some_and(|size| part.length() >= size);
        *open = Some(part);
        written.map(|()| is_large)
    }
}

fn rotate(open: &mut Option<Part>, named: &mut Vec<Named>) -> Result<(), VaultError> {
    if let Some(part) = open.take() {
        let length = part.length();
        named.push((part.commit()?, length));
    }
    Ok(())
}

/// Turns bytes of any actor into files.
#[derive(Debug)]
pub struct FileWriter {
    shelf: Shelf,
    disk: BlockingPool,
    reporter: Reporter,
}

impl FileWriter {
    /// Makes the writer of a shelf, which outlives it.
    pub fn new(shelf: Shelf, disk: BlockingPool, reporter: Reporter) -> FileWriter {
        FileWriter { shelf, disk, reporter }
    }

    /// Writes what waits; `timer` ends the open file, if there is one.
    async fn work(&self, ctx: &mut Context<Store>, timer: &mut Option<TimerId>) -> Outcome {
        let shelf = self.shelf.clone();
        let work = move || {
            let mut named = Vec::new();
            let worked = shelf.work(&mut named);
            (worked, named)
        };
        let (worked, named) = self.disk.run(work).await;
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
        if let (true, None, Some(age)) = (is_open, &timer, self.shelf.0.rotation.age) {
            *timer = Some(ctx.send_after(age, Store::Rotate));
        }
        Ok(())
    }
}

impl Actor for FileWriter {
    type Message = Store;

    async fn run(self, mut ctx: Context<Store>) -> Outcome {
        let mut timer = None;
        self.work(&mut ctx, &mut timer).await?;
        while let Some(message) = ctx.recv().await {
            self.shelf.waiting().push_back(message);
            while let Some(more) = ctx.try_recv() {
                self.shelf.waiting().push_back(more);
            }
            self.work(&mut ctx, &mut timer).await?;
        }
        self.shelf.waiting().push_back(Store::Rotate);
        self.work(&mut ctx, &mut timer).await
    }
}
