//! A budget for the memory that peers make a server hold.
//!
//! Each connection pays a fixed cost when it is accepted. That covers its actor and its first
//! [`FREE_BYTES`] of buffers. All fixed costs together take at most a half of the budget. The other
//! half is for larger buffers, which are *charged* to it. So clients with large buffers do not keep
//! others from connecting. When a half is used up, three measures follow in this order:
//!
//! 1. *Wait*: a connection that would need more memory is not read until there is room again.
//! 2. *Disconnect*: while a connection waits, the [`MemoryKeeper`] disconnects those that have held
//!    memory for longest without releasing any.
//! 3. *Refuse*: a new connection is refused while its fixed cost does not fit.
//!
//! A charge is recorded after the memory was taken, and the room is checked before. So the budget
//! is exceeded by at most one buffer per thread.
//!
//! [`MemoryKeeper`]: crate::actors::MemoryKeeper

use std::fmt;
use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use event_listener::Event;
use slab::Slab;

use crate::runtime::wait_until;
use crate::sync::lock;

/// The fixed cost of a connection in bytes: its actor, and its first [`FREE_BYTES`] of buffers.
pub const CONNECTION_COST: usize = 8 << 10;

/// The number of buffered bytes of a connection that its fixed cost covers.
pub const FREE_BYTES: usize = 4 << 10;

/// The time for which memory is held without a release before its connection may be disconnected.
const MIN_HOLD_TIME: Duration = Duration::from_secs(2);

/// A budget for the memory that peers make a server hold. Clones share it. The default is
/// unlimited.
///
/// # Examples
///
/// ```
/// use std::time::Instant;
/// use sockactors::actors::MemoryBudget;
///
/// let budget = MemoryBudget::new(64 << 10);
/// let mut connection = budget.try_admit().expect("the first connection");
/// connection.set(100_000, Instant::now);
/// assert!(!budget.has_room());
/// drop(connection);
/// assert!(budget.has_room() && budget.used() == 0);
/// ```
#[derive(Clone, Default)]
pub struct MemoryBudget(Option<Arc<BudgetState>>);

struct BudgetState {
    limit: usize,
    /// The fixed costs of all connections.
    connections: AtomicUsize,
    /// The charged bytes of all buffers.
    buffers: AtomicUsize,
    /// The connections with charged buffers.
    holders: Mutex<Slab<Holder>>,
    /// The number of connections that wait for room.
    waiting: AtomicUsize,
    /// Notified when a connection starts to wait.
    pressure: Event,
    /// Notified when memory is released while a connection waits.
    released: Event,
}

/// A connection that holds charged memory.
struct Holder {
    bytes: usize,
    /// When it last released memory, or began to hold some.
    since: Instant,
    is_evicted: bool,
    waker: Option<Waker>,
}

impl BudgetState {
    fn holders(&self) -> MutexGuard<'_, Slab<Holder>> {
        lock(&self.holders)
    }

    /// Returns the limit of the connections, and of the buffers.
    fn half(&self) -> usize {
        self.limit / 2
    }

    fn has_room(&self) -> bool {
        self.buffers.load(Ordering::Relaxed) < self.half()
    }

    fn release(&self, bytes: usize) {
        self.buffers.fetch_sub(bytes, Ordering::SeqCst);
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.released.notify(usize::MAX);
        }
    }
}

impl MemoryBudget {
    /// Creates a budget of `limit` bytes.
    pub fn new(limit: usize) -> MemoryBudget {
        MemoryBudget(Some(Arc::new(BudgetState {
            limit,
            connections: AtomicUsize::new(0),
            buffers: AtomicUsize::new(0),
            holders: Mutex::default(),
            waiting: AtomicUsize::new(0),
            pressure: Event::new(),
            released: Event::new(),
        })))
    }

    /// Returns the limit in bytes, if there is one.
    pub fn limit(&self) -> Option<usize> {
        self.0.as_ref().map(|state| state.limit)
    }

