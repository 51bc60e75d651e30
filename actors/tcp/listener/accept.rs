//! The accept loop: accepts the pending connections of a socket in batches.
//!
//! Pending connections are accepted one after another without awaiting anything. Room in the
//! pool, the client quota and a stop request are checked with three atomic loads.
//!
//! A failing `accept` is not free: the kernel allocates a file and an inode before it looks for a
//! connection. After a single connection it is cheaper to wait for readiness, which costs no
//! failing call. In a burst it is cheaper to call `accept` until it fails, once per burst. It is
//! not known beforehand which of the two comes next, but arrivals are usually alike, so
//! [`AcceptPolicy`] predicts it from the last ones.

use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::actors::support::accepted_connection::Connection;
use crate::actors::support::ban_list::BanList;
use crate::actors::support::client_quota::ClientQuota;
use crate::actors::support::ip_limit::{PerIpLimit, PerIpPermit};
use crate::actors::support::memory_budget::MemoryBudget;
use crate::actors::tcp::listener::rejections::{Rejection, RejectionMessage, Rejections};
use crate::net::{AcceptError, ListeningSocket, StreakPredictor, Stream, classify};
use crate::runtime::{Context, IntoActor, PoolAddress};

/// The number of connections that are accepted before other tasks of the thread run. The actors of
/// these connections are among them, and the next ones reuse their memory while it is in the cache.
const ACCEPT_BATCH: u8 = 4;

/// The parts of a listener that accept connections and start their actors.
pub(super) struct Acceptor<F, K> {
    pub(super) socket: Arc<ListeningSocket>,
    pub(super) pool: PoolAddress,
    pub(super) client_quota: Arc<ClientQuota>,
    pub(super) per_ip_limit: Option<Arc<PerIpLimit>>,
    pub(super) memory_budget: MemoryBudget,
    pub(super) ban_list: Arc<BanList>,
    pub(super) rejection_message: Option<RejectionMessage>,
    pub(super) serve: F,
    pub(super) kind: PhantomData<fn() -> K>,
}

/// The state of one incarnation.
#[derive(Default)]
pub(super) struct AcceptState {
    pub(super) rejections: Rejections,
    pub(super) policy: AcceptPolicy,
    /// Whether the pool was full at the last check.
    pub(super) pool_was_full: bool,
    /// The number of `accept` calls in a row that failed.
    pub(super) consecutive_failures: u32,
}

/// The result of accepting connections.
pub(super) enum AcceptStep {
    /// A connection was accepted or rejected, and there may be more.
    Accepted,
    /// No connection is pending, or none can be accepted before something else happens.
    Wait,
    /// A connection could not be accepted, or its actor could not be started.
    Failed(io::Error),
}

impl<F, A, K> Acceptor<F, K>
where
    F: Fn(Connection) -> A + Send + Sync + 'static,
    A: IntoActor<K>,
{
    /// Accepts the next pending connection, if there is one and the pool has room for it.
    fn accept_one(&self, state: &mut AcceptState) -> AcceptStep {
        if self.client_quota.is_exhausted() {
            return AcceptStep::Wait;
        }
        // The place in the pool is reserved first, so that an accepted connection never waits for
        // one.
        let pool_permit = match self.pool.try_reserve() {
            Ok(Some(permit)) => permit,
            Ok(None) => return AcceptStep::Wait,
            Err(closed) => return AcceptStep::Failed(io::Error::other(closed)),
        };
        let stream = match self.socket.try_accept() {
            Ok(stream) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return AcceptStep::Wait,
            Err(error) => return AcceptStep::Failed(error),
        };
        state.consecutive_failures = 0;
        if self.ban_list.contains_peer(stream.peer()) {
            return self.reject(&stream, Rejection::Banned, state);
        }
        let ip_permit = match &self.per_ip_limit {
            None => PerIpPermit::default(),
            Some(limit) => match limit.try_acquire(stream.peer()) {
                Ok(permit) => permit,
                Err(excess) => return self.reject(&stream, Rejection::PerIpLimit(excess), state),
            },
        };
        let Some(memory) = self.memory_budget.try_admit() else {
            let limit = self.memory_budget.limit().unwrap_or_default();
            return self.reject(&stream, Rejection::OutOfMemory(limit), state);
        };
        // Another listener of the server may have used up the quota since the check above.
        let Some(number) = self.client_quota.try_acquire() else { return AcceptStep::Accepted };
        let connection = Connection { stream, number, ip_permit, memory };
        match pool_permit.start((self.serve)(connection)) {
            Ok(_) => AcceptStep::Accepted,
            Err(closed) => AcceptStep::Failed(io::Error::other(closed)),
        }
    }

    /// Sends the reason to a rejected connection, if there is a message for it.
    #[cold]
    fn reject(&self, stream: &Stream, rejection: Rejection, state: &mut AcceptState) -> AcceptStep {
        if let Some(format_message) = self.rejection_message {
            // The empty send buffer of a new connection has room for a line. If not, the line is
            // lost.
            let _ = stream.try_write(format_message(&rejection.to_string()).as_bytes());
            // Input of the client stays unread, so that `close` alone would send a reset.
            let _ = stream.shutdown_write();
        }
        state.rejections.add(rejection, Some(stream.peer()), 1);
        AcceptStep::Accepted
    }

    /// Accepts pending connections while there is room, up to one batch. Nothing is awaited while a
    /// connection is held, as a crash there would lose it.
    pub(super) fn accept_batch(&self, ctx: &Context<()>, state: &mut AcceptState) -> AcceptStep {
        while !ctx.is_stopping() {
            let step = match self.accept_one(state) {
                AcceptStep::Accepted => {
                    ctx.record_handled(1);
                    match state.policy.on_accept() {
                        NextAccept::Now => continue,
                        NextAccept::Wait => AcceptStep::Wait,
                        NextAccept::Yield => return AcceptStep::Accepted,
                    }
                }
                step => step,
            };
            state.policy.end_burst();
            return step;
        }
        AcceptStep::Wait
    }

    /// Accepts the connections that are pending now, while there is room. At most a whole backlog
    /// is accepted, so that a constant stream of connections does not delay the end.
    pub(super) fn accept_backlog(&self, state: &mut AcceptState) {
        for _ in 0..self.socket.max_pending() {
            match self.accept_one(state) {
                AcceptStep::Accepted => {}
                AcceptStep::Failed(error)
                    if matches!(classify(&error), AcceptError::Connection) => {}
                _ => break,
            }
        }
    }
}

