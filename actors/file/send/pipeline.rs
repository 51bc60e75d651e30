//! A file's chunks on their way into a connection.
//!
//! While one batch is being written the next one is read and hashed, on another thread: with a second core, hashing and
//! writing cost the longer of the two and not both.

use std::io;

use smol::Task;

use crate::actors::ClientError;
use crate::actors::file::progress::ProgressReporter;
use crate::actors::file::send::batch::FrameBatch;
use crate::actors::file::send::connection::{FramedConnection, ServerReply};
use crate::actors::file::send::source::{FillOutcome, SourceFile};
use crate::wire::file::digest::ChunkHash;
use crate::wire::file::{Failed, Frame, FrameWriter};

/// The code by which a client says that its file cannot be sent to its end.
const ABORT_CODE: u16 = 10;

/// What came of it.
#[derive(Debug)]
pub(crate) enum StreamOutcome {
    /// All of it was written, and it has this digest; with what the server said to that already.
    Sent(ChunkHash, Option<ServerReply>),
    /// The server spoke before the end.
    Replied(ServerReply),
    /// It cannot be read to its end, and the server was told.
    Unreadable(io::Error),
}

/// A batch that was filled, with all that it took.
struct FilledBatch {
    source: SourceFile,
    frame_writer: FrameWriter,
    batch: FrameBatch,
    outcome: io::Result<FillOutcome>,
}

fn fill_batch(
    mut dispatch: SourceFile,
    mut frames: FrameWriter,
    mut batch: FrameBatch,
) -> Task<FilledBatch> {
    smol::unblock(move || {
        let filled = dispatch.fill(&mut frames, &mut batch);
        FilledBatch { source: dispatch, frame_writer: frames, batch, outcome: filled }
    })
}

/// Sends chunks until the end; the file comes back whatever happens.
pub(crate) async fn send_chunks(
    line: &mut FramedConnection,
    dispatch: SourceFile,
    gauge: &mut ProgressReporter,
) -> (SourceFile, Result<StreamOutcome, ClientError>) {
    let mut loading = fill_batch(dispatch, line.frame_writer(), FrameBatch::new());
    let mut spare = None;
    loop {
        let FilledBatch { source: dispatch, frame_writer: frames, batch, outcome: filled } =
            loading.await;
        let at = dispatch.position();
        let end = match filled {
            Ok(FillOutcome::More) => None,
            Ok(FillOutcome::End(digest)) => Some(Ok(digest)),
            Err(error) => Some(Err(error)),
        };
        if let Some(end) = end {
            let last = send_last_batch(line, &batch, frames, end).await;
            return (dispatch, last);
        }
        let next = spare.take().unwrap_or_else(FrameBatch::new);
        loading = fill_batch(dispatch, frames.clone(), next);
        let heard = line.send_batch(batch.frames(), frames).await;
        gauge.update(at);
        match heard.transpose() {
            None => spare = Some(batch),
            Some(heard) => return (loading.await.source, heard.map(StreamOutcome::Replied)),
        }
    }
}

/// Sends the last batch.
async fn send_last_batch(
    line: &mut FramedConnection,
    batch: &FrameBatch,
    frames: FrameWriter,
    end: io::Result<ChunkHash>,
) -> Result<StreamOutcome, ClientError> {
    let heard = line.send_batch(batch.frames(), frames).await?;
    match (end, heard) {
        (Ok(digest), heard) => Ok(StreamOutcome::Sent(digest, heard)),
        (Err(_), Some(answer)) => Ok(StreamOutcome::Replied(answer)),
        (Err(error), None) => abort_file(line, error).await,
    }
}

/// Tells the server that the file cannot be sent to its end.
pub(crate) async fn abort_file(
    line: &mut FramedConnection,
    error: io::Error,
) -> Result<StreamOutcome, ClientError> {
    let why = error.to_string();
    line.send_frame(&Frame::Failed(Failed { code: ABORT_CODE, reason: &why })).await?;
    Ok(StreamOutcome::Unreadable(error))
}
