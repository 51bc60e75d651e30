//! `recvmmsg` and `sendmmsg` for UDP sockets (recvmmsg(2), sendmmsg(2)).
//!
//! Each call needs an array of message headers. The headers hold raw pointers, so a task cannot
//! take them to another thread. Each thread has its own headers, and all its sockets share them.
//!
//! The kernel stores in a header how much of its buffers it has used, and nix passes that size to
//! the next call. So there are separate headers for each shape of received messages: IPv4 or IPv6,
//! with or without the local address. Headers for sending are never used for receiving, because
//! they point to addresses that are freed after the call.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::slice::ChunksExactMut;

use nix::sys::socket::{
    ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, recvmmsg, sendmmsg,
};
use rustix::io::Errno;

use crate::net::datagram::batch::family::{
    Family, MmsgHeaders, local_ip_from_cmsg, v4_pktinfo, v6_pktinfo,
};
use crate::net::datagram::batch::{DatagramBatch, DatagramMeta, MAX_BATCH, MIN_OFFER};
use crate::net::error::convert_errno;
use crate::net::peer::Peer;

/// A size between [`MIN_OFFER`] and [`MAX_BATCH`] for the array of buffer slices. A smaller array
/// of slices takes less time to fill.
const MEDIUM_OFFER: usize = 2 * MIN_OFFER;

/// Receives up to `batch.offer` waiting datagrams. `with_local` is true if the socket reports the
/// local address of each datagram.
pub(super) fn recv_batch(
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
        let cmsg_buffer = || with_local.then(S::cmsg_buffer);
        let allocated =
            headers.get_or_insert_with(|| MultiHeaders::preallocate(MAX_BATCH, cmsg_buffer()));
        // If a control message was truncated, the header keeps the wrong buffer size; see above.
        if !recv_with_headers(fd, allocated, with_local, batch)? {
            *headers = None;
        }
        Ok(())
    })
}

/// Receives with these headers. Returns whether they can be used again.
fn recv_with_headers<S: Family>(
    fd: BorrowedFd<'_>,
    headers: &mut MultiHeaders<S>,
    with_local: bool,
    batch: &mut DatagramBatch,
) -> Result<bool, Errno> {
    batch.received.clear();
    let mut buffers = batch.bytes.chunks_exact_mut(batch.slot_size);
    let (mut small, mut medium, mut large);
    let slices: &mut [[IoSliceMut<'_>; 1]] = if batch.offer <= MIN_OFFER {
        small = io_slices::<MIN_OFFER>(&mut buffers);
        &mut small
    } else if batch.offer <= MEDIUM_OFFER {
        medium = io_slices::<MEDIUM_OFFER>(&mut buffers);
        &mut medium
    } else {
        large = io_slices::<MAX_BATCH>(&mut buffers);
        &mut large
    };
    let slices = slices.iter_mut().take(batch.offer);
    // MSG_TRUNC makes the kernel report the full length of a truncated datagram.
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_TRUNC;
    let mut is_reusable = true;
    for message in recvmmsg(fd.as_raw_fd(), headers, slices, flags, None).map_err(convert_errno)? {
        is_reusable &= !message.flags.contains(MsgFlags::MSG_CTRUNC);
        let local_ip = match with_local {
            true => message.cmsgs().ok().and_then(|mut cmsgs| cmsgs.find_map(local_ip_from_cmsg)),
            false => None,
        };
        let peer = message.address.map_or(Peer::Unix(None), Family::into_peer);
        batch.received.push(DatagramMeta { length: message.bytes, peer, local_ip });
    }
    batch.adapt_offer();
    Ok(is_reusable)
}

/// Returns slices of the next `N` buffers. If there are fewer buffers, the last slices are empty.
fn io_slices<'a, const N: usize>(buffers: &mut ChunksExactMut<'a, u8>) -> [[IoSliceMut<'a>; 1]; N] {
    std::array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())])
}

