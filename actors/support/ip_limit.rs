//! How many connections one address may have at once.
//!
//! The count belongs to the tree, and all listeners of a server share it. An IPv6 network of 64 bits counts as one
//! address, since whoever has one of its addresses has them all; a Unix socket's peers are not counted.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::net::Peer;
use crate::sync::lock;

/// Counts a server's connections by the address that they come from, up to a limit each.
///
/// # Examples
///
/// ```
/// use std::sync::Arc;
/// use sockactors::actors::PerIpLimit;
/// use sockactors::net::Peer;
///
/// let per_address = Arc::new(PerIpLimit::new(1));
/// let peer = Peer::Inet("192.0.2.1:4000".parse()?);
/// let visit = per_address.try_acquire(&peer).expect("the first one");
/// assert!(per_address.try_acquire(&peer).is_none());
/// assert!(per_address.try_acquire(&Peer::Inet("192.0.2.2:4000".parse()?)).is_some());
/// drop(visit);
/// assert!(per_address.try_acquire(&peer).is_some());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub struct PerIpLimit {
    limit: usize,
    counts: Mutex<HashMap<IpAddr, usize>>,
}

impl PerIpLimit {
    /// Makes a count of at most `limit` connections for each address (at least 1).
    pub fn new(limit: usize) -> PerIpLimit {
        PerIpLimit { limit: limit.max(1), counts: Mutex::default() }
    }

    /// Returns the limit.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Counts one more connection of a peer, until what is returned is dropped; none if it has as many as
    /// may be.
    pub fn try_acquire(self: &Arc<PerIpLimit>, peer: &Peer) -> Option<PerIpPermit> {
        let address = match peer {
            Peer::Inet(address) => ip_key(address.ip()),
            _ => return Some(PerIpPermit(None)),
        };
        let mut open = self.lock_counts();
        let count = open.entry(address).or_default();
        if *count >= self.limit {
            return None;
        }
        *count += 1;
        Some(PerIpPermit(Some(Box::new((self.clone(), address)))))
    }

    fn lock_counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        lock(&self.counts)
    }
}

impl fmt::Debug for PerIpLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PerAddress({} each, {} addresses)", self.limit, self.lock_counts().len())
    }
}

/// What counts as one address.
pub(crate) fn ip_key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        address => address,
    }
}

/// A connection that is counted. Dropping it counts it off.
#[derive(Debug)]
pub struct PerIpPermit(Option<Box<(Arc<PerIpLimit>, IpAddr)>>);

impl Drop for PerIpPermit {
    fn drop(&mut self) {
        let Some((per_address, address)) = self.0.as_deref() else { return };
        let mut open = per_address.lock_counts();
        if let Some(count) = open.get_mut(address) {
            *count -= 1;
            if *count == 0 {
                open.remove(address);
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
        let per_address = Arc::new(PerIpLimit::new(1));
        let _one = per_address.try_acquire(&peer("[2001:db8::1]:1")).unwrap();
        assert!(per_address.try_acquire(&peer("[2001:db8::ffff:2]:2")).is_none());
        assert!(per_address.try_acquire(&peer("[2001:db8:0:1::1]:1")).is_some());
        let _other = per_address.try_acquire(&peer("192.0.2.1:1")).unwrap();
        assert!(per_address.try_acquire(&peer("[::ffff:192.0.2.1]:1")).is_none());
    }

    #[test]
    fn ip_limit_forgets_address_without_connections() {
        let per_address = Arc::new(PerIpLimit::new(2));
        let visits =
            [1, 2].map(|port| per_address.try_acquire(&peer(&format!("192.0.2.1:{port}"))));
        drop(visits);
        assert!(per_address.lock_counts().is_empty());
        assert!(per_address.try_acquire(&Peer::Unix(None)).is_some());
    }
}
