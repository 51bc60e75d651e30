//! A raw upload: all bytes of the connection are one file without a name or a length.
//!
//! The file is complete when the sender has closed its side. It then becomes the next
//! `outputK.txt`. If no hash is needed, its bytes never enter the process: they go through a
//! [`SplicePipe`]. Each thread of the blocking pool keeps one pipe.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use blake3::Hasher;

use crate::actors::file::receive::limits::{MAX_BUFFER_AGE, MAX_READ, MIN_DISK_WRITE, STEP_BYTES};
use crate::actors::file::receive::upload::event::{UploadEvent, UploadProgress, UploadStep};
use crate::actors::file::store::FileStore;
use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::partial::PartialFile;
use crate::net::{SplicePipe, Stream};

thread_local! {
    static PIPE: Cell<Option<SplicePipe>> = const { Cell::new(None) };
}

/// A raw upload. It creates its file at the first byte.
#[derive(Debug)]
pub(crate) struct RawUpload {
    store: Arc<FileStore>,
    partial: Option<PartialFile>,
    /// Hashes the file, if its hash is needed.
    hasher: Option<Box<Hasher>>,
    /// The bytes that were read but not written: the preamble, or few bytes of a slow sender.
    buffered: Vec<u8>,
    /// The time of the first buffered byte.
    buffered_since: Option<Instant>,
    /// The error of the connection, if it occurred while buffering.
    connection_error: Option<String>,
}

impl RawUpload {
    /// Creates an upload whose first bytes, `preamble`, were read already.
    pub(crate) fn new(store: Arc<FileStore>, with_hash: bool, preamble: Vec<u8>) -> RawUpload {
        RawUpload {
            store,
            partial: None,
            hasher: with_hash.then(|| Box::new(Hasher::new())),
            buffered: preamble,
            buffered_since: None,
            connection_error: None,
        }
    }

