//! The files that a chat's history lies in.
//!
//! A directory of segments, `000000000001.log` and on, each in the format of
//! [`journal`](crate::wire::chat::history_record): the last one grows until it has its share, then the next is begun, and the
//! oldest go so that all together stay within a limit. One process has the directory at a time, by a lock on the
//! file `lock`. Whatever else lies there is left alone.
//!
//! After an error nothing is known of the end of a segment: it is cut back where that can be done, and the next
//! record begins another one.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use thiserror::Error;

use crate::wire::chat::history_record::{MAX_PAYLOAD_LEN, Record, Records, SEGMENT_HEADER};

/// The history is so many segments, about.
const SEGMENT_COUNT: u64 = 8;

/// The largest segment: one is read at a time, and as a whole.
const MAX_SEGMENT_BYTES: u64 = 4 << 20;

/// How many segments are read at a start, the newest: memory holds no more, however much the disk does.
const MAX_RESTORED_SEGMENTS: usize = 16;

/// Numbers of segments are so many digits, so that names sort as they do.
const DIGITS: usize = 12;

/// Why a directory cannot hold a history.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// Another process has it.
    #[error(
        "the history in {} is in use by another server; stop it, or choose another directory",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be made, read or written.
    #[error(
        "the history cannot be kept in {}: {source}; choose a directory that this user may write to",
        path.display()
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The segments of a history, of which the last one grows.
#[derive(Debug)]
pub(crate) struct SegmentLog {
    pub(crate) path: PathBuf,
    /// The most bytes of all segments, and of one.
    max_bytes: u64,
    segment_size: u64,
    /// Number and length of each, the oldest first.
    segments: VecDeque<(u64, u64)>,
    /// The last one, where it is to grow.
    current: Option<File>,
    /// Whether something was written since the last [`sync`](SegmentLog::sync).
    dirty: bool,
    /// Held as long as the history is.
    _lock: File,
}

