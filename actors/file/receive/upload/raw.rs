//! A raw upload: the bytes are the file, which has neither a name nor a length.
//!
//! It is whole when the sender has closed its side, and gets the next number then. Where nobody asks for its digest, its bytes
//! never enter the process: they go through a [`SplicePipe`], of which each thread of the disk has one.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use blake3::Hasher;

use super::{Extent, News, PIECE, READ, Worked};
use crate::actors::file::store::Part;
use crate::actors::{Vault, VaultError};
use crate::net::{SplicePipe, Stream};

/// From so many bytes on what has come is brought to the disk.
const GATHER: usize = 4 << 10;

/// After so long fewer are.
const GATHER_FOR: Duration = Duration::from_secs(10);

thread_local! {
    static PIPE: Cell<Option<SplicePipe>> = const { Cell::new(None) };
}

/// A raw upload. Nothing is claimed before its first byte.
#[derive(Debug)]
pub(in crate::actors) struct Raw {
    vault: Arc<Vault>,
    part: Option<Part>,
    /// Where its digest is asked for.
    hasher: Option<Box<Hasher>>,
    /// What was read of it before it was known to be raw, or worth the way to the disk.
    first: Vec<u8>,
    /// Since when that is gathered.
    since: Option<Instant>,
    /// Why the connection was lost, where that was found while gathering.
    lost: Option<String>,
}

impl Raw {
    pub(in crate::actors) fn new(vault: Arc<Vault>, digest: bool, first: Vec<u8>) -> Raw {
        let hasher = digest.then(|| Box::new(Hasher::new()));
        Raw { vault, part: None, hasher, first, since: None, lost: None }
    }

