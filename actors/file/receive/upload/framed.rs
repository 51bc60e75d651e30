//! A framed upload: it reads frames, stores files and replies to the sender.

use std::io;
use std::sync::Arc;

use crate::actors::file::failure_code;
use crate::actors::file::receive::limits::{MAX_READ, SMALL_READ, STEP_BYTES};
use crate::actors::file::receive::upload::event::{UploadEvent, UploadProgress, UploadStep};
use crate::actors::file::receive::upload::incoming::{
    ChunkError, IncomingFile, ProtocolViolation, failure_event,
};
use crate::actors::file::store::FileStore;
use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::request::FileRequest;
use crate::net::Stream;
use crate::wire::file::filename::SafeName;
use crate::wire::file::{Frame, FrameReader, Offer};

/// A framed upload.
#[derive(Debug)]
pub(crate) struct FramedUpload {
    store: Arc<FileStore>,
    reader: FrameReader,
    /// The size of the next read.
    read_size: usize,
    expected: ExpectedFrame,
}

/// The frames that are expected next.
#[derive(Debug)]
enum ExpectedFrame {
    /// An offer. Other frames belong to a file that failed, and are ignored.
    Offer,
    /// The number of the first chunk.
    Begin(Box<IncomingFile>),
    /// Chunks, and the end of the file.
    Data(Box<IncomingFile>),
}

/// The reason why a connection cannot continue.
type ProtocolErrorText = String;

