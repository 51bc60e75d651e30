//! The number of clients that a server serves before it ends (`--clients`).
//!
//! The count belongs to the tree: it survives the restart of a listener, and all listeners of a
//! server share it. A client's place is used up for good, so there is no permit to return.

use std::sync::atomic::{AtomicU64, Ordering};

use event_listener::Event;

use crate::runtime::wait_until;

/// A counter that numbers a server's clients from 0, up to an optional limit.
///
/// # Examples
///
/// ```
/// use sockactors::actors::ClientQuota;
///
/// let quota = ClientQuota::new(Some(2));
/// assert_eq!(quota.try_acquire(), Some(0));
/// assert_eq!(quota.try_acquire(), Some(1));
/// assert_eq!(quota.try_acquire(), None);
/// ```
#[derive(Debug, Default)]
pub struct ClientQuota {
    acquired: AtomicU64,
    limit: Option<u64>,
    limit_reached: Event,
}

impl ClientQuota {
    /// Creates a quota of `limit` clients, or of any number.
    pub fn new(limit: Option<u64>) -> ClientQuota {
        ClientQuota { acquired: AtomicU64::new(0), limit, limit_reached: Event::new() }
    }

    /// Counts a client and returns its number, or `None` if the limit is reached.
    pub fn try_acquire(&self) -> Option<u64> {
        let limit = self.limit.unwrap_or(u64::MAX);
        let next = |count| (count < limit).then_some(count + 1);
        let number = self.acquired.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).ok()?;
        if self.is_exhausted() {
            self.limit_reached.notify(usize::MAX);
        }
        Some(number)
    }

    /// Counts up to `count` clients. Returns how many were counted before the limit was reached.
    pub(crate) fn try_acquire_many(&self, count: usize) -> usize {
        match self.limit {
            Some(_) => (0..count).take_while(|_| self.try_acquire().is_some()).count(),
            None => count,
        }
    }

    /// Returns whether the limit is reached.
    pub fn is_exhausted(&self) -> bool {
        self.limit.is_some_and(|limit| self.acquired.load(Ordering::SeqCst) >= limit)
    }

    /// Waits until the limit is reached. Never returns without a limit. Cancel-safe.
    pub async fn exhausted(&self) {
        if self.limit.is_none() {
            return std::future::pending().await;
        }
        wait_until(&self.limit_reached, || self.is_exhausted()).await;
    }
}
