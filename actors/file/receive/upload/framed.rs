//! A framed connection: frames in, files in the vault, answers out.

use std::io;
use std::sync::Arc;

use super::incoming::{ChunkError, IncomingFile, ProtocolViolation, failure_event};
use super::{MAX_READ, STEP_BYTES, UploadEvent, UploadProgress, UploadStep};
use crate::actors::file::store::FileRequest;
use crate::actors::{FileStore, StoreError};
use crate::net::Stream;
use crate::wire::file::filename::SafeName;
use crate::wire::file::{Frame, FrameReader, Offer};

/// How many bytes there is room for at first, and as long as fewer come: room for many costs more to make than a byte is worth,
/// of which a slow sender sends one at a time.
const SMALL_READ: usize = 4 << 10;

/// A framed connection.
#[derive(Debug)]
pub(in crate::actors) struct FramedUpload {
    store: Arc<FileStore>,
    reader: FrameReader,
    /// How many bytes the next call may read.
    read_size: usize,
    expected: ExpectedFrame,
}

/// What is expected next.
#[derive(Debug)]
enum ExpectedFrame {
    /// An offer; what else comes belongs to one that failed.
    Offer,
    /// The number of the first chunk.
    Begin(Box<IncomingFile>),
    /// Chunks, and the end.
    Data(Box<IncomingFile>),
}

/// Why a connection cannot go on.
type ProtocolErrorText = String;

impl FramedUpload {
    pub(in crate::actors) fn new(vault: Arc<FileStore>) -> FramedUpload {
        FramedUpload {
            store: vault,
            reader: FrameReader::default(),
            read_size: SMALL_READ,
            expected: ExpectedFrame::Offer,
        }
    }

    pub(super) fn is_between_files(&self) -> bool {
        matches!(self.expected, ExpectedFrame::Offer) && !self.reader.has_partial_frame()
    }

    pub(super) fn current_file(&self) -> Option<&str> {
        match &self.expected {
            ExpectedFrame::Offer => None,
            ExpectedFrame::Begin(file) | ExpectedFrame::Data(file) => Some(file.name()),
        }
    }

    pub(super) fn length(&self) -> u64 {
        match &self.expected {
            ExpectedFrame::Data(file) => file.length(),
            ExpectedFrame::Offer | ExpectedFrame::Begin(_) => 0,
        }
    }

    pub(super) fn progress(&self) -> Option<UploadProgress> {
        match &self.expected {
            ExpectedFrame::Data(file) => Some(file.progress()),
            ExpectedFrame::Offer | ExpectedFrame::Begin(_) => None,
        }
    }

    pub(super) fn step(&mut self, stream: &Stream, news: &mut Vec<UploadEvent>) -> UploadStep {
        let worked = match self.read_frames(stream, news) {
            Ok(worked) => worked,
            Err(why) => {
                news.push(UploadEvent::Failed(1, why.clone()));
                UploadStep::Done(Ok(why))
            }
        };
        self.checkpoint(news);
        self.reader.shrink();
        worked
    }

