//! A rate limit for each source of events, in a table of fixed size.
//!
//! A source is any value with a hash: an address, a network, or the lack of an address. Each has a
//! token bucket, identified by the hash of the source. The table has a fixed number of buckets, so
//! that new or forged sources use no memory. If the row of a new source is full, it replaces the
//! bucket that has been idle for longest, whose source loses least. The hash has a secret key,
//! so that an attacker cannot choose sources that share a row with another one.

use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::actors::support::rate_limit::{Gcra, nanos};
use crate::sync::lock;
use crate::time::deadline_after;

/// The number of rows of the table, a power of two.
const ROWS: usize = 1024;

/// The number of buckets in a row. The table has 4096 buckets, which are 64 KiB.
const BUCKETS_PER_ROW: usize = 4;

/// A limit of events per period for each source.
pub(crate) struct SourceRateLimiter {
    limit: Gcra,
    hash_key: RandomState,
    /// `None` until the first event.
    table: Mutex<Option<BucketTable>>,
}

struct BucketTable {
    /// The time of the first event. The buckets count nanoseconds from here.
    epoch: Instant,
    rows: Box<[[Bucket; BUCKETS_PER_ROW]]>,
}

/// The bucket of a source, or an unused bucket if the source is 0.
#[derive(Clone, Copy, Default)]
struct Bucket {
    source: u64,
    theoretical_arrival: u64,
}

impl SourceRateLimiter {
    /// Creates a limit of `count` events (at least 1) per period, and a burst of `count` events
    /// after an idle period.
    pub(crate) fn new(rate: (u32, Duration)) -> SourceRateLimiter {
        SourceRateLimiter {
            limit: Gcra::new(rate),
            hash_key: RandomState::new(),
            table: Mutex::new(None),
        }
    }

    /// Takes a token from the bucket of a source. Returns `false` if the bucket is empty.
    pub(crate) fn try_acquire(&self, source: &impl Hash, now: Instant) -> bool {
        self.update_bucket(source, now, |bucket, now| {
            let allowed = self.limit.delay(bucket.theoretical_arrival, now) == 0;
            if allowed {
                bucket.theoretical_arrival = self.limit.advance(bucket.theoretical_arrival, 1);
            }
            allowed
        })
    }

    /// Counts `count` events of a source, even if they are over its limit. Returns when its next
    /// event is allowed, or `None` if it is allowed now.
    ///
    /// Callers that wait until then take turns: each is returned a time of its own.
    pub(crate) fn record(&self, source: &impl Hash, count: u64, now: Instant) -> Option<Instant> {
        let delay = self.update_bucket(source, now, |bucket, now| {
            bucket.theoretical_arrival = self.limit.advance(bucket.theoretical_arrival, count);
            self.limit.delay(bucket.theoretical_arrival, now)
        });
        (delay > 0).then(|| deadline_after(now, Duration::from_nanos(delay)))
    }

    /// Calls `update` with the bucket of a source, refilled until now, and with the time since the
    /// epoch. Returns its result.
    fn update_bucket<R>(
        &self,
        source: &impl Hash,
        now: Instant,
        update: impl FnOnce(&mut Bucket, u64) -> R,
    ) -> R {
        let source = self.hash_key.hash_one(source).max(1);
        let mut table = lock(&self.table);
        let table = table.get_or_insert_with(|| BucketTable {
            epoch: now,
            rows: vec![[Bucket::default(); BUCKETS_PER_ROW]; ROWS].into_boxed_slice(),
        });
        let now = nanos(now.saturating_duration_since(table.epoch));
        let row = &mut table.rows[source as usize % ROWS];
        let index = row.iter().position(|bucket| bucket.source == source).unwrap_or_else(|| {
            let longest_idle = (0..BUCKETS_PER_ROW)
                .min_by_key(|index| row[*index].theoretical_arrival)
                .unwrap_or_default();
            row[longest_idle] = Bucket { source, theoretical_arrival: 0 };
            longest_idle
        });
        let bucket = &mut row[index];
        bucket.theoretical_arrival = bucket.theoretical_arrival.max(now);
        update(bucket, now)
    }
}

impl fmt::Debug for SourceRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SourceRateLimiter(one per {:?})", self.limit.interval())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_limiter_allows_burst_then_rate() {
        let limiter = SourceRateLimiter::new((10, Duration::from_secs(1)));
        let start = Instant::now();
        let allowed_at = |millis: u64| {
            let now = start + Duration::from_millis(millis);
            (0..100).filter(|_| limiter.try_acquire(&"a", now)).count()
        };
        assert_eq!([0, 99, 100, 250, 1000, 5000].map(allowed_at), [10, 0, 1, 1, 8, 10]);
    }

    #[test]
    fn waiting_callers_of_one_source_take_turns() {
        let limiter = SourceRateLimiter::new((2, Duration::from_secs(1)));
        let start = Instant::now();
        let at = |millis| Some(start + Duration::from_millis(millis));
        let next = [1, 1, 1, 3].map(|count| limiter.record(&"a", count, start));
        assert_eq!(next, [None, at(500), at(1000), at(2500)]);
        assert_eq!(limiter.record(&"b", 1, start), None);
        assert!(!limiter.try_acquire(&"a", start + Duration::from_millis(2499)));
        assert!(limiter.try_acquire(&"a", start + Duration::from_millis(2500)));
    }

    #[test]
    fn new_sources_keep_table_size_fixed() {
        let limiter = SourceRateLimiter::new((1, Duration::from_secs(1)));
        let now = Instant::now();
        assert!((0..100_000).all(|source: u32| limiter.try_acquire(&source, now)));
        let table = lock(&limiter.table);
        let rows = &table.as_ref().unwrap().rows;
        assert_eq!(rows.len() * BUCKETS_PER_ROW, 4096);
        assert!(rows.iter().flatten().all(|bucket| bucket.source != 0));
    }

    #[test]
    fn full_row_evicts_longest_idle_bucket() {
        let limiter = SourceRateLimiter::new((1, Duration::from_secs(1)));
        let start = Instant::now();
        // Each row fills up, while one source stays busy.
        let busy = u64::MAX;
        for source in 0..60_000 {
            let now = start + Duration::from_millis(source);
            limiter.try_acquire(&source, now);
            if source % 1000 == 0 {
                assert!(limiter.try_acquire(&busy, now));
                assert!(!limiter.try_acquire(&busy, now), "bucket was evicted at {source}");
            }
        }
    }
}
