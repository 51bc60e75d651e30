//! The checksum file: the hashes of the chunks of a partial file, in a hidden file beside it.
//!
//! An upload can be resumed from these hashes alone. The sender compares the hash of their list
//! with its own, and the hash of the whole file follows from them. No received byte is read again.
//!
//! A hash is written after its chunk, so a process that ends at any point leaves only hashes of
//! chunks that were written. A power cut may leave hashes of chunks that never reached the disk.
//! A *mark* therefore records how many chunks were certainly on the disk, and the boot of the
//! machine in which the later ones were written. During that boot all hashes are valid. After it
//! only the marked ones are.
//!
//! ```text
//!   0   the file: signature, size (u64), modified (i64, u32), checksum (8)
//!  64   a mark: sequence number (u64), boot (16), chunks (u64), checksum (8)
//! 128   the other mark; they are written in turns, so that one is always complete
//! 192   for each chunk its hash (32) and a checksum (4) of the hash and its position
//! ```

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

use rustix::fs::{AtFlags, OFlags, fdatasync, fsync, unlinkat};
use rustix::io::{Errno, retry_on_intr};

use crate::actors::file::store::fs::{is_own_file, open_file};
use crate::actors::file::store::request::FileRequest;
use crate::wire::file::digest::{ChunkHash, ChunkListHasher, FileHasher};

const SIGNATURE: &[u8; 8] = b"SAFSUMS1";
const MARKS_OFFSET: u64 = 64;
const RECORDS_OFFSET: u64 = 192;
const RECORD_LEN: usize = 32 + 4;

/// The checksum file of a partial file.
#[derive(Debug)]
pub(super) struct ChecksumFile {
    file: File,
    /// The number of chunks, including the pending ones.
    chunk_count: u64,
    /// The records that are not written yet.
    pending: Vec<u8>,
    mark: SyncMark,
    /// The largest number of chunks to read records of, until they are read.
    unread: Option<u64>,
}

/// The number of chunks that are certainly on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SyncMark {
    sequence: u64,
    boot_id: [u8; 16],
    chunks: u64,
}

/// The first chunks of a file, whose hashes are known.
#[derive(Debug, Clone, Default)]
pub(super) struct VerifiedPrefix {
    /// The number of chunks.
    pub(super) chunk_count: u64,
    /// A hasher that has hashed the list of their hashes.
    pub(super) list_hasher: ChunkListHasher,
    /// A hasher of the file that has hashed these chunks.
    pub(super) file_hasher: FileHasher,
}

impl ChecksumFile {
    /// Opens the checksum file of a partial file of at most `max_chunks` whole chunks. Returns
    /// `None` if there is no checksum file of the same file. [`ChecksumFile::verify`] must read its
    /// records before anything is added.
    pub(super) fn open(
        directory: &OwnedFd,
        request: &FileRequest,
        max_chunks: u64,
    ) -> io::Result<Option<ChecksumFile>> {
        let mut file = match open_file(directory, &request.name.checksum_name(), OFlags::RDWR) {
            Ok(file) if is_own_file(&file)? => file,
            Ok(_) | Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ACCESS) => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let mut header = [0; RECORDS_OFFSET as usize];
        match file.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        let marks = [&header[64..128], &header[128..192]];
        let mark =
            marks.into_iter().filter_map(SyncMark::from_bytes).max_by_key(|mark| mark.sequence);
        let Some(mark) = mark.filter(|_| header[..64] == identity_header(request)) else {
            return Ok(None);
        };
        let is_this_boot = Some(mark.boot_id) == current_boot_id();
        let max_chunks = if is_this_boot { max_chunks } else { max_chunks.min(mark.chunks) };
        let (pending, unread) = (Vec::new(), Some(max_chunks));
        Ok(Some(ChecksumFile { file, chunk_count: 0, pending, mark, unread }))
    }

    /// Reads at most `max_records` more records of an opened checksum file, and adds them to
    /// `verified`. Returns whether all are read. The first incomplete or wrong record ends the
    /// list. It is removed, with those after it.
    pub(super) fn verify(
        &mut self,
        verified: &mut VerifiedPrefix,
        max_records: u64,
    ) -> io::Result<bool> {
        let Some(max_chunks) = self.unread else { return Ok(true) };
        let wanted = max_records.min(max_chunks - verified.chunk_count);
        let offset = self.end_offset();
        let read = read_records(&self.file, offset, wanted, verified)?;
        self.chunk_count = verified.chunk_count;
        if read == wanted && verified.chunk_count < max_chunks {
            return Ok(false);
        }
        self.unread = None;
        self.file.set_len(self.end_offset())?;
        self.mark.chunks = self.mark.chunks.min(self.chunk_count);
        if Some(self.mark.boot_id) != current_boot_id() {
            self.write_mark(self.chunk_count)?;
        }
        Ok(true)
    }

