//! The differences between IPv4 and IPv6, and the message headers of each thread for both.

use std::cell::RefCell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::thread::LocalKey;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{ControlMessageOwned, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike};

use crate::net::peer::Peer;

thread_local! {
    static V4_HEADERS: RefCell<MmsgHeaders<SockaddrIn>> =
        const { RefCell::new(MmsgHeaders::empty()) };
    static V6_HEADERS: RefCell<MmsgHeaders<SockaddrIn6>> =
        const { RefCell::new(MmsgHeaders::empty()) };
}

/// A thread's message headers for one address family. Each is created on first use.
pub(super) struct MmsgHeaders<S> {
    pub(super) recv: Option<MultiHeaders<S>>,
    pub(super) recv_with_local: Option<MultiHeaders<S>>,
    pub(super) send: Option<MultiHeaders<S>>,
    pub(super) send_from_local: Option<MultiHeaders<S>>,
    /// A reusable buffer for the addresses of replies.
    pub(super) targets: Vec<Option<S>>,
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

/// An address family: IPv4 or IPv6.
pub(super) trait Family: SockaddrLike + Copy + 'static {
    /// Returns the thread's headers for this family.
    fn headers() -> &'static LocalKey<RefCell<MmsgHeaders<Self>>>;
    /// Converts an address, or returns `None` if a socket of this family cannot reach it.
    fn from_socket_addr(address: SocketAddr) -> Option<Self>;
    /// Converts the address of a sender.
    fn into_peer(self) -> Peer;
    /// Allocates the buffer of a control message with a local address.
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
            // An IPv6 socket reaches an IPv4 peer by its mapped address.
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

/// Returns the control message that sends from an IPv4 address.
pub(super) fn v4_pktinfo(address: Ipv4Addr) -> in_pktinfo {
    let unset = in_addr { s_addr: 0 };
    let source = in_addr { s_addr: u32::from(address).to_be() };
    in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: unset }
}

/// Returns the control message that sends from an IPv6 address.
pub(super) fn v6_pktinfo(address: Ipv6Addr) -> in6_pktinfo {
    in6_pktinfo { ipi6_addr: in6_addr { s6_addr: address.octets() }, ipi6_ifindex: 0 }
}

/// Returns the local address of a received datagram, if a reply can come from it.
pub(super) fn local_ip_from_cmsg(message: ControlMessageOwned) -> Option<IpAddr> {
    match message {
        // `ipi_addr` is the destination in the header, which may be a multicast group or a
        // broadcast address. `ipi_spec_dst` is always an address of this machine.
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