    /// Buffers the available bytes if they are too few for a job on the blocking pool. Returns
    /// whether no job is needed yet.
    ///
    /// Without the buffer a sender of single bytes would cost a job for each, which is as much as
    /// receiving a megabyte.
    pub(super) fn buffer_small_read(&mut self, stream: &Stream, now: Instant) -> bool {
        // 0 bytes mean that the sender has closed its side, which needs a job.
        let available = stream.readable_bytes().unwrap_or(0);
        let is_old =
            now.saturating_duration_since(*self.buffered_since.get_or_insert(now)) > MAX_BUFFER_AGE;
        if available == 0 || self.buffered.len() + available >= MIN_DISK_WRITE || is_old {
            self.buffered_since = None;
            return false;
        }
        let buffered = &mut self.buffered;
        match stream.try_read_with(|bytes| buffered.extend_from_slice(bytes)) {
            Ok(length) => length > 0,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => true,
            Err(error) => {
                // The kernel reports the error of a connection only once, so it is kept.
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
        let partial = self.partial.as_ref()?;
        Some(UploadProgress {
            name: partial.final_name(),
            size: None,
            resumed_bytes: 0,
            length: partial.length(),
        })
    }

    pub(super) fn step(&mut self, stream: &Stream, events: &mut Vec<UploadEvent>) -> UploadStep {
        match self.copy_available(stream) {
            Ok(ReadOutcome::WouldBlock) => UploadStep::WouldBlock,
            Ok(ReadOutcome::More) => UploadStep::More,
            Ok(ReadOutcome::Eof) => match self.finish() {
                Ok(None) => UploadStep::Done(Ok("closed without sending anything".into())),
                Ok(Some(stored)) => {
                    events.push(stored);
                    UploadStep::Done(Ok("stored".into()))
                }
                Err(error) => UploadStep::Done(Err(error)),
            },
            Ok(ReadOutcome::Failed(reason)) => UploadStep::Done(Ok(reason)),
            Err(error) => {
                // A raw upload cannot be resumed. Its disk space is better used by other uploads.
                if let Some(partial) = self.partial.take() {
                    partial.discard();
                }
                UploadStep::Done(Err(error))
            }
        }
    }

    fn copy_available(&mut self, stream: &Stream) -> Result<ReadOutcome, StoreError> {
        let buffered = std::mem::take(&mut self.buffered);
        if !buffered.is_empty() {
            self.write(&buffered)?;
        }
        if let Some(reason) = self.connection_error.take() {
            return Ok(ReadOutcome::Failed(reason));
        }
        let mut mode = CopyMode::new(self.hasher.is_none());
        let outcome = self.copy_with(&mut mode, stream)?;
        mode.recycle_pipe();
        if let ReadOutcome::More = outcome {
            self.partial.as_mut().map_or(Ok(()), PartialFile::checkpoint)?;
        }
        Ok(outcome)
    }

    fn copy_with(
        &mut self,
        mode: &mut CopyMode,
        stream: &Stream,
    ) -> Result<ReadOutcome, StoreError> {
        let mut received = 0;
        while received < STEP_BYTES {
            match mode.read(stream) {
                Ok(0) => return Ok(ReadOutcome::Eof),
                Ok(length) => {
                    match mode {
                        CopyMode::Splice(pipe) => {
                            self.get_or_create_partial()?.write_from_pipe(pipe)?
                        }
                        CopyMode::Buffered(buffer) => self.write(&buffer[..length])?,
                    }
                    received += length;
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(ReadOutcome::WouldBlock),
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::Unsupported if mode.is_splice() => *mode = CopyMode::new(false),
                    _ => return Ok(ReadOutcome::Failed(error.to_string())),
                },
            }
        }
        Ok(ReadOutcome::More)
    }

    fn get_or_create_partial(&mut self) -> Result<&mut PartialFile, StoreError> {
        Ok(match &mut self.partial {
            Some(partial) => partial,
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
        let Some(partial) = self.partial.take() else { return Ok(None) };
        let size = partial.length();
        let hash = self.hasher.as_ref().map(|hasher| hasher.finalize().into());
        Ok(Some(UploadEvent::Stored { size, hash, name: partial.commit()? }))
    }

    pub(super) fn suspend(mut self) -> Option<String> {
        let mut partial = self.partial.take()?;
        // If the disk rejects the buffered bytes, the bytes before them are kept.
        let _ = partial.write(&self.buffered);
        let (length, name) = (partial.length(), partial.temp_name());
        partial.suspend();
        Some(format!("the {length} bytes received so far are kept in {name}"))
    }
}

/// The result of reading the available bytes.
enum ReadOutcome {
    WouldBlock,
    More,
    Eof,
    /// The connection failed.
    Failed(String),
}

/// The way in which bytes are copied from the connection to the file.
enum CopyMode {
    Splice(SplicePipe),
    Buffered(Vec<u8>),
}

impl CopyMode {
    /// Uses a pipe if `splice` is set and a pipe is available, otherwise a buffer.
    fn new(splice: bool) -> CopyMode {
        let pipe = || PIPE.take().or_else(|| SplicePipe::new().ok());
        match splice.then(pipe).flatten() {
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

    /// Keeps an empty pipe for the next upload on this thread. A pipe that still holds bytes of
    /// this upload is dropped.
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
        let store = FileStore::new(directory.path().into(), StoreConfig::default());
        RawUpload::new(Arc::new(store), true, b"f".to_vec())
    }

    fn list_names(directory: &tempfile::TempDir) -> Vec<String> {
        let entries = std::fs::read_dir(directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn small_reads_are_buffered_until_large_old_or_eof() {
        let directory = tempfile::tempdir().unwrap();
        let (mut raw, mut events, now) = (raw_upload(&directory), Vec::new(), Instant::now());
        let (ours, theirs) = Stream::pair().unwrap();
        assert!(matches!(raw.step(&ours, &mut events), UploadStep::WouldBlock));
        for _ in 0..2 {
            theirs.try_write(b"oo").unwrap();
            assert!(raw.buffer_small_read(&ours, now));
            assert_eq!((raw.length(), raw.is_empty()), (1, false));
        }
        theirs.try_write(&[b'o'; MIN_DISK_WRITE]).unwrap();
        assert!(!raw.buffer_small_read(&ours, now));
        assert!(matches!(raw.step(&ours, &mut events), UploadStep::WouldBlock));
        assert_eq!(raw.length(), 5 + MIN_DISK_WRITE as u64);
        theirs.try_write(b"o").unwrap();
        assert!(raw.buffer_small_read(&ours, now));
        theirs.try_write(b"o").unwrap();
        assert!(!raw.buffer_small_read(&ours, now + 2 * MAX_BUFFER_AGE), "the buffer is old");
        theirs.shutdown_write().unwrap();
        assert!(raw.buffer_small_read(&ours, now), "the last byte");
        assert!(!raw.buffer_small_read(&ours, now), "the end");
        assert!(matches!(raw.step(&ours, &mut events), UploadStep::Done(Ok(_))));
        let [UploadEvent::Stored { size: 7.., hash: Some(_), name }] = &events[..] else {
            panic!("{events:?}")
        };
        let mut expected = vec![b'o'; 7 + MIN_DISK_WRITE];
        expected[0] = b'f';
        assert_eq!(std::fs::read(directory.path().join(name)).unwrap(), expected);
    }

    #[test]
    fn reset_while_buffering_does_not_complete_file() {
        let directory = tempfile::tempdir().unwrap();
        let (mut raw, mut events, now) = (raw_upload(&directory), Vec::new(), Instant::now());
        let (ours, theirs) = Stream::pair().unwrap();
        assert!(matches!(raw.step(&ours, &mut events), UploadStep::WouldBlock));
        theirs.try_write(b"oo").unwrap();
        assert!(raw.buffer_small_read(&ours, now));
        // Closing a socket with unread input resets the connection.
        ours.try_write(b"unread").unwrap();
        drop(theirs);
        raw.buffer_small_read(&ours, now);
        let step = raw.step(&ours, &mut events);
        assert!(
            matches!(&step, UploadStep::Done(Ok(reason)) if reason.contains("reset")),
            "{step:?}"
        );
        assert!(events.is_empty());
        assert!(raw.suspend().unwrap().starts_with("the 3 bytes received so far are kept in "));
        let names = list_names(&directory);
        assert!(names.iter().all(|name| name.starts_with('.')), "{names:?}");
    }
}