    fn read_frames(
        &mut self,
        stream: &Stream,
        news: &mut Vec<UploadEvent>,
    ) -> Result<UploadStep, ProtocolErrorText> {
        let mut taken = 0;
        while taken < STEP_BYTES && news.is_empty() {
            let space = self.reader.spare_capacity(self.read_size);
            let offered = space.len();
            match stream.try_read(space) {
                Ok(0) if self.is_between_files() => {
                    return Ok(UploadStep::Done(Ok("closed by peer".into())));
                }
                Ok(0) => return Ok(UploadStep::Done(Ok("closed in the middle of a file".into()))),
                Ok(length) => {
                    self.reader.advance(length);
                    taken += length;
                    self.read_size = match length {
                        all if all == offered => MAX_READ,
                        0..SMALL_READ => SMALL_READ,
                        _ => self.read_size,
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(UploadStep::WouldBlock);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(UploadStep::Done(Ok(error.to_string()))),
            }
            self.handle_frames(news)?;
        }
        Ok(UploadStep::More)
    }

    /// Does what the frames ask for that have come.
    fn handle_frames(&mut self, news: &mut Vec<UploadEvent>) -> Result<(), ProtocolErrorText> {
        let FramedUpload { store: vault, reader, expected: state, .. } = self;
        while let Some(frame) = reader.next_frame().map_err(|error| error.to_string())? {
            let before = std::mem::replace(state, ExpectedFrame::Offer);
            match handle_frame(vault, before, frame, news) {
                Ok(after) => *state = after,
                Err(ProtocolViolation(why)) => return Err(why.into()),
            }
        }
        Ok(())
    }

    /// Writes down how far a file has come.
    fn checkpoint(&mut self, news: &mut Vec<UploadEvent>) {
        let ExpectedFrame::Data(file) = &mut self.expected else { return };
        if let Err(error) = file.checkpoint() {
            news.push(failure_event(&error));
            if let ExpectedFrame::Data(file) =
                std::mem::replace(&mut self.expected, ExpectedFrame::Offer)
            {
                // After a failed sync nobody knows what is on the disk.
                file.discard();
            }
        }
    }

    pub(super) fn suspend(self) -> Option<String> {
        match self.expected {
            ExpectedFrame::Offer => None,
            ExpectedFrame::Begin(file) | ExpectedFrame::Data(file) => {
                file.suspend();
                Some("what has come is kept for a resumption".into())
            }
        }
    }
}

/// Does what one frame asks for, and returns what is expected after it.
fn handle_frame(
    vault: &Arc<FileStore>,
    state: ExpectedFrame,
    frame: Frame<'_>,
    news: &mut Vec<UploadEvent>,
) -> Result<ExpectedFrame, ProtocolViolation> {
    match (frame, state) {
        (Frame::Offer(offer), ExpectedFrame::Offer) => match accept_offer(vault, &offer) {
            Ok(Some(file)) => {
                news.push(file.resume_event());
                return Ok(ExpectedFrame::Begin(Box::new(file)));
            }
            Ok(None) => news.push(UploadEvent::DirectoryCreated(
                String::from_utf8_lossy(offer.name).into_owned(),
            )),
            Err(error) => news.push(failure_event(&error)),
        },
        (Frame::Begin(number), ExpectedFrame::Begin(mut file)) => {
            let begun = file.start_at(vault, number);
            return state_after(file, begun, news);
        }
        (Frame::Data { number, hash: value, bytes }, ExpectedFrame::Data(mut file)) => {
            let added = file.add_chunk(number, value, bytes);
            return state_after(file, added, news);
        }
        (Frame::End { size, digest }, ExpectedFrame::Data(file)) => {
            news.push(file.finish(size, digest))
        }
        // The sender cannot read its file to the end, or it changed: nothing of it is of use.
        (Frame::Failed(_), ExpectedFrame::Begin(file) | ExpectedFrame::Data(file)) => {
            file.discard()
        }
        // What was on its way of a file that failed.
        (
            Frame::Begin(_) | Frame::Data { .. } | Frame::End { .. } | Frame::Failed(_),
            ExpectedFrame::Offer,
        ) => {}
        (_, ExpectedFrame::Begin(file) | ExpectedFrame::Data(file)) => {
            file.suspend();
            return Err(ProtocolViolation("a frame came that has no place here"));
        }
        (_, ExpectedFrame::Offer) => {
            return Err(ProtocolViolation("a frame came that has no place here"));
        }
    }
    Ok(ExpectedFrame::Offer)
}

/// Goes on with a file if it took what came.
fn state_after(
    file: Box<IncomingFile>,
    result: Result<(), ChunkError>,
    news: &mut Vec<UploadEvent>,
) -> Result<ExpectedFrame, ProtocolViolation> {
    match result {
        Ok(()) => Ok(ExpectedFrame::Data(file)),
        Err(ChunkError::Protocol(why)) => {
            file.suspend();
            Err(why)
        }
        Err(ChunkError::Store(error)) => {
            news.push(failure_event(&error));
            match error {
                StoreError::TooLarge { .. } => file.discard(),
                _ => file.suspend(),
            }
            Ok(ExpectedFrame::Offer)
        }
    }
}

/// Takes an offer: a file's place is claimed, a directory is made.
fn accept_offer(
    vault: &Arc<FileStore>,
    offer: &Offer<'_>,
) -> Result<Option<IncomingFile>, StoreError> {
    let name = SafeName::parse(offer.name).map_err(StoreError::InvalidName)?;
    let Offer { mode, size, modified, .. } = *offer;
    if offer.is_directory {
        vault.create_dir_all(&name, mode)?;
        return Ok(None);
    }
    IncomingFile::create(vault, FileRequest { name, size, mode, modified }).map(Some)
}