    /// Returns the number of bytes that are charged now.
    pub fn used(&self) -> usize {
        self.0.as_ref().map_or(0, |state| {
            let connections = state.connections.load(Ordering::Relaxed);
            connections.saturating_add(state.buffers.load(Ordering::Relaxed))
        })
    }

    /// Returns whether memory for buffers may be taken.
    pub fn has_room(&self) -> bool {
        self.0.as_ref().is_none_or(|state| state.has_room())
    }

    /// Charges the fixed cost of a connection, until the returned value is dropped. Returns `None`
    /// if it does not fit.
    pub fn try_admit(&self) -> Option<ConnectionMemory> {
        if let Some(state) = &self.0 {
            let used = state.connections.fetch_add(CONNECTION_COST, Ordering::Relaxed);
            if used.saturating_add(CONNECTION_COST) > state.half() {
                state.connections.fetch_sub(CONNECTION_COST, Ordering::Relaxed);
                return None;
            }
        }
        Some(ConnectionMemory { budget: self.clone(), buffers: None })
    }

    /// Waits until there is room.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe. Room is not reserved: another connection may take it first.
    pub async fn room(&self) {
        let Some(state) = &self.0 else { return };
        if state.has_room() {
            return;
        }
        let _waiting = WaitGuard::new(state);
        wait_until(&state.released, || state.has_room()).await;
    }

    /// Waits until a connection waits for room.
    ///
    /// # Cancel safety
    ///
    /// Cancel-safe.
    pub(crate) async fn pressure(&self) {
        match &self.0 {
            Some(state) => {
                wait_until(&state.pressure, || state.waiting.load(Ordering::SeqCst) > 0).await;
            }
            None => std::future::pending().await,
        }
    }

    /// Disconnects the connections that have held memory for longest, until three quarters of the
    /// half for buffers will be used. Spares those that released some in the last seconds. Returns
    /// the number of connections.
    pub(crate) fn evict(&self, now: Instant) -> usize {
        let Some(state) = &self.0 else { return 0 };
        let mut holders = state.holders();
        let evicted: usize =
            holders.iter().filter(|(_, h)| h.is_evicted).map(|(_, h)| h.bytes).sum();
        let used = state.buffers.load(Ordering::SeqCst).saturating_sub(evicted);
        let mut excess = used.saturating_sub(state.half() / 4 * 3);
        let may_evict = |holder: &Holder| {
            !holder.is_evicted && now.saturating_duration_since(holder.since) >= MIN_HOLD_TIME
        };
        let mut oldest: Vec<(Instant, usize)> = holders
            .iter()
            .filter(|(_, holder)| may_evict(holder))
            .map(|(key, holder)| (holder.since, key))
            .collect();
        oldest.sort_unstable();
        let (mut count, mut wakers) = (0, Vec::new());
        for (_, key) in oldest {
            if excess == 0 {
                break;
            }
            let Some(holder) = holders.get_mut(key) else { continue };
            excess = excess.saturating_sub(holder.bytes);
            holder.is_evicted = true;
            wakers.extend(holder.waker.take());
            count += 1;
        }
        drop(holders);
        wakers.into_iter().for_each(Waker::wake);
        count
    }
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.limit() {
            Some(limit) => write!(f, "MemoryBudget({}/{limit})", self.used()),
            None => f.write_str("MemoryBudget(unlimited)"),
        }
    }
}

/// A connection that waits for room, counted until it is dropped.
struct WaitGuard<'a>(&'a BudgetState);