    /// Creates the checksum file of an empty partial file.
    ///
    /// The caller removes the checksum file of an earlier file first, and syncs the directory.
    /// Otherwise, after a power cut, the old hashes could be taken for those of this file.
    pub(super) fn create(directory: &OwnedFd, request: &FileRequest) -> io::Result<ChecksumFile> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let file = open_file(directory, &request.name.checksum_name(), flags)?;
        file.write_all_at(&identity_header(request), 0)?;
        let mark = SyncMark { sequence: 0, boot_id: [0; 16], chunks: 0 };
        let (pending, unread) = (Vec::new(), None);
        let mut checksums = ChecksumFile { file, chunk_count: 0, pending, mark, unread };
        checksums.write_mark(0)?;
        Ok(checksums)
    }

    /// Removes a checksum file. Returns whether there was one.
    pub(super) fn remove(directory: &OwnedFd, name: &str) -> io::Result<bool> {
        match retry_on_intr(|| unlinkat(directory, name, AtFlags::empty())) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns the number of recorded chunks.
    pub(super) fn chunk_count(&self) -> u64 {
        self.chunk_count
    }

    fn end_offset(&self) -> u64 {
        RECORDS_OFFSET + self.chunk_count * RECORD_LEN as u64
    }

    /// Adds the hash of the next chunk. The chunk must be written already.
    pub(super) fn push(&mut self, hash: &ChunkHash) {
        self.pending.extend_from_slice(hash);
        self.pending.extend_from_slice(&record_checksum(self.chunk_count, hash));
        self.chunk_count += 1;
    }

    /// Writes the pending records.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            let offset = self.end_offset() - self.pending.len() as u64;
            self.file.write_all_at(&self.pending, offset)?;
            self.pending = Vec::new();
        }
        Ok(())
    }

    /// Marks all chunks as being on the disk. The caller must have synced the partial file.
    pub(super) fn mark_synced(&mut self) -> io::Result<()> {
        self.flush()?;
        retry_on_intr(|| fdatasync(&self.file))?;
        self.write_mark(self.chunk_count)
    }

    /// Drops all hashes but the first `chunk_count`, and syncs the file.
    ///
    /// Without the sync a dropped hash could reappear after a power cut, and belong to a chunk that
    /// was overwritten since.
    pub(super) fn truncate_to(&mut self, chunk_count: u64) -> io::Result<()> {
        self.flush()?;
        self.chunk_count = self.chunk_count.min(chunk_count);
        self.file.set_len(self.end_offset())?;
        self.write_mark(self.mark.chunks.min(self.chunk_count))?;
        Ok(retry_on_intr(|| fsync(&self.file))?)
    }

    fn write_mark(&mut self, chunks: u64) -> io::Result<()> {
        let sequence = self.mark.sequence + 1;
        self.mark = SyncMark { sequence, boot_id: current_boot_id().unwrap_or_default(), chunks };
        self.file.write_all_at(&self.mark.to_bytes(), MARKS_OFFSET + sequence % 2 * 64)
    }
}

/// Reads at most `count` records from an offset on, and adds them to `verified`. Returns the number
/// of valid records before the first incomplete or wrong one.
fn read_records(
    file: &File,
    offset: u64,
    count: u64,
    verified: &mut VerifiedPrefix,
) -> io::Result<u64> {
    let mut records = io::BufReader::with_capacity(64 << 10, file);
    records.seek(SeekFrom::Start(offset))?;
    let (mut read, mut record) = (0, [0; RECORD_LEN]);
    while read < count {
        match records.read_exact(&mut record) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => break,
            read => read?,
        }
        let (hash, checksum) = record.split_at(32);
        let Ok(hash) = ChunkHash::try_from(hash) else { break };
        if checksum != record_checksum(verified.chunk_count, &hash) {
            break;
        }
        verified.list_hasher.add(&hash);
        verified.file_hasher.add_hash(hash);
        verified.chunk_count += 1;
        read += 1;
    }
    Ok(read)
}

impl SyncMark {
    fn to_bytes(self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..8].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.boot_id);
        bytes[24..32].copy_from_slice(&self.chunks.to_le_bytes());
        let checksum = short_hash::<8>(&[&bytes[..32]]);
        bytes[32..40].copy_from_slice(&checksum);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<SyncMark> {
        let sequence = u64::from_le_bytes(*bytes.first_chunk()?);
        let boot_id = *bytes.get(8..)?.first_chunk()?;
        let chunks = u64::from_le_bytes(*bytes.get(24..)?.first_chunk()?);
        let mark = SyncMark { sequence, boot_id, chunks };
        (mark.to_bytes() == bytes).then_some(mark)
    }
}

/// Returns the header that identifies the file by its size and modification time.
fn identity_header(request: &FileRequest) -> [u8; 64] {
    let mut bytes = [0; 64];
    bytes[..8].copy_from_slice(SIGNATURE);
    bytes[8..16].copy_from_slice(&request.size.unwrap_or(u64::MAX).to_le_bytes());
    bytes[16..24].copy_from_slice(&request.modified.0.to_le_bytes());
    bytes[24..28].copy_from_slice(&request.modified.1.to_le_bytes());
    let checksum = short_hash::<8>(&[&bytes[..28]]);
    bytes[28..36].copy_from_slice(&checksum);
    bytes
}

/// Returns whether a file starts with the signature of a checksum file.
pub(super) fn is_checksum_file(file: &File) -> bool {
    let mut first = [0; 8];
    file.read_exact_at(&mut first, 0).is_ok() && first == *SIGNATURE
}

fn record_checksum(position: u64, hash: &ChunkHash) -> [u8; 4] {
    short_hash(&[&position.to_le_bytes(), hash])
}

fn short_hash<const N: usize>(pieces: &[&[u8]]) -> [u8; N] {
    let mut hasher = blake3::Hasher::new();
    for piece in pieces {
        hasher.update(piece);
    }
    let mut hash = [0; N];
    hash.copy_from_slice(&hasher.finalize().as_bytes()[..N]);
    hash
}

/// Returns an identifier of the current boot of the machine, or `None` if the kernel has none.
fn current_boot_id() -> Option<[u8; 16]> {
    static BOOT_ID: OnceLock<Option<[u8; 16]>> = OnceLock::new();
    *BOOT_ID.get_or_init(|| {
        let id = std::fs::read("/proc/sys/kernel/random/boot_id").ok()?;
        Some(short_hash(&[&id]))
    })
}

#[cfg(test)]
mod tests;
