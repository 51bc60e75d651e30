//! The uploads that are in progress, and requests that they yield.
//!
//! A sender whose connection broke comes back over a new one, while the server still considers the
//! first connection alive: a lost connection looks like a silent one. The new connection's request
//! for the file fails as busy, and asks the first one to yield. If the first connection stays
//! silent, it yields, and the sender's next attempt resumes after the bytes received so far.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use event_listener::Event;

use crate::runtime::wait_until;
use crate::sync::lock;

/// The names of the files that are being uploaded.
#[derive(Debug, Default)]
pub(super) struct ActiveUploads {
    /// For each name, whether another connection has asked for the file.
    yield_flags: Mutex<HashMap<String, bool>>,
    yield_event: Event,
}

impl ActiveUploads {
    fn lock_yield_flags(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        lock(&self.yield_flags)
    }

    /// Asks the upload of a file to yield to another connection.
    pub(super) fn request_yield(&self, name: &str) {
        if let Some(yield_flag) = self.lock_yield_flags().get_mut(name) {
            *yield_flag = true;
        }
        self.yield_event.notify(usize::MAX);
    }

    /// Waits until another connection asks for a file that is being uploaded.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(super) async fn yield_requested(&self, name: &str) {
        wait_until(&self.yield_event, || self.lock_yield_flags().get(name) == Some(&true)).await;
    }
}

/// The entry of one upload. Dropping it removes the entry.
#[derive(Debug)]
pub(super) struct UploadGuard {
    active_uploads: Arc<ActiveUploads>,
    name: String,
}

impl UploadGuard {
    pub(super) fn new(active_uploads: &Arc<ActiveUploads>, name: &str) -> UploadGuard {
        active_uploads.lock_yield_flags().insert(name.into(), false);
        UploadGuard { active_uploads: active_uploads.clone(), name: name.into() }
    }
}

impl Drop for UploadGuard {
    fn drop(&mut self) {
        self.active_uploads.lock_yield_flags().remove(&self.name);
    }
}
