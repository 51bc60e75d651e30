//! Multicast groups: one address whose datagrams reach many hosts.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;
use std::str::FromStr;

use rustix::net::{netdevice, sockopt};

/// A multicast group to join: `ADDR` on the interface of the kernel's route, or `ADDR%IFACE`.
///
/// # Examples
///
/// ```
/// use sockactors::net::MulticastGroup;
///
/// let group: MulticastGroup = "239.1.2.3%eth0".parse().unwrap();
/// assert_eq!(group.to_string(), "239.1.2.3%eth0");
/// assert_eq!(group.interface.as_deref(), Some("eth0"));
/// assert!("ff02::4242".parse::<MulticastGroup>().is_ok());
/// let error = "192.0.2.1".parse::<MulticastGroup>().unwrap_err();
/// assert!(error.to_string().contains("224.0.0.0"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MulticastGroup {
    /// The address of the group.
    pub address: IpAddr,
    /// The name or the index of the interface.
    pub interface: Option<String>,
}

/// The error of a text that is not a [`MulticastGroup`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{input:?} is not a multicast group; write an address from 224.0.0.0 to 239.255.255.255, \
     or one that begins with ff, such as 239.1.2.3 or ff02::4242%eth0"
)]
pub struct MulticastGroupError {
    /// The rejected text.
    pub input: String,
}

impl MulticastGroup {
    /// Makes a socket join the group.
    pub(crate) fn join(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let index = match self.interface.as_deref() {
            None => 0,
            Some(index) if index.bytes().all(|byte| byte.is_ascii_digit()) => {
                index.parse().map_err(|_| io::Error::from(io::ErrorKind::NotFound))?
            }
            Some(name) => netdevice::name_to_index(fd, name)?,
        };
        match &self.address {
            IpAddr::V4(address) => {
                let any = Ipv4Addr::UNSPECIFIED;
                sockopt::set_ip_add_membership_with_ifindex(fd, address, &any, index)?;
            }
            IpAddr::V6(address) => sockopt::set_ipv6_add_membership(fd, address, index)?,
        }
        Ok(())
    }
}

impl FromStr for MulticastGroup {
    type Err = MulticastGroupError;

    fn from_str(text: &str) -> Result<MulticastGroup, MulticastGroupError> {
        let invalid = || MulticastGroupError { input: text.to_owned() };
        let (address, interface) = match text.split_once('%') {
            // The longest interface name has 15 bytes (netdevice(7)).
            Some((address, name)) if !name.is_empty() && name.len() < 16 => (address, Some(name)),
            Some(_) => return Err(invalid()),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        match address.is_multicast() {
            true => Ok(MulticastGroup { address, interface: interface.map(str::to_owned) }),
            false => Err(invalid()),
        }
    }
}

impl fmt::Display for MulticastGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.address)?;
        match &self.interface {
            Some(name) => write!(f, "%{name}"),
            None => Ok(()),
        }
    }
}
