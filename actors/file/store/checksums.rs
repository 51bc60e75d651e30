//! What is known good of a part: the chaining values of its chunks, in a hidden file beside it.
//!
//! The values are all that a resumption needs: the sender compares their digest with its own, and the digest of the whole file
//! follows from them, so no byte that came once is read again.
//!
//! A value is written after its chunk, so whatever ends the process leaves values of chunks that are there. A power cut may
//! leave values of chunks that are not. Therefore a *mark* says how many chunks were on the disk for certain, and in which boot
//! of the machine the others were written: as long as that one lasts they count, and after it they do not.
//!
//! ```text
//!   0   which file: signature, size (u64), modified (i64, u32), check (8)
//!  64   a mark: its number (u64), boot (16), chunks (u64), check (8)
//! 128   the other mark, written in turns, so that one is always whole
//! 192   for each chunk its value (32) and a check (4) of it and of its place
//! ```

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, OFlags, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use super::{FileRequest, is_regular_with_one_link, open_file};
use crate::wire::file::digest::{ChunkHash, ChunkListHasher, FileHasher};

const SIGNATURE: &[u8; 8] = b"SAFSUMS1";
const MARKS_OFFSET: u64 = 64;
const RECORDS_OFFSET: u64 = 192;
const RECORD_LEN: usize = 32 + 4;

/// The known chunks of a part.
#[derive(Debug)]
pub(super) struct ChecksumFile {
    file: File,
    /// How many there are, those that wait to be written among them.
    chunk_count: u64,
    /// The records that wait to be written.
    pending: Vec<u8>,
    mark: SyncMark,
}

/// Up to where everything is on the disk for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SyncMark {
    sequence: u64,
    boot_id: [u8; 16],
    chunks: u64,
}

/// What a part holds.
#[derive(Debug, Default)]
pub(super) struct VerifiedPrefix {
    /// How many chunks.
    pub(super) chunk_count: u64,
    /// The digest of their values.
    pub(super) list_hasher: ChunkListHasher,
    /// What they contribute to that of the file.
    pub(super) file_hasher: FileHasher,
}

impl ChecksumFile {
    /// Opens the sums of a part of this file, with at most so many chunks; nothing comes back where there are none of it.
    pub(super) fn open(
        directory: &OwnedFd,
        wanted: &FileRequest,
        most: u64,
    ) -> io::Result<Option<(ChecksumFile, VerifiedPrefix)>> {
        let mut file = match open_file(directory, &wanted.name.checksum_name(), OFlags::RDWR) {
            Ok(file) if is_regular_with_one_link(&file)? => file,
            Ok(_) | Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut head = [0; RECORDS_OFFSET as usize];
        match file.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let marks = [&head[64..128], &head[128..192]];
        let mark =
            marks.into_iter().filter_map(SyncMark::from_bytes).max_by_key(|mark| mark.sequence);
        let Some(mut mark) = mark.filter(|_| head[..64] == identity_header(wanted)) else {
            return Ok(None);
        };
        let is_this_boot = Some(mark.boot_id) == current_boot_id();
        let most = if is_this_boot { most } else { most.min(mark.chunks) };
        let known = read_records(&mut file, most)?;
        mark.chunks = mark.chunks.min(known.chunk_count);
        let mut sums =
            ChecksumFile { file, chunk_count: known.chunk_count, pending: Vec::new(), mark };
        sums.file.set_len(sums.end_offset())?;
        if !is_this_boot {
            sums.write_mark(known.chunk_count)?;
        }
        Ok(Some((sums, known)))
    }

    /// Makes the sums of a file of which nothing is there.
    ///
    /// Those of another file must be gone for good before: after a power cut they could be taken for those of this one.
    pub(super) fn create(directory: &OwnedFd, wanted: &FileRequest) -> io::Result<ChecksumFile> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = open_file(directory, &wanted.name.checksum_name(), flags)?;
        file.write_all_at(&identity_header(wanted), 0)?;
        let mark = SyncMark { sequence: 0, boot_id: [0; 16], chunks: 0 };
        let mut sums = ChecksumFile { file, chunk_count: 0, pending: Vec::new(), mark };
        sums.write_mark(0)?;
        Ok(sums)
    }

