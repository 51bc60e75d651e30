//! How far a file was hashed, and ways back to where the hashing was before.
//!
//! After a lost connection a sender has to tell whether what the receiver holds is the beginning of its own file, and has
//! to go on from there. To keep every chunk's value would take 512 KiB for each GiB of the file; to keep nothing would
//! mean to read all of it again. So now and then the state of the hashing is marked, in fewer and fewer places the longer
//! the file is: what is kept is bounded, and what is read again is at most a 128th of the file.

use crate::wire::file::digest::{ChunkHash, ChunkListHasher, FileHasher};

/// How many marks there are at most: half a mebibyte.
const MAX_CHECKPOINTS: usize = 256;

/// How many chunks lie between two marks at first: 4 MiB.
const INITIAL_SPACING: u64 = 64;

/// The state of the hashing after some chunks.
#[derive(Debug, Clone, Default)]
struct HashCheckpoint {
    chunks: u64,
    list_hasher: ChunkListHasher,
    file_hasher: FileHasher,
}

/// How far a file was hashed.
#[derive(Debug)]
pub(crate) struct HashCheckpoints {
    current: HashCheckpoint,
    checkpoints: Vec<HashCheckpoint>,
    spacing: u64,
}

impl HashCheckpoints {
    /// Makes the trail of a file of which nothing was hashed.
    pub(crate) fn new() -> HashCheckpoints {
        HashCheckpoints {
            current: HashCheckpoint::default(),
            checkpoints: Vec::new(),
            spacing: INITIAL_SPACING,
        }
    }

    /// Returns how many chunks were hashed.
    pub(crate) fn chunks(&self) -> u64 {
        self.current.chunks
    }

    /// Adds the next chunk and its value.
    pub(crate) fn add(&mut self, value: ChunkHash, chunk: &[u8]) {
        self.current.list_hasher.add(&value);
        self.current.file_hasher.add(value, chunk);
        self.current.chunks += 1;
        if self.current.chunks % self.spacing == 0 {
            self.save_checkpoint();
        }
    }

    fn save_checkpoint(&mut self) {
        if self.checkpoints.len() == MAX_CHECKPOINTS {
            self.spacing *= 2;
            let apart = self.spacing;
            self.checkpoints.retain(|mark| mark.chunks % apart == 0);
        }
        if self.current.chunks % self.spacing == 0 {
            self.checkpoints.push(self.current.clone());
        }
    }

    /// Goes back to where at most so many chunks were hashed, as near as there is a mark.
    pub(crate) fn rewind_to(&mut self, chunks: u64) {
        if self.current.chunks > chunks {
            self.checkpoints.retain(|mark| mark.chunks <= chunks);
            self.current = self.checkpoints.last().cloned().unwrap_or_default();
        }
    }

    /// Returns the digest of the values of the chunks that were hashed.
    pub(crate) fn chunk_list_hash(&self) -> ChunkHash {
        self.current.list_hasher.finish()
    }

    /// Returns the digest of the chunks that were hashed as a whole file.
    pub(crate) fn file_hash(&self) -> Option<ChunkHash> {
        self.current.file_hasher.clone().finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::file::digest::{hash_chunk, hash_chunk_list};

    /// Chunks that are a byte each: their values are what the trail is about.
    fn chunk_hashes(count: u64) -> Vec<ChunkHash> {
        (0..count).map(|number| hash_chunk(number, &[number as u8])).collect()
    }

    fn add_up_to(trail: &mut HashCheckpoints, until: u64) {
        while trail.chunks() < until {
            let number = trail.chunks();
            trail.add(hash_chunk(number, &[number as u8]), &[number as u8]);
        }
    }

    #[test]
    fn it_goes_back_to_a_mark_and_comes_to_the_same_digests_again() {
        let values = chunk_hashes(1000);
        let mut trail = HashCheckpoints::new();
        add_up_to(&mut trail, 1000);
        let whole = trail.file_hash();
        for back in [999, 777, 640, 64, 63, 1, 0] {
            trail.rewind_to(back);
            assert!(trail.chunks() <= back && trail.chunks() + INITIAL_SPACING > back, "{back}");
            add_up_to(&mut trail, back);
            assert_eq!(
                trail.chunk_list_hash(),
                hash_chunk_list(&values[..back as usize]),
                "{back}"
            );
            add_up_to(&mut trail, 1000);
            assert_eq!(
                (trail.chunk_list_hash(), trail.file_hash()),
                (hash_chunk_list(&values), whole),
                "{back}"
            );
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut trail = HashCheckpoints::new();
        let many = 3 * INITIAL_SPACING * MAX_CHECKPOINTS as u64;
        add_up_to(&mut trail, many);
        assert!(trail.checkpoints.len() <= MAX_CHECKPOINTS);
        trail.rewind_to(many - 1);
        assert!(trail.chunks() >= many - many / 64, "{}", trail.chunks());
    }
}