/// Sends `bytes` to the senders of some received datagrams, from the address `source` if it is
/// given. Returns the number of replies.
///
/// It stops at the first datagram that was sent to another local address than the first one, and
/// when the send buffer is full.
pub(super) fn send_replies(
    fd: BorrowedFd<'_>,
    is_v6: bool,
    bytes: &[u8],
    (received, indices): (&[DatagramMeta], &[usize]),
    source: Option<IpAddr>,
) -> Result<usize, Errno> {
    match is_v6 {
        true => send_replies_as::<SockaddrIn6>(fd, bytes, (received, indices), source),
        false => send_replies_as::<SockaddrIn>(fd, bytes, (received, indices), source),
    }
}

fn send_replies_as<S: Family>(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    (received, indices): (&[DatagramMeta], &[usize]),
    source: Option<IpAddr>,
) -> Result<usize, Errno> {
    let first_local_ip = indices.first().and_then(|index| received.get(*index)?.local_ip);
    S::headers().with_borrow_mut(|headers| {
        let mut targets = std::mem::take(&mut headers.targets);
        targets.clear();
        for index in indices.iter().take(MAX_BATCH) {
            match received.get(*index) {
                Some(DatagramMeta { peer: Peer::Inet(peer), local_ip, .. })
                    if *local_ip == first_local_ip =>
                {
                    targets.push(S::from_socket_addr(*peer));
                }
                _ => break,
            }
        }
        let sent = headers.send_to_all(fd, bytes, &targets, source);
        headers.targets = targets;
        sent
    })
}

/// Sends `bytes` up to `count` times (at most 64) to `target`, on a socket of its family. Returns
/// how many times.
pub(super) fn send_repeated_to(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    target: SocketAddr,
    count: usize,
) -> Result<usize, Errno> {
    let count = count.min(MAX_BATCH);
    match target {
        SocketAddr::V4(v4) => {
            send_to_all(fd, bytes, &[Some(SockaddrIn::from(v4)); MAX_BATCH][..count])
        }
        SocketAddr::V6(v6) => {
            send_to_all(fd, bytes, &[Some(SockaddrIn6::from(v6)); MAX_BATCH][..count])
        }
    }
}

/// Sends `bytes` up to `count` times (at most 64) to the server of a connected socket. Returns how
/// many times.
pub(super) fn send_repeated(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    count: usize,
) -> Result<usize, Errno> {
    send_to_all::<SockaddrIn>(fd, bytes, &[None; MAX_BATCH][..count.min(MAX_BATCH)])
}

fn send_to_all<S: Family>(
    fd: BorrowedFd<'_>,
    bytes: &[u8],
    targets: &[Option<S>],
) -> Result<usize, Errno> {
    S::headers().with_borrow_mut(|headers| headers.send_to_all(fd, bytes, targets, None))
}

impl<S: Family> MmsgHeaders<S> {
    /// Sends `bytes` to each target, from the address `source` if it is given. A target of `None`
    /// is the server of a connected socket.
    fn send_to_all(
        &mut self,
        fd: BorrowedFd<'_>,
        bytes: &[u8],
        targets: &[Option<S>],
        source: Option<IpAddr>,
    ) -> Result<usize, Errno> {
        let slices = [IoSlice::new(bytes)];
        let slices = std::iter::repeat_n(&slices, targets.len());
        let (v4, v6);
        let pktinfo = match source {
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
        let headers = match pktinfo {
            Some(_) => &mut self.send_from_local,
            None => &mut self.send,
        };
        let cmsg_buffer = || pktinfo.is_some().then(S::cmsg_buffer);
        let headers =
            headers.get_or_insert_with(|| MultiHeaders::preallocate(MAX_BATCH, cmsg_buffer()));
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let sent = sendmmsg(fd.as_raw_fd(), headers, slices, targets, pktinfo.as_slice(), flags);
        sent.map(Iterator::count).map_err(convert_errno)
    }
}
