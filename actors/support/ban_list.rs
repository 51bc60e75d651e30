//! The addresses that a chat's operators keep away.
//!
//! They belong to the tree and last as long as it does. An IPv6 network of 64 bits counts as one address, as it does
//! where connections are [counted](crate::actors::PerAddress); whoever comes over a Unix socket has none.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::actors::support::ip_limit::network;
use crate::net::Peer;

/// How many there may be.
const MOST: usize = 4096;

/// Addresses that are kept away.
#[derive(Default)]
pub struct Bans {
    list: Mutex<BTreeSet<IpAddr>>,
    /// Whether there was ever one: each connection asks, and mostly there is none.
    any: AtomicBool,
}

impl Bans {
    fn list(&self) -> MutexGuard<'_, BTreeSet<IpAddr>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps an address away.
    ///
    /// # Errors
    ///
    /// There are as many as may be.
    pub fn add(&self, address: IpAddr) -> Result<(), String> {
        let mut list = self.list();
        if list.len() >= MOST && !list.contains(&network(address)) {
            return Err(format!("{MOST} addresses are banned, as many as may be"));
        }
        list.insert(network(address));
        self.any.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Lets an address come again; tells whether it was kept away.
    pub fn lift(&self, address: IpAddr) -> bool {
        self.list().remove(&network(address))
    }

    /// Tells whether an address is kept away.
    pub fn hold(&self, address: IpAddr) -> bool {
        self.any.load(Ordering::SeqCst) && self.list().contains(&network(address))
    }

    /// Tells whether a peer's address is kept away.
    pub fn hold_peer(&self, peer: &Peer) -> bool {
        matches!(peer, Peer::Inet(address) if self.hold(address.ip()))
    }

    /// Returns them all.
    pub fn all(&self) -> Vec<IpAddr> {
        self.list().iter().copied().collect()
    }
}

impl fmt::Debug for Bans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bans({})", self.list().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_of_64_bits_is_one_address() {
        let bans = Bans::default();
        bans.add(ip("2001:db8::1")).unwrap();
        assert!(bans.hold(ip("2001:db8::2")) && !bans.hold(ip("2001:db8:0:1::1")));
        assert!(bans.lift(ip("2001:db8::ffff")) && !bans.hold(ip("2001:db8::1")));
        bans.add(ip("::ffff:192.0.2.1")).unwrap();
        assert!(bans.hold_peer(&Peer::Inet("192.0.2.1:9".parse().unwrap())));
        assert!(!bans.hold_peer(&Peer::Unix(None)));
    }

    #[test]
    fn there_is_an_end_to_them() {
        let bans = Bans::default();
        let address = |k: usize| IpAddr::from((k as u32).to_be_bytes());
        (0..MOST).for_each(|k| bans.add(address(k)).unwrap());
        assert!(bans.add(address(MOST)).is_err() && bans.add(address(0)).is_ok());
        assert_eq!(bans.all().len(), MOST);
    }
}
