//! Checkpoints of hashing a file, so that it can go back without reading the file again.
//!
//! After a lost connection the sender has to find out whether the chunks on the server are the
//! start of its own file, and to continue from there. Keeping the hash of every chunk would take
//! 512 KiB for each GiB of the file. Keeping nothing would mean reading the whole file again. So
//! the state of the hashers is saved at checkpoints, whose spacing doubles as the file grows. The
//! memory is bounded, and at most a 128th of the file is read again.

use crate::wire::file::digest::{ChunkHash, ChunkListHasher, FileHasher};

/// The largest number of checkpoints. They take half a mebibyte.
const MAX_CHECKPOINTS: usize = 256;

/// The number of chunks between two checkpoints at first: 4 MiB.
const INITIAL_SPACING: u64 = 64;

/// The state of the hashers after some chunks.
#[derive(Debug, Clone, Default)]
struct HashCheckpoint {
    chunks: u64,
    list_hasher: ChunkListHasher,
    file_hasher: FileHasher,
}

/// The state of hashing a file, with checkpoints to go back to.
#[derive(Debug)]
pub(super) struct HashCheckpoints {
    current: HashCheckpoint,
    checkpoints: Vec<HashCheckpoint>,
    spacing: u64,
}

impl HashCheckpoints {
    /// Creates the state of a file of which nothing was hashed.
    pub(super) fn new() -> HashCheckpoints {
        HashCheckpoints {
            current: HashCheckpoint::default(),
            checkpoints: Vec::new(),
            spacing: INITIAL_SPACING,
        }
    }

    /// Returns the number of chunks that were hashed.
    pub(super) fn chunks(&self) -> u64 {
        self.current.chunks
    }

    /// Adds the next chunk and its hash.
    pub(super) fn add(&mut self, hash: ChunkHash, chunk: &[u8]) {
        self.current.list_hasher.add(&hash);
        self.current.file_hasher.add(hash, chunk);
        self.current.chunks += 1;
        if self.current.chunks % self.spacing == 0 {
            self.save_checkpoint();
        }
    }

    fn save_checkpoint(&mut self) {
        if self.checkpoints.len() == MAX_CHECKPOINTS {
            self.spacing *= 2;
            let spacing = self.spacing;
            self.checkpoints.retain(|checkpoint| checkpoint.chunks % spacing == 0);
        }
        if self.current.chunks % self.spacing == 0 {
            self.checkpoints.push(self.current.clone());
        }
    }

    /// Goes back to the last checkpoint of at most `chunks` chunks. Does nothing if no more
    /// were hashed.
    pub(super) fn rewind_to(&mut self, chunks: u64) {
        if self.current.chunks > chunks {
            self.checkpoints.retain(|checkpoint| checkpoint.chunks <= chunks);
            self.current = self.checkpoints.last().cloned().unwrap_or_default();
        }
    }

    /// Returns the hash of the list of the hashes of all hashed chunks.
    pub(super) fn chunk_list_hash(&self) -> ChunkHash {
        self.current.list_hasher.finish()
    }

    /// Returns the hash of a file that consists of the hashed chunks.
    pub(super) fn file_hash(&self) -> Option<ChunkHash> {
        self.current.file_hasher.clone().finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::file::digest::{hash_chunk, hash_chunk_list};

    /// Returns the hashes of chunks of one byte.
    fn chunk_hashes(count: u64) -> Vec<ChunkHash> {
        (0..count).map(|number| hash_chunk(number, &[number as u8])).collect()
    }

    fn add_up_to(checkpoints: &mut HashCheckpoints, chunks: u64) {
        while checkpoints.chunks() < chunks {
            let number = checkpoints.chunks();
            checkpoints.add(hash_chunk(number, &[number as u8]), &[number as u8]);
        }
    }

    #[test]
    fn rewound_checkpoints_reach_same_hashes_again() {
        let hashes = chunk_hashes(1000);
        let mut checkpoints = HashCheckpoints::new();
        add_up_to(&mut checkpoints, 1000);
        let file_hash = checkpoints.file_hash();
        for back in [999, 777, 640, 64, 63, 1, 0] {
            checkpoints.rewind_to(back);
            let chunks = checkpoints.chunks();
            assert!(chunks <= back && chunks + INITIAL_SPACING > back, "{back}");
            add_up_to(&mut checkpoints, back);
            assert_eq!(
                checkpoints.chunk_list_hash(),
                hash_chunk_list(&hashes[..back as usize]),
                "{back}"
            );
            add_up_to(&mut checkpoints, 1000);
            assert_eq!(
                (checkpoints.chunk_list_hash(), checkpoints.file_hash()),
                (hash_chunk_list(&hashes), file_hash),
                "{back}"
            );
        }
    }

    #[test]
    fn checkpoint_count_is_bounded() {
        let mut checkpoints = HashCheckpoints::new();
        let chunks = 3 * INITIAL_SPACING * MAX_CHECKPOINTS as u64;
        add_up_to(&mut checkpoints, chunks);
        assert!(checkpoints.checkpoints.len() <= MAX_CHECKPOINTS);
        checkpoints.rewind_to(chunks - 1);
        assert!(checkpoints.chunks() >= chunks - chunks / 64, "{}", checkpoints.chunks());
    }
}
