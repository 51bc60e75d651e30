//! A file that is there already, and may be the very one that is offered.
//!
//! A sender that lost its connection before it heard that its file was stored sends it again. So a file of the same name, size
//! and time is read once, and if it turns out to have the same bytes, it is stored.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{OFlags, fsync};
use rustix::io::{Errno, retry_on_intr};

use super::checksums::{Known, Sums};
use super::{VaultError, Wanted, fs, kind, open_file};
use crate::wire::file::codec::CHUNK_SIZE;
use crate::wire::file::digest::{ChunkHash, FileHasher, hash_chunk};
use crate::wire::file::filename::SafeName;

/// A file that is there.
#[derive(Debug)]
pub struct There {
    directory: OwnedFd,
    file: File,
    known: Known,
    name: SafeName,
}

/// Finds a file of this name, size and time.
pub(super) fn find(directory: &OwnedFd, wanted: &Wanted) -> Result<Option<There>, VaultError> {
    let failed = |source| VaultError::Io { doing: "reading the file that is there", source };
    let (Some(size), true) = (wanted.size, wanted.modified != (0, 0)) else { return Ok(None) };
    let file = match open_file(directory, wanted.name.file_name(), OFlags::RDONLY) {
        Ok(file) => file,
        Err(Errno::NOENT | Errno::LOOP | Errno::NXIO | Errno::ACCESS) => return Ok(None),
        Err(error) => return Err(failed(error.into())),
    };
    let meta = file.metadata().map_err(failed)?;
    let modified = (meta.mtime(), u32::try_from(meta.mtime_nsec()).unwrap_or_default());
    if !meta.is_file() || meta.len() != size || modified != wanted.modified {
        return Ok(None);
    }
    let known = read(&file).map_err(failed)?;
    let directory = directory.try_clone().map_err(failed)?;
    Ok(Some(There { directory, file, known, name: wanted.name.clone() }))
}

fn read(file: &File) -> io::Result<Known> {
    let (mut known, mut chunk) = (Known::default(), Vec::with_capacity(CHUNK_SIZE));
    loop {
        chunk.clear();
        file.take(CHUNK_SIZE as u64).read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            return Ok(known);
        }
        let value = hash_chunk(known.count, &chunk);
        known.values.add(&value);
        known.digest.add(value, &chunk);
        known.count += 1;
    }
}

impl There {
    /// Returns how many chunks it has; the last one may be shorter.
    pub fn held(&self) -> u64 {
        self.known.count
    }

    /// Returns the digest of their values.
    pub fn held_values(&self) -> ChunkHash {
        self.known.values.finish()
    }

    /// Returns what they contribute to the file's digest: all of it.
    pub fn digest(&self) -> FileHasher {
        self.known.digest.clone()
    }

    /// Sees to it that the file would be there after a power cut, and returns its name.
    ///
    /// # Errors
    ///
    /// See [`VaultError`].
    pub fn confirm(self) -> Result<String, VaultError> {
        retry_on_intr(|| fsync(&self.file)).map_err(|error| VaultError::Io {
            doing: "bringing the file to the disk",
            source: error.into(),
        })?;
        // Sums without a part are left where the process ended right after the file got its name.
        if let Ok(None) = kind(&self.directory, &self.name.partial_name()) {
            let _ = Sums::remove(&self.directory, &self.name.checksum_name());
        }
        fs::sync(&self.directory)?;
        Ok(self.name.to_string())
    }
}
