//! What differs between IPv4 and IPv6, and each thread's headers for both.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::thread::LocalKey;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{ControlMessageOwned, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike};

use crate::net::Peer;

thread_local! {
    static V4_HEADERS: RefCell<MmsgHeaders<SockaddrIn>> = const { RefCell::new(MmsgHeaders::empty()) };
    static V6_HEADERS: RefCell<MmsgHeaders<SockaddrIn6>> = const { RefCell::new(MmsgHeaders::empty()) };
}

/// A thread's headers for one family, each made when it is first needed.
pub(crate) struct MmsgHeaders<S> {
    pub(crate) recv: Option<MultiHeaders<S>>,
    pub(crate) recv_with_local: Option<MultiHeaders<S>>,
    pub(crate) send: Option<MultiHeaders<S>>,
    pub(crate) send_from_local: Option<MultiHeaders<S>>,
    /// Room for the addresses to answer to.
    pub(crate) targets: Vec<Option<S>>,
}

impl<S> MmsgHeaders<S> {
    const fn empty() -> MmsgHeaders<S> {
        MmsgHeaders {
            recv: None,
            recv_with_local: None,
            send: None,
            send_from_local: None,
            targets: Vec::new(),
        }
    }
}

/// What differs between IPv4 and IPv6.
pub(crate) trait Family: SockaddrLike + Copy + 'static {
    fn headers() -> &'static LocalKey<RefCell<MmsgHeaders<Self>>>;
    fn from_socket_addr(address: SocketAddr) -> Option<Self>;
    fn into_peer(self) -> Peer;
    /// Makes room for one message about the address that was asked.
    fn cmsg_buffer() -> Vec<u8>;
}

impl Family for SockaddrIn {
    fn headers() -> &'static LocalKey<RefCell<MmsgHeaders<SockaddrIn>>> {
        &V4_HEADERS
    }

    fn from_socket_addr(address: SocketAddr) -> Option<SockaddrIn> {
        match address {
            SocketAddr::V4(v4) => Some(v4.into()),
            SocketAddr::V6(_) => None,
        }
    }

    fn into_peer(self) -> Peer {
        Peer::Inet(SocketAddr::V4(SocketAddrV4::new(self.ip(), self.port())))
    }

    fn cmsg_buffer() -> Vec<u8> {
        nix::cmsg_space!(in_pktinfo)
    }
}

impl Family for SockaddrIn6 {
    fn headers() -> &'static LocalKey<RefCell<MmsgHeaders<SockaddrIn6>>> {
        &V6_HEADERS
    }

    fn from_socket_addr(address: SocketAddr) -> Option<SockaddrIn6> {
        match address {
            SocketAddr::V6(v6) => Some(v6.into()),
            // An IPv6 socket knows an IPv4 peer by its mapped address.
            SocketAddr::V4(v4) => {
                Some(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into())
            }
        }
    }

    fn into_peer(self) -> Peer {
        let (flow, scope) = (self.flowinfo(), self.scope_id());
        SocketAddr::V6(SocketAddrV6::new(self.ip(), self.port(), flow, scope)).into()
    }

    fn cmsg_buffer() -> Vec<u8> {
        nix::cmsg_space!(in6_pktinfo)
    }
}

pub(crate) fn v4_pktinfo(address: Ipv4Addr) -> in_pktinfo {
    let unset = in_addr { s_addr: 0 };
    let own = in_addr { s_addr: u32::from(address).to_be() };
    in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: unset }
}

pub(crate) fn v6_pktinfo(address: Ipv6Addr) -> in6_pktinfo {
    in6_pktinfo { ipi6_addr: in6_addr { s6_addr: address.octets() }, ipi6_ifindex: 0 }
}

/// Finds the address of this machine that was asked, as one that an answer can come from.
pub(crate) fn local_ip_from_cmsg(message: ControlMessageOwned) -> Option<IpAddr> {
    match message {
        // The first is a group's or the broadcast address where one of these was asked, the second never is.
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            let address = Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr));
            (!address.is_unspecified()).then_some(address.into())
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => {
            let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
            let canonical = address.to_canonical();
            let broadcast = canonical == IpAddr::V4(Ipv4Addr::BROADCAST);
            let is_own = !canonical.is_unspecified() && !canonical.is_multicast() && !broadcast;
            is_own.then_some(address.into())
        }
        _ => None,
    }
}
