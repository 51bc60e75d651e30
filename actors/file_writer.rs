//! The file writer: stores the uploads of all receivers.
//!
//! A receiver sends its bytes chunk by chunk; the writer's bounded mailbox is what holds back a sender
//! that is faster than the disk. The writer itself has no state: each message carries its [`Transfer`]. So
//! a writer that crashes loses at most the chunk in its hand, and the length that the receiver counted
//! tells so at the end.

use std::sync::Arc;

use super::{StoreError, Stored, Transfer};
use crate::runtime::{Actor, Context, Outcome, Reply};

/// What the file writer is told.
#[derive(Debug)]
pub enum Store {
    /// The next bytes of an upload.
    Chunk(Arc<Transfer>, Vec<u8>),
    /// The upload is whole: so many bytes. The answer comes when it has its final name.
    Finish(Arc<Transfer>, u64, Reply<Result<Stored, StoreError>>),
}

/// Stores the uploads of all receivers.
#[derive(Debug, Default)]
pub struct FileWriter;

impl FileWriter {
    /// Makes the writer.
    pub fn new() -> FileWriter {
        FileWriter
    }
}

impl Actor for FileWriter {
    type Message = Store;

    async fn run(self, mut ctx: Context<Store>) -> Outcome {
        while let Some(message) = ctx.recv().await {
            // Disks block: each message goes to a thread for that, one at a time and in order.
            smol::unblock(move || match message {
                Store::Chunk(transfer, bytes) => transfer.write(&bytes),
                Store::Finish(transfer, length, reply) => reply.send(transfer.finish(length)),
            })
            .await;
        }
        Ok(())
    }
}
