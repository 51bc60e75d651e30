//! `recvmmsg` and `sendmmsg` for UDP sockets (recvmmsg(2), sendmmsg(2)).
//!
//! The kernel wants an array of headers for each call. They hold raw pointers, which no task may take along to another
//! thread, so each thread has its own and all sockets of the thread share them. The kernel writes into headers how
//! much of their room it used, and nix gives that room to the next call, hence headers of their own for each shape
//! of what is received: IPv4 or IPv6, with the address that was asked or without. Those for sending are never used
//! for receiving, since they point to addresses that are gone when the call is over.

use std::cell::RefCell;
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::thread::LocalKey;

use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6,
    SockaddrLike, recvmmsg, sendmmsg,
};
use rustix::io::Errno;

use super::Peer;
use super::batch::{DatagramBatch, MOST, Received};

thread_local! {
    static V4: RefCell<Headers<SockaddrIn>> = const { RefCell::new(Headers::none()) };
    static V6: RefCell<Headers<SockaddrIn6>> = const { RefCell::new(Headers::none()) };
}

/// A thread's headers for one family, each made when it is first needed.
struct Headers<S> {
    receive: Option<MultiHeaders<S>>,
    receive_with_local: Option<MultiHeaders<S>>,
    send: Option<MultiHeaders<S>>,
    send_from_local: Option<MultiHeaders<S>>,
}

impl<S> Headers<S> {
    const fn none() -> Headers<S> {
        Headers { receive: None, receive_with_local: None, send: None, send_from_local: None }
    }
}

/// What differs between IPv4 and IPv6.
trait Family: SockaddrLike + Copy + 'static {
    fn headers() -> &'static LocalKey<RefCell<Headers<Self>>>;
    fn of(address: SocketAddr) -> Option<Self>;
    fn peer(self) -> Peer;
    /// Makes room for one message about the address that was asked.
    fn room() -> Vec<u8>;
}

impl Family for SockaddrIn {
    fn headers() -> &'static LocalKey<RefCell<Headers<SockaddrIn>>> {
        &V4
    }

    fn of(address: SocketAddr) -> Option<SockaddrIn> {
        match address {
            SocketAddr::V4(v4) => Some(v4.into()),
            SocketAddr::V6(_) => None,
        }
    }

    fn peer(self) -> Peer {
        Peer::Inet(SocketAddr::V4(SocketAddrV4::new(self.ip(), self.port())))
    }

    fn room() -> Vec<u8> {
        nix::cmsg_space!(in_pktinfo)
    }
}

impl Family for SockaddrIn6 {
    fn headers() -> &'static LocalKey<RefCell<Headers<SockaddrIn6>>> {
        &V6
    }

    fn of(address: SocketAddr) -> Option<SockaddrIn6> {
        match address {
            SocketAddr::V6(v6) => Some(v6.into()),
            // An IPv6 socket knows an IPv4 peer by its mapped address.
            SocketAddr::V4(v4) => {
                Some(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into())
            }
        }
    }

    fn peer(self) -> Peer {
        let (flow, scope) = (self.flowinfo(), self.scope_id());
        SocketAddr::V6(SocketAddrV6::new(self.ip(), self.port(), flow, scope)).into()
    }

    fn room() -> Vec<u8> {
        nix::cmsg_space!(in6_pktinfo)
    }
}

/// Receives as many datagrams as wait and find room; `with_local` if the socket tells the address that was asked.
pub(super) fn receive(
    fd: BorrowedFd<'_>,
    is_v6: bool,
    with_local: bool,
    batch: &mut DatagramBatch,
) -> Result<(), Errno> {
    match is_v6 {
        true => receive_as::<SockaddrIn6>(fd, with_local, batch),
        false => receive_as::<SockaddrIn>(fd, with_local, batch),
    }
}

fn receive_as<S: Family>(
    fd: BorrowedFd<'_>,
    with_local: bool,
    batch: &mut DatagramBatch,
) -> Result<(), Errno> {
    S::headers().with_borrow_mut(|headers| {
        let headers = match with_local {
            true => &mut headers.receive_with_local,
            false => &mut headers.receive,
        };
        let room = || with_local.then(S::room);
        let made = headers.get_or_insert_with(|| MultiHeaders::preallocate(MOST, room()));
        // A datagram without word of its address has used up the room for it; see above.
        if !receive_into(fd, made, with_local, batch)? {
            *headers = None;
        }
        Ok(())
    })
}

