//! The segment files of a chat's history.
//!
//! A directory holds segments, `000000000001.log` and on, in the format of
//! [`history_record`](crate::wire::chat::history_record). The last segment grows until it is
//! full, then the next one is created. The oldest are removed, so that all segments together
//! stay within a limit. A lock on the file `lock` keeps other processes out. Other files in the
//! directory are left alone, and so are segments that belong to another user.
//!
//! After a write error the end of the segment is unknown. The segment is truncated where that is
//! possible, and the next record goes into a new one.

use std::collections::VecDeque;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::geteuid;
use thiserror::Error;

use crate::wire::chat::history_record::{MAX_PAYLOAD_LEN, Record, Records, SEGMENT_HEADER};

/// Approximate number of segments that make up a history of the maximum size.
const SEGMENT_COUNT: u64 = 8;

/// Maximum size of a segment in bytes. A segment is read into memory as a whole.
const MAX_SEGMENT_BYTES: u64 = 4 << 20;

/// Number of segments that are read at the start, the newest ones. Memory holds no more lines
/// than these, however large the history on disk is.
const MAX_RESTORED_SEGMENTS: usize = 16;

/// Number of digits in a segment's name, so that names sort like numbers.
const DIGITS: usize = 12;

/// Why a directory cannot hold a history.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// Another process uses the directory.
    #[error(
        "the chat history in {} is in use by another server; stop that server or choose another \
         directory",
        path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The directory or a segment cannot be created, read or written.
    #[error(
        "cannot keep the chat history in {}: {source}; choose a directory that this user can \
         write to",
        path.display()
    )]
    Unusable {
        /// The directory, or the segment.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// The segments of a history, the last of which grows.
#[derive(Debug)]
pub(crate) struct SegmentLog {
    pub(crate) path: PathBuf,
    /// Maximum size of all segments together, in bytes.
    max_bytes: u64,
    /// Size in bytes from which a segment is full.
    segment_size: u64,
    /// Number and length of each segment, oldest first.
    segments: SegmentLengths,
    /// The last segment, while it can grow.
    current: Option<File>,
    /// Number of records that were appended since the last [`sync`](SegmentLog::sync).
    unsynced: usize,
    /// Number of appended records that a failing disk may have lost.
    lost: usize,
    /// Locked as long as the history is open.
    _lock: File,
}

impl SegmentLog {
    /// Opens and locks a directory, which is created if necessary, for a history of at most
    /// `max_bytes` bytes.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, or another process uses it.
    pub(crate) fn open(path: &Path, max_bytes: u64) -> Result<SegmentLog, HistoryError> {
        let unusable = |source| HistoryError::Unusable { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let mut options = private_file_options();
        options.create(true).truncate(false);
        let lock = open_own_file(&mut options, &path.join("lock")).map_err(unusable)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(HistoryError::InUse { path: path.to_owned() });
            }
            Err(error) => return Err(unusable(error.into())),
        }
        Ok(SegmentLog {
            path: path.to_owned(),
            max_bytes,
            segment_size: (max_bytes / SEGMENT_COUNT).min(MAX_SEGMENT_BYTES),
            segments: VecDeque::new(),
            current: None,
            unsynced: 0,
            lost: 0,
            _lock: lock,
        })
    }

    /// Calls `restore` with the records of the newest `MAX_RESTORED_SEGMENTS` segments, oldest
    /// first. Opens the last segment for appending. Returns a warning for each damaged segment.
    /// A damaged record is skipped, and a damaged end is truncated.
    ///
    /// # Errors
    ///
    /// A segment cannot be read, or its damaged end cannot be truncated.
    pub(crate) fn restore(
        &mut self,
        mut restore: impl FnMut(Record<'_>),
    ) -> Result<Vec<String>, HistoryError> {
        let (segments, mut warnings) =
            find_segments(&self.path).map_err(|source| self.unusable_error(source))?;
        self.segments.clear();
        let unread = segments.len().saturating_sub(MAX_RESTORED_SEGMENTS);
        for (index, (number, length)) in segments.into_iter().enumerate() {
            let path = self.segment_path(number);
            let unusable = |source| HistoryError::Unusable { path: path.clone(), source };
            let mut bytes = Vec::new();
            let max_len = match index < unread {
                true => SEGMENT_HEADER.len() as u64,
                false => MAX_SEGMENT_BYTES + (2 * MAX_PAYLOAD_LEN) as u64,
            };
            let segment = open_own_file(OpenOptions::new().read(true), &path).map_err(unusable)?;
            segment.take(max_len).read_to_end(&mut bytes).map_err(unusable)?;
            let Some(mut records) = Records::new(&bytes) else {
                warnings.push(format!("{} is not a chat history; ignoring it", path.display()));
                continue;
            };
            if index < unread {
                self.segments.push_back((number, length));
                continue;
            }
            records.by_ref().for_each(&mut restore);
            let (end, skipped) = (records.valid_len() as u64, records.skipped_len());
            if skipped > 0 {
                warnings.push(format!("skipped {skipped} corrupt bytes in {}", path.display()));
            }
            if end < length {
                let lost = length - end;
                warnings.push(format!(
                    "truncated {}: its last {lost} bytes were incomplete or corrupt",
                    path.display()
                ));
                open_own_file(&mut private_file_options(), &path)
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
            let file = open_own_file(private_file_options().append(true), &path);
            self.current = Some(file.map_err(unusable)?);
        }
        self.prune(0).map_err(|source| self.unusable_error(source))?;
        Ok(warnings)
    }

    fn unusable_error(&self, source: io::Error) -> HistoryError {
        HistoryError::Unusable { path: self.path.clone(), source }
    }

    /// Appends records whose ends are at the offsets `ends` of `bytes`. Returns the number of
    /// records that were appended, and the error that stopped the others.
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
            // A new segment takes one record, whatever its size.
            let is_full = count == 0;
            let upto = done + count.max(1);
            let records = &bytes[start..ends[upto - 1]];
            let space = match is_full {
                true => self.start_segment(records.len() as u64),
                false => self.prune(records.len() as u64),
            };
            if let Err(error) = space.and_then(|()| self.write(records)) {
                self.abandon_segment();
                return (done, Err(error));
            }
            self.unsynced += upto - done;
            (done, start) = (upto, ends[upto - 1]);
        }
        (done, Ok(()))
    }

    /// Syncs all appended records to the disk.
    ///
    /// # Errors
    ///
    /// The disk failed: records that were appended since the last call may be lost.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        let unsynced = std::mem::take(&mut self.unsynced);
        if let (1.., Some(file)) = (unsynced, &self.current) {
            // Not retried on an error: the kernel reports it once and drops the pages.
            if let Err(error) = file.sync_data() {
                self.current = None;
                self.lost += unsynced;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Returns how many appended records a failing disk may have lost since the last call.
    pub(crate) fn take_lost(&mut self) -> usize {
        std::mem::take(&mut self.lost)
    }

    fn write(&mut self, records: &[u8]) -> io::Result<()> {
        let (Some(file), Some((_, length))) = (&mut self.current, self.segments.back_mut()) else {
            return Err(io::Error::other("no segment is open"));
        };
        file.write_all(records)?;
        *length += records.len() as u64;
        Ok(())
    }

    /// Starts the next segment, and makes space for at least `bytes` bytes of records.
    fn start_segment(&mut self, bytes: u64) -> io::Result<()> {
        self.sync()?;
        self.current = None;
        self.prune(bytes + SEGMENT_HEADER.len() as u64)?;
        let mut number = self.segments.back().map_or(1, |(number, _)| number + 1);
        let mut file = loop {
            match private_file_options()
                .append(true)
                .create_new(true)
                .open(self.segment_path(number))
            {
                // A foreign file has this name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                opened => break opened?,
            }
        };
        self.segments.push_back((number, 0));
        let result = file.write_all(&SEGMENT_HEADER);
        self.current = Some(file);
        result?;
        if let Some((_, length)) = self.segments.back_mut() {
            *length = SEGMENT_HEADER.len() as u64;
        }
        // Syncs the new directory entry. Without it the records could be lost with their file.
        File::open(&self.path)?.sync_all()
    }

    /// Removes the oldest segments, so that `additional` more bytes stay within the limit.
    fn prune(&mut self, additional: u64) -> io::Result<()> {
        let mut total: u64 = self.segments.iter().map(|(_, length)| length).sum();
        while total + additional > self.max_bytes
            && self.segments.len() > usize::from(self.current.is_some())
        {
            let Some(&(number, length)) = self.segments.front() else { break };
            match fs::remove_file(self.segment_path(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            self.segments.pop_front();
            total -= length;
        }
        Ok(())
    }

    /// Truncates the last segment to its known length and stops appending to it.
    fn abandon_segment(&mut self) {
        let (Some(file), Some(&(number, length))) = (self.current.take(), self.segments.back())
        else {
            return;
        };
        // If the disk fails here too, the next start truncates the damaged end.
        let unsynced = std::mem::take(&mut self.unsynced);
        if file.set_len(length).and_then(|()| file.sync_data()).is_err() {
            self.lost += unsynced;
        }
        if length <= SEGMENT_HEADER.len() as u64 {
            let _ = fs::remove_file(self.segment_path(number));
            self.segments.pop_back();
        }
    }

    fn segment_path(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:0DIGITS$}.log"))
    }
}

/// Returns options that open a file for writing and create it readable by its owner only.
fn private_file_options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true).mode(0o600);
    options
}

/// Opens a file of this user, never through a link.
fn open_own_file(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // NONBLOCK: if the name belongs to a pipe now, opening it must not wait for its other end.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let flags = i32::try_from(flags.bits()).map_err(io::Error::other)?;
    let file = options.custom_flags(flags).open(path)?;
    match is_own_file(&file.metadata()?) {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::PermissionDenied, "owned by another user")),
    }
}

/// Returns whether a file is a regular file of this user. What others wrote is not trusted.
fn is_own_file(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.uid() == geteuid().as_raw()
}

/// The numbers and lengths of segments, oldest first.
type SegmentLengths = VecDeque<(u64, u64)>;

/// Finds the segments in a directory. Returns their numbers and lengths, oldest first, and a
/// warning for each file that belongs to another user.
fn find_segments(path: &Path) -> io::Result<(SegmentLengths, Vec<String>)> {
    let (mut segments, mut warnings) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".log"));
        let number = number.filter(|digits| digits.len() == DIGITS);
        let digits = number.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(number) = digits.and_then(|digits| digits.parse().ok()) else { continue };
        // Of a symlink this is the link's own metadata, so links out of the directory are skipped.
        let metadata = entry.metadata()?;
        if is_own_file(&metadata) {
            segments.push((number, metadata.len()));
        } else if metadata.is_file() {
            let path = entry.path();
            warnings.push(format!("{} belongs to another user; ignoring it", path.display()));
        }
    }
    segments.sort_unstable();
    Ok((segments.into(), warnings))
}

#[cfg(test)]
mod tests;
