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

use super::{Wanted, is_plain, open_file};
use crate::wire::file::digest::{ChunkHash, ChunkListHasher, FileHasher};

const SIGNATURE: &[u8; 8] = b"SAFSUMS1";
const MARKS: u64 = 64;
const RECORDS: u64 = 192;
const RECORD: usize = 32 + 4;

/// The known chunks of a part.
#[derive(Debug)]
pub(super) struct Sums {
    file: File,
    /// How many there are, those that wait to be written among them.
    count: u64,
    /// The records that wait to be written.
    pending: Vec<u8>,
    mark: Mark,
}

/// Up to where everything is on the disk for certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    number: u64,
    boot: [u8; 16],
    chunks: u64,
}

/// What a part holds.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// How many chunks.
    pub(super) count: u64,
    /// The digest of their values.
    pub(super) values: ChunkListHasher,
    /// What they contribute to that of the file.
    pub(super) digest: FileHasher,
}

impl Sums {
    /// Opens the sums of a part of this file, with at most so many chunks; nothing comes back where there are none of it.
    pub(super) fn open(
        directory: &OwnedFd,
        wanted: &Wanted,
        most: u64,
    ) -> io::Result<Option<(Sums, Known)>> {
        let mut file = match open_file(directory, &wanted.name.checksum_name(), OFlags::RDWR) {
            Ok(file) if is_plain(&file)? => file,
            Ok(_) | Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let mut head = [0; RECORDS as usize];
        match file.read_exact(&mut head) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let marks = [&head[64..128], &head[128..192]];
        let mark = marks.into_iter().filter_map(Mark::of).max_by_key(|mark| mark.number);
        let Some(mut mark) = mark.filter(|_| head[..64] == identity(wanted)) else {
            return Ok(None);
        };
        let is_this_boot = Some(mark.boot) == boot();
        let most = if is_this_boot { most } else { most.min(mark.chunks) };
        let known = read(&mut file, most)?;
        mark.chunks = mark.chunks.min(known.count);
        let mut sums = Sums { file, count: known.count, pending: Vec::new(), mark };
        sums.file.set_len(sums.end())?;
        if !is_this_boot {
            sums.write_mark(known.count)?;
        }
        Ok(Some((sums, known)))
    }

    /// Makes the sums of a file of which nothing is there.
    ///
    /// Those of another file must be gone for good before: after a power cut they could be taken for those of this one.
    pub(super) fn create(directory: &OwnedFd, wanted: &Wanted) -> io::Result<Sums> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = open_file(directory, &wanted.name.checksum_name(), flags)?;
        file.write_all_at(&identity(wanted), 0)?;
        let mark = Mark { number: 0, boot: [0; 16], chunks: 0 };
        let mut sums = Sums { file, count: 0, pending: Vec::new(), mark };
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

    fn end(&self) -> u64 {
        RECORDS + self.count * RECORD as u64
    }

    /// Adds the value of the next chunk, which was written.
    pub(super) fn add(&mut self, value: &ChunkHash) {
        self.pending.extend_from_slice(value);
        self.pending.extend_from_slice(&check(self.count, value));
        self.count += 1;
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            let at = self.end() - self.pending.len() as u64;
            self.file.write_all_at(&self.pending, at)?;
            self.pending = Vec::new();
        }
        Ok(())
    }

    /// Marks that all chunks are on the disk, which the caller has seen to.
    pub(super) fn mark(&mut self) -> io::Result<()> {
        self.flush()?;
        retry_on_intr(|| rustix::fs::fdatasync(&self.file))?;
        self.write_mark(self.count)
    }

    /// Forgets all but the first chunks, for good: what is written in place of the others will not be taken for them.
    pub(super) fn keep(&mut self, count: u64) -> io::Result<Known> {
        self.flush()?;
        self.count = self.count.min(count);
        self.file.set_len(self.end())?;
        self.write_mark(self.mark.chunks.min(self.count))?;
        retry_on_intr(|| rustix::fs::fsync(&self.file))?;
        read(&mut self.file, self.count)
    }

    fn write_mark(&mut self, chunks: u64) -> io::Result<()> {
        let number = self.mark.number + 1;
        self.mark = Mark { number, boot: boot().unwrap_or_default(), chunks };
        self.file.write_all_at(&self.mark.bytes(), MARKS + number % 2 * 64)
    }
}

/// Reads the records of at most so many chunks; the first that is not whole is the end.
fn read(file: &mut File, most: u64) -> io::Result<Known> {
    file.seek(SeekFrom::Start(RECORDS))?;
    let mut records = io::BufReader::with_capacity(64 << 10, file);
    let (mut known, mut record) = (Known::default(), [0; RECORD]);
    while known.count < most {
        match records.read_exact(&mut record) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            read => read?,
        }
        let (value, given) = record.split_at(32);
        let Ok(value) = ChunkHash::try_from(value) else { break };
        if given != check(known.count, &value) {
            break;
        }
        known.values.add(&value);
        known.digest.add_hash(value);
        known.count += 1;
    }
    Ok(known)
}

impl Mark {
    fn bytes(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.boot);
        bytes[24..32].copy_from_slice(&self.chunks.to_le_bytes());
        let check = short_hash::<8>(&[&bytes[..32]]);
        bytes[32..40].copy_from_slice(&check);
        bytes
    }

    fn of(bytes: &[u8]) -> Option<Mark> {
        let number = u64::from_le_bytes(*bytes.first_chunk()?);
        let boot = *bytes.get(8..)?.first_chunk()?;
        let chunks = u64::from_le_bytes(*bytes.get(24..)?.first_chunk()?);
        let mark = Mark { number, boot, chunks };
        (mark.bytes() == bytes).then_some(mark)
    }
}

/// What says which file it is.
fn identity(wanted: &Wanted) -> [u8; 64] {
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
pub(super) fn are_sums(file: &File) -> bool {
    let mut first = [0; 8];
    file.read_exact_at(&mut first, 0).is_ok() && first == *SIGNATURE
}

fn check(place: u64, value: &ChunkHash) -> [u8; 4] {
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
fn boot() -> Option<[u8; 16]> {
    let id = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
    Some(short_hash(&[&id]))
}

#[cfg(test)]
mod tests;