    /// Tells whether what has come is to be gathered on, and takes it in then. A sender that says a byte now and then costs a
    /// trip to the disk for each of them otherwise, as much as moving a megabyte.
    pub(super) fn gathers(&mut self, stream: &Stream, now: Instant) -> bool {
        // None waits where the sender has ended its side, which is for the disk.
        let waiting = stream.readable_bytes().unwrap_or(0);
        let is_old = now.saturating_duration_since(*self.since.get_or_insert(now)) > GATHER_FOR;
        if waiting == 0 || self.first.len() + waiting >= GATHER || is_old {
            self.since = None;
            return false;
        }
        let first = &mut self.first;
        match stream.try_read_with(|bytes| first.extend_from_slice(bytes)) {
            Ok(length) => length > 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(error) => {
                // It is told once.
                self.lost = Some(error.to_string());
                false
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.part.is_none() && self.first.is_empty()
    }

    pub(super) fn length(&self) -> u64 {
        self.part.as_ref().map_or(0, Part::length)
    }

    pub(super) fn extent(&self) -> Option<Extent> {
        let part = self.part.as_ref()?;
        Some(Extent { name: part.title(), size: None, held: 0, length: part.length() })
    }

    pub(super) fn work(&mut self, stream: &Stream, news: &mut Vec<News>) -> Worked {
        match self.take(stream) {
            Ok(Taken::Idle) => Worked::Idle,
            Ok(Taken::More) => Worked::More,
            Ok(Taken::End) => match self.finish() {
                Ok(None) => Worked::Over(Ok("closed without sending anything".into())),
                Ok(Some(stored)) => {
                    news.push(stored);
                    Worked::Over(Ok("stored".into()))
                }
                Err(error) => Worked::Over(Err(error)),
            },
            Ok(Taken::Lost(why)) => Worked::Over(Ok(why)),
            Err(error) => {
                // Half an upload helps nobody; the space helps the others.
                if let Some(part) = self.part.take() {
                    part.discard();
                }
                Worked::Over(Err(error))
            }
        }
    }

    fn take(&mut self, stream: &Stream) -> Result<Taken, VaultError> {
        let first = std::mem::take(&mut self.first);
        if !first.is_empty() {
            self.write(&first)?;
        }
        if let Some(why) = self.lost.take() {
            return Ok(Taken::Lost(why));
        }
        let mut way = Way::new(self.hasher.is_none());
        let taken = self.take_by(&mut way, stream)?;
        way.keep();
        if let Taken::More = taken {
            self.part.as_mut().map_or(Ok(()), Part::checkpoint)?;
        }
        Ok(taken)
    }

    fn take_by(&mut self, way: &mut Way, stream: &Stream) -> Result<Taken, VaultError> {
        let mut taken = 0;
        while taken < PIECE {
            match way.read(stream) {
                Ok(0) => return Ok(Taken::End),
                Ok(length) => {
                    match way {
                        Way::Through(pipe) => self.part()?.take(pipe)?,
                        Way::Buffer(buffer) => self.write(&buffer[..length])?,
                    }
                    taken += length;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(Taken::Idle),
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::Unsupported if way.is_pipe() => *way = Way::new(false),
                    _ => return Ok(Taken::Lost(error.to_string())),
                },
            }
        }
        Ok(Taken::More)
    }

    fn part(&mut self) -> Result<&mut Part, VaultError> {
        Ok(match &mut self.part {
            Some(part) => part,
            none => none.insert(self.vault.claim_number()?),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), VaultError> {
        self.part()?.write(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<News>, VaultError> {
        let Some(part) = self.part.take() else { return Ok(None) };
        let (length, digest) = (part.length(), self.hasher.as_ref().map(|h| h.finalize().into()));
        Ok(Some(News::Stored(length, digest, part.commit()?)))
    }

    pub(super) fn leave(mut self) -> Option<String> {
        let mut part = self.part.take()?;
        // A disk that does not take the rest keeps what it has.
        let _ = part.write(&self.first);
        let (length, name) = (part.length(), part.hidden_name());
        part.pause();
        Some(format!("the {length} bytes so far are kept in {name}"))
    }
}

/// What came of reading.
enum Taken {
    Idle,
    More,
    End,
    Lost(String),
}

/// The way of the bytes from the connection to the file.
enum Way {
    Through(SplicePipe),
    Buffer(Vec<u8>),
}

impl Way {
    /// Chooses a way: through a pipe if that will do and there is one.
    fn new(through: bool) -> Way {
        let pipe = || PIPE.take().or_else(|| SplicePipe::new().ok());
        match through.then(pipe).flatten() {
            Some(pipe) => Way::Through(pipe),
            None => Way::Buffer(vec![0; READ]),
        }
    }

    fn is_pipe(&self) -> bool {
        matches!(self, Way::Through(_))
    }

    fn read(&mut self, stream: &Stream) -> io::Result<usize> {
        match self {
            Way::Through(pipe) => pipe.fill(stream, PIECE),
            Way::Buffer(buffer) => stream.try_read(buffer),
        }
    }

    /// Keeps the pipe for the next upload; one that holds something of this one is of no use to it.
    fn keep(self) {
        match self {
            Way::Through(pipe) if pipe.buffered() == 0 => PIPE.set(Some(pipe)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::VaultLimits;

    fn raw(directory: &tempfile::TempDir) -> Raw {
        let vault = Vault::new(directory.path().into(), VaultLimits::default());
        Raw::new(Arc::new(vault), true, b"f".to_vec())
    }

    fn names(directory: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn little_is_gathered_until_it_is_worth_the_way_to_the_disk_or_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let (mut raw, mut news, now) = (raw(&directory), Vec::new(), Instant::now());
        let (ours, theirs) = Stream::pair().unwrap();
        assert!(matches!(raw.work(&ours, &mut news), Worked::Idle));
        for _ in 0..2 {
            theirs.try_write(b"oo").unwrap();
            assert!(raw.gathers(&ours, now));
            assert_eq!((raw.length(), raw.is_empty()), (1, false));
        }
        theirs.try_write(&[b'o'; GATHER]).unwrap();
        assert!(!raw.gathers(&ours, now));
        assert!(matches!(raw.work(&ours, &mut news), Worked::Idle));
        assert_eq!(raw.length(), 5 + GATHER as u64);
        theirs.try_write(b"o").unwrap();
        assert!(raw.gathers(&ours, now));
        theirs.try_write(b"o").unwrap();
        assert!(!raw.gathers(&ours, now + 2 * GATHER_FOR), "it is old");
        theirs.shutdown_write().unwrap();
        assert!(raw.gathers(&ours, now), "the last byte");
        assert!(!raw.gathers(&ours, now), "the end");
        assert!(matches!(raw.work(&ours, &mut news), Worked::Over(Ok(_))));
        let [News::Stored(7.., Some(_), name)] = &news[..] else { panic!("{news:?}") };
        let mut whole = vec![b'o'; 7 + GATHER];
        whole[0] = b'f';
        assert_eq!(std::fs::read(directory.path().join(name)).unwrap(), whole);
    }

    #[test]
    fn an_upload_that_is_lost_while_it_is_gathered_is_not_taken_for_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (mut raw, mut news, now) = (raw(&directory), Vec::new(), Instant::now());
        let (ours, theirs) = Stream::pair().unwrap();
        assert!(matches!(raw.work(&ours, &mut news), Worked::Idle));
        theirs.try_write(b"oo").unwrap();
        assert!(raw.gathers(&ours, now));
        // Whoever goes with something unread resets the connection.
        ours.try_write(b"unread").unwrap();
        drop(theirs);
        raw.gathers(&ours, now);
        let worked = raw.work(&ours, &mut news);
        assert!(matches!(&worked, Worked::Over(Ok(why)) if why.contains("reset")), "{worked:?}");
        assert!(news.is_empty());
        assert!(raw.leave().unwrap().starts_with("the 3 bytes so far are kept in "));
        assert!(
            names(&directory).iter().all(|name| name.starts_with('.')),
            "{:?}",
            names(&directory)
        );
    }
}