impl<'a> WaitGuard<'a> {
    fn new(state: &'a BudgetState) -> WaitGuard<'a> {
        state.waiting.fetch_add(1, Ordering::SeqCst);
        state.pressure.notify(usize::MAX);
        WaitGuard(state)
    }
}

impl Drop for WaitGuard<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The memory that one connection holds. Dropping it releases the memory.
///
/// [`ConnectionMemory::default`] belongs to no budget and is unlimited.
#[derive(Default)]
pub struct ConnectionMemory {
    budget: MemoryBudget,
    /// `None` while the connection holds nothing beyond its fixed cost and does not wait.
    buffers: Option<Box<ChargedBuffers>>,
}

/// The buffers of a connection beyond its fixed cost.
#[derive(Default)]
struct ChargedBuffers {
    /// The charged bytes: those beyond [`FREE_BYTES`].
    bytes: usize,
    /// The entry in the list of holders, while `bytes` is not zero.
    key: Option<usize>,
    /// The wait of [`ConnectionMemory::poll_room`].
    room: Option<Pin<Box<dyn Future<Output = ()> + Send + Sync>>>,
}

impl ConnectionMemory {
    /// Returns the budget.
    pub fn budget(&self) -> &MemoryBudget {
        &self.budget
    }

    /// Returns whether more memory may be taken.
    pub fn has_room(&self) -> bool {
        self.budget.has_room()
    }

    /// Records that the connection's buffers hold `bytes` bytes at the time `now`.
    pub fn set(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        let bytes = bytes.saturating_sub(FREE_BYTES);
        if bytes != self.buffers.as_ref().map_or(0, |buffers| buffers.bytes) {
            self.update(bytes, now());
        }
    }

    fn update(&mut self, bytes: usize, now: Instant) {
        let Some(state) = &self.budget.0 else { return };
        let buffers = self.buffers.get_or_insert_default();
        let before = mem::replace(&mut buffers.bytes, bytes);
        let mut holders = state.holders();
        let mut removed = None;
        match buffers.key {
            Some(key) if bytes == 0 => removed = holders.try_remove(key),
            Some(key) => {
                if let Some(holder) = holders.get_mut(key) {
                    holder.bytes = bytes;
                    holder.since = if bytes < before { now } else { holder.since };
                }
            }
            None => {
                let holder = Holder { bytes, since: now, is_evicted: false, waker: None };
                buffers.key = Some(holders.insert(holder));
            }
        }
        drop(holders);
        // Its waker may own the last handle of a task.
        drop(removed);
        if bytes == 0 {
            self.buffers = None;
        }
        match bytes.checked_sub(before) {
            Some(more) => drop(state.buffers.fetch_add(more, Ordering::SeqCst)),
            None => state.release(before - bytes),
        }
    }

    /// Polls whether there is room. The task is woken when there is.
    pub fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.budget.has_room() {
            if let Some(buffers) = &mut self.buffers {
                buffers.room = None;
            }
            return Poll::Ready(());
        }
        let budget = &self.budget;
        let buffers = self.buffers.get_or_insert_default();
        let room = buffers.room.get_or_insert_with(|| {
            let budget = budget.clone();
            Box::pin(async move { budget.room().await })
        });
        let polled = room.as_mut().poll(cx);
        if polled.is_ready() {
            buffers.room = None;
        }
        polled
    }

    /// Polls whether the connection is to be disconnected, because it holds memory that others
    /// wait for.
    pub fn poll_evicted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let key = self.buffers.as_ref().and_then(|buffers| buffers.key);
        let (Some(state), Some(key)) = (&self.budget.0, key) else { return Poll::Pending };
        let mut holders = state.holders();
        let Some(holder) = holders.get_mut(key) else { return Poll::Pending };
        if holder.is_evicted {
            return Poll::Ready(());
        }
        let is_registered = holder.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        let replaced = (!is_registered).then(|| holder.waker.replace(cx.waker().clone()));
        drop(holders);
        // A waker may own the last handle of a task.
        drop(replaced);
        Poll::Pending
    }
}

impl fmt::Debug for ConnectionMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.buffers.as_ref().map_or(0, |buffers| buffers.bytes);
        write!(f, "ConnectionMemory({bytes})")
    }
}

