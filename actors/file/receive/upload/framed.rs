//! A framed connection: frames in, files in the vault, answers out.

use std::io;
use std::sync::Arc;

use super::incoming::{Incoming, Refusal, Senseless, failed};
use super::{Extent, News, PIECE, READ, Worked};
use crate::actors::file::store::Wanted;
use crate::actors::{Vault, VaultError};
use crate::net::Stream;
use crate::wire::file::codec::{Frame, FrameReader, Offer};
use crate::wire::file::filename::SafeName;

/// How many bytes there is room for at first, and as long as fewer come: room for many costs more to make than a byte is worth,
/// of which a slow sender sends one at a time.
const LITTLE: usize = 4 << 10;

/// A framed connection.
#[derive(Debug)]
pub(in crate::actors) struct Framed {
    vault: Arc<Vault>,
    reader: FrameReader,
    /// How many bytes the next call may read.
    room: usize,
    state: State,
}

/// What is expected next.
#[derive(Debug)]
enum State {
    /// An offer; what else comes belongs to one that failed.
    Offer,
    /// The number of the first chunk.
    Begin(Box<Incoming>),
    /// Chunks, and the end.
    Data(Box<Incoming>),
}

/// Why a connection cannot go on.
type Broken = String;

impl Framed {
    pub(in crate::actors) fn new(vault: Arc<Vault>) -> Framed {
        Framed { vault, reader: FrameReader::default(), room: LITTLE, state: State::Offer }
    }

    pub(super) fn is_between_files(&self) -> bool {
        matches!(self.state, State::Offer) && !self.reader.has_partial_frame()
    }

    pub(super) fn in_hand(&self) -> Option<&str> {
        match &self.state {
            State::Offer => None,
            State::Begin(file) | State::Data(file) => Some(file.name()),
        }
    }

    pub(super) fn length(&self) -> u64 {
        match &self.state {
            State::Data(file) => file.length(),
            State::Offer | State::Begin(_) => 0,
        }
    }

    pub(super) fn extent(&self) -> Option<Extent> {
        match &self.state {
            State::Data(file) => Some(file.extent()),
            State::Offer | State::Begin(_) => None,
        }
    }

    pub(super) fn work(&mut self, stream: &Stream, news: &mut Vec<News>) -> Worked {
        let worked = match self.take(stream, news) {
            Ok(worked) => worked,
            Err(why) => {
                news.push(News::Failed(1, why.clone()));
                Worked::Over(Ok(why))
            }
        };
        self.checkpoint(news);
        self.reader.shrink();
        worked
    }

    fn take(&mut self, stream: &Stream, news: &mut Vec<News>) -> Result<Worked, Broken> {
        let mut taken = 0;
        while taken < PIECE && news.is_empty() {
            let space = self.reader.spare_capacity(self.room);
            let offered = space.len();
            match stream.try_read(space) {
                Ok(0) if self.is_between_files() => {
                    return Ok(Worked::Over(Ok("closed by peer".into())));
                }
                Ok(0) => return Ok(Worked::Over(Ok("closed in the middle of a file".into()))),
                Ok(length) => {
                    self.reader.advance(length);
                    taken += length;
                    self.room = match length {
                        all if all == offered => READ,
                        0..LITTLE => LITTLE,
                        _ => self.room,
                    };
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Worked::Idle),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Ok(Worked::Over(Ok(error.to_string()))),
            }
            self.follow(news)?;
        }
        Ok(Worked::More)
    }

    /// Does what the frames ask for that have come.
    fn follow(&mut self, news: &mut Vec<News>) -> Result<(), Broken> {
        let Framed { vault, reader, state, .. } = self;
        while let Some(frame) = reader.next_frame().map_err(|error| error.to_string())? {
            let before = std::mem::replace(state, State::Offer);
            match step(vault, before, frame, news) {
                Ok(after) => *state = after,
                Err(Senseless(why)) => return Err(why.into()),
            }
        }
        Ok(())
    }

    /// Writes down how far a file has come.
    fn checkpoint(&mut self, news: &mut Vec<News>) {
        let State::Data(file) = &mut self.state else { return };
        if let Err(error) = file.checkpoint() {
            news.push(failed(&error));
            if let State::Data(file) = std::mem::replace(&mut self.state, State::Offer) {
                // After a failed sync nobody knows what is on the disk.
                file.discard();
            }
        }
    }

    pub(super) fn leave(self) -> Option<String> {
        match self.state {
            State::Offer => None,
            State::Begin(file) | State::Data(file) => {
                file.pause();
                Some("what has come is kept for a resumption".into())
            }
        }
    }
}

/// Does what one frame asks for, and returns what is expected after it.
fn step(
    vault: &Arc<Vault>,
    state: State,
    frame: Frame<'_>,
    news: &mut Vec<News>,
) -> Result<State, Senseless> {
    match (frame, state) {
        (Frame::Offer(offer), State::Offer) => match taken(vault, &offer) {
            Ok(Some(file)) => {
                news.push(file.held());
                return Ok(State::Begin(Box::new(file)));
            }
            Ok(None) => news.push(News::Made(String::from_utf8_lossy(offer.name).into_owned())),
            Err(error) => news.push(failed(&error)),
        },
        (Frame::Begin(number), State::Begin(mut file)) => {
            let begun = file.begin(vault, number);
            return settle(file, begun, news);
        }
        (Frame::Data { number, hash: value, bytes }, State::Data(mut file)) => {
            let added = file.add(number, value, bytes);
            return settle(file, added, news);
        }
        (Frame::End { size, digest }, State::Data(file)) => news.push(file.finish(size, digest)),
        // The sender cannot read its file to the end, or it changed: nothing of it is of use.
        (Frame::Failed(_), State::Begin(file) | State::Data(file)) => file.discard(),
        // What was on its way of a file that failed.
        (
            Frame::Begin(_) | Frame::Data { .. } | Frame::End { .. } | Frame::Failed(_),
            State::Offer,
        ) => {}
        (_, State::Begin(file) | State::Data(file)) => {
            file.pause();
            return Err(Senseless("a frame came that has no place here"));
        }
        (_, State::Offer) => return Err(Senseless("a frame came that has no place here")),
    }
    Ok(State::Offer)
}

/// Goes on with a file if it took what came.
fn settle(
    file: Box<Incoming>,
    result: Result<(), Refusal>,
    news: &mut Vec<News>,
) -> Result<State, Senseless> {
    match result {
        Ok(()) => Ok(State::Data(file)),
        Err(Refusal::Senseless(why)) => {
            file.pause();
            Err(why)
        }
        Err(Refusal::Vault(error)) => {
            news.push(failed(&error));
            match error {
                VaultError::TooLarge { .. } => file.discard(),
                _ => file.pause(),
            }
            Ok(State::Offer)
        }
    }
}

/// Takes an offer: a file's place is claimed, a directory is made.
fn taken(vault: &Arc<Vault>, offer: &Offer<'_>) -> Result<Option<Incoming>, VaultError> {
    let name = SafeName::parse(offer.name).map_err(VaultError::Name)?;
    let Offer { mode, size, modified, .. } = *offer;
    if offer.is_directory {
        vault.make_directory(&name, mode)?;
        return Ok(None);
    }
    Incoming::claim(vault, Wanted { name, size, mode, modified }).map(Some)
}
