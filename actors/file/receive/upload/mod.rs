//! The upload on one connection: bytes from the connection to the store.
//!
//! An upload reads from its connection and writes to the disk on the same thread of a
//! [`BlockingPool`](crate::actors::BlockingPool), so that no byte changes threads in between. It
//! runs as one job after the other, whenever there is something to read. The actor waits for the
//! job, sends the replies, and then waits for the connection if all available bytes were received.
//! Backpressure of the connection slows a sender that is faster than the disk.
//!
//! There are two kinds: [raw], where all bytes are one file, and [framed].

use std::time::Instant;

use crate::actors::file::receive::limits::{FAST_SENDER_BYTES, FAST_SENDER_WAIT};
use crate::actors::file::receive::upload::event::{UploadEvent, UploadProgress, UploadStep};
use crate::actors::file::receive::upload::framed::FramedUpload;
use crate::actors::file::receive::upload::raw::RawUpload;
use crate::net::Stream;

pub(crate) mod event;
pub(crate) mod framed;
mod incoming;
pub(crate) mod raw;

/// The upload on one connection.
#[derive(Debug)]
pub(crate) enum Upload {
    Raw(Box<RawUpload>),
    Framed(Box<FramedUpload>),
}

impl Upload {
    /// Receives at least one step of the available bytes, and more while `may_continue` allows it.
    /// Adds events to `events`, and returns at the first one.
    ///
    /// Ending a job and starting the next one costs as much as receiving a megabyte.
    pub(crate) fn receive(
        &mut self,
        stream: &Stream,
        events: &mut Vec<UploadEvent>,
        may_continue: impl Fn() -> bool,
    ) -> UploadStep {
        let length_before = self.length();
        loop {
            let step = self.step(stream, events);
            if !events.is_empty() || !may_continue() {
                return step;
            }
            let is_fast = || self.length().saturating_sub(length_before) >= FAST_SENDER_BYTES;
            match step {
                UploadStep::More => {}
                UploadStep::WouldBlock
                    if is_fast() && stream.block_until_readable(FAST_SENDER_WAIT) => {}
                UploadStep::WouldBlock | UploadStep::Done(_) => return step,
            }
        }
    }

    /// Buffers the available bytes if they are too few for a job on the blocking pool. Returns
    /// whether no job is needed yet.
    pub(crate) fn buffer_small_read(&mut self, stream: &Stream, now: Instant) -> bool {
        match self {
            Upload::Raw(raw) => raw.buffer_small_read(stream, now),
            Upload::Framed(framed) => framed.buffer_small_read(stream),
        }
    }

    fn step(&mut self, stream: &Stream, events: &mut Vec<UploadEvent>) -> UploadStep {
        match self {
            Upload::Raw(raw) => raw.step(stream, events),
            Upload::Framed(framed) => framed.step(stream, events),
        }
    }

    /// Returns whether a stop of the server may end the connection without cutting off a file.
    pub(crate) fn is_stoppable(&self) -> bool {
        match self {
            Upload::Raw(raw) => raw.is_empty(),
            Upload::Framed(framed) => framed.is_stoppable(),
        }
    }

    /// Tells a sender that waits for an answer that the server is stopping.
    pub(crate) fn stop(&self, events: &mut Vec<UploadEvent>) {
        if let Upload::Framed(framed) = self {
            framed.stop(events);
        }
    }

    /// Returns whether the server works for the sender although nothing arrives.
    pub(crate) fn is_verifying(&self) -> bool {
        matches!(self, Upload::Framed(framed) if framed.is_verifying())
    }

    /// Returns the number of bytes received so far, if the sender must keep to the minimum rate. A
    /// raw sender need not.
    pub(crate) fn received_at_min_rate(&self) -> Option<u64> {
        match self {
            Upload::Raw(_) => None,
            Upload::Framed(framed) => framed.received_of_file(),
        }
    }

    /// Returns whether space is reserved for the current file.
    pub(crate) fn has_reservation(&self) -> bool {
        matches!(self, Upload::Framed(framed) if framed.has_reservation())
    }

    /// Releases the space reserved for the current file until its next data arrives.
    pub(crate) fn expire_reservation(&mut self) {
        if let Upload::Framed(framed) = self {
            framed.expire_reservation();
        }
    }

    /// Returns the number of bytes that are buffered. A raw upload buffers a few KiB at most.
    pub(crate) fn buffered_len(&self) -> usize {
        match self {
            Upload::Raw(_) => 0,
            Upload::Framed(framed) => framed.buffered_len(),
        }
    }

    /// Returns the name of the current file, if it has one.
    pub(crate) fn current_file(&self) -> Option<&str> {
        match self {
            Upload::Raw(_) => None,
            Upload::Framed(framed) => framed.current_file(),
        }
    }

    /// Returns the number of stored bytes of the current file.
    fn length(&self) -> u64 {
        match self {
            Upload::Raw(raw) => raw.length(),
            Upload::Framed(framed) => framed.length(),
        }
    }

    /// Returns the progress of the current file, once it has started.
    pub(crate) fn progress(&self) -> Option<UploadProgress> {
        match self {
            Upload::Raw(raw) => raw.progress(),
            Upload::Framed(framed) => framed.progress(),
        }
    }

    /// Returns whether a file is offered or being received.
    pub(crate) fn has_open_file(&self) -> bool {
        match self {
            Upload::Raw(raw) => !raw.is_empty(),
            Upload::Framed(framed) => framed.current_file().is_some(),
        }
    }

    /// Suspends the current file after the connection has ended. Returns a sentence about the
    /// bytes that are kept.
    pub(crate) fn suspend(self) -> Option<String> {
        match self {
            Upload::Raw(raw) => raw.suspend(),
            Upload::Framed(framed) => framed.suspend(),
        }
    }
}
