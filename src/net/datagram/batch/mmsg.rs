//! `recvmmsg` and `sendmmsg` for UDP sockets (recvmmsg(2), sendmmsg(2)).
//!
//! The kernel wants an array of headers for each call. They hold raw pointers, which no task may take along to another
//! thread, so each thread has its own and all sockets of the thread share them. The kernel writes into headers how
//! much of their room it used, and nix gives that room to the next call, hence headers of their own for each shape
//! of what is received: IPv4 or IPv6, with the address that was asked or without. Those for sending are never used
//! for receiving, since they point to addresses that are gone when the call is over.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::slice::ChunksExactMut;

use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, recvmmsg, sendmmsg,
};
use rustix::io::Errno;

use crate::net::Peer;
use crate::net::datagram::batch::family::{
    Family, MmsgHeaders, local_ip_from_cmsg, v4_pktinfo, v6_pktinfo,
};
use crate::net::datagram::batch::{DatagramBatch, DatagramMeta, MAX_BATCH, MIN_OFFER};

/// The next step after [`FEW`]: where these will do, slices for all would be made for nothing.
const MEDIUM_OFFER: usize = 2 * MIN_OFFER;

/// Receives as many datagrams as wait and find room; `with_local` if the socket tells the address that was asked.
pub(crate) fn recv_batch(
    fd: BorrowedFd<'_>,
    is_v6: bool,
    with_local: bool,
    batch: &mut DatagramBatch,
) -> Result<(), Errno> {
    match is_v6 {
        true => recv_batch_as::<SockaddrIn6>(fd, with_local, batch),
        false => recv_batch_as::<SockaddrIn>(fd, with_local, batch),
    }
}

fn recv_batch_as<S: Family>(
    fd: BorrowedFd<'_>,
    with_local: bool,
    batch: &mut DatagramBatch,
) -> Result<(), Errno> {
    S::headers().with_borrow_mut(|headers| {
        let headers = match with_local {
            true => &mut headers.recv_with_local,
            false => &mut headers.recv,
        };
        let room = || with_local.then(S::cmsg_buffer);
        let made = headers.get_or_insert_with(|| MultiHeaders::preallocate(MAX_BATCH, room()));
        // A datagram without word of its address has used up the room for it; see above.
        if !recv_with_headers(fd, made, with_local, batch)? {
            *headers = None;
        }
        Ok(())
    })
}

/// Receives with these headers, and tells whether they can be used again.
fn recv_with_headers<S: Family>(
    fd: BorrowedFd<'_>,
    headers: &mut MultiHeaders<S>,
    with_local: bool,
    batch: &mut DatagramBatch,
) -> Result<bool, Errno> {
    batch.received.clear();
    let mut buffers = batch.bytes.chunks_exact_mut(batch.slot_size);
    let (mut few, mut some, mut many);
    let slices: &mut [[IoSliceMut<'_>; 1]] = if batch.offer <= MIN_OFFER {
        few = io_slices::<MIN_OFFER>(&mut buffers);
        &mut few
    } else if batch.offer <= MEDIUM_OFFER {
        some = io_slices::<MEDIUM_OFFER>(&mut buffers);
        &mut some
    } else {
        many = io_slices::<MAX_BATCH>(&mut buffers);
        &mut many
    };
    let slices = slices.iter_mut().take(batch.offer);
    // With this flag the kernel tells the whole length of what it cut.
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
    let mut are_well = true;
    for message in recvmmsg(fd.as_raw_fd(), headers, slices, flags, None).map_err(convert_errno)? {
        are_well &= !message.flags.contains(MsgFlags::MSG_CTRUNC);
        let local = match with_local {
            true => message.cmsgs().ok().and_then(|mut told| told.find_map(local_ip_from_cmsg)),
            false => None,
        };
        let peer = message.address.map_or(Peer::Unix(None), Family::into_peer);
        batch.received.push(DatagramMeta { length: message.bytes, peer, local_ip: local });
    }
    batch.adapt_offer();
    Ok(are_well)
}

/// Makes the kernel's view of so many buffers; those that are not there are empty.
fn io_slices<'a, const N: usize>(buffers: &mut ChunksExactMut<'a, u8>) -> [[IoSliceMut<'a>; 1]; N] {
    std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())])
}

