//! A file's BLAKE3 digest from those of its chunks.
//!
//! BLAKE3 is a tree, and each chunk of 64 KiB is a subtree of it, so the *chaining value* of a chunk serves twice: it
//! tells whether the chunk is right, and it is all that is needed of the chunk for the digest of the whole. A file that
//! is resumed is not read again for it.

use blake3::Hasher;
use blake3::hazmat::{HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::wire::file::codec::CHUNK;

/// A chunk's chaining value, or a digest.
pub type Value = [u8; 32];

/// Returns the chaining value of a file's chunk, which is not empty.
pub fn value(number: u64, chunk: &[u8]) -> Value {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(number.saturating_mul(CHUNK as u64));
    hasher.update(chunk).finalize_non_root()
}

/// The digest of values one behind the other, by which two sides find out that they have the same.
#[derive(Debug, Clone, Default)]
pub struct Values(Hasher);

impl Values {
    /// Adds the next one.
    pub fn add(&mut self, value: &Value) {
        self.0.update(value);
    }

    /// Returns the digest of those that were added.
    pub fn finish(&self) -> Value {
        self.0.finalize().into()
    }
}

/// Returns the digest of these values.
pub fn of_values(values: &[Value]) -> Value {
    let mut digest = Values::default();
    values.iter().for_each(|value| digest.add(value));
    digest.finish()
}

/// A file's digest while its chunks come.
///
/// # Examples
///
/// ```
/// use sockactors::wire::file::digest::{Digest, value};
/// use sockactors::wire::file::codec::CHUNK;
///
/// let file = vec![7; 3 * CHUNK + 5];
/// let mut digest = Digest::default();
/// for (number, chunk) in (0..).zip(file.chunks(CHUNK)) {
///     digest.add(value(number, chunk), chunk);
/// }
/// assert_eq!(digest.finish(), Some(*blake3::hash(&file).as_bytes()));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Digest {
    /// The values of whole subtrees, from the left, each larger than the next.
    stack: Vec<Value>,
    /// The last chunk's value, which may be the root's own child.
    last: Option<Value>,
    chunks: u64,
    /// The digest of the first chunk, as if it were the whole file.
    first: Option<Value>,
}

impl Digest {
    /// Adds the next chunk, by its value; its bytes matter for the first one alone.
    pub fn add(&mut self, value: Value, chunk: &[u8]) {
        if self.chunks == 0 {
            self.first = Some(blake3::hash(chunk).into());
        }
        self.add_known(value);
    }

    /// Adds the next chunk, whose bytes are not at hand. A file of one chunk has no digest then.
    pub fn add_known(&mut self, value: Value) {
        if let Some(mut done) = self.last.replace(value) {
            let mut chunks = self.chunks;
            while chunks & 1 == 0 {
                let Some(left) = self.stack.pop() else { break };
                done = merge_subtrees_non_root(&left, &done, Mode::Hash);
                chunks >>= 1;
            }
            self.stack.push(done);
        }
        self.chunks += 1;
    }

    /// Returns how many chunks there were.
    pub fn chunks(&self) -> u64 {
        self.chunks
    }

    /// Returns the digest of all chunks; nothing for a file of one chunk that was added by its value alone.
    pub fn finish(mut self) -> Option<Value> {
        let Some(mut value) = self.last else { return Some(*blake3::hash(&[]).as_bytes()) };
        if self.stack.is_empty() {
            return self.first;
        }
        while let Some(left) = self.stack.pop() {
            if self.stack.is_empty() {
                return Some(merge_subtrees_root(&left, &value, Mode::Hash).into());
            }
            value = merge_subtrees_non_root(&left, &value, Mode::Hash);
        }
        self.first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(file: &[u8], known: u64) -> Option<Value> {
        let mut digest = Digest::default();
        for (number, chunk) in (0..).zip(file.chunks(CHUNK)) {
            match number < known {
                true => digest.add_known(value(number, chunk)),
                false => digest.add(value(number, chunk), chunk),
            }
        }
        digest.finish()
    }

    #[test]
    fn the_digest_of_any_number_of_chunks_is_the_files_own() {
        let file: Vec<u8> = (0..40 * CHUNK).map(|k| (k * 31 / 7) as u8).collect();
        for chunks in 0..=40 {
            for length in [chunks * CHUNK, (chunks * CHUNK).saturating_sub(CHUNK - 1)] {
                let file = &file[..length];
                let expected = Some(*blake3::hash(file).as_bytes());
                assert_eq!(digest(file, 0), expected, "{length}");
                if length > CHUNK {
                    assert_eq!(digest(file, chunks as u64), expected, "{length}, from values");
                }
            }
        }
        assert_eq!(digest(&file[..5], 1), None);
    }
}
