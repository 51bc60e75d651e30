//! The file writer: stores the uploads of all receivers.
//!
//! A receiver sends its bytes chunk by chunk; the writer's bounded mailbox is what holds back a sender
//! that is faster than the disk. The writer itself has no state: each message carries its [`Transfer`], and
//! the message in its hand lies on a [`Desk`]. So a writer may crash at any moment and no byte is lost.

use std::sync::Arc;

use super::{StoreError, Stored, Transfer};
use crate::runtime::{Actor, Context, Desk, Outcome, Reply};

/// What the file writer is told.
#[derive(Debug)]
pub enum Store {
    /// The next bytes of an upload.
    Chunk(Arc<Transfer>, Vec<u8>),
    /// The upload is not wanted: nothing of it is to stay.
    Discard(Arc<Transfer>),
    /// The upload is whole: so many bytes. The answer comes when it has its final name.
    Finish(Arc<Transfer>, u64, Reply<Result<Stored, StoreError>>),
}

/// Stores the uploads of all receivers.
#[derive(Debug)]
pub struct FileWriter {
    desk: Desk<Store>,
}

impl FileWriter {
    /// Makes the writer that works at this desk, which outlives it.
    pub fn new(desk: Desk<Store>) -> FileWriter {
        FileWriter { desk }
    }
}

impl Actor for FileWriter {
    type Message = Store;

    async fn run(self, mut ctx: Context<Store>) -> Outcome {
        self.desk.clear(store).await;
        while let Some(message) = ctx.recv().await {
            self.desk.put(message);
            self.desk.clear(store).await;
        }
        Ok(())
    }
}

fn store(message: Store) {
    match message {
        Store::Chunk(transfer, bytes) => transfer.write(&bytes),
        Store::Discard(transfer) => transfer.discard(),
        Store::Finish(transfer, length, reply) => reply.send(transfer.finish(length)),
    }
}