/// Sends `bytes` to the senders of the first of some datagrams and of as many after it as were sent to the same address
/// and find room, from the address `local` if it is given; says to how many.
pub(crate) fn send_replies(
    fd: BorrowedFd<'_>,
    is_v6: bool,
    bytes: &[u8],
    (received, which): (&[DatagramMeta], &[usize]),
    local: Option<IpAddr>,
) -> Result<usize, Errno> {
    match is_v6 {
        true => send_replies_as::<SockaddrIn6>(fd, bytes, (received, which), local),
        false => send_replies_as::<SockaddrIn>(fd, bytes, (received, which), local),
    }
}

fn send_replies_as<S: Family>(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    (received, which): (&[DatagramMeta], &[usize]),
    local: Option<IpAddr>,
) -> Result<usize, Errno> {
    let asked = which.first().and_then(|first| received.get(*first)?.local_ip);
    S::headers().with_borrow_mut(|headers| {
        let mut to = std::mem::take(&mut headers.targets);
        to.clear();
        for index in which.iter().take(MAX_BATCH) {
            match received.get(*index) {
                Some(DatagramMeta { peer: Peer::Inet(peer), local_ip: local, .. })
                    if *local == asked =>
                {
                    to.push(S::from_socket_addr(*peer));
                }
                _ => break,
            }
        }
        let sent = headers.send_to_all(fd, bytes, &to, local);
        headers.targets = to;
        sent
    })
}

/// Sends `bytes` up to `count` times (at most 64) to `to`, on a socket of its family.
pub(crate) fn send_repeated_to(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    to: SocketAddr,
    count: usize,
) -> Result<usize, Errno> {
    let count = count.min(MAX_BATCH);
    match to {
        SocketAddr::V4(to) => {
            send_to_all(fd, bytes, &[Some(SockaddrIn::from(to)); MAX_BATCH][..count])
        }
        SocketAddr::V6(to) => {
            send_to_all(fd, bytes, &[Some(SockaddrIn6::from(to)); MAX_BATCH][..count])
        }
    }
}

/// Sends `bytes` up to `count` times (at most 64) to where a UDP socket is connected; says how often it did.
pub(crate) fn send_repeated(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    count: usize,
) -> Result<usize, Errno> {
    send_to_all::<SockaddrIn>(fd, bytes, &[None; MAX_BATCH][..count.min(MAX_BATCH)])
}

fn send_to_all<S: Family>(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    to: &[Option<S>],
) -> Result<usize, Errno> {
    S::headers().with_borrow_mut(|headers| headers.send_to_all(fd, bytes, to, None))
}

impl<S: Family> MmsgHeaders<S> {
    /// Sends `bytes` to each address, or to where the socket is connected, from the address `local` if it is given.
    fn send_to_all(
        &mut self,
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
                v4 = v4_pktinfo(address);
                Some(ControlMessage::Ipv4PacketInfo(&v4))
            }
            Some(IpAddr::V6(address)) => {
                v6 = v6_pktinfo(address);
                Some(ControlMessage::Ipv6PacketInfo(&v6))
            }
            None => None,
        };
        let headers = match from {
            Some(_) => &mut self.send_from_local,
            None => &mut self.send,
        };
        let room = || from.is_some().then(S::cmsg_buffer);
        let headers = headers.get_or_insert_with(|| MultiHeaders::preallocate(MAX_BATCH, room()));
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let sent = sendmmsg(fd.as_raw_fd(), headers, slices, to, from.as_slice(), flags);
        sent.map(Iterator::count).map_err(convert_errno)
    }
}

pub(crate) fn convert_errno(error: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(error as i32)
}
