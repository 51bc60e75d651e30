//! Who has a file in hand, and who else would like to.
//!
//! A sender whose connection broke comes back with another one while the server still takes the first for alive: a
//! connection that is gone looks like one that is silent. So a claim of a file that is in hand is refused, and *contests*
//! it. A holder that goes on being silent gives way then, and the sender's next attempt goes on with what had come.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use event_listener::Event;

use super::FileStore;
use crate::runtime::wait_until;
use crate::sync::lock;

/// Who has a file in hand.
#[derive(Debug, Default)]
pub(super) struct ActiveUploads {
    /// For each name, whether it is contested.
    yield_flags: Mutex<HashMap<String, bool>>,
    yield_event: Event,
}

impl ActiveUploads {
    fn lock_yield_flags(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        lock(&self.yield_flags)
    }

    /// Tells the holder of a file that somebody else would like it.
    pub(super) fn request_yield(&self, name: &str) {
        if let Some(contested) = self.lock_yield_flags().get_mut(name) {
            *contested = true;
        }
        self.yield_event.notify(usize::MAX);
    }

    /// Waits until a file that is in hand is contested. Cancel-safe.
    pub(super) async fn yield_requested(&self, name: &str) {
        wait_until(&self.yield_event, || self.lock_yield_flags().get(name) == Some(&true)).await;
    }
}

/// A file in hand, as long as this is kept.
#[derive(Debug)]
pub(super) struct UploadGuard {
    store: Arc<FileStore>,
    name: String,
}

impl UploadGuard {
    pub(super) fn new(vault: &Arc<FileStore>, name: &str) -> UploadGuard {
        vault.active_uploads.lock_yield_flags().insert(name.into(), false);
        UploadGuard { store: vault.clone(), name: name.into() }
    }
}

impl Drop for UploadGuard {
    fn drop(&mut self) {
        self.store.active_uploads.lock_yield_flags().remove(&self.name);
    }
}
