//! A client's socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, sockopt};

use super::{DatagramSocket, open_socket};
use crate::net::address;

/// Binds to an abstract name and connects.
pub(super) fn connect_unix(address: &SocketAddrUnix) -> io::Result<OwnedFd> {
    let fd = open_socket(AddressFamily::UNIX)?;
    rustix::net::bind(&fd, &SocketAddrUnix::new_unnamed())?;
    rustix::net::connect(&fd, address)?;
    Ok(fd)
}

/// Connects to an address, or stays open to all where many hear what is sent there: their answers come from elsewhere.
pub(super) fn connect_inet(to: SocketAddr) -> io::Result<DatagramSocket> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let connected = match to.ip().is_multicast() {
        true => Err(Errno::ACCESS),
        false => open_socket(family).and_then(|fd| rustix::net::connect(&fd, &to).map(|()| fd)),
    };
    let (fd, many) = match connected {
        Ok(fd) => (fd, None),
        // So the kernel refuses a broadcast address (connect(2)).
        Err(Errno::ACCESS) => (open_unconnected(family)?, Some(to)),
        Err(error) => return Err(error.into()),
    };
    let local = address::local_addr(&fd)?;
    Ok(DatagramSocket {
        unconnected_target: many,
        ..DatagramSocket::new_inet(fd, local.into(), local)
    })
}

/// Makes a socket that hears everybody, and may send to all.
fn open_unconnected(family: AddressFamily) -> Result<OwnedFd, Errno> {
    let fd = open_socket(family)?;
    sockopt::set_socket_broadcast(&fd, true)?;
    let any: IpAddr = match family {
        AddressFamily::INET => Ipv4Addr::UNSPECIFIED.into(),
        _ => Ipv6Addr::UNSPECIFIED.into(),
    };
    rustix::net::bind(&fd, &SocketAddr::new(any, 0))?;
    Ok(fd)
}