impl Drop for ConnectionMemory {
    fn drop(&mut self) {
        let Some(state) = &self.budget.0 else { return };
        state.connections.fetch_sub(CONNECTION_COST, Ordering::Relaxed);
        if let Some(buffers) = self.buffers.take() {
            let removed = buffers.key.and_then(|key| state.holders().try_remove(key));
            drop(removed);
            state.release(buffers.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_lite::future::{block_on, poll_fn, poll_once};

    use super::*;

    const KIB: usize = 1 << 10;

    /// Creates a budget with `room` bytes for the buffers of `N` connections.
    fn connections<const N: usize>(room: usize) -> (MemoryBudget, [ConnectionMemory; N]) {
        let budget = MemoryBudget::new(2 * room.max(N * CONNECTION_COST));
        let connections = [(); N].map(|()| budget.try_admit().unwrap());
        (budget, connections)
    }

    fn is_evicted(connection: &mut ConnectionMemory) -> bool {
        block_on(poll_once(poll_fn(|cx| connection.poll_evicted(cx)))).is_some()
    }

    #[test]
    fn small_buffers_are_free() {
        let (budget, [mut connection]) = connections(64 * KIB);
        connection.set(FREE_BYTES, Instant::now);
        assert_eq!(budget.used(), CONNECTION_COST);
        connection.set(FREE_BYTES + 10, Instant::now);
        assert_eq!(budget.used(), CONNECTION_COST + 10);
        connection.set(0, Instant::now);
        assert!(budget.used() == CONNECTION_COST && connection.buffers.is_none());
    }

    #[test]
    fn connections_and_buffers_have_a_half_each() {
        let budget = MemoryBudget::new(4 * CONNECTION_COST);
        let mut permits = [(); 3].map(|()| budget.try_admit());
        assert!(permits[1].is_some() && permits[2].is_none() && budget.has_room());
        permits[0].as_mut().unwrap().set(FREE_BYTES + 2 * CONNECTION_COST, Instant::now);
        assert!(!budget.has_room());
        drop(permits);
        assert!(budget.used() == 0 && budget.has_room() && budget.try_admit().is_some());
    }

    #[test]
    fn waiting_connection_is_woken_by_release() {
        let (budget, [mut first, mut second]) = connections(64 * KIB);
        first.set(FREE_BYTES + 64 * KIB, Instant::now);
        let mut room = pin!(poll_fn(|cx| second.poll_room(cx)));
        assert!(block_on(poll_once(&mut room)).is_none());
        assert!(block_on(poll_once(budget.pressure())).is_some());
        drop(first);
        block_on(room);
        assert!(block_on(poll_once(budget.pressure())).is_none());
    }

    #[test]
    fn longest_holder_is_evicted_first() {
        let (budget, mut connections) = connections::<4>(40 * KIB);
        let start = Instant::now();
        let at = |seconds| move || start + Duration::from_secs(seconds);
        for (connection, second) in connections.iter_mut().zip([1, 0, 3, 9]) {
            connection.set(FREE_BYTES + 10 * KIB, at(second));
        }
        // The second one releases some, so it is no longer the oldest.
        connections[1].set(FREE_BYTES + 9 * KIB, at(4));
        assert_eq!(budget.evict(at(10)()), 1);
        assert_eq!(connections.each_mut().map(is_evicted), [true, false, false, false]);
        // What an evicted connection holds counts as released.
        assert_eq!(budget.evict(at(10)()), 0);
    }

    #[test]
    fn recent_holder_is_spared() {
        let (budget, [mut connection]) = connections(10 * KIB);
        let now = Instant::now();
        connection.set(FREE_BYTES + 10 * KIB, || now);
        assert_eq!(budget.evict(now + MIN_HOLD_TIME / 2), 0);
        assert_eq!(budget.evict(now + MIN_HOLD_TIME), 1);
    }

    #[test]
    fn unlimited_connection_counts_nothing() {
        let mut connection = ConnectionMemory::default();
        connection.set(usize::MAX, Instant::now);
        assert!(connection.has_room() && connection.budget().used() == 0);
    }
}
