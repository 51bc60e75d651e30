//! A raw upload: the bytes are the file, which has neither a name nor a length.
//!
//! It is whole when the sender has closed its side, and gets the next number then. Where nobody asks for its digest, its bytes
//! never enter the process: they go through a [`SplicePipe`], of which each thread of the disk has one.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use blake3::Hasher;

use super::{MAX_READ, STEP_BYTES, UploadEvent, UploadProgress, UploadStep};
use crate::actors::file::store::PartialFile;
use crate::actors::{FileStore, StoreError};
use crate::net::{SplicePipe, Stream};

/// From so many bytes on what has come is brought to the disk.
const MIN_DISK_WRITE: usize = 4 << 10;

/// After so long fewer are.
const MAX_BUFFER_AGE: Duration = Duration::from_secs(10);

thread_local! {
    static PIPE: Cell<Option<SplicePipe>> = const { Cell::new(None) };
}

/// A raw upload. Nothing is claimed before its first byte.
#[derive(Debug)]
pub(in crate::actors) struct RawUpload {
    store: Arc<FileStore>,
    partial: Option<PartialFile>,
    /// Where its digest is asked for.
    hasher: Option<Box<Hasher>>,
    /// What was read of it before it was known to be raw, or worth the way to the disk.
    buffered: Vec<u8>,
    /// Since when that is gathered.
    buffered_since: Option<Instant>,
    /// Why the connection was lost, where that was found while gathering.
    connection_error: Option<String>,
}

impl RawUpload {
    pub(in crate::actors) fn new(vault: Arc<FileStore>, digest: bool, first: Vec<u8>) -> RawUpload {
        let hasher = digest.then(|| Box::new(Hasher::new()));
        RawUpload {
            store: vault,
            partial: None,
            hasher,
            buffered: first,
            buffered_since: None,
            connection_error: None,
        }
    }

