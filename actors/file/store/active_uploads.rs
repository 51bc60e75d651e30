//! The uploads that are in progress, and requests that they yield.
//!
//! A sender whose connection broke comes back over a new one, while the server still considers the
//! first connection alive: a lost connection looks like a silent one. The new connection's request
//! for the file fails as busy, and asks the first one to yield. If the first connection stays
//! silent, it yields, and the sender's next attempt resumes after the bytes received so far.
//!
//! Only a request for the same file, with the same size and time, makes an upload yield. Any other
//! request for its name fails as busy. For [`PROTECTION_TIME`] after that, the name belongs to this
//! file, and the chunks received before are kept whatever the next connection does.
//!
//! An upload whose connection ended by itself keeps its name for the same time. The same file may
//! then continue it or begin anew, and another file of that name fails as busy.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use event_listener::Event;

use crate::actors::file::store::request::FileRequest;
use crate::runtime::wait_until;
use crate::sync::lock;
use crate::time::deadline_after;

/// The time for which the chunks of an upload that has yielded are kept.
const PROTECTION_TIME: Duration = Duration::from_secs(60);

/// The number of names from which expired protections are looked for. Beyond it no name becomes
/// protected.
const MAX_ENTRIES: usize = 4096;

/// The size and modification time of a file, which distinguish it from others of its name.
type FileIdentity = (Option<u64>, (i64, u32));

/// The names of the files that are being uploaded, or whose upload has yielded.
#[derive(Debug, Default)]
pub(super) struct ActiveUploads {
    entries: Mutex<HashMap<String, UploadEntry>>,
    yield_event: Event,
}

#[derive(Debug)]
struct UploadEntry {
    identity: FileIdentity,
    state: UploadState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UploadState {
    /// The upload is in progress. The flag says whether another connection has asked for the file.
    Active(bool),
    /// The upload has yielded. Its chunks are kept until this time.
    Yielded(Instant),
    /// The connection of the upload has ended. Its name is kept until this time.
    Interrupted(Instant),
}

/// The access of a request to the name of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameAccess {
    /// No other upload is affected.
    Free,
    /// The upload of the same file has yielded. Its chunks must be kept.
    Takeover,
    /// An upload of another file of this name has yielded or was interrupted.
    Protected,
}

impl ActiveUploads {
    fn entries(&self) -> MutexGuard<'_, HashMap<String, UploadEntry>> {
        lock(&self.entries)
    }

    /// Asks the upload of a file to yield to another connection that sends the same file.
    pub(super) fn request_yield(&self, request: &FileRequest) {
        if let Some(entry) = self.entries().get_mut(request.name.as_str()) {
            if let (UploadState::Active(flag), true) =
                (&mut entry.state, entry.identity == identity(request))
            {
                *flag = true;
            }
        }
        self.yield_event.notify(usize::MAX);
    }

    /// Waits until another connection asks for a file that is being uploaded.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(super) async fn yield_requested(&self, name: &str) {
        wait_until(&self.yield_event, || {
            self.entries().get(name).is_some_and(|entry| entry.state == UploadState::Active(true))
        })
        .await;
    }

    /// Returns the access of a request to a name whose partial file no other upload has locked.
    pub(super) fn access(&self, request: &FileRequest) -> NameAccess {
        let entries = self.entries();
        let Some(entry) = entries.get(request.name.as_str()) else { return NameAccess::Free };
        let is_same = entry.identity == identity(request);
        match entry.state {
            UploadState::Active(_) => NameAccess::Free,
            UploadState::Yielded(until) | UploadState::Interrupted(until)
                if until <= Instant::now() =>
            {
                NameAccess::Free
            }
            UploadState::Yielded(_) if is_same => NameAccess::Takeover,
            UploadState::Interrupted(_) if is_same => NameAccess::Free,
            UploadState::Yielded(_) | UploadState::Interrupted(_) => NameAccess::Protected,
        }
    }
}

fn identity(request: &FileRequest) -> FileIdentity {
    (request.size, request.modified)
}

/// The entry of one upload. Dropping it removes the entry, or leaves the protection of its chunks.
#[derive(Debug)]
pub(super) struct UploadGuard {
    active_uploads: Arc<ActiveUploads>,
    name: String,
    /// Whether the upload has taken over the chunks of another one.
    is_takeover: bool,
    is_complete: bool,
}

impl UploadGuard {
    /// Registers the upload of a file whose partial file is locked.
    pub(super) fn new(
        active_uploads: &Arc<ActiveUploads>,
        request: &FileRequest,
        is_takeover: bool,
    ) -> UploadGuard {
        let name = request.name.to_string();
        let entry = UploadEntry { identity: identity(request), state: UploadState::Active(false) };
        active_uploads.entries().insert(name.clone(), entry);
        UploadGuard {
            active_uploads: active_uploads.clone(),
            name,
            is_takeover,
            is_complete: false,
        }
    }

    /// Returns whether the upload has taken over the chunks of another one.
    pub(super) fn is_takeover(&self) -> bool {
        self.is_takeover
    }

    /// Marks the upload as stored or removed, so that nothing of it needs protection.
    pub(super) fn complete(&mut self) {
        self.is_complete = true;
    }
}

impl Drop for UploadGuard {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut entries = self.active_uploads.entries();
        let Some(entry) = entries.remove(&self.name) else { return };
        let has_yielded = entry.state == UploadState::Active(true);
        if self.is_complete {
            return;
        }
        if entries.len() >= MAX_ENTRIES {
            entries.retain(|_, entry| match entry.state {
                UploadState::Active(_) => true,
                UploadState::Yielded(until) | UploadState::Interrupted(until) => until > now,
            });
        }
        if entries.len() < MAX_ENTRIES {
            let until = deadline_after(now, PROTECTION_TIME);
            let state = match has_yielded || self.is_takeover {
                true => UploadState::Yielded(until),
                false => UploadState::Interrupted(until),
            };
            entries.insert(std::mem::take(&mut self.name), UploadEntry { state, ..entry });
        }
    }
}
