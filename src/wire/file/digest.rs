//! The BLAKE3 digest of a file, computed from the hashes of its chunks.
//!
//! BLAKE3 is a tree, and each chunk of 64 KiB is a subtree of it. The *chaining value* of a chunk
//! is its hash in that tree. It verifies the chunk, and it is all that the digest of the whole file
//! needs of the chunk. So a resumed upload need not read the stored part of the file again.

use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

/// The size of a chunk in bytes. The last chunk of a file may be shorter.
///
/// One `data` frame carries one chunk, and a chunk is the unit of hashing and of resuming.
pub const CHUNK_SIZE: usize = 64 << 10;

/// The chaining value of a chunk, or a BLAKE3 digest.
pub type ChunkHash = [u8; 32];

/// Returns the chaining value of a chunk. The chunk must not be empty.
pub fn hash_chunk(number: u64, chunk: &[u8]) -> ChunkHash {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(number.saturating_mul(CHUNK_SIZE as u64));
    hasher.update(chunk).finalize_non_root()
}

/// A hasher of a list of chunk hashes. Two sides compare the result to verify that they hold the
/// same chunks.
#[derive(Debug, Clone, Default)]
pub struct ChunkListHasher(Hasher);

impl ChunkListHasher {
    /// Adds the hash of the next chunk.
    pub fn add(&mut self, hash: &ChunkHash) {
        self.0.update(hash);
    }

    /// Returns the digest of the added hashes.
    pub fn finish(&self) -> ChunkHash {
        self.0.finalize().into()
    }
}

/// Returns the digest of a list of chunk hashes.
pub fn hash_chunk_list(hashes: &[ChunkHash]) -> ChunkHash {
    let mut hasher = ChunkListHasher::default();
    hashes.iter().for_each(|hash| hasher.add(hash));
    hasher.finish()
}

/// A hasher of a whole file, fed with its chunks or their hashes.
///
/// # Examples
///
/// ```
/// use sockactors::wire::file::CHUNK_SIZE;
/// use sockactors::wire::file::digest::{FileHasher, hash_chunk};
///
/// let file = vec![7; 3 * CHUNK_SIZE + 5];
/// let mut hasher = FileHasher::default();
/// for (number, chunk) in (0..).zip(file.chunks(CHUNK_SIZE)) {
///     hasher.add(hash_chunk(number, chunk), chunk);
/// }
/// assert_eq!(hasher.finish(), Some(*blake3::hash(&file).as_bytes()));
/// ```
#[derive(Debug, Clone, Default)]
pub struct FileHasher {
    /// The hashes of complete subtrees from the left, each subtree larger than the next.
    subtrees: Vec<ChunkHash>,
    /// The hash of the last chunk. It is merged only when the next chunk arrives, because the last
    /// chunk may be a direct child of the root.
    last_chunk: Option<ChunkHash>,
    chunk_count: u64,
    /// The digest of the file if the first chunk is its only one.
    single_chunk_digest: Option<ChunkHash>,
}

impl FileHasher {
    /// Adds the next chunk with its hash. Only the bytes of the first chunk are used.
    pub fn add(&mut self, hash: ChunkHash, chunk: &[u8]) {
        if self.chunk_count == 0 {
            self.single_chunk_digest = Some(blake3::hash(chunk).into());
        }
        self.add_hash(hash);
    }

    /// Adds the hash of the next chunk. A file of one chunk has no digest then, because the digest
    /// of a single chunk differs from its hash.
    pub fn add_hash(&mut self, hash: ChunkHash) {
        if let Some(mut subtree) = self.last_chunk.replace(hash) {
            let mut chunks = self.chunk_count;
            while chunks & 1 == 0 {
                let Some(left) = self.subtrees.pop() else { break };
                subtree = merge_subtrees_non_root(&left, &subtree, Mode::Hash);
                chunks >>= 1;
            }
            self.subtrees.push(subtree);
        }
        self.chunk_count += 1;
    }

    /// Returns the number of added chunks.
    pub fn chunk_count(&self) -> u64 {
        self.chunk_count
    }

    /// Returns the digest of the file. It is `None` if the file has one chunk that was added by
    /// [`add_hash`](FileHasher::add_hash).
    pub fn finish(mut self) -> Option<ChunkHash> {
        let Some(mut hash) = self.last_chunk else { return Some(*blake3::hash(&[]).as_bytes()) };
        if self.subtrees.is_empty() {
            return self.single_chunk_digest;
        }
        while let Some(left) = self.subtrees.pop() {
            if self.subtrees.is_empty() {
                return Some(merge_subtrees_root(&left, &hash, Mode::Hash).into());
            }
            hash = merge_subtrees_non_root(&left, &hash, Mode::Hash);
        }
        self.single_chunk_digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hashes a file, with the first `known` chunks added by their hashes only.
    fn hash_file(file: &[u8], known: u64) -> Option<ChunkHash> {
        let mut hasher = FileHasher::default();
        for (number, chunk) in (0..).zip(file.chunks(CHUNK_SIZE)) {
            match number < known {
                true => hasher.add_hash(hash_chunk(number, chunk)),
                false => hasher.add(hash_chunk(number, chunk), chunk),
            }
        }
        hasher.finish()
    }

    #[test]
    fn digest_from_chunks_equals_file_digest() {
        let file: Vec<u8> = (0..40 * CHUNK_SIZE).map(|k| (k * 31 / 7) as u8).collect();
        for chunks in 0..=40 {
            for length in
                [chunks * CHUNK_SIZE, (chunks * CHUNK_SIZE).saturating_sub(CHUNK_SIZE - 1)]
            {
                let file = &file[..length];
                let expected = Some(*blake3::hash(file).as_bytes());
                assert_eq!(hash_file(file, 0), expected, "{length}");
                if length > CHUNK_SIZE {
                    assert_eq!(hash_file(file, chunks as u64), expected, "{length}, from hashes");
                }
            }
        }
        assert_eq!(hash_file(&file[..5], 1), None);
    }
}
