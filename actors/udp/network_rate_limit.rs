//! A rate limit for the replies to each source network.
//!
//! The source address of a datagram is easily forged, so a responder can be made to flood a third
//! party. A token bucket per network limits that. A network is what one site usually has: 24 bits
//! of an IPv4 address, 56 bits of an IPv6 address.
//!
//! The buckets are in a hash table of fixed size, so that forged sources use no memory. If the row
//! of a new network is full, the new network replaces the bucket that has been idle for longest,
//! whose network loses least. The hash is keyed with a secret, so that an attacker cannot choose
//! networks that share a row with another one.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::actors::support::rate_limit::{Gcra, nanos};
use crate::sync::lock;

/// The default limit of replies to each network beyond loopback: a count per period.
pub const DEFAULT_REPLY_RATE: (u32, Duration) = (1000, Duration::from_secs(1));

/// The number of rows of the table, a power of two.
const ROWS: usize = 1024;

/// The number of buckets in a row. The table has 4096 buckets, which are 64 KiB.
const BUCKETS_PER_ROW: usize = 4;

/// A limit for the replies to each source network per period.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use sockactors::actors::NetworkRateLimiter;
///
/// let limiter = NetworkRateLimiter::new((2, Duration::from_secs(1)));
/// let now = Instant::now();
/// let [first, same_network, other_network] =
///     ["192.0.2.1", "192.0.2.77", "192.0.3.1"].map(|ip| ip.parse().unwrap());
/// assert!(limiter.try_acquire(first, now) && limiter.try_acquire(same_network, now));
/// assert!(!limiter.try_acquire(first, now));
/// assert!(limiter.try_acquire(other_network, now));
/// assert!(limiter.try_acquire(first, now + Duration::from_millis(500)));
/// ```
pub struct NetworkRateLimiter {
    limit: Gcra,
    hash_key: RandomState,
    table: Mutex<BucketTable>,
}

struct BucketTable {
    /// The time of the first reply. The buckets count nanoseconds from here.
    epoch: Option<Instant>,
    rows: Box<[[Bucket; BUCKETS_PER_ROW]]>,
}

/// The bucket of a network, or an unused bucket if the network is 0.
#[derive(Clone, Copy, Default)]
struct Bucket {
    network: u64,
    theoretical_arrival: u64,
}

impl NetworkRateLimiter {
    /// Creates a limit of `count` replies (at least 1) per period, and a burst of `count` replies
    /// after an idle period.
    pub fn new(rate: (u32, Duration)) -> NetworkRateLimiter {
        let rows = vec![[Bucket::default(); BUCKETS_PER_ROW]; ROWS].into_boxed_slice();
        NetworkRateLimiter {
            limit: Gcra::new(rate),
            hash_key: RandomState::new(),
            table: Mutex::new(BucketTable { epoch: None, rows }),
        }
    }

    /// Takes a token from the bucket of the network of `ip`. Returns `false` if the bucket is
    /// empty.
    pub fn try_acquire(&self, ip: IpAddr, now: Instant) -> bool {
        let network = network_key(ip);
        let row = self.hash_key.hash_one(network) as usize % ROWS;
        let mut table = self.lock_table();
        let epoch = *table.epoch.get_or_insert(now);
        let now = nanos(now.saturating_duration_since(epoch));
        let row = &mut table.rows[row];
        let index = row.iter().position(|bucket| bucket.network == network).unwrap_or_else(|| {
            let longest_idle = (0..BUCKETS_PER_ROW)
                .min_by_key(|index| row[*index].theoretical_arrival)
                .unwrap_or_default();
            row[longest_idle] = Bucket { network, theoretical_arrival: 0 };
            longest_idle
        });
        let bucket = &mut row[index];
        let theoretical_arrival = bucket.theoretical_arrival.max(now);
        if self.limit.delay(theoretical_arrival, now) > 0 {
            return false;
        }
        bucket.theoretical_arrival = self.limit.advance(theoretical_arrival);
        true
    }

    fn lock_table(&self) -> MutexGuard<'_, BucketTable> {
        lock(&self.table)
    }
}

impl fmt::Debug for NetworkRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NetworkRateLimiter(one per {:?})", self.limit.interval())
    }
}

/// Returns a number that identifies the network of an address. It is never 0.
fn network_key(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(v4) => 1 << 32 | u64::from(u32::from(v4) >> 8),
        // A bit above the 56 bits of the prefix separates these keys from those of IPv4.
        IpAddr::V6(v6) => 1 << 63 | (u128::from(v6) >> 72) as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn network_key_separates_networks() {
        let same_network = [
            ("192.0.2.1", "192.0.2.255"),
            ("192.0.2.1", "::ffff:192.0.2.9"),
            ("2001:db8:0:0100::1", "2001:db8:0:01ff:ffff::"),
        ];
        assert!(same_network.iter().all(|(a, b)| network_key(ip(a)) == network_key(ip(b))));
        let other_network = [
            ("192.0.2.1", "192.0.3.1"),
            ("2001:db8:0:0100::", "2001:db8:0:0200::"),
            ("0.0.0.1", "::1"),
        ];
        assert!(other_network.iter().all(|(a, b)| network_key(ip(a)) != network_key(ip(b))));
        assert!(["0.0.0.0", "::", "255.255.255.255"].iter().all(|a| network_key(ip(a)) != 0));
    }

    #[test]
    fn network_limiter_allows_burst_then_rate() {
        let limiter = NetworkRateLimiter::new((10, Duration::from_secs(1)));
        let start = Instant::now();
        let allowed_at = |millis: u64| {
            let now = start + Duration::from_millis(millis);
            (0..100).filter(|_| limiter.try_acquire(ip("192.0.2.1"), now)).count()
        };
        assert_eq!([0, 99, 100, 250, 1000, 5000].map(allowed_at), [10, 0, 1, 1, 8, 10]);
    }

    #[test]
    fn forged_sources_keep_table_size_fixed() {
        let limiter = NetworkRateLimiter::new((1, Duration::from_secs(1)));
        let now = Instant::now();
        assert!(limiter.try_acquire(ip("192.0.2.1"), now));
        // With fewer networks than the table has buckets, hardly any row is full.
        for network in 0..ROWS as u32 {
            limiter.try_acquire(std::net::Ipv4Addr::from(10 << 24 | network << 8).into(), now);
        }
        let is_used = |bucket: &&Bucket| bucket.network != 0;
        let used = limiter.lock_table().rows.iter().flatten().filter(is_used).count();
        assert!(used <= ROWS * BUCKETS_PER_ROW && used > ROWS / 2, "{used}");
        for network in 0..100_000_u32 {
            limiter.try_acquire(std::net::Ipv4Addr::from(11 << 24 | network << 8).into(), now);
        }
        assert_eq!(limiter.lock_table().rows.len() * BUCKETS_PER_ROW, 4096);
    }

    #[test]
    fn full_row_evicts_longest_idle_bucket() {
        let limiter = NetworkRateLimiter::new((1, Duration::from_secs(1)));
        let start = Instant::now();
        // Each row fills up, while one network stays busy.
        let busy = ip("192.0.2.1");
        for network in 0..60_000_u32 {
            let now = start + Duration::from_millis(u64::from(network));
            limiter.try_acquire(std::net::Ipv4Addr::from(11 << 24 | network << 8).into(), now);
            if network % 1000 == 0 {
                assert!(limiter.try_acquire(busy, now));
                assert!(!limiter.try_acquire(busy, now), "bucket was evicted at {network}");
            }
        }
    }
}