/// The next step after a connection was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NextAccept {
    /// Call `accept` again.
    Now,
    /// Wait until the socket is readable.
    Wait,
    /// Let other tasks run, then call `accept` again.
    Yield,
}

/// A predictor of whether the next connection comes alone or in a burst.
#[derive(Debug, Default)]
pub(crate) struct AcceptPolicy {
    /// The number of connections accepted since the last wait, capped at [`ACCEPT_BATCH`] after a
    /// batch.
    burst_len: u8,
    /// The prediction that a connection comes alone.
    single: StreakPredictor,
}

impl AcceptPolicy {
    /// Counts an accepted connection and returns the next step.
    pub(crate) fn on_accept(&mut self) -> NextAccept {
        self.burst_len += 1;
        if self.burst_len == 1 && self.single.predicts() {
            self.end_burst();
            return NextAccept::Wait;
        }
        if self.burst_len % ACCEPT_BATCH > 0 {
            return NextAccept::Now;
        }
        // The length of a long burst does not matter, and must not overflow.
        self.burst_len = ACCEPT_BATCH;
        NextAccept::Yield
    }

    /// Records that no further connection is pending.
    pub(crate) fn end_burst(&mut self) {
        let burst_len = std::mem::take(&mut self.burst_len);
        if burst_len > 0 {
            self.single.record(burst_len == 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Accepts connections that are pending together. Returns the number of failing `accept` calls.
    fn accept_burst(policy: &mut AcceptPolicy, mut pending: usize) -> usize {
        loop {
            if pending == 0 {
                policy.end_burst();
                return 1;
            }
            pending -= 1;
            // With further pending connections the wait ends at once.
            if policy.on_accept() == NextAccept::Wait && pending == 0 {
                return 0;
            }
        }
    }

    #[test]
    fn single_connections_rarely_retry_accept() {
        let mut policy = AcceptPolicy::default();
        let failing: usize = (0..400).map(|_| accept_burst(&mut policy, 1)).sum();
        assert!(failing < 400 / 10, "{failing}");
    }

    #[test]
    fn burst_is_accepted_until_would_block() {
        let mut policy = AcceptPolicy::default();
        for pending in [1; 40] {
            accept_burst(&mut policy, pending);
        }
        // The first burst after single connections is not predicted.
        accept_burst(&mut policy, 40);
        for _ in 0..10 {
            let next: Vec<_> = (0..40).map(|_| policy.on_accept()).collect();
            policy.end_burst();
            assert!(next.iter().all(|next| *next != NextAccept::Wait), "{next:?}");
            assert_eq!(next.iter().filter(|next| **next == NextAccept::Yield).count(), 40 / 4);
        }
    }

    #[test]
    fn endless_burst_yields_after_each_batch() {
        let mut policy = AcceptPolicy::default();
        assert_eq!(
            [0; 8].map(|_| policy.on_accept() == NextAccept::Yield).map(u8::from),
            [0, 0, 0, 1, 0, 0, 0, 1]
        );
        assert!((0..1000).all(|_| policy.on_accept() != NextAccept::Wait));
    }
}
