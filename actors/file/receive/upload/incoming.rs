//! One file that comes in frames.

use super::{Extent, News};
use crate::actors::file::store::{Claimed, Part, There, Wanted};
use crate::actors::{Vault, VaultError};
use std::sync::Arc;

use crate::wire::file::codec::CHUNK_SIZE;
use crate::wire::file::digest::{ChunkHash, FileHasher, hash_chunk};

/// A frame that makes no sense where it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Senseless(pub(super) &'static str);

/// Why a chunk cannot be taken.
#[derive(Debug)]
pub(super) enum Refusal {
    Senseless(Senseless),
    Vault(VaultError),
}

impl From<VaultError> for Refusal {
    fn from(error: VaultError) -> Refusal {
        Refusal::Vault(error)
    }
}

/// One file that comes in.
#[derive(Debug)]
pub(super) struct Incoming {
    wanted: Wanted,
    place: Place,
    digest: FileHasher,
    /// How many bytes of it were there when it began.
    before: u64,
    /// How many there are.
    length: u64,
}

/// Where it goes.
#[derive(Debug)]
enum Place {
    Part(Part),
    /// It goes nowhere: it is there, unless the sender says that it is another one.
    There(There),
}

impl Incoming {
    /// Claims the place of a file.
    pub(super) fn claim(vault: &Arc<Vault>, wanted: Wanted) -> Result<Incoming, VaultError> {
        let place = match vault.claim(&wanted)? {
            Claimed::Part(part) => Place::Part(part),
            Claimed::There(there) => Place::There(there),
        };
        Ok(Incoming { wanted, place, digest: FileHasher::default(), before: 0, length: 0 })
    }

    pub(super) fn name(&self) -> &str {
        self.wanted.name.as_str()
    }

    /// Returns how many bytes of it there are.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Returns how far it has come.
    pub(super) fn extent(&self) -> Extent {
        let Incoming { wanted: Wanted { name, size, .. }, before, length, .. } = self;
        Extent { name: name.to_string(), size: *size, held: *before, length: *length }
    }

    /// Returns what is held of it.
    pub(super) fn held(&self) -> News {
        match &self.place {
            Place::Part(part) => News::Held(part.held(), part.held_values()),
            Place::There(there) => News::Held(there.held(), there.held_values()),
        }
    }

    /// Begins with a chunk up to which all are held.
    pub(super) fn begin(&mut self, vault: &Arc<Vault>, number: u64) -> Result<(), Refusal> {
        let held = match &self.place {
            Place::Part(part) => part.held(),
            Place::There(there) => there.held(),
        };
        if number > held {
            let why = "it begins with a chunk before which others are missing";
            return Err(Refusal::Senseless(Senseless(why)));
        }
        match &mut self.place {
            Place::There(there) if number == held => {
                self.digest = there.digest();
                self.length = self.wanted.size.unwrap_or(0);
            }
            Place::There(_) => {
                if number > 0 {
                    return Err(Refusal::Senseless(Senseless("it begins in the middle of a file")));
                }
                self.place = Place::Part(vault.claim_instead(&self.wanted)?);
                return self.begin(vault, 0);
            }
            Place::Part(part) => {
                self.digest = part.begin(number)?;
                self.length = number * CHUNK_SIZE as u64;
            }
        }
        self.before = self.length;
        Ok(())
    }

    /// Takes a chunk, if it is the next one and right.
    pub(super) fn add(
        &mut self,
        number: u64,
        given: ChunkHash,
        bytes: &[u8],
    ) -> Result<(), Refusal> {
        let is_next = number == self.digest.chunk_count() && self.length % CHUNK_SIZE as u64 == 0;
        let Place::Part(part) = &mut self.place else {
            return Err(Refusal::Senseless(Senseless("a chunk came of what is there already")));
        };
        if !is_next || bytes.is_empty() {
            return Err(Refusal::Senseless(Senseless("a chunk came that is not the next one")));
        }
        let length = self.length + bytes.len() as u64;
        if self.wanted.size.is_some_and(|offered| length > offered) {
            return Err(Refusal::Senseless(Senseless("more came than was offered")));
        }
        if hash_chunk(number, bytes) != given {
            let why = "a chunk came that is not the one that was sent";
            return Err(Refusal::Senseless(Senseless(why)));
        }
        part.write(bytes)?;
        if bytes.len() == CHUNK_SIZE {
            part.remember(&given);
        }
        self.digest.add(given, bytes);
        self.length = length;
        Ok(())
    }

    /// Writes down what has come.
    pub(super) fn checkpoint(&mut self) -> Result<(), VaultError> {
        match &mut self.place {
            Place::Part(part) => part.checkpoint(),
            Place::There(_) => Ok(()),
        }
    }

    /// Leaves it for another attempt.
    pub(super) fn pause(self) {
        if let Place::Part(part) = self.place {
            part.pause();
        }
    }

    /// Removes what has come of it.
    pub(super) fn discard(self) {
        if let Place::Part(part) = self.place {
            part.discard();
        }
    }

    /// Checks the whole, and gives it its name.
    pub(super) fn finish(self, size: u64, digest: ChunkHash) -> News {
        let is_whole =
            self.length == size && self.wanted.size.is_none_or(|offered| offered == size);
        if !is_whole || self.digest.clone().finish() != Some(digest) {
            let length = self.length;
            self.discard();
            let why = format!("{length} of {size} bytes came, or others; send it again");
            return News::Failed(7, why);
        }
        let stored = match self.place {
            Place::Part(part) => part.commit(),
            Place::There(there) => there.confirm(),
        };
        match stored {
            Ok(name) => News::Stored(size, Some(digest), name),
            Err(error) => failed(&error),
        }
    }
}

/// Returns what a sender is told of an error.
pub(super) fn failed(error: &VaultError) -> News {
    let code = match error {
        VaultError::Name(_) => 2,
        VaultError::Exists { .. } => 3,
        VaultError::TooLarge { .. } => 4,
        VaultError::Full { .. } => 5,
        VaultError::Busy { .. } => 8,
        VaultError::Skipped { .. } => 11,
        VaultError::Io { .. } => 6,
    };
    News::Failed(code, error.to_string())
}
