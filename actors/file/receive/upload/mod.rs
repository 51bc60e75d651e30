//! What comes over one connection on its way into the vault.
//!
//! An intake reads from its connection and writes to the disk in one go, so that no byte changes threads in between: a piece
//! at a time, on a [`Disk`](crate::actors::Disk), whenever there is something to read. Meanwhile the actor beside it waits, and when
//! the piece is done it passes on the news, and waits for the connection where that is all there was. A sender that is
//! faster than the disk is held back by the connection itself.
//!
//! There are two kinds: [raw], where the bytes are the file, and [framed].

use std::time::{Duration, Instant};

use crate::actors::StoreError;
use crate::net::Stream;
use crate::wire::file::digest::ChunkHash;
use crate::wire::file::{Failed, Frame, Stored};

pub(crate) mod framed;
pub(crate) mod incoming;
pub(crate) mod raw;

/// How many bytes are taken in one go, about, so that others have their turn.
const STEP_BYTES: usize = 8 << 20;

/// From so many bytes in one go on a sender is fast, and waited for on the disk's thread: more comes in no time.
const FAST_SENDER_BYTES: u64 = 1 << 20;

/// How long a fast sender is waited for.
const FAST_SENDER_WAIT: Duration = Duration::from_millis(2);

/// How many bytes are read with one call at most.
const MAX_READ: usize = 256 << 10;

/// What comes over a connection.
#[derive(Debug)]
pub(crate) enum Upload {
    Raw(Box<raw::RawUpload>),
    Framed(Box<framed::FramedUpload>),
}

/// How far a piece of work came.
#[derive(Debug)]
pub(crate) enum UploadStep {
    /// Nothing more has come.
    WouldBlock,
    /// There is more.
    More,
    /// It is over, and why: in words, or by the vault's own fault.
    Done(Result<String, StoreError>),
}

/// How far a file has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadProgress {
    /// The name that it is to get.
    pub(crate) name: String,
    /// Its size in bytes, if its sender has told.
    pub(crate) size: Option<u64>,
    /// How many bytes of it were there before.
    pub(crate) resumed_bytes: u64,
    /// How many are there.
    pub(crate) length: u64,
}

/// What is to be passed on, to the sender or to whoever listens to reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UploadEvent {
    /// So many chunks are held, with this digest of their values.
    ResumeAt(u64, ChunkHash),
    /// A file is stored: its size, its digest if it is known, its name.
    Stored(u64, Option<ChunkHash>, String),
    /// A directory is there.
    DirectoryCreated(String),
    /// What was sent cannot be stored: the protocol's code, and a sentence.
    Failed(u16, String),
}

impl UploadEvent {
    /// Returns the frame that says it.
    pub(crate) fn as_frame(&self) -> Frame<'_> {
        match self {
            UploadEvent::ResumeAt(held, digest) => {
                Frame::Answer { chunk_count: *held, chunk_list_hash: *digest }
            }
            UploadEvent::Stored(size, digest, name) => {
                Frame::Stored(Stored { size: *size, digest: digest.unwrap_or_default(), name })
            }
            UploadEvent::DirectoryCreated(name) => {
                Frame::Stored(Stored { size: 0, digest: [0; 32], name })
            }
            UploadEvent::Failed(code, why) => Frame::Failed(Failed { code: *code, reason: why }),
        }
    }
}

impl Upload {
    /// Takes in what has come, a piece at least if there is so much, and goes on as long as it may; the news go to `news`.
    ///
    /// To go away and come back costs as much as moving a megabyte.
    pub(crate) fn receive(
        &mut self,
        stream: &Stream,
        news: &mut Vec<UploadEvent>,
        may_go_on: impl Fn() -> bool,
    ) -> UploadStep {
        let before = self.length();
        loop {
            let worked = self.step(stream, news);
            if !news.is_empty() || !may_go_on() {
                return worked;
            }
            let is_fast = || self.length().saturating_sub(before) >= FAST_SENDER_BYTES;
            match worked {
                UploadStep::More => {}
                UploadStep::WouldBlock
                    if is_fast() && stream.block_until_readable(FAST_SENDER_WAIT) => {}
                UploadStep::WouldBlock | UploadStep::Done(_) => return worked,
            }
        }
    }

    /// Tells whether so little has come that it is not worth the way to the disk yet, and takes that in.
    pub(crate) fn buffer_small_read(&mut self, stream: &Stream, now: Instant) -> bool {
        match self {
            Upload::Raw(raw) => raw.buffer_small_read(stream, now),
            Upload::Framed(_) => false,
        }
    }

    fn step(&mut self, stream: &Stream, news: &mut Vec<UploadEvent>) -> UploadStep {
        match self {
            Upload::Raw(raw) => raw.step(stream, news),
            Upload::Framed(framed) => framed.step(stream, news),
        }
    }

    /// Tells whether the sender may end here, and nothing would be missing.
    pub(crate) fn is_between_files(&self) -> bool {
        match self {
            Upload::Raw(raw) => raw.is_empty(),
            Upload::Framed(framed) => framed.is_between_files(),
        }
    }

    /// Returns the name of the file that is in hand, if it has one.
    pub(crate) fn current_file(&self) -> Option<&str> {
        match self {
            Upload::Raw(_) => None,
            Upload::Framed(framed) => framed.current_file(),
        }
    }

    /// Returns how many bytes there are of the file that is in hand.
    fn length(&self) -> u64 {
        match self {
            Upload::Raw(raw) => raw.length(),
            Upload::Framed(framed) => framed.length(),
        }
    }

    /// Returns how far the file has come that is in hand, once it has begun.
    pub(crate) fn progress(&self) -> Option<UploadProgress> {
        match self {
            Upload::Raw(raw) => raw.progress(),
            Upload::Framed(framed) => framed.progress(),
        }
    }

    /// Leaves what has come of a file, where the connection has ended; returns what became of it, in words.
    pub(crate) fn suspend(self) -> Option<String> {
        match self {
            Upload::Raw(raw) => raw.suspend(),
            Upload::Framed(framed) => framed.suspend(),
        }
    }
}