/// Receives with these headers, and tells whether they can be used again.
fn receive_into<S: Family>(
    fd: BorrowedFd<'_>,
    headers: &mut MultiHeaders<S>,
    with_local: bool,
    batch: &mut DatagramBatch,
) -> Result<bool, Errno> {
    batch.received.clear();
    let count = batch.capacity();
    let mut buffers = batch.bytes.chunks_exact_mut(batch.size);
    let mut slices: [[IoSliceMut<'_>; 1]; MOST] =
        std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
    let slices = slices.iter_mut().take(count);
    // With this flag the kernel tells the whole length of what it cut.
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
    let mut are_well = true;
    for message in recvmmsg(fd.as_raw_fd(), headers, slices, flags, None).map_err(errno)? {
        are_well &= !message.flags.contains(MsgFlags::MSG_CTRUNC);
        let local = match with_local {
            true => message.cmsgs().ok().and_then(|mut told| told.find_map(local)),
            false => None,
        };
        let peer = message.address.map_or(Peer::Unix(None), Family::peer);
        batch.received.push(Received { length: message.bytes, peer, local });
    }
    Ok(are_well)
}

/// Sends `bytes` to the senders of the first of some datagrams and of as many after it as were sent to the same address
/// and find room, from the address `local` if it is given; says to how many.
pub(super) fn answer(
    fd: BorrowedFd<'_>,
    is_v6: bool,
    bytes: &[u8],
    (received, which): (&[Received], &[usize]),
    local: Option<IpAddr>,
) -> Result<usize, Errno> {
    match is_v6 {
        true => answer_as::<SockaddrIn6>(fd, bytes, (received, which), local),
        false => answer_as::<SockaddrIn>(fd, bytes, (received, which), local),
    }
}

fn answer_as<S: Family>(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    (received, which): (&[Received], &[usize]),
    local: Option<IpAddr>,
) -> Result<usize, Errno> {
    let mut addresses = [None; MOST];
    let mut count = 0;
    let mut asked = None;
    for (place, index) in addresses.iter_mut().zip(which) {
        let Some(Received { peer: Peer::Inet(peer), local, .. }) = received.get(*index) else {
            break;
        };
        if *asked.get_or_insert(*local) != *local {
            break;
        }
        *place = S::of(*peer);
        count += 1;
    }
    send_to(fd, bytes, &addresses[..count], local)
}

/// Sends `bytes` up to `count` times (at most 64) to `to`, on a socket of its family.
pub(super) fn repeat_to(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    to: SocketAddr,
    count: usize,
) -> Result<usize, Errno> {
    let count = count.min(MOST);
    match to {
        SocketAddr::V4(to) => {
            send_to(fd, bytes, &[Some(SockaddrIn::from(to)); MOST][..count], None)
        }
        SocketAddr::V6(to) => {
            send_to(fd, bytes, &[Some(SockaddrIn6::from(to)); MOST][..count], None)
        }
    }
}

/// Sends `bytes` up to `count` times (at most 64) to where a UDP socket is connected; says how often it did.
pub(super) fn repeat(fd: BorrowedFd<'_>, bytes: &[u8], count: usize) -> Result<usize, Errno> {
    send_to::<SockaddrIn>(fd, bytes, &[None; MOST][..count.min(MOST)], None)
}

fn send_to<S: Family>(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    to: &[Option<S>],
    local: Option<IpAddr>,
) -> Result<usize, Errno> {
    let slices = [IoSlice::new(bytes)];
    let slices = std::iter::repeat_n(&slices, to.len());
    let (v4, v6);
    let from = match local {
        Some(IpAddr::V4(address)) => {
            v4 = v4_info(address);
            Some(ControlMessage::Ipv4PacketInfo(&v4))
        }
        Some(IpAddr::V6(address)) => {
            v6 = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: address.octets() }, ipi6_ifindex: 0 };
            Some(ControlMessage::Ipv6PacketInfo(&v6))
        }
        None => None,
    };
    S::headers().with_borrow_mut(|headers| {
        let headers = match from {
            Some(_) => &mut headers.send_from_local,
            None => &mut headers.send,
        };
        let room = || from.is_some().then(S::room);
        let headers = headers.get_or_insert_with(|| MultiHeaders::preallocate(MOST, room()));
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let sent = sendmmsg(fd.as_raw_fd(), headers, slices, to, from.as_slice(), flags);
        sent.map(Iterator::count).map_err(errno)
    })
}

fn v4_info(address: Ipv4Addr) -> in_pktinfo {
    let unset = in_addr { s_addr: 0 };
    let own = in_addr { s_addr: u32::from(address).to_be() };
    in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: own, ipi_addr: unset }
}

/// Finds the address of this machine that was asked, as one that an answer can come from.
fn local(message: ControlMessageOwned) -> Option<IpAddr> {
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

pub(super) fn errno(error: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(error as i32)
}
