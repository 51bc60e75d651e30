//! How often the senders of one network are answered.
//!
//! The source of a datagram is easily forged, so a responder can be had to send to somebody who asked for nothing. A
//! token bucket for each network bounds that. A network is what one site has: 24 bits of an IPv4 address, 56 of an
//! IPv6 address. The buckets are in a table of fixed size, so that forged sources cost no memory: where a new network
//! finds its row of the table full, it takes the place of the bucket that has been at rest for longest, whose network
//! loses the least by it. Where a network is in the table is decided by a secret, so that nobody can aim at another's
//! row.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::sync::lock;

/// Rows of the table, a power of two.
const ROWS: usize = 1024;

/// Buckets of a row: 4096 in all, 96 KiB.
const BUCKETS_PER_ROW: usize = 4;

/// A limit to how many answers each network is sent in which time.
///
/// # Examples
///
/// ```
/// use std::time::{Duration, Instant};
/// use sockactors::actors::NetworkRateLimiter;
///
/// let rate = NetworkRateLimiter::new((2, Duration::from_secs(1)));
/// let now = Instant::now();
/// let [one, other, elsewhere] = ["192.0.2.1", "192.0.2.77", "192.0.3.1"].map(|ip| ip.parse().unwrap());
/// assert!(rate.try_acquire(one, now) && rate.try_acquire(other, now));
/// assert!(!rate.try_acquire(one, now));
/// assert!(rate.try_acquire(elsewhere, now));
/// assert!(rate.try_acquire(one, now + Duration::from_millis(500)));
/// ```
pub struct NetworkRateLimiter {
    /// The time after which one more answer may be sent, in nanoseconds.
    interval: u64,
    /// How far ahead of the time a bucket may be, in nanoseconds: what a burst takes.
    burst_tolerance: u64,
    secret: RandomState,
    table: Mutex<BucketTable>,
}

struct BucketTable {
    /// The time that the buckets count from: that of the first answer.
    epoch: Option<Instant>,
    rows: Box<[[Bucket; BUCKETS_PER_ROW]]>,
}

/// A bucket that is full again at `theoretical_arrival` nanoseconds; one of network 0 is nobody's.
#[derive(Clone, Copy, Default)]
struct Bucket {
    network: u64,
    theoretical_arrival: u64,
}

impl NetworkRateLimiter {
    /// Makes a limit of `count` answers (at least 1) in a time, and as many at once after that time of rest.
    pub fn new((count, within): (u32, Duration)) -> NetworkRateLimiter {
        let within = u64::try_from(within.as_nanos()).unwrap_or(u64::MAX);
        let each = (within / u64::from(count.max(1))).max(1);
        let rows = vec![[Bucket::default(); BUCKETS_PER_ROW]; ROWS].into_boxed_slice();
        NetworkRateLimiter {
            interval: each,
            burst_tolerance: each.saturating_mul(u64::from(count.max(1) - 1)),
            secret: RandomState::new(),
            table: Mutex::new(BucketTable { epoch: None, rows }),
        }
    }

    /// Takes one answer to `ip` from the bucket of its network; tells whether there was one.
    pub fn try_acquire(&self, ip: IpAddr, now: Instant) -> bool {
        let network = network_key(ip);
        let row = self.secret.hash_one(network) as usize % ROWS;
        let mut table = self.lock_table();
        let epoch = *table.epoch.get_or_insert(now);
        let since = now.saturating_duration_since(epoch).as_nanos();
        let now = u64::try_from(since).unwrap_or(u64::MAX);
        let row = &mut table.rows[row];
        let own = row.iter().position(|bucket| bucket.network == network);
        let at_rest = || {
            (0..BUCKETS_PER_ROW)
                .min_by_key(|place| row[*place].theoretical_arrival)
                .unwrap_or_default()
        };
        let bucket = match own {
            Some(own) => &mut row[own],
            None => {
                let place = at_rest();
                row[place] = Bucket { network, theoretical_arrival: 0 };
                &mut row[place]
            }
        };
        let full_at = bucket.theoretical_arrival.max(now);
        if full_at - now > self.burst_tolerance {
            return false;
        }
        bucket.theoretical_arrival = full_at.saturating_add(self.interval);
        true
    }

    fn lock_table(&self) -> MutexGuard<'_, BucketTable> {
        lock(&self.table)
    }
}

impl fmt::Debug for NetworkRateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyRate(one in {:?})", Duration::from_nanos(self.interval))
    }
}

/// Numbers what counts as one network, never with 0.
fn network_key(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(v4) => 1 << 32 | u64::from(u32::from(v4) >> 8),
        // A bit above all those of the 56 tells them from IPv4's.
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
        let alike = [
            ("192.0.2.1", "192.0.2.255"),
            ("192.0.2.1", "::ffff:192.0.2.9"),
            ("2001:db8:0:0100::1", "2001:db8:0:01ff:ffff::"),
        ];
        assert!(alike.iter().all(|(a, b)| network_key(ip(a)) == network_key(ip(b))));
        let other = [
            ("192.0.2.1", "192.0.3.1"),
            ("2001:db8:0:0100::", "2001:db8:0:0200::"),
            ("0.0.0.1", "::1"),
        ];
        assert!(other.iter().all(|(a, b)| network_key(ip(a)) != network_key(ip(b))));
        assert!(["0.0.0.0", "::", "255.255.255.255"].iter().all(|a| network_key(ip(a)) != 0));
    }

    #[test]
    fn rate_limiter_allows_burst_then_rate() {
        let rate = NetworkRateLimiter::new((10, Duration::from_secs(1)));
        let start = Instant::now();
        let spent = |at: u64| {
            let now = start + Duration::from_millis(at);
            (0..100).filter(|_| rate.try_acquire(ip("192.0.2.1"), now)).count()
        };
        assert_eq!([0, 99, 100, 250, 1000, 5000].map(spent), [10, 0, 1, 1, 8, 10]);
    }

    #[test]
    fn forged_sources_keep_table_size_fixed() {
        let rate = NetworkRateLimiter::new((1, Duration::from_secs(1)));
        let now = Instant::now();
        let known = ip("192.0.2.1");
        assert!(rate.try_acquire(known, now));
        // Fewer than the table has places: hardly any row is full.
        for other in 0..ROWS as u32 {
            rate.try_acquire(std::net::Ipv4Addr::from(10 << 24 | other << 8).into(), now);
        }
        let rows =
            rate.lock_table().rows.iter().flatten().filter(|bucket| bucket.network != 0).count();
        assert!(rows <= ROWS * BUCKETS_PER_ROW && rows > ROWS / 2, "{rows}");
        for other in 0..100_000_u32 {
            rate.try_acquire(std::net::Ipv4Addr::from(11 << 24 | other << 8).into(), now);
        }
        assert_eq!(rate.lock_table().rows.len() * BUCKETS_PER_ROW, 4096);
    }

    #[test]
    fn full_row_evicts_longest_idle_bucket() {
        let rate = NetworkRateLimiter::new((1, Duration::from_secs(1)));
        let start = Instant::now();
        // Enough networks that each row has been full, a busy one among them all the time.
        let busy = ip("192.0.2.1");
        for other in 0..60_000_u32 {
            let now = start + Duration::from_millis(u64::from(other));
            rate.try_acquire(std::net::Ipv4Addr::from(11 << 24 | other << 8).into(), now);
            if other % 1000 == 0 {
                assert!(rate.try_acquire(busy, now));
                assert!(!rate.try_acquire(busy, now), "its bucket was taken away at {other}");
            }
        }
    }
}
