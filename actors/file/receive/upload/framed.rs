//! A framed upload: it reads frames, stores files and replies to the sender.
//!
//! At most [`MAX_PENDING_ANSWERS`] events wait for their reply. Until they are written, no further
//! frame is handled, however many are buffered. So a sender that floods the server with offers
//! waits for each answer like any other.

use std::io;
use std::mem;
use std::net::IpAddr;
use std::sync::Arc;

use crate::actors::file::failure_code;
use crate::actors::file::receive::limits::{
    MAX_LOGGED_NAME, MAX_PENDING_ANSWERS, MAX_READ, SMALL_READ, STEP_BYTES,
};
use crate::actors::file::receive::upload::event::{UploadEvent, UploadProgress, UploadStep};
use crate::actors::file::receive::upload::incoming::{
    ChunkError, IncomingFile, ProtocolViolation, failure_event,
};
use crate::actors::file::store::FileStore;
use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::request::FileRequest;
use crate::net::Stream;
use crate::wire::file::filename::SafeName;
use crate::wire::file::{CHUNK_SIZE, DATA_OVERHEAD, DataFrames, Frame, FrameReader, Offer};
use crate::wire::text::decode_lossy;

/// A framed upload.
#[derive(Debug)]
pub(crate) struct FramedUpload {
    store: Arc<FileStore>,
    /// The sender's address, which reserved space counts against.
    source: Option<IpAddr>,
    reader: FrameReader,
    /// The number of bytes received on the connection.
    received: u64,
    /// Whether the last read filled its buffer.
    is_fast: bool,
    /// The name in the last offer, as the sender wrote it, cut to a length for the log.
    offered_name: String,
    state: FramedState,
}

/// The current file, and the frames that are expected next.
#[derive(Debug)]
enum FramedState {
    /// No file. An offer is expected.
    Idle,
    /// A file has failed. An offer is expected. Other frames were sent before the sender heard of
    /// the failure, and are ignored.
    Failed,
    /// A file is offered, and what the store has of it is verified. Nothing is read meanwhile.
    Offered(Box<IncomingFile>),
    /// The offer is answered. The number of the first chunk is expected.
    Answered(Box<IncomingFile>),
    /// The file has begun. Chunks and the end of the file are expected.
    Begun(Box<IncomingFile>),
}

/// The reason why a connection cannot continue.
type ProtocolErrorText = String;

impl FramedUpload {
    pub(crate) fn new(store: Arc<FileStore>, source: Option<IpAddr>) -> FramedUpload {
        FramedUpload {
            store,
            source,
            reader: FrameReader::default(),
            received: 0,
            is_fast: false,
            offered_name: String::new(),
            state: FramedState::Idle,
        }
    }

    /// Returns whether nothing was received of the next file.
    fn is_between_files(&self) -> bool {
        let is_idle = matches!(self.state, FramedState::Idle | FramedState::Failed);
        is_idle && !self.reader.has_partial_frame()
    }

    /// Returns whether a stop of the server may end the connection, because no file has begun.
    pub(super) fn is_stoppable(&self) -> bool {
        !matches!(self.state, FramedState::Begun(_))
    }

    /// Tells a sender that waits for an answer that the server is stopping.
    pub(super) fn stop(&self, events: &mut Vec<UploadEvent>) {
        if !self.is_between_files() {
            let (code, name) = (failure_code::STOPPING, &self.offered_name);
            events.push(UploadEvent::failed(code, name, "the server is stopping".into()));
        }
    }

    /// Returns whether the server is working for the sender, and reads nothing meanwhile.
    pub(super) fn is_verifying(&self) -> bool {
        matches!(self.state, FramedState::Offered(_))
    }

    /// Returns the number of bytes of the incomplete frame.
    pub(super) fn buffered_len(&self) -> usize {
        self.reader.buffered_len()
    }

    /// Returns the number of bytes received, if a frame or a file is incomplete.
    pub(super) fn received_of_file(&self) -> Option<u64> {
        let is_sending = self.begun().is_some() || self.reader.has_partial_frame();
        is_sending.then_some(self.received)
    }

    /// Returns the offered file, if there is one.
    fn offered(&self) -> Option<&IncomingFile> {
        match &self.state {
            FramedState::Idle | FramedState::Failed => None,
            FramedState::Offered(file) | FramedState::Answered(file) | FramedState::Begun(file) => {
                Some(file)
            }
        }
    }

    /// Returns the current file, if it has begun.
    fn begun(&self) -> Option<&IncomingFile> {
        match &self.state {
            FramedState::Begun(file) => Some(file),
            _ => None,
        }
    }

    pub(super) fn current_file(&self) -> Option<&str> {
        self.offered().map(IncomingFile::name)
    }

    pub(super) fn length(&self) -> u64 {
        self.begun().map_or(0, IncomingFile::length)
    }

    pub(super) fn progress(&self) -> Option<UploadProgress> {
        self.begun().map(IncomingFile::progress)
    }