    /// Removes the sums of a file; tells whether there were any.
    pub(super) fn remove(directory: &OwnedFd, name: &str) -> io::Result<bool> {
        match retry_on_intr(|| unlinkat(directory, name, AtFlags::empty())) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn end_offset(&self) -> u64 {
        RECORDS_OFFSET + self.chunk_count * RECORD_LEN as u64
    }

    /// Adds the value of the next chunk, which was written.
    pub(super) fn push(&mut self, value: &ChunkHash) {
        self.pending.extend_from_slice(value);
        self.pending.extend_from_slice(&record_checksum(self.chunk_count, value));
        self.chunk_count += 1;
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            let at = self.end_offset() - self.pending.len() as u64;
            self.file.write_all_at(&self.pending, at)?;
            self.pending = Vec::new();
        }
        Ok(())
    }

    /// Marks that all chunks are on the disk, which the caller has seen to.
    pub(super) fn mark_synced(&mut self) -> io::Result<()> {
        self.flush()?;
        retry_on_intr(|| rustix::fs::fdatasync(&self.file))?;
        self.write_mark(self.chunk_count)
    }

    /// Forgets all but the first chunks, for good: what is written in place of the others will not be taken for them.
    pub(super) fn truncate_to(&mut self, count: u64) -> io::Result<VerifiedPrefix> {
        self.flush()?;
        self.chunk_count = self.chunk_count.min(count);
        self.file.set_len(self.end_offset())?;
        self.write_mark(self.mark.chunks.min(self.chunk_count))?;
        retry_on_intr(|| rustix::fs::fsync(&self.file))?;
        read_records(&mut self.file, self.chunk_count)
    }

    fn write_mark(&mut self, chunks: u64) -> io::Result<()> {
        let number = self.mark.sequence + 1;
        self.mark =
            SyncMark { sequence: number, boot_id: current_boot_id().unwrap_or_default(), chunks };
        self.file.write_all_at(&self.mark.to_bytes(), MARKS_OFFSET + number % 2 * 64)
    }
}

/// Reads the records of at most so many chunks; the first that is not whole is the end.
fn read_records(file: &mut File, most: u64) -> io::Result<VerifiedPrefix> {
    file.seek(SeekFrom::Start(RECORDS_OFFSET))?;
    let mut records = io::BufReader::with_capacity(64 << 10, file);
    let (mut known, mut record) = (VerifiedPrefix::default(), [0; RECORD_LEN]);
    while known.chunk_count < most {
        match records.read_exact(&mut record) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            read => read?,
        }
        let (value, given) = record.split_at(32);
        let Ok(value) = ChunkHash::try_from(value) else { break };
        if given != record_checksum(known.chunk_count, &value) {
            break;
        }
        known.list_hasher.add(&value);
        known.file_hasher.add_hash(value);
        known.chunk_count += 1;
    }
    Ok(known)
}

impl SyncMark {
    fn to_bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.boot_id);
        bytes[24..32].copy_from_slice(&self.chunks.to_le_bytes());
        let check = short_hash::<8>(&[&bytes[..32]]);
        bytes[32..40].copy_from_slice(&check);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<SyncMark> {
        let number = u64::from_le_bytes(*bytes.first_chunk()?);
        let boot = *bytes.get(8..)?.first_chunk()?;
        let chunks = u64::from_le_bytes(*bytes.get(24..)?.first_chunk()?);
        let mark = SyncMark { sequence: number, boot_id: boot, chunks };
        (mark.to_bytes() == bytes).then_some(mark)
    }
}

/// What says which file it is.
fn identity_header(wanted: &FileRequest) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(SIGNATURE);
    bytes[8..16].copy_from_slice(&wanted.size.unwrap_or(u64::MAX).to_le_bytes());
    bytes[16..24].copy_from_slice(&wanted.modified.0.to_le_bytes());
    bytes[24..28].copy_from_slice(&wanted.modified.1.to_le_bytes());
    let check = short_hash::<8>(&[&bytes[..28]]);
    bytes[28..36].copy_from_slice(&check);
    bytes
}

/// Tells whether a file's first bytes are those of sums.
pub(super) fn is_checksum_file(file: &File) -> bool {
    let mut first = [0; 8];
    file.read_exact_at(&mut first, 0).is_ok() && first == *SIGNATURE
}

fn record_checksum(place: u64, value: &ChunkHash) -> [u8; 4] {
    short_hash(&[&place.to_le_bytes(), value])
}

fn short_hash<const N: usize>(pieces: &[&[u8]]) -> [u8; N] {
    let mut hasher = blake3::Hasher::new();
    for piece in pieces {
        hasher.update(piece);
    }
    let mut short = [0; N];
    short.copy_from_slice(&hasher.finalize().as_bytes()[..N]);
    short
}

/// Returns what tells this boot of the machine from others, if the kernel says it.
fn current_boot_id() -> Option<[u8; 16]> {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    Some(short_hash(&[&id]))
}

#[cfg(test)]
mod tests;
