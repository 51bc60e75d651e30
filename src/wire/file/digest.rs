//! A file's BLAKE3 digest from those of its chunks.
//!
//! BLAKE3 is a tree, and each chunk of 64 KiB is a subtree of it, so the *chaining value* of a chunk serves twice: it
//! tells whether the chunk is right, and it is all that is needed of the chunk for the digest of the whole. A file that
//! is resumed is not read again for it.

use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::wire::file::frame::CHUNK_SIZE;

/// A chunk's chaining value, or a digest.
pub type ChunkHash = [u8; 32];

/// Returns the chaining value of a file's chunk, which is not empty.
pub fn hash_chunk(number: u64, chunk: &[u8]) -> ChunkHash {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(number.saturating_mul(CHUNK_SIZE as u64));
    hasher.update(chunk).finalize_non_root()
}

/// The digest of values one behind the other, by which two sides find out that they have the same.
#[derive(Debug, Clone, Default)]
pub struct ChunkListHasher(Hasher);

impl ChunkListHasher {
    /// Adds the next one.
    pub fn add(&mut self, value: &ChunkHash) {
        self.0.update(value);
    }

    /// Returns the digest of those that were added.
    pub fn finish(&self) -> ChunkHash {
        self.0.finalize().into()
    }
}

/// Returns the digest of these values.
pub fn hash_chunk_list(values: &[ChunkHash]) -> ChunkHash {
    let mut digest = ChunkListHasher::default();
    values.iter().for_each(|value| digest.add(value));
    digest.finish()
}

/// A file's digest while its chunks come.
///
/// # Examples
///
/// ```
/// use sockactors::wire::file::digest::{FileHasher, hash_chunk};
/// use sockactors::wire::file::codec::CHUNK_SIZE;
///
/// let file = vec![7; 3 * CHUNK_SIZE + 5];
/// let mut digest = FileHasher::default();
/// for (number, chunk) in (0..).zip(file.chunks(CHUNK_SIZE)) {
///     digest.add(hash_chunk(number, chunk), chunk);
/// }
/// assert_eq!(digest.finish(), Some(*blake3::hash(&file).as_bytes()));
/// ```
#[derive(Debug, Clone, Default)]
pub struct FileHasher {
    /// The values of whole subtrees, from the left, each larger than the next.
    subtrees: Vec<ChunkHash>,
    /// The last chunk's value, which may be the root's own child.
    last_chunk: Option<ChunkHash>,
    chunk_count: u64,
    /// The digest of the first chunk, as if it were the whole file.
    single_chunk_digest: Option<ChunkHash>,
}

impl FileHasher {
    /// Adds the next chunk, by its value; its bytes matter for the first one alone.
    pub fn add(&mut self, value: ChunkHash, chunk: &[u8]) {
        if self.chunk_count == 0 {
            self.single_chunk_digest = Some(blake3::hash(chunk).into());
        }
        self.add_hash(value);
    }

    /// Adds the next chunk, whose bytes are not at hand. A file of one chunk has no digest then.
    pub fn add_hash(&mut self, value: ChunkHash) {
        if let Some(mut done) = self.last_chunk.replace(value) {
            let mut chunks = self.chunk_count;
            while chunks & 1 == 0 {
                let Some(left) = self.subtrees.pop() else { break };
                done = merge_subtrees_non_root(&left, &done, Mode::Hash);
                chunks >>= 1;
            }
            self.subtrees.push(done);
        }
        self.chunk_count += 1;
    }

    /// Returns how many chunks there were.
    pub fn chunk_count(&self) -> u64 {
        self.chunk_count
    }

    /// Returns the digest of all chunks; nothing for a file of one chunk that was added by its value alone.
    pub fn finish(mut self) -> Option<ChunkHash> {
        let Some(mut value) = self.last_chunk else { return Some(*blake3::hash(&[]).as_bytes()) };
        if self.subtrees.is_empty() {
            return self.single_chunk_digest;
        }
        while let Some(left) = self.subtrees.pop() {
            if self.subtrees.is_empty() {
                return Some(merge_subtrees_root(&left, &value, Mode::Hash).into());
            }
            value = merge_subtrees_non_root(&left, &value, Mode::Hash);
        }
        self.single_chunk_digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash_file(file: &[u8], known: u64) -> Option<ChunkHash> {
        let mut digest = FileHasher::default();
        for (number, chunk) in (0..).zip(file.chunks(CHUNK_SIZE)) {
            match number < known {
                true => digest.add_hash(hash_chunk(number, chunk)),
                false => digest.add(hash_chunk(number, chunk), chunk),
            }
        }
        digest.finish()
    }

    #[test]
    fn the_digest_of_any_number_of_chunks_is_the_files_own() {
        let file: Vec<u8> = (0..40 * CHUNK_SIZE).map(|k| (k * 31 / 7) as u8).collect();
        for chunks in 0..=40 {
            for length in
                [chunks * CHUNK_SIZE, (chunks * CHUNK_SIZE).saturating_sub(CHUNK_SIZE - 1)]
            {
                let file = &file[..length];
                let expected = Some(*blake3::hash(file).as_bytes());
                assert_eq!(hash_file(file, 0), expected, "{length}");
                if length > CHUNK_SIZE {
                    assert_eq!(hash_file(file, chunks as u64), expected, "{length}, from values");
                }
            }
        }
        assert_eq!(hash_file(&file[..5], 1), None);
    }
}