    pub(super) fn has_reservation(&self) -> bool {
        self.begun().is_some_and(IncomingFile::has_reservation)
    }

    pub(super) fn expire_reservation(&mut self) {
        if let FramedState::Begun(file) = &mut self.state {
            file.expire_reservation();
        }
    }

    pub(super) fn step(&mut self, stream: &Stream, events: &mut Vec<UploadEvent>) -> UploadStep {
        let step = match self.read_frames(stream, events) {
            Ok(step) => step,
            Err(reason) => {
                let (code, name) = (failure_code::PROTOCOL_ERROR, &self.offered_name);
                events.push(UploadEvent::failed(code, name, reason.clone()));
                UploadStep::Done(Ok(reason))
            }
        };
        self.checkpoint(events);
        self.reader.shrink();
        step
    }

    /// Buffers the available bytes if they are few and do not complete a frame. Returns whether no
    /// job is needed yet.
    pub(super) fn buffer_small_read(&mut self, stream: &Stream) -> bool {
        // 0 bytes mean that the sender has closed its side, which needs a job.
        let available = stream.readable_bytes().unwrap_or(0);
        if available == 0
            || available >= SMALL_READ.min(self.reader.missing_len(self.data_frames()))
        {
            return false;
        }
        match stream.try_read(&mut self.reader.spare_capacity(available)[..available]) {
            Ok(length) => {
                self.reader.advance(length);
                self.received = self.received.saturating_add(length as u64);
                length > 0 && self.reader.missing_len(self.data_frames()) > 0
            }
            // The job sees the error of the connection, or that nothing is available.
            Err(_) => false,
        }
    }

