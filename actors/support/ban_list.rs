//! The addresses that a chat's operators keep away.
//!
//! They belong to the tree and last as long as it does. An IPv6 network of 64 bits counts as one address, as it does
//! where connections are [counted](crate::actors::PerAddress); whoever comes over a Unix socket has none.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard};

use crate::actors::support::ip_limit::ip_key;
use crate::net::Peer;
use crate::sync::lock;

/// How many there may be.
const MAX_BANS: usize = 4096;

/// Addresses that are kept away.
#[derive(Default)]
pub struct BanList {
    list: Mutex<BTreeSet<IpAddr>>,
    /// Whether there was ever one: each connection asks, and mostly there is none.
    was_ever_used: AtomicBool,
}

impl BanList {
    fn lock_list(&self) -> MutexGuard<'_, BTreeSet<IpAddr>> {
        lock(&self.list)
    }

    /// Keeps an address away.
    ///
    /// # Errors
    ///
    /// There are as many as may be.
    pub fn add(&self, address: IpAddr) -> Result<(), String> {
        let mut list = self.lock_list();
        if list.len() >= MAX_BANS && !list.contains(&ip_key(address)) {
            return Err(format!("{MAX_BANS} addresses are banned, as many as may be"));
        }
        list.insert(ip_key(address));
        self.was_ever_used.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Lets an address come again; tells whether it was kept away.
    pub fn remove(&self, address: IpAddr) -> bool {
        self.lock_list().remove(&ip_key(address))
    }

    /// Tells whether an address is kept away.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.was_ever_used.load(Ordering::SeqCst) && self.lock_list().contains(&ip_key(address))
    }

    /// Tells whether a peer's address is kept away.
    pub fn contains_peer(&self, peer: &Peer) -> bool {
        matches!(peer, Peer::Inet(address) if self.contains(address.ip()))
    }

    /// Returns them all.
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.lock_list().iter().copied().collect()
    }
}

impl fmt::Debug for BanList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bans({})", self.lock_list().len())
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