    /// Tells whether what has come is to be gathered on, and takes it in then. A sender that says a byte now and then costs a
    /// trip to the disk for each of them otherwise, as much as moving a megabyte.
    pub(super) fn buffer_small_read(&mut self, stream: &Stream, now: Instant) -> bool {
        // None waits where the sender has ended its side, which is for the disk.
        let waiting = stream.readable_bytes().unwrap_or(0);
        let is_old =
            now.saturating_duration_since(*self.buffered_since.get_or_insert(now)) > MAX_BUFFER_AGE;
        if waiting == 0 || self.buffered.len() + waiting >= MIN_DISK_WRITE || is_old {
            self.buffered_since = None;
            return false;
        }
        let first = &mut self.buffered;
        match stream.try_read_with(|bytes| first.extend_from_slice(bytes)) {
            Ok(length) => length > 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(error) => {
                // It is told once.
                self.connection_error = Some(error.to_string());
                false
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.partial.is_none() && self.buffered.is_empty()
    }

    pub(super) fn length(&self) -> u64 {
        self.partial.as_ref().map_or(0, PartialFile::length)
    }

    pub(super) fn progress(&self) -> Option<UploadProgress> {
        let part = self.partial.as_ref()?;
        Some(UploadProgress {
            name: part.final_name(),
            size: None,
            resumed_bytes: 0,
            length: part.length(),
        })
    }

    pub(super) fn step(&mut self, stream: &Stream, news: &mut Vec<UploadEvent>) -> UploadStep {
        match self.copy_available(stream) {
            Ok(ReadOutcome::WouldBlock) => UploadStep::WouldBlock,
            Ok(ReadOutcome::More) => UploadStep::More,
            Ok(ReadOutcome::Eof) => match self.finish() {
                Ok(None) => UploadStep::Done(Ok("closed without sending anything".into())),
                Ok(Some(stored)) => {
                    news.push(stored);
                    UploadStep::Done(Ok("stored".into()))
                }
                Err(error) => UploadStep::Done(Err(error)),
            },
            Ok(ReadOutcome::Failed(why)) => UploadStep::Done(Ok(why)),
            Err(error) => {
                // Half an upload helps nobody; the space helps the others.
                if let Some(part) = self.partial.take() {
                    part.discard();
                }
                UploadStep::Done(Err(error))
            }
        }
    }

    fn copy_available(&mut self, stream: &Stream) -> Result<ReadOutcome, StoreError> {
        let first = std::mem::take(&mut self.buffered);
        if !first.is_empty() {
            self.write(&first)?;
        }
        if let Some(why) = self.connection_error.take() {
            return Ok(ReadOutcome::Failed(why));
        }
        let mut way = CopyMode::new(self.hasher.is_none());
        let taken = self.copy_with(&mut way, stream)?;
        way.recycle_pipe();
        if let ReadOutcome::More = taken {
            self.partial.as_mut().map_or(Ok(()), PartialFile::checkpoint)?;
        }
        Ok(taken)
    }

    fn copy_with(
        &mut self,
        way: &mut CopyMode,
        stream: &Stream,
    ) -> Result<ReadOutcome, StoreError> {
        let mut taken = 0;
        while taken < STEP_BYTES {
            match way.read(stream) {
                Ok(0) => return Ok(ReadOutcome::Eof),
                Ok(length) => {
                    match way {
                        CopyMode::Splice(pipe) => {
                            self.get_or_create_partial()?.write_from_pipe(pipe)?
                        }
                        CopyMode::Buffered(buffer) => self.write(&buffer[..length])?,
                    }
                    taken += length;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(ReadOutcome::WouldBlock),
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::Unsupported if way.is_splice() => *way = CopyMode::new(false),
                    _ => return Ok(ReadOutcome::Failed(error.to_string())),
                },
            }
        }
        Ok(ReadOutcome::More)
    }

    fn get_or_create_partial(&mut self) -> Result<&mut PartialFile, StoreError> {
        Ok(match &mut self.partial {
            Some(part) => part,
            none => none.insert(self.store.create_numbered()?),
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.get_or_create_partial()?.write(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<Option<UploadEvent>, StoreError> {
        let Some(part) = self.partial.take() else { return Ok(None) };
        let (length, digest) = (part.length(), self.hasher.as_ref().map(|h| h.finalize().into()));
        Ok(Some(UploadEvent::Stored(length, digest, part.commit()?)))
    }

    pub(super) fn suspend(mut self) -> Option<String> {
        let mut part = self.partial.take()?;
        // A disk that does not take the rest keeps what it has.
        let _ = part.write(&self.buffered);
        let (length, name) = (part.length(), part.temp_name());
        part.suspend();
        Some(format!("the {length} bytes so far are kept in {name}"))
    }
}

/// What came of reading.
enum ReadOutcome {
    WouldBlock,
    More,
    Eof,
    Failed(String),
}

/// The way of the bytes from the connection to the file.
enum CopyMode {
    Splice(SplicePipe),
    Buffered(Vec<u8>),
}

impl CopyMode {
    /// Chooses a way: through a pipe if that will do and there is one.
    fn new(through: bool) -> CopyMode {
        let pipe = || PIPE.take().or_else(|| SplicePipe::new().ok());
        match through.then(pipe).flatten() {
            Some(pipe) => CopyMode::Splice(pipe),
            None => CopyMode::Buffered(vec![0; MAX_READ]),
        }
    }

    fn is_splice(&self) -> bool {
        matches!(self, CopyMode::Splice(_))
    }

    fn read(&mut self, stream: &Stream) -> io::Result<usize> {
        match self {
            CopyMode::Splice(pipe) => pipe.fill(stream, STEP_BYTES),
            CopyMode::Buffered(buffer) => stream.try_read(buffer),
        }
    }

    /// Keeps the pipe for the next upload; one that holds something of this one is of no use to it.
    fn recycle_pipe(self) {
        match self {
            CopyMode::Splice(pipe) if pipe.buffered() == 0 => PIPE.set(Some(pipe)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::StoreConfig;

    fn raw_upload(directory: &tempfile::TempDir) -> RawUpload {
        let vault = FileStore::new(directory.path().into(), StoreConfig::default());
        RawUpload::new(Arc::new(vault), true, b"f".to_vec())
    }

    fn list_names(directory: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn little_is_gathered_until_it_is_worth_the_way_to_the_disk_or_the_end() {
        let directory = tempfile::tempdir().unwrap();
        let (mut raw, mut news, now) = (raw_upload(&directory), Vec::new(), Instant::now());
        let (ours, theirs) = Stream::pair().unwrap();
        assert!(matches!(raw.step(&ours, &mut news), UploadStep::WouldBlock));
        for _ in 0..2 {
            theirs.try_write(b"oo").unwrap();
            assert!(raw.buffer_small_read(&ours, now));
            assert_eq!((raw.length(), raw.is_empty()), (1, false));
        }
        theirs.try_write(&[b'o'; MIN_DISK_WRITE]).unwrap();
        assert!(!raw.buffer_small_read(&ours, now));
        assert!(matches!(raw.step(&ours, &mut news), UploadStep::WouldBlock));
        assert_eq!(raw.length(), 5 + MIN_DISK_WRITE as u64);
        theirs.try_write(b"o").unwrap();
        assert!(raw.buffer_small_read(&ours, now));
        theirs.try_write(b"o").unwrap();
        assert!(!raw.buffer_small_read(&ours, now + 2 * MAX_BUFFER_AGE), "it is old");
        theirs.shutdown_write().unwrap();
        assert!(raw.buffer_small_read(&ours, now), "the last byte");
        assert!(!raw.buffer_small_read(&ours, now), "the end");
        assert!(matches!(raw.step(&ours, &mut news), UploadStep::Done(Ok(_))));
        let [UploadEvent::Stored(7.., Some(_), name)] = &news[..] else { panic!("{news:?}") };
        let mut whole = vec![b'o'; 7 + MIN_DISK_WRITE];
        whole[0] = b'f';
        assert_eq!(std::fs::read(directory.path().join(name)).unwrap(), whole);
    }

    #[test]
    fn an_upload_that_is_lost_while_it_is_gathered_is_not_taken_for_whole() {
        let directory = tempfile::tempdir().unwrap();
        let (mut raw, mut news, now) = (raw_upload(&directory), Vec::new(), Instant::now());
        let (ours, theirs) = Stream::pair().unwrap();
        assert!(matches!(raw.step(&ours, &mut news), UploadStep::WouldBlock));
        theirs.try_write(b"oo").unwrap();
        assert!(raw.buffer_small_read(&ours, now));
        // Whoever goes with something unread resets the connection.
        ours.try_write(b"unread").unwrap();
        drop(theirs);
        raw.buffer_small_read(&ours, now);
        let worked = raw.step(&ours, &mut news);
        assert!(
            matches!(&worked, UploadStep::Done(Ok(why)) if why.contains("reset")),
            "{worked:?}"
        );
        assert!(news.is_empty());
        assert!(raw.suspend().unwrap().starts_with("the 3 bytes so far are kept in "));
        assert!(
            list_names(&directory).iter().all(|name| name.starts_with('.')),
            "{:?}",
            list_names(&directory)
        );
    }
}
