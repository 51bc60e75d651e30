//! A limit for the connections of each address.
//!
//! The counts belong to the tree, and all listeners of a server share them. An IPv6 prefix of 64
//! bits counts as one address, because a host usually has a whole prefix. Clients of Unix sockets
//! are not counted.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::net::Peer;
use crate::sync::lock;

/// A counter of open connections per address, with a limit for each address.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use sockactors::actors::PerIpLimit;
/// use sockactors::net::Peer;
///
/// let limit = Arc::new(PerIpLimit::new(1));
/// let peer = Peer::Inet("192.0.2.1:4000".parse()?);
/// let permit = limit.try_acquire(&peer).expect("the first connection");
/// assert!(limit.try_acquire(&peer).is_none());
/// assert!(limit.try_acquire(&Peer::Inet("192.0.2.2:4000".parse()?)).is_some());
/// drop(permit);
/// assert!(limit.try_acquire(&peer).is_some());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub struct PerIpLimit {
    limit: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

impl PerIpLimit {
    /// Creates a limit of `limit` connections (at least 1) per address.
    pub fn new(limit: usize) -> PerIpLimit {
        PerIpLimit { limit: limit.max(1), counts: Mutex::default() }
    }

    /// Returns the limit.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Counts a connection of a peer until the returned permit is dropped. Returns `None` if the
    /// limit of the peer's address is reached.
    pub fn try_acquire(self: &Arc<PerIpLimit>, peer: &Peer) -> Option<PerIpPermit> {
        let key = match peer {
            Peer::Inet(address) => ip_key(address.ip()),
            _ => return Some(PerIpPermit(None)),
        };
        let mut counts = self.lock_counts();
        let count = counts.entry(key).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(PerIpPermit(Some(Box::new((self.clone(), key)))))
    }

    fn lock_counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        lock(&self.counts)
    }
}

impl fmt::Debug for PerIpLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PerIpLimit({} each, {} addresses)", self.limit, self.lock_counts().len())
    }
}

/// Returns the representative of all addresses that count as one: an IPv4 address itself (also one
/// mapped to IPv6), or the 64-bit prefix of an IPv6 address.
pub(crate) fn ip_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address => address,
    }
}

/// A permit for one connection of an address. Dropping it decrements the count.
#[derive(Debug)]
pub struct PerIpPermit(Option<Box<(Arc<PerIpLimit>, IpAddr)>>);

impl Drop for PerIpPermit {
    fn drop(&mut self) {
        let Some((limit, key)) = self.0.as_deref() else { return };
        let mut counts = limit.lock_counts();
        if let Some(count) = counts.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                counts.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::Inet(address.parse().unwrap())
    }

    #[test]
    fn ip_key_merges_ipv6_prefix_and_mapped_ipv4() {
        let limit = Arc::new(PerIpLimit::new(1));
        let _ipv6 = limit.try_acquire(&peer("[2001:db8::1]:1")).unwrap();
        assert!(limit.try_acquire(&peer("[2001:db8::ffff:2]:2")).is_none());
        assert!(limit.try_acquire(&peer("[2001:db8:0:1::1]:1")).is_some());
        let _ipv4 = limit.try_acquire(&peer("192.0.2.1:1")).unwrap();
        assert!(limit.try_acquire(&peer("[::ffff:192.0.2.1]:1")).is_none());
    }

    #[test]
    fn ip_limit_forgets_address_without_connections() {
        let limit = Arc::new(PerIpLimit::new(2));
        let permits = [1, 2].map(|port| limit.try_acquire(&peer(&format!("192.0.2.1:{port}"))));
        drop(permits);
        assert!(limit.lock_counts().is_empty());
        assert!(limit.try_acquire(&Peer::Unix(None)).is_some());
    }
}