impl SegmentLog {
    /// Takes a directory, made if there is none, for a history of at most `max_bytes` bytes.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, or another process uses it.
    pub(crate) fn open(path: &Path, most: u64) -> Result<SegmentLog, HistoryError> {
        let unusable = |source| HistoryError::Unusable { path: path.to_owned(), source };
        let private = DirBuilder::new().recursive(true).mode(0o700).create(path);
        private.map_err(unusable)?;
        let file = private_file_options().create(true).truncate(false).open(path.join("lock"));
        let lock = file.map_err(unusable)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(HistoryError::InUse { path: path.to_owned() });
            }
            Err(error) => return Err(unusable(error.into())),
        }
        let share = (most / SEGMENT_COUNT).min(MAX_SEGMENT_BYTES);
        let kept = find_segments(path).map_err(unusable)?;
        let path = path.to_owned();
        Ok(SegmentLog {
            path,
            max_bytes: most,
            segment_size: share,
            segments: kept,
            current: None,
            dirty: false,
            _lock: lock,
        })
    }

    /// Gives what is kept to `each`, the oldest first, and makes the last segment ready to grow. Returns a
    /// sentence for each segment that was not whole: what follows the fault in it is lost.
    ///
    /// # Errors
    ///
    /// A segment cannot be read, or its torn end not cut off.
    pub(crate) fn restore(
        &mut self,
        mut each: impl FnMut(Record<'_>),
    ) -> Result<Vec<String>, HistoryError> {
        let mut faults = Vec::new();
        let kept = std::mem::take(&mut self.segments);
        let unread = kept.len().saturating_sub(MAX_RESTORED_SEGMENTS);
        for (index, (number, length)) in kept.into_iter().enumerate() {
            let path = self.segment_path(number);
            let unusable = |source| HistoryError::Unusable { path: path.clone(), source };
            let mut bytes = Vec::new();
            let most = match index < unread {
                true => SEGMENT_HEADER.len() as u64,
                false => MAX_SEGMENT_BYTES + (2 * MAX_PAYLOAD_LEN) as u64,
            };
            let segment = File::open(&path).map_err(unusable)?;
            segment.take(most).read_to_end(&mut bytes).map_err(unusable)?;
            let Some(mut records) = Records::new(&bytes) else {
                faults.push(format!("{} is no history and is left alone", path.display()));
                continue;
            };
            if index < unread {
                self.segments.push_back((number, length));
                continue;
            }
            records.by_ref().for_each(&mut each);
            let end = records.valid_len() as u64;
            if end < length {
                let lost = length - end;
                faults.push(format!(
                    "the last {lost} bytes of {} were torn or corrupt and are cut off",
                    path.display()
                ));
                private_file_options()
                    .open(&path)
                    .and_then(|file| file.set_len(end))
                    .map_err(unusable)?;
            }
            match end {
                0 => fs::remove_file(&path).map_err(unusable)?,
                _ => self.segments.push_back((number, end)),
            }
        }
        if let Some(&(number, _)) = self.segments.back() {
            let path = self.segment_path(number);
            let unusable = |source| HistoryError::Unusable { path: path.clone(), source };
            self.current = Some(private_file_options().append(true).open(&path).map_err(unusable)?);
        }
        self.prune(0).map_err(|source| self.unusable_error(source))?;
        Ok(faults)
    }

    fn unusable_error(&self, source: io::Error) -> HistoryError {
        HistoryError::Unusable { path: self.path.clone(), source }
    }

    /// Appends records, of which each ends where `ends` says. Returns how many were, and the error that the
    /// others met with.
    pub(crate) fn append(&mut self, bytes: &[u8], ends: &[usize]) -> (usize, io::Result<()>) {
        let (mut done, mut start) = (0, 0);
        while done < ends.len() {
            let space = match self.segments.back() {
                Some((_, length)) if self.current.is_some() => {
                    self.segment_size.saturating_sub(*length)
                }
                _ => 0,
            };
            let fits = |end: &&usize| (**end - start) as u64 <= space;
            let count = ends[done..].iter().take_while(fits).count();
            // Whatever its size, one record goes into a new segment.
            let is_full = count == 0;
            let upto = done + count.max(1);
            let records = &bytes[start..ends[upto - 1]];
            let written = match is_full {
                true => self.start_segment(records.len() as u64).and_then(|()| self.write(records)),
                false => self.prune(records.len() as u64).and_then(|()| self.write(records)),
            };
            if let Err(error) = written {
                self.abandon_segment();
                return (done, Err(error));
            }
            (done, start) = (upto, ends[upto - 1]);
        }
        (done, Ok(()))
    }

    /// Makes the disk hold all that was appended.
    ///
    /// # Errors
    ///
    /// The disk failed: what was appended since the last time may be lost.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        if let (true, Some(file)) = (self.dirty, &self.current) {
            // Said once: the kernel forgets what it could not write.
            self.dirty = false;
            file.sync_data().inspect_err(|_| self.current = None)?;
        }
        Ok(())
    }

    fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let (Some(file), Some((_, length))) = (&mut self.current, self.segments.back_mut()) else {
            return Err(io::Error::other("no segment is open"));
        };
        self.dirty = true;
        file.write_all(records)?;
        *length += records.len() as u64;
        Ok(())
    }

    /// Begins the next segment, for records of so many bytes at least.
    fn start_segment(&mut self, bytes: u64) -> io::Result<()> {
        self.sync()?;
        self.current = None;
        self.prune(bytes + SEGMENT_HEADER.len() as u64)?;
        let mut number = self.segments.back().map_or(1, |(number, _)| number + 1);
        let mut new = loop {
            match private_file_options()
                .append(true)
                .create_new(true)
                .open(self.segment_path(number))
            {
                // Somebody else's file has the name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                new => break new?,
            }
        };
        self.segments.push_back((number, 0));
        let headed = new.write_all(&SEGMENT_HEADER);
        self.current = Some(new);
        headed?;
        if let Some((_, length)) = self.segments.back_mut() {
            *length = SEGMENT_HEADER.len() as u64;
        }
        // The new name is to survive as its records do.
        File::open(&self.path)?.sync_all()
    }

    /// Removes the oldest segments, so that so many bytes more stay within the limit.
    fn prune(&mut self, more: u64) -> io::Result<()> {
        let mut all: u64 = self.segments.iter().map(|(_, length)| length).sum();
        while all + more > self.max_bytes
            && self.segments.len() > usize::from(self.current.is_some())
        {
            let Some(&(number, length)) = self.segments.front() else { break };
            match fs::remove_file(self.segment_path(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.segments.pop_front();
            all -= length;
        }
        Ok(())
    }

    /// Cuts the last segment back to what is known to be whole, and leaves it at that.
    fn abandon_segment(&mut self) {
        let (Some(file), Some(&(number, length))) = (self.current.take(), self.segments.back())
        else {
            return;
        };
        // A disk that fails here too leaves a torn end, which the next start cuts off.
        let _ = file.set_len(length).and_then(|()| file.sync_data());
        if length <= SEGMENT_HEADER.len() as u64 {
            let _ = fs::remove_file(self.segment_path(number));
            self.segments.pop_back();
        }
    }

    fn segment_path(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:0DIGITS$}.log"))
    }
}

/// How files of a history are opened: they are nobody else's to read.
fn private_file_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Finds the segments in a directory, the oldest first.
fn find_segments(path: &Path) -> io::Result<VecDeque<(u64, u64)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        let number = number.filter(|digits| digits.len() == DIGITS);
        let digits = number.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(number) = digits.and_then(|digits| digits.parse().ok()) else { continue };
        // A link would lead out of the directory.
        let about = entry.metadata()?;
        if about.is_file() {
            found.push((number, about.len()));
        }
    }
    found.sort_unstable();
    Ok(found.into())
}

#[cfg(test)]
mod tests;
