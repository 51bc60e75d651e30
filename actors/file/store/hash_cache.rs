//! A cache of the hashes of existing files.
//!
//! A peer that offers one stored file again and again must not make the server hash it each time.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use crate::actors::file::store::checksums::VerifiedPrefix;
use crate::sync::lock;

/// The number of files whose hashes are kept.
const MAX_FILES: usize = 64;

/// The age of a file's last change from which its hashes are kept. Two changes within one tick of
/// the kernel's clock have the same time.
const MIN_AGE: Duration = Duration::from_secs(1);

/// The hashes of the files that were hashed last.
#[derive(Debug, Default)]
pub(super) struct HashCache(Mutex<VecDeque<(FileState, VerifiedPrefix)>>);

/// The state of a file, which every change of the file changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileState {
    device: u64,
    inode: u64,
    pub(super) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl HashCache {
    /// Returns the hashes of a file in this state, if they are known.
    pub(super) fn get(&self, state: &FileState) -> Option<VerifiedPrefix> {
        let files = lock(&self.0);
        let found = files.iter().find(|(hashed, _)| hashed == state);
        found.map(|(_, verified)| verified.clone())
    }

    /// Keeps the hashes of a file that had this state before and after it was hashed.
    pub(super) fn insert(&self, state: FileState, verified: &VerifiedPrefix) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let settled = now.saturating_sub(MIN_AGE).as_secs();
        if u64::try_from(state.changed.0).is_ok_and(|changed| changed < settled) {
            let mut files = lock(&self.0);
            files.truncate(MAX_FILES - 1);
            files.push_front((state, verified.clone()));
        }
    }
}

impl FileState {
    /// Returns the current state of a file.
    pub(super) fn of(file: &File) -> io::Result<FileState> {
        let metadata = file.metadata()?;
        Ok(FileState {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}
