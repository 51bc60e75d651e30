//! The pipeline that sends a file's chunks over a connection.
//!
//! While one batch of frames is being written, another thread reads and hashes the next one. With
//! a second core, the pipeline takes the longer of the two times, not their sum.

use std::io;

use crate::actors::ClientError;
use crate::actors::file::failure_code;
use crate::actors::file::progress::ProgressReporter;
use crate::actors::file::send::connection::{FramedConnection, ServerReply};
use crate::actors::file::send::source::{SourceChunk, SourceFile};
use crate::actors::file::send::threads::{FileJob, FileThreads};
use crate::wire::file::digest::ChunkHash;
use crate::wire::file::{CHUNK_SIZE, DATA_HEADER_LEN, DATA_OVERHEAD, Failed, Frame, FrameWriter};

/// The largest number of chunks in a batch: about a mebibyte.
const MAX_CHUNKS: usize = 16;

/// Frames that are written together. Chunks are read directly into their place in the batch.
#[derive(Debug)]
pub(super) struct FrameBatch {
    bytes: Vec<u8>,
    len: usize,
}

/// The result of [`FrameBatch::fill`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FillOutcome {
    /// The file has more chunks.
    More,
    /// The batch contains the end of the file, which has this hash.
    End(ChunkHash),
}

impl FrameBatch {
    pub(super) fn new() -> FrameBatch {
        FrameBatch { bytes: vec![0; MAX_CHUNKS * (CHUNK_SIZE + DATA_OVERHEAD)], len: 0 }
    }

    /// Returns the frames.
    pub(super) fn frames(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// Fills the batch with the frames of the file's next chunks.
    ///
    /// # Errors
    ///
    /// Returns the error of the file system, or an error if the file changed since it was opened.
    /// The frames before the error stay in the batch.
    pub(super) fn fill(
        &mut self,
        source: &mut SourceFile,
        frame_writer: &mut FrameWriter,
    ) -> io::Result<FillOutcome> {
        self.len = 0;
        while let Some(buffer) = self.spare_chunk() {
            let chunk = source.read_chunk(buffer)?;
            if chunk.len > 0 {
                self.push_chunk(frame_writer, &chunk);
            }
            if let Some(digest) = source.hash_at_end(&chunk)? {
                self.push_frame(frame_writer, &Frame::End { size: source.position(), digest });
                return Ok(FillOutcome::End(digest));
            }
            if source.is_stdin() {
                // The next chunk of stdin may take long, and the server waits for this one.
                break;
            }
        }
        Ok(FillOutcome::More)
    }

    /// Returns the place of the next chunk, or `None` if the batch is full.
    fn spare_chunk(&mut self) -> Option<&mut [u8]> {
        let start = self.len + DATA_HEADER_LEN;
        self.bytes.get_mut(start..start + CHUNK_SIZE).filter(|_| self.len < MAX_CHUNKS * CHUNK_SIZE)
    }

    /// Adds the frame of a chunk that was read into its [place](FrameBatch::spare_chunk).
    fn push_chunk(&mut self, frame_writer: &mut FrameWriter, chunk: &SourceChunk) {
        let end = self.len + chunk.len + DATA_OVERHEAD;
        let frame = &mut self.bytes[self.len..end];
        frame_writer.write_data_in_place(chunk.number, &chunk.hash, frame);
        self.len = end;
    }

    /// Adds another frame.
    fn push_frame(&mut self, frame_writer: &mut FrameWriter, frame: &Frame<'_>) {
        let mut bytes = Vec::new();
        frame_writer.write(frame, &mut bytes);
        let end = self.len + bytes.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[self.len..end].copy_from_slice(&bytes);
        self.len = end;
    }
}

/// The result of sending a file's chunks.
#[derive(Debug)]
pub(super) enum StreamOutcome {
    /// The whole file was written and has this hash. If the server has replied already, the reply
    /// is included.
    Sent(ChunkHash, Option<ServerReply>),
    /// The server replied before the end of the file.
    Replied(ServerReply),
    /// The file cannot be read to its end, and the server was told.
    Unreadable(io::Error),
}

/// A filled batch, with everything that was needed to fill it.
struct FilledBatch {
    source: SourceFile,
    frame_writer: FrameWriter,
    batch: FrameBatch,
    outcome: io::Result<FillOutcome>,
}

fn fill_batch(
    threads: FileThreads,
    mut source: SourceFile,
    mut frame_writer: FrameWriter,
    mut batch: FrameBatch,
) -> FileJob<FilledBatch> {
    threads.start(move || {
        let outcome = batch.fill(&mut source, &mut frame_writer);
        FilledBatch { source, frame_writer, batch, outcome }
    })
}

/// Sends the file's remaining chunks. The file is returned in any case.
pub(super) async fn send_chunks(
    connection: &mut FramedConnection,
    threads: FileThreads,
    source: SourceFile,
    progress: &mut ProgressReporter,
) -> (SourceFile, Result<StreamOutcome, ClientError>) {
    let mut filling = fill_batch(threads, source, connection.frame_writer(), FrameBatch::new());
    let mut spare_batch = None;
    loop {
        let FilledBatch { source, frame_writer, batch, outcome } = filling.await;
        let position = source.position();
        let end = match outcome {
            Ok(FillOutcome::More) => None,
            Ok(FillOutcome::End(hash)) => Some(Ok(hash)),
            Err(error) => Some(Err(error)),
        };
        if let Some(end) = end {
            let outcome = send_last_batch(connection, &batch, frame_writer, end).await;
            return (source, outcome);
        }
        let next_batch = spare_batch.take().unwrap_or_else(FrameBatch::new);
        filling = fill_batch(threads, source, frame_writer.clone(), next_batch);
        let reply = connection.send_batch(batch.frames(), frame_writer).await;
        progress.update(position);
        match reply.transpose() {
            None => spare_batch = Some(batch),
            Some(reply) => return (filling.await.source, reply.map(StreamOutcome::Replied)),
        }
    }
}

/// Sends the last batch.
async fn send_last_batch(
    connection: &mut FramedConnection,
    batch: &FrameBatch,
    frame_writer: FrameWriter,
    end: io::Result<ChunkHash>,
) -> Result<StreamOutcome, ClientError> {
    let reply = connection.send_batch(batch.frames(), frame_writer).await?;
    match (end, reply) {
        (Ok(hash), reply) => Ok(StreamOutcome::Sent(hash, reply)),
        (Err(_), Some(reply)) => Ok(StreamOutcome::Replied(reply)),
        (Err(error), None) => abort_file(connection, error).await,
    }
}

/// Tells the server that the file cannot be sent to its end.
pub(super) async fn abort_file(
    connection: &mut FramedConnection,
    error: io::Error,
) -> Result<StreamOutcome, ClientError> {
    let reason = error.to_string();
    let failed = Failed { code: failure_code::ABORTED, reason: &reason };
    connection.send_frame(&Frame::Failed(failed)).await?;
    Ok(StreamOutcome::Unreadable(error))
}