impl FramedUpload {
    pub(crate) fn new(store: Arc<FileStore>) -> FramedUpload {
        FramedUpload {
            store,
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

    pub(super) fn step(&mut self, stream: &Stream, events: &mut Vec<UploadEvent>) -> UploadStep {
        let step = match self.read_frames(stream, events) {
            Ok(step) => step,
            Err(reason) => {
                let code = failure_code::PROTOCOL_ERROR;
                events.push(UploadEvent::Failed { code, reason: reason.clone() });
                UploadStep::Done(Ok(reason))
            }
        };
        self.checkpoint(events);
        self.reader.shrink();
        step
    }

    fn read_frames(
        &mut self,
        stream: &Stream,
        events: &mut Vec<UploadEvent>,
    ) -> Result<UploadStep, ProtocolErrorText> {
        let mut received = 0;
        while received < STEP_BYTES && events.is_empty() {
            let buffer = self.reader.spare_capacity(self.read_size);
            let capacity = buffer.len();
            match stream.try_read(buffer) {
                Ok(0) if self.is_between_files() => {
                    return Ok(UploadStep::Done(Ok("closed by peer".into())));
                }
                Ok(0) => return Ok(UploadStep::Done(Ok("closed in the middle of a file".into()))),
                Ok(length) => {
                    self.reader.advance(length);
                    received += length;
                    self.read_size = match length {
                        length if length == capacity => MAX_READ,
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
            self.handle_frames(events)?;
        }
        Ok(UploadStep::More)
    }

    /// Handles the complete frames in the buffer.
    fn handle_frames(&mut self, events: &mut Vec<UploadEvent>) -> Result<(), ProtocolErrorText> {
        let FramedUpload { store, reader, expected, .. } = self;
        while let Some(frame) = reader.next_frame().map_err(|error| error.to_string())? {
            let before = std::mem::replace(expected, ExpectedFrame::Offer);
            match handle_frame(store, before, frame, events) {
                Ok(after) => *expected = after,
                Err(ProtocolViolation(reason)) => return Err(reason.into()),
            }
        }
        Ok(())
    }

    /// Writes the recorded hashes of the current file to its checksum file.
    fn checkpoint(&mut self, events: &mut Vec<UploadEvent>) {
        let ExpectedFrame::Data(file) = &mut self.expected else { return };
        if let Err(error) = file.checkpoint() {
            events.push(failure_event(&error));
            if let ExpectedFrame::Data(file) =
                std::mem::replace(&mut self.expected, ExpectedFrame::Offer)
            {
                // After a failed sync the content on the disk is unknown.
                file.discard();
            }
        }
    }

    pub(super) fn suspend(self) -> Option<String> {
        match self.expected {
            ExpectedFrame::Offer => None,
            ExpectedFrame::Begin(file) | ExpectedFrame::Data(file) => {
                file.suspend();
                Some("the received chunks are kept, so that the upload can be resumed".into())
            }
        }
    }
}

/// Handles one frame, and returns the frames that are expected next.
fn handle_frame(
    store: &FileStore,
    expected: ExpectedFrame,
    frame: Frame<'_>,
    events: &mut Vec<UploadEvent>,
) -> Result<ExpectedFrame, ProtocolViolation> {
    match (frame, expected) {
        (Frame::Offer(offer), ExpectedFrame::Offer) => match accept_offer(store, &offer) {
            Ok(Some(file)) => {
                events.push(file.resume_event());
                return Ok(ExpectedFrame::Begin(Box::new(file)));
            }
            Ok(None) => {
                let name = String::from_utf8_lossy(offer.name).into_owned();
                events.push(UploadEvent::DirectoryCreated { name });
            }
            Err(error) => events.push(failure_event(&error)),
        },
        (Frame::Begin(number), ExpectedFrame::Begin(mut file)) => {
            let started = file.start_at(store, number);
            return state_after(file, started, events);
        }
        (Frame::Data { number, hash, bytes }, ExpectedFrame::Data(mut file)) => {
            let added = file.add_chunk(number, hash, bytes);
            return state_after(file, added, events);
        }
        (Frame::End { size, digest }, ExpectedFrame::Data(file)) => {
            events.push(file.finish(size, digest))
        }
        // The sender cannot read its file to the end, or the file changed. The received bytes are
        // of no use.
        (Frame::Failed(_), ExpectedFrame::Begin(file) | ExpectedFrame::Data(file)) => {
            file.discard()
        }
        // These frames were sent before the sender heard that the file had failed.
        (
            Frame::Begin(_) | Frame::Data { .. } | Frame::End { .. } | Frame::Failed(_),
            ExpectedFrame::Offer,
        ) => {}
        (_, ExpectedFrame::Begin(file) | ExpectedFrame::Data(file)) => {
            file.suspend();
            return Err(ProtocolViolation("unexpected frame"));
        }
        (_, ExpectedFrame::Offer) => return Err(ProtocolViolation("unexpected frame")),
    }
    Ok(ExpectedFrame::Offer)
}

/// Returns the frames that are expected after a frame of a file was handled. Ends the file if that
/// failed.
fn state_after(
    file: Box<IncomingFile>,
    result: Result<(), ChunkError>,
    events: &mut Vec<UploadEvent>,
) -> Result<ExpectedFrame, ProtocolViolation> {
    match result {
        Ok(()) => Ok(ExpectedFrame::Data(file)),
        Err(ChunkError::Protocol(violation)) => {
            file.suspend();
            Err(violation)
        }
        Err(ChunkError::Store(error)) => {
            events.push(failure_event(&error));
            match error {
                StoreError::TooLarge { .. } => file.discard(),
                _ => file.suspend(),
            }
            Ok(ExpectedFrame::Offer)
        }
    }
}

/// Accepts an offer: creates the partial file of a file, or a directory. Returns `None` for a
/// directory.
fn accept_offer(store: &FileStore, offer: &Offer<'_>) -> Result<Option<IncomingFile>, StoreError> {
    let name = SafeName::parse(offer.name).map_err(StoreError::InvalidName)?;
    let Offer { mode, size, modified, .. } = *offer;
    if offer.is_directory {
        store.create_dir_all(&name, mode)?;
        return Ok(None);
    }
    IncomingFile::create(store, FileRequest { name, size, mode, modified }).map(Some)
}
