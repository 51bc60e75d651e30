//! A limit for the connections of each address.
//!
//! The counts belong to the tree, and all listeners of a server share them. An IPv6 prefix of 64
//! bits counts as one address, because a host usually has a whole prefix. A site usually has a
//! prefix of 48 bits, so such a prefix has a limit too. Clients of Unix sockets are not counted.

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
/// assert!(limit.try_acquire(&peer).is_err());
/// assert!(limit.try_acquire(&Peer::Inet("192.0.2.2:4000".parse()?)).is_ok());
/// drop(permit);
/// assert!(limit.try_acquire(&peer).is_ok());
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
pub struct PerIpLimit {
    per_address: usize,
    /// The limit of an IPv6 prefix of 48 bits.
    per_site: usize,
    /// Whether sources on this machine are not counted.
    exempts_loopback: bool,
    counts: Mutex<HashMap<Network, usize>>,
}

/// A network whose connections are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Network {
    /// An IPv4 address, or an IPv6 prefix of 64 bits.
    Address(IpAddr),
    /// The first 48 bits of an IPv6 address.
    Site(u64),
}

/// A limit that a connection would exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PerIpExcess {
    limit: usize,
    is_site: bool,
}

impl fmt::Display for PerIpExcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let network = if self.is_site { "IPv6 /48 network" } else { "address" };
        write!(f, "connection limit of {} per {network} reached (--max-per-ip)", self.limit)
    }
}

impl PerIpLimit {
    /// Creates a limit of `limit` connections (at least 1) per address.
    pub fn new(limit: usize) -> PerIpLimit {
        PerIpLimit {
            per_address: limit.max(1),
            per_site: usize::MAX,
            exempts_loopback: false,
            counts: Mutex::default(),
        }
    }

    /// Creates the limit that keeps one client from taking all `connections` of a server: a quarter
    /// per address, and a half per IPv6 prefix of 48 bits. Sources on this machine have no limit.
    pub fn share_of(connections: usize) -> PerIpLimit {
        PerIpLimit {
            per_address: (connections / 4).max(1),
            per_site: (connections / 2).max(1),
            exempts_loopback: true,
            counts: Mutex::default(),
        }
    }

    /// Counts a connection of a peer until the returned permit is dropped.
    ///
    /// # Errors
    ///
    /// Returns the limit of the peer's address or network if that is reached.
    #[inline]
    pub fn try_acquire(self: &Arc<PerIpLimit>, peer: &Peer) -> Result<PerIpPermit, PerIpExcess> {
        match peer {
            Peer::Inet(address) if !(self.exempts_loopback && peer.is_loopback()) => {
                self.count(address.ip())
            }
            _ => Ok(PerIpPermit(None)),
        }
    }

    fn count(self: &Arc<PerIpLimit>, address: IpAddr) -> Result<PerIpPermit, PerIpExcess> {
        let networks = counted_networks(address);
        let mut counts = self.counts();
        for network in networks.iter().flatten() {
            let limit = match network {
                Network::Address(_) => self.per_address,
                Network::Site(_) => self.per_site,
            };
            if counts.get(network).is_some_and(|count| *count >= limit) {
                let is_site = matches!(network, Network::Site(_));
                return Err(PerIpExcess { limit, is_site });
            }
        }
        for network in networks.into_iter().flatten() {
            *counts.entry(network).or_default() += 1;
        }
        Ok(PerIpPermit(Some(Box::new((self.clone(), address)))))
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<Network, usize>> {
        lock(&self.counts)
    }
}

impl fmt::Debug for PerIpLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PerIpLimit({} each, {} networks)", self.per_address, self.counts().len())
    }
}

/// Returns the networks that an address counts for.
fn counted_networks(address: IpAddr) -> [Option<Network>; 2] {
    let key = ip_key(address);
    let site = match key {
        IpAddr::V6(prefix) => Some(Network::Site((u128::from(prefix) >> 80) as u64)),
        IpAddr::V4(_) => None,
    };
    [Some(Network::Address(key)), site]
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
///
/// The default belongs to no limit.
#[derive(Debug, Default)]
pub struct PerIpPermit(Option<Box<(Arc<PerIpLimit>, IpAddr)>>);

impl Drop for PerIpPermit {
    fn drop(&mut self) {
        let Some((limit, address)) = self.0.as_deref() else { return };
        let mut counts = limit.counts();
        for network in counted_networks(*address).into_iter().flatten() {
            if let Some(count) = counts.get_mut(&network) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&network);
                }
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
        assert!(limit.try_acquire(&peer("[2001:db8::ffff:2]:2")).is_err());
        assert!(limit.try_acquire(&peer("[2001:db8:0:1::1]:1")).is_ok());
        let _ipv4 = limit.try_acquire(&peer("192.0.2.1:1")).unwrap();
        assert!(limit.try_acquire(&peer("[::ffff:192.0.2.1]:1")).is_err());
    }

    #[test]
    fn ip_limit_forgets_address_without_connections() {
        let limit = Arc::new(PerIpLimit::new(2));
        let permits = [1, 2].map(|port| limit.try_acquire(&peer(&format!("192.0.2.1:{port}"))));
        let site = limit.try_acquire(&peer("[2001:db8::1]:1"));
        drop((permits, site));
        assert!(limit.counts().is_empty());
        assert!(limit.try_acquire(&Peer::Unix(None)).is_ok());
    }

    #[test]
    fn default_share_is_quarter_per_address_and_half_per_site() {
        let limit = Arc::new(PerIpLimit::share_of(8));
        let mut permits = Vec::new();
        let mut connect = |address: &str| {
            let acquired = limit.try_acquire(&peer(address));
            acquired.map(|permit| permits.push(permit)).map_err(|excess| excess.to_string())
        };
        let full = "connection limit of 2 per address reached (--max-per-ip)";
        for address in ["192.0.2.1:1", "[2001:db8:0:1::1]:1", "[2001:db8:0:2::1]:1"] {
            assert_eq!([(); 2].map(|()| connect(address)), [Ok(()), Ok(())]);
            assert_eq!(connect(address), Err(full.to_owned()));
        }
        let full = "connection limit of 4 per IPv6 /48 network reached (--max-per-ip)";
        assert_eq!(connect("[2001:db8:0:3::1]:1"), Err(full.to_owned()));
        assert_eq!(connect("[2001:db8:1::1]:1"), Ok(()));
        assert_eq!([(); 9].map(|()| connect("127.0.0.1:1")), [const { Ok(()) }; 9]);
    }
}
