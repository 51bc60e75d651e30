//! The addresses that a chat's operators have banned.
//!
//! The list belongs to the tree and lasts as long as it does. An IPv6 prefix of 64 bits counts as
//! one address, as for the [connection limit](crate::actors::PerIpLimit). A client of a Unix socket
//! has no address and cannot be banned.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::actors::support::ip_limit::ip_key;
use crate::net::Peer;
use crate::sync::lock;

/// The maximum number of banned addresses.
const MAX_BANS: usize = 4096;

/// A list of banned addresses.
#[derive(Default)]
pub struct BanList {
    list: Mutex<BTreeSet<IpAddr>>,
    /// Whether an address was ever banned. Usually none was, and then a new connection is checked
    /// without the lock.
    was_ever_used: AtomicBool,
}

impl BanList {
    fn lock_list(&self) -> MutexGuard<'_, BTreeSet<IpAddr>> {
        lock(&self.list)
    }

    /// Bans an address.
    ///
    /// # Errors
    ///
    /// The list is full. It holds at most 4096 addresses.
    pub fn add(&self, address: IpAddr) -> Result<(), String> {
        let mut list = self.lock_list();
        if list.len() >= MAX_BANS && !list.contains(&ip_key(address)) {
            return Err(format!("the limit of {MAX_BANS} banned addresses is reached"));
        }
        list.insert(ip_key(address));
        self.was_ever_used.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Removes an address from the list. Returns whether it was banned.
    pub fn remove(&self, address: IpAddr) -> bool {
        self.lock_list().remove(&ip_key(address))
    }

    /// Returns whether an address is banned.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.was_ever_used.load(Ordering::SeqCst) && self.lock_list().contains(&ip_key(address))
    }

    /// Returns whether a peer's address is banned.
    pub fn contains_peer(&self, peer: &Peer) -> bool {
        matches!(peer, Peer::Inet(address) if self.contains(address.ip()))
    }

    /// Returns all banned addresses, sorted.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.lock_list().iter().copied().collect()
    }
}

impl fmt::Debug for BanList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BanList({})", self.lock_list().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ban_covers_ipv6_64_bit_prefix() {
        let bans = BanList::default();
        bans.add(ip("2001:db8::1")).unwrap();
        assert!(bans.contains(ip("2001:db8::2")) && !bans.contains(ip("2001:db8:0:1::1")));
        assert!(bans.remove(ip("2001:db8::ffff")) && !bans.contains(ip("2001:db8::1")));
        bans.add(ip("::ffff:192.0.2.1")).unwrap();
        assert!(bans.contains_peer(&Peer::Inet("192.0.2.1:9".parse().unwrap())));
        assert!(!bans.contains_peer(&Peer::Unix(None)));
    }

    #[test]
    fn full_ban_list_rejects_new_address() {
        let bans = BanList::default();
        let address = |k: usize| IpAddr::from((k as u32).to_be_bytes());
        (0..MAX_BANS).for_each(|k| bans.add(address(k)).unwrap());
        assert!(bans.add(address(MAX_BANS)).is_err() && bans.add(address(0)).is_ok());
        assert_eq!(bans.addresses().len(), MAX_BANS);
    }
}
