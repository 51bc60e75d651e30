//! What comes over one connection on its way into the vault.
//!
//! An intake reads from its connection and writes to the disk in one go, so that no byte changes threads in between: a piece
//! at a time, on a [`Disk`](crate::actors::Disk), whenever there is something to read. Meanwhile the actor beside it waits, and when
//! the piece is done it passes on the news, and waits for the connection where that is all there was. A sender that is
//! faster than the disk is held back by the connection itself.
//!
//! There are two kinds: [raw], where the bytes are the file, and [framed].

use std::time::{Duration, Instant};

use crate::actors::VaultError;
use crate::net::Stream;
use crate::wire::file::codec::{Failed, Frame, Stored};
use crate::wire::file::digest::ChunkHash;

pub(crate) mod framed;
pub(crate) mod incoming;
pub(crate) mod raw;

/// How many bytes are taken in one go, about, so that others have their turn.
const PIECE: usize = 8 << 20;

/// From so many bytes in one go on a sender is fast, and waited for on the disk's thread: more comes in no time.
const FAST: u64 = 1 << 20;

/// How long a fast sender is waited for.
const LINGER: Duration = Duration::from_millis(2);

/// How many bytes are read with one call at most.
const READ: usize = 256 << 10;

/// What comes over a connection.
#[derive(Debug)]
pub(crate) enum Intake {
    Raw(Box<raw::Raw>),
    Framed(Box<framed::Framed>),
}

/// How far a piece of work came.
#[derive(Debug)]
pub(crate) enum Worked {
    /// Nothing more has come.
    Idle,
    /// There is more.
    More,
    /// It is over, and why: in words, or by the vault's own fault.
    Over(Result<String, VaultError>),
}

/// How far a file has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    /// The name that it is to get.
    pub(crate) name: String,
    /// Its size in bytes, if its sender has told.
    pub(crate) size: Option<u64>,
    /// How many bytes of it were there before.
    pub(crate) held: u64,
    /// How many are there.
    pub(crate) length: u64,
}

/// What is to be passed on, to the sender or to whoever listens to reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum News {
    /// So many chunks are held, with this digest of their values.
    Held(u64, ChunkHash),
    /// A file is stored: its size, its digest if it is known, its name.
    Stored(u64, Option<ChunkHash>, String),
    /// A directory is there.
    Made(String),
    /// What was sent cannot be stored: the protocol's code, and a sentence.
    Failed(u16, String),
}

impl News {
    /// Returns the frame that says it.
    pub(crate) fn frame(&self) -> Frame<'_> {
        match self {
            News::Held(held, digest) => {
                Frame::Answer { chunk_count: *held, chunk_list_hash: *digest }
            }
            News::Stored(size, digest, name) => {
                Frame::Stored(Stored { size: *size, digest: digest.unwrap_or_default(), name })
            }
            News::Made(name) => Frame::Stored(Stored { size: 0, digest: [0; 32], name }),
            News::Failed(code, why) => Frame::Failed(Failed { code: *code, reason: why }),
        }
    }
}

impl Intake {
    /// Takes in what has come, a piece at least if there is so much, and goes on as long as it may; the news go to `news`.
    ///
    /// To go away and come back costs as much as moving a megabyte.
    pub(crate) fn work(
        &mut self,
        stream: &Stream,
        news: &mut Vec<News>,
        may_go_on: impl Fn() -> bool,
    ) -> Worked {
        let before = self.length();
        loop {
            let worked = self.piece(stream, news);
            if !news.is_empty() || !may_go_on() {
                return worked;
            }
            let is_fast = || self.length().saturating_sub(before) >= FAST;
            match worked {
                Worked::More => {}
                Worked::Idle if is_fast() && stream.block_until_readable(LINGER) => {}
                Worked::Idle | Worked::Over(_) => return worked,
            }
        }
    }

    /// Tells whether so little has come that it is not worth the way to the disk yet, and takes that in.
    pub(crate) fn gathers(&mut self, stream: &Stream, now: Instant) -> bool {
        match self {
            Intake::Raw(raw) => raw.gathers(stream, now),
            Intake::Framed(_) => false,
        }
    }

    fn piece(&mut self, stream: &Stream, news: &mut Vec<News>) -> Worked {
        match self {
            Intake::Raw(raw) => raw.work(stream, news),
            Intake::Framed(framed) => framed.work(stream, news),
        }
    }

    /// Tells whether the sender may end here, and nothing would be missing.
    pub(crate) fn is_between_files(&self) -> bool {
        match self {
            Intake::Raw(raw) => raw.is_empty(),
            Intake::Framed(framed) => framed.is_between_files(),
        }
    }

    /// Returns the name of the file that is in hand, if it has one.
    pub(crate) fn in_hand(&self) -> Option<&str> {
        match self {
            Intake::Raw(_) => None,
            Intake::Framed(framed) => framed.in_hand(),
        }
    }

    /// Returns how many bytes there are of the file that is in hand.
    fn length(&self) -> u64 {
        match self {
            Intake::Raw(raw) => raw.length(),
            Intake::Framed(framed) => framed.length(),
        }
    }

    /// Returns how far the file has come that is in hand, once it has begun.
    pub(crate) fn extent(&self) -> Option<Extent> {
        match self {
            Intake::Raw(raw) => raw.extent(),
            Intake::Framed(framed) => framed.extent(),
        }
    }

    /// Leaves what has come of a file, where the connection has ended; returns what became of it, in words.
    pub(crate) fn leave(self) -> Option<String> {
        match self {
            Intake::Raw(raw) => raw.leave(),
            Intake::Framed(framed) => framed.leave(),
        }
    }
}
