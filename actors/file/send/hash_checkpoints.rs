//! How far a file was hashed, and ways back to where the hashing was before.
//!
//! After a lost connection a sender has to tell whether what the receiver holds is the beginning of its own file, and has
//! to go on from there. To keep every chunk's value would take 512 KiB for each GiB of the file; to keep nothing would
//! mean to read all of it again. So now and then the state of the hashing is marked, in fewer and fewer places the longer
//! the file is: what is kept is bounded, and what is read again is at most a 128th of the file.

use crate::wire::file::digest::{ChunkHash, ChunkListHasher, FileHasher};

/// How many marks there are at most: half a mebibyte.
const MARKS: usize = 256;

/// How many chunks lie between two marks at first: 4 MiB.
const APART: u64 = 64;

/// The state of the hashing after some chunks.
#[derive(Debug, Clone, Default)]
struct Mark {
    chunks: u64,
    values: ChunkListHasher,
    digest: FileHasher,
}

/// How far a file was hashed.
#[derive(Debug)]
pub(crate) struct Trail {
    now: Mark,
    marks: Vec<Mark>,
    apart: u64,
}

impl Trail {
    /// Makes the trail of a file of which nothing was hashed.
    pub(crate) fn new() -> Trail {
        Trail { now: Mark::default(), marks: Vec::new(), apart: APART }
    }

    /// Returns how many chunks were hashed.
    pub(crate) fn chunks(&self) -> u64 {
        self.now.chunks
    }

    /// Adds the next chunk and its value.
    pub(crate) fn add(&mut self, value: ChunkHash, chunk: &[u8]) {
        self.now.values.add(&value);
        self.now.digest.add(value, chunk);
        self.now.chunks += 1;
        if self.now.chunks % self.apart == 0 {
            self.mark();
        }
    }

    fn mark(&mut self) {
        if self.marks.len() == MARKS {
            self.apart *= 2;
            let apart = self.apart;
            self.marks.retain(|mark| mark.chunks % apart == 0);
        }
        if self.now.chunks % self.apart == 0 {
            self.marks.push(self.now.clone());
        }
    }

    /// Goes back to where at most so many chunks were hashed, as near as there is a mark.
    pub(crate) fn go_back(&mut self, chunks: u64) {
        if self.now.chunks > chunks {
            self.marks.retain(|mark| mark.chunks <= chunks);
            self.now = self.marks.last().cloned().unwrap_or_default();
        }
    }

    /// Returns the digest of the values of the chunks that were hashed.
    pub(crate) fn of_values(&self) -> ChunkHash {
        self.now.values.finish()
    }

    /// Returns the digest of the chunks that were hashed as a whole file.
    pub(crate) fn of_file(&self) -> Option<ChunkHash> {
        self.now.digest.clone().finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::file::digest::{hash_chunk, hash_chunk_list};

    /// Chunks that are a byte each: their values are what the trail is about.
    fn values(count: u64) -> Vec<ChunkHash> {
        (0..count).map(|number| hash_chunk(number, &[number as u8])).collect()
    }

    fn add(trail: &mut Trail, until: u64) {
        while trail.chunks() < until {
            let number = trail.chunks();
            trail.add(hash_chunk(number, &[number as u8]), &[number as u8]);
        }
    }

    #[test]
    fn it_goes_back_to_a_mark_and_comes_to_the_same_digests_again() {
        let values = values(1000);
        let mut trail = Trail::new();
        add(&mut trail, 1000);
        let whole = trail.of_file();
        for back in [999, 777, 640, 64, 63, 1, 0] {
            trail.go_back(back);
            assert!(trail.chunks() <= back && trail.chunks() + APART > back, "{back}");
            add(&mut trail, back);
            assert_eq!(trail.of_values(), hash_chunk_list(&values[..back as usize]), "{back}");
            add(&mut trail, 1000);
            assert_eq!(
                (trail.of_values(), trail.of_file()),
                (hash_chunk_list(&values), whole),
                "{back}"
            );
        }
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut trail = Trail::new();
        let many = 3 * APART * MARKS as u64;
        add(&mut trail, many);
        assert!(trail.marks.len() <= MARKS);
        trail.go_back(many - 1);
        assert!(trail.chunks() >= many - many / 64, "{}", trail.chunks());
    }
}
