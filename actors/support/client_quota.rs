//! How many clients a server admits before it is finished.
//!
//! The count belongs to the tree: it survives the restart of a listener, and several listeners of one
//! server share it.

use std::sync::atomic::{AtomicU64, Ordering};

use event_listener::Event;

use crate::runtime::wait_until;

/// Numbers a server's clients from 0, up to a limit if there is one.
///
/// # Examples
///
/// ```
/// use sockactors::actors::ClientQuota;
///
/// let admissions = ClientQuota::new(Some(2));
/// assert_eq!(admissions.try_acquire(), Some(0));
/// assert_eq!(admissions.try_acquire(), Some(1));
/// assert_eq!(admissions.try_acquire(), None);
/// ```
#[derive(Debug, Default)]
pub struct ClientQuota {
    acquired: AtomicU64,
    limit: Option<u64>,
    limit_reached: Event,
}

impl ClientQuota {
    /// Makes a count that ends after `limit` clients, or never.
    pub fn new(limit: Option<u64>) -> ClientQuota {
        ClientQuota { acquired: AtomicU64::new(0), limit, limit_reached: Event::new() }
    }

    /// Admits one more client and gives its number; `None` when the limit is reached.
    pub fn try_acquire(&self) -> Option<u64> {
        let limit = self.limit.unwrap_or(u64::MAX);
        let more = |count| (count < limit).then_some(count + 1);
        let number = self.acquired.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        if self.is_exhausted() {
            self.limit_reached.notify(usize::MAX);
        }
        Some(number)
    }

    /// Admits up to `count` clients at once, and says how many.
    pub(crate) fn try_acquire_many(&self, count: usize) -> usize {
        match self.limit {
            Some(_) => (0..count).take_while(|_| self.try_acquire().is_some()).count(),
            None => count,
        }
    }

    /// Tells whether the limit is reached.
    pub fn is_exhausted(&self) -> bool {
        self.limit.is_some_and(|limit| self.acquired.load(Ordering::SeqCst) >= limit)
    }

    /// Waits until the limit is reached; for ever where there is none. Cancel-safe.
    pub async fn exhausted(&self) {
        if self.limit.is_none() {
            return std::future::pending().await;
        }
        wait_until(&self.limit_reached, || self.is_exhausted()).await;
    }
}
