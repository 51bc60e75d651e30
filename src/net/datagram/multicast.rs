//! Multicast groups: many hosts that hear one address.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::BorrowedFd;
use std::str::FromStr;

use rustix::net::{netdevice, sockopt};

/// A group to join, on one interface or on the one that the kernel's routes name: `ADDR` or `ADDR%IFACE`.
///
/// # Examples
///
/// ```
/// use sockactors::net::MulticastGroup;
///
/// let group: MulticastGroup = "239.1.2.3%eth0".parse().unwrap();
/// assert_eq!((group.to_string(), group.interface.as_deref()), ("239.1.2.3%eth0".into(), Some("eth0")));
/// assert!("ff02::4242".parse::<MulticastGroup>().is_ok());
/// assert!("192.0.2.1".parse::<MulticastGroup>().unwrap_err().to_string().contains("224.0.0.0"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MulticastGroup {
    /// The group's address.
    pub address: IpAddr,
    /// The name or number of the interface.
    pub interface: Option<String>,
}

/// Says that a text is no [`MulticastGroup`], and what one looks like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{input:?} is no multicast group; write an address from 224.0.0.0 to 239.255.255.255, or one that begins with ff, such as 239.1.2.3 or ff02::4242%eth0"
)]
pub struct MulticastGroupError {
    /// The text as it was given.
    pub input: String,
}

impl MulticastGroup {
    /// Has a socket hear the group.
    pub(crate) fn join(&self, fd: BorrowedFd<'_>) -> io::Result<()> {
        let index = match self.interface.as_deref() {
            None => 0,
            Some(number) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
                number.parse().map_err(|_| io::Error::from(io::ErrorKind::NotFound))?
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
        let wrong = || MulticastGroupError { input: text.to_owned() };
        let (address, interface) = match text.split_once('%') {
            // No interface has a longer name (netdevice(7)).
            Some((address, name)) if !name.is_empty() && name.len() < 16 => (address, Some(name)),
            Some(_) => return Err(wrong()),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        match address.is_multicast() {
            true => Ok(MulticastGroup { address, interface: interface.map(str::to_owned) }),
            false => Err(wrong()),
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
