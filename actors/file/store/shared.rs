//! The configuration and counters that a store shares with its partial files.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::actors::file::store::active_uploads::ActiveUploads;
use crate::actors::file::store::error::StoreError;
use crate::actors::file::store::fs;
use crate::actors::file::store::hash_cache::HashCache;
use crate::actors::file::store::space::SpaceBudget;

/// The treatment of a file whose name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// Reject the new file.
    #[default]
    Fail,
    /// Store the new file under its name with a number added.
    Rename,
    /// Replace the old file. Anything else than a regular file is kept.
    Overwrite,
    /// Skip the new file. The sender does not count this as a failure.
    Skip,
}

/// The limits and options of a store.
#[derive(Debug, Clone, Default)]
pub struct StoreConfig {
    /// The disk space that must stay free, in bytes. Unless it is 0, 1 % of the disk's inodes stay
    /// free, too.
    pub keep_free: u64,
    /// The size limit of a file, in bytes.
    pub max_size: Option<u64>,
    /// The number of files and directories that the store creates at most. `None` is no limit.
    pub max_files: Option<u64>,
    /// The treatment of a file whose name is taken.
    pub on_conflict: OnConflict,
}

/// The state that a store shares with its partial files.
#[derive(Debug)]
pub(super) struct StoreShared {
    pub(super) path: PathBuf,
    pub(super) space: Arc<SpaceBudget>,
    pub(super) active_uploads: Arc<ActiveUploads>,
    pub(super) hash_cache: HashCache,
    pub(super) on_conflict: OnConflict,
    /// The next number for a file without a name.
    pub(super) next_number: AtomicU64,
    pub(super) umask: u32,
}

impl StoreShared {
    pub(super) fn new(path: PathBuf, config: StoreConfig) -> StoreShared {
        let StoreConfig { keep_free, max_size, max_files, on_conflict } = config;
        StoreShared {
            space: Arc::new(SpaceBudget::new(path.clone(), keep_free, max_size, max_files)),
            path,
            active_uploads: Arc::default(),
            hash_cache: HashCache::default(),
            on_conflict,
            next_number: AtomicU64::new(0),
            umask: fs::umask(),
        }
    }

    /// Converts the error of a write. A full disk gets its own variant.
    pub(super) fn io_error(&self, operation: &'static str, source: io::Error) -> StoreError {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::DiskFull { path: self.path.clone() }
            }
            _ => StoreError::Io { operation, source },
        }
    }
}
