//! A file's chunks on their way into a connection.
//!
//! While one batch is being written the next one is read and hashed, on another thread: with a second core, hashing and
//! writing cost the longer of the two and not both.

use std::io;

use smol::Task;

use crate::actors::ClientError;
use crate::actors::file::progress::Gauge;
use crate::actors::file::send::batch::Batch;
use crate::actors::file::send::connection::{Answer, FramedLine};
use crate::actors::file::send::source::{Dispatch, Filled};
use crate::wire::file::codec::{Failed, Frame, FrameWriter};
use crate::wire::file::digest::ChunkHash;

/// The code by which a client says that its file cannot be sent to its end.
const CHANGED: u16 = 10;

/// What came of it.
#[derive(Debug)]
pub(crate) enum Poured {
    /// All of it was written, and it has this digest; with what the server said to that already.
    Out(ChunkHash, Option<Answer>),
    /// The server spoke before the end.
    Answered(Answer),
    /// It cannot be read to its end, and the server was told.
    Unreadable(io::Error),
}

/// A batch that was filled, with all that it took.
struct Loaded {
    dispatch: Dispatch,
    frames: FrameWriter,
    batch: Batch,
    filled: io::Result<Filled>,
}

fn load(mut dispatch: Dispatch, mut frames: FrameWriter, mut batch: Batch) -> Task<Loaded> {
    smol::unblock(move || {
        let filled = dispatch.fill(&mut frames, &mut batch);
        Loaded { dispatch, frames, batch, filled }
    })
}

/// Sends chunks until the end; the file comes back whatever happens.
pub(crate) async fn pour(
    line: &mut FramedLine,
    dispatch: Dispatch,
    gauge: &mut Gauge,
) -> (Dispatch, Result<Poured, ClientError>) {
    let mut loading = load(dispatch, line.frames(), Batch::new());
    let mut spare = None;
    loop {
        let Loaded { dispatch, frames, batch, filled } = loading.await;
        let at = dispatch.at();
        let end = match filled {
            Ok(Filled::More) => None,
            Ok(Filled::End(digest)) => Some(Ok(digest)),
            Err(error) => Some(Err(error)),
        };
        if let Some(end) = end {
            let last = finish(line, &batch, frames, end).await;
            return (dispatch, last);
        }
        let next = spare.take().unwrap_or_else(Batch::new);
        loading = load(dispatch, frames.clone(), next);
        let heard = line.send(batch.frames(), frames).await;
        gauge.show(at);
        match heard.transpose() {
            None => spare = Some(batch),
            Some(heard) => return (loading.await.dispatch, heard.map(Poured::Answered)),
        }
    }
}

/// Sends the last batch.
async fn finish(
    line: &mut FramedLine,
    batch: &Batch,
    frames: FrameWriter,
    end: io::Result<ChunkHash>,
) -> Result<Poured, ClientError> {
    let heard = line.send(batch.frames(), frames).await?;
    match (end, heard) {
        (Ok(digest), heard) => Ok(Poured::Out(digest, heard)),
        (Err(_), Some(answer)) => Ok(Poured::Answered(answer)),
        (Err(error), None) => give_up(line, error).await,
    }
}

/// Tells the server that the file cannot be sent to its end.
pub(crate) async fn give_up(
    line: &mut FramedLine,
    error: io::Error,
) -> Result<Poured, ClientError> {
    let why = error.to_string();
    line.tell(&Frame::Failed(Failed { code: CHANGED, reason: &why })).await?;
    Ok(Poured::Unreadable(error))
}