    /// Handles the frames that are buffered or available, until an event must be replied to.
    fn read_frames(
        &mut self,
        stream: &Stream,
        events: &mut Vec<UploadEvent>,
    ) -> Result<UploadStep, ProtocolErrorText> {
        let mut received = 0;
        while received < STEP_BYTES && events.len() < MAX_PENDING_ANSWERS {
            if self.is_verifying() {
                if stream.is_disconnected() {
                    return Ok(UploadStep::Done(Ok("closed by peer".into())));
                }
                self.verify(events);
                return Ok(UploadStep::More);
            }
            if self.handle_frame(events)? {
                continue;
            }
            let buffer = self.reader.spare_capacity(self.read_size());
            let capacity = buffer.len();
            match stream.try_read(buffer) {
                Ok(0) if self.is_between_files() => {
                    return Ok(UploadStep::Done(Ok("closed by peer".into())));
                }
                Ok(0) => return Ok(UploadStep::Done(Ok("closed in the middle of a file".into()))),
                Ok(length) => {
                    self.reader.advance(length);
                    self.received = self.received.saturating_add(length as u64);
                    self.is_fast = length == capacity || (self.is_fast && length >= SMALL_READ);
                    received += length;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(UploadStep::WouldBlock);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(UploadStep::Done(Ok(error.to_string()))),
            }
        }
        Ok(UploadStep::More)
    }

    /// Returns the size of the next read.
    ///
    /// Only the data of a file is read in large pieces, and not far beyond the file: what follows
    /// it stays in the kernel until the file is replied to.
    fn read_size(&self) -> usize {
        let Some(file) = self.begun().filter(|_| self.is_fast) else { return SMALL_READ };
        let wanted = match file.missing() {
            Some(missing) => missing.min(MAX_READ as u64) as usize,
            None => CHUNK_SIZE,
        };
        SMALL_READ.max(wanted + DATA_OVERHEAD)
    }

    /// Verifies one piece of what the store has of the offered file, and then answers the offer.
    fn verify(&mut self, events: &mut Vec<UploadEvent>) {
        let FramedState::Offered(mut file) = mem::replace(&mut self.state, FramedState::Failed)
        else {
            return;
        };
        self.state = match file.verify() {
            Ok(false) => FramedState::Offered(file),
            Ok(true) => {
                events.push(file.resume_event());
                FramedState::Answered(file)
            }
            Err(error) => {
                events.push(failure_event(file.name(), &error));
                FramedState::Failed
            }
        };
    }

    /// Returns how chunks are treated now.
    fn data_frames(&self) -> DataFrames {
        match self.state {
            FramedState::Begun(_) => DataFrames::Accept,
            FramedState::Failed => DataFrames::Skip,
            _ => DataFrames::Reject,
        }
    }

    /// Handles the next frame if all of it is buffered, and returns whether it was.
    fn handle_frame(&mut self, events: &mut Vec<UploadEvent>) -> Result<bool, ProtocolErrorText> {
        let data_frames = self.data_frames();
        let FramedUpload { store, source, reader, offered_name, state, .. } = self;
        let frame = reader.next_frame_with(data_frames).map_err(|error| error.to_string())?;
        let Some(frame) = frame else { return Ok(false) };
        if let Frame::Offer(offer) = &frame {
            *offered_name = decode_lossy(offer.name).chars().take(MAX_LOGGED_NAME).collect();
        }
        let before = mem::replace(state, FramedState::Failed);
        match handle_frame(store, *source, before, frame, events) {
            Ok(after) => *state = after,
            Err(ProtocolViolation(reason)) => return Err(reason.into()),
        }
        Ok(true)
    }

    /// Writes the recorded hashes of the current file to its checksum file.
    fn checkpoint(&mut self, events: &mut Vec<UploadEvent>) {
        let FramedState::Begun(file) = &mut self.state else { return };
        if let Err(error) = file.checkpoint() {
            events.push(failure_event(file.name(), &error));
            // After a failed sync the content on the disk is unknown.
            if let FramedState::Begun(file) = mem::replace(&mut self.state, FramedState::Failed) {
                file.discard();
            }
        }
    }

    pub(super) fn suspend(self) -> Option<String> {
        match self.state {
            FramedState::Idle | FramedState::Failed | FramedState::Offered(_) => None,
            FramedState::Answered(file) | FramedState::Begun(file) => {
                file.suspend();
                Some("the received chunks are kept, so that the upload can be resumed".into())
            }
        }
    }
}

/// Handles one frame, and returns the state after it.
fn handle_frame(
    store: &FileStore,
    source: Option<IpAddr>,
    state: FramedState,
    frame: Frame<'_>,
    events: &mut Vec<UploadEvent>,
) -> Result<FramedState, ProtocolViolation> {
    match (frame, state) {
        (Frame::Offer(offer), FramedState::Idle | FramedState::Failed) => {
            Ok(handle_offer(store, source, &offer, events))
        }
        (Frame::Begin(number), FramedState::Answered(mut file)) => {
            let started = file.start_at(store, number);
            state_after(file, started, events)
        }
        (Frame::Data { number, hash, bytes }, FramedState::Begun(mut file)) => {
            let added = file.add_chunk(number, hash, bytes);
            state_after(file, added, events)
        }
        (Frame::End { size, digest }, FramedState::Begun(file)) => {
            events.push(file.finish(size, digest));
            match events.last() {
                Some(UploadEvent::Failed { .. }) => Ok(FramedState::Failed),
                _ => Ok(FramedState::Idle),
            }
        }
        // The sender cannot read its file to the end, or the file changed. The received bytes are
        // of no use.
        (Frame::Failed(_), FramedState::Begun(file)) => {
            file.discard();
            Ok(FramedState::Idle)
        }
        // What the store has of the file is not the sender's to remove before the file begins.
        (Frame::Failed(_), FramedState::Answered(file)) => {
            file.suspend();
            Ok(FramedState::Idle)
        }
        // These frames were sent before the sender heard that the file had failed.
        (
            Frame::Begin(_) | Frame::Data { .. } | Frame::End { .. } | Frame::Failed(_),
            FramedState::Failed,
        ) => Ok(FramedState::Failed),
        (_, FramedState::Answered(file) | FramedState::Begun(file)) => {
            file.suspend();
            Err(ProtocolViolation("unexpected frame"))
        }
        _ => Err(ProtocolViolation("unexpected frame")),
    }
}

/// Returns the state after a frame of a file was handled. Ends the file if that failed.
fn state_after(
    file: Box<IncomingFile>,
    result: Result<(), ChunkError>,
    events: &mut Vec<UploadEvent>,
) -> Result<FramedState, ProtocolViolation> {
    match result {
        Ok(()) => Ok(FramedState::Begun(file)),
        Err(ChunkError::Protocol(violation)) => {
            file.suspend();
            Err(violation)
        }
        Err(ChunkError::Store(error)) => {
            events.push(failure_event(file.name(), &error));
            match error {
                StoreError::TooLarge { .. } => file.discard(),
                _ => file.suspend(),
            }
            Ok(FramedState::Failed)
        }
    }
}

/// Looks up an offered file, or creates an offered directory.
fn handle_offer(
    store: &FileStore,
    source: Option<IpAddr>,
    offer: &Offer<'_>,
    events: &mut Vec<UploadEvent>,
) -> FramedState {
    let result = SafeName::parse(offer.name).map_err(StoreError::InvalidName).and_then(|name| {
        let Offer { mode, size, modified, .. } = *offer;
        if offer.is_directory {
            store.create_dir_all(&name, mode)?;
            events.push(UploadEvent::DirectoryCreated { name: name.to_string() });
            return Ok(FramedState::Idle);
        }
        let request = FileRequest { name, size, mode, modified, source };
        Ok(FramedState::Offered(Box::new(IncomingFile::look_up(store, request)?)))
    });
    result.unwrap_or_else(|error| {
        let name: String = decode_lossy(offer.name).chars().take(MAX_LOGGED_NAME).collect();
        events.push(failure_event(&name, &error));
        FramedState::Failed
    })
}
