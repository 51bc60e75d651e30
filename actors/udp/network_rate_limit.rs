//! A rate limit for the replies to each source network.
//!
//! The source address of a datagram is easily forged, so a responder can be made to flood a third
//! party. A token bucket per network limits that. A network is what one site usually has: 24 bits
//! of an IPv4 address, 56 bits of an IPv6 address. Forged sources use no memory, because the table
//! of buckets has a fixed size.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::actors::support::source_rate_limit::SourceRateLimiter;

/// The default limit of replies to each network beyond loopback: a count per period.
pub const DEFAULT_REPLY_RATE: (u32, Duration) = (1000, Duration::from_secs(1));

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
#[derive(Debug)]
pub struct NetworkRateLimiter(SourceRateLimiter);

impl NetworkRateLimiter {
    /// Creates a limit of `count` replies (at least 1) per period, and a burst of `count` replies
    /// after an idle period.
    pub fn new(rate: (u32, Duration)) -> NetworkRateLimiter {
        NetworkRateLimiter(SourceRateLimiter::new(rate))
    }

    /// Takes a token from the bucket of the network of `ip`. Returns `false` if the bucket is
    /// empty.
    pub fn try_acquire(&self, ip: IpAddr, now: Instant) -> bool {
        self.0.try_acquire(&network_key(ip), now)
    }
}

/// Returns a number that identifies the network of an address.
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
    }
}
