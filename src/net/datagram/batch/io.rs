//! Receiving a batch of datagrams, and replying to it.
//!
//! UDP sockets use `recvmmsg` and `sendmmsg`, except for single datagrams, for which the ordinary
//! system calls cost less. A Unix socket receives and sends one datagram after the other: its peers
//! have paths for addresses, and each receiver has a queue of its own that can be full.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recvfrom};

use crate::net::address;
use crate::net::datagram::DatagramSocket;
use crate::net::datagram::batch::{Datagram, DatagramBatch, DatagramMeta, mmsg};
use crate::net::endpoint::Endpoint;
use crate::net::error::errno;
use crate::net::peer::Peer;

impl DatagramSocket {
    /// Receives waiting datagrams into the batch, in place of its old ones. Waits for the first
    /// datagram.
    ///
    /// Its limit is twice the number of datagrams received last, but at least 8, and at most the
    /// capacity of the batch. So a batch grows with the load, and empty buffers cost little. After
    /// several datagrams that arrived alone, it usually receives only one. The future may be
    /// dropped at any time: datagrams that it has not returned are still in the queue.
    ///
    /// # Errors
    ///
    /// See [`recv_from`](DatagramSocket::recv_from). The batch is empty after an error.
    pub async fn recv_batch(&self, batch: &mut DatagramBatch) -> io::Result<()> {
        self.socket.read_with(|fd| self.fill_batch(fd, batch)).await
    }

    /// Receives like [`recv_batch`](DatagramSocket::recv_batch), without waiting.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] if the queue is empty.
    pub fn try_recv_batch(&self, batch: &mut DatagramBatch) -> io::Result<()> {
        self.socket.retry_on_intr(|fd| self.fill_batch(fd, batch))
    }

    /// Receives datagrams into the batch, in place of its old ones.
    fn fill_batch(&self, fd: BorrowedFd<'_>, batch: &mut DatagramBatch) -> Result<(), Errno> {
        let max_count = match self.local_addr {
            // For a single datagram `recvfrom` is cheaper, but it cannot report the local address.
            Some(local_addr) if self.receives_pktinfo || batch.offer > 1 => {
                return mmsg::recv_batch(fd, local_addr.is_ipv6(), self.receives_pktinfo, batch);
            }
            Some(_) => batch.offer,
            None => batch.capacity(),
        };
        batch.received.clear();
        for buffer in batch.bytes.chunks_exact_mut(batch.slot_size).take(max_count) {
            match recvfrom(fd, buffer, RecvFlags::TRUNC) {
                Ok((_, length, sender)) => {
                    let peer = address::decode_peer(sender);
                    batch.received.push(DatagramMeta { length, peer, local_ip: None });
                }
                Err(_) if !batch.received.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        batch.adapt_offer();
        Ok(())
    }

    /// Sends `bytes` to the senders of the datagrams with these indices. Returns how many of the
    /// indices, from the first on, it has replied to: at least one. Waits for buffer space like
    /// [`send_to`](DatagramSocket::send_to).
    ///
    /// A socket that is bound to every interface replies from the address to which the datagram was
    /// sent.
    ///
    /// # Errors
    ///
    /// Fails like [`send_to`](DatagramSocket::send_to) if the first reply cannot be sent, and with
    /// [`io::ErrorKind::InvalidInput`] if the first index is missing or not in the batch.
    pub async fn reply_batch(
        &self,
        batch: &DatagramBatch,
        indices: &[usize],
        bytes: &[u8],
    ) -> io::Result<usize> {
        loop {
            match self.try_reply_batch(batch, indices, bytes) {
                // The queue of a Unix receiver has no readiness event, see `send_to`.
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && self.local_addr.is_some() =>
                {
                    self.socket.writable().await?;
                }
                result => return result,
            }
        }
    }

    /// Sends like [`reply_batch`](DatagramSocket::reply_batch), without waiting.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] if there is no buffer space, and like
    /// [`reply_batch`](DatagramSocket::reply_batch).
    pub fn try_reply_batch(
        &self,
        batch: &DatagramBatch,
        indices: &[usize],
        bytes: &[u8],
    ) -> io::Result<usize> {
        let first = indices.first().and_then(|index| batch.received.get(*index));
        let (first, local_addr) = match (first, self.local_addr) {
            (Some(first), Some(local_addr)) if indices.len() > 1 || first.local_ip.is_some() => {
                (first, local_addr)
            }
            (Some(first), _) => return self.try_send_to(bytes, &first.peer).map(|()| 1),
            (None, _) => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let is_v6 = local_addr.is_ipv6();
        let send = |fd: BorrowedFd<'_>, source| {
            mmsg::send_replies(fd, is_v6, bytes, (&batch.received, indices), source)
        };
        match self.socket.retry_on_intr(|fd| send(fd, first.local_ip)) {
            // The broadcast address of a network looks like any other address, but cannot be the
            // source of a reply.
            Err(error) if first.local_ip.is_some() && is_invalid_source(&error) => {
                self.socket.retry_on_intr(|fd| send(fd, None))
            }
            result => result,
        }
    }

    /// Sends `bytes` several times to the server of a UDP client. Returns how many times: at least
    /// once, and at most `count` or 64 times. Waits for buffer space if necessary.
    ///
    /// A Unix socket sends once.
    ///
    /// # Errors
    ///
    /// See [`send`](DatagramSocket::send).
    pub async fn send_repeated(&self, bytes: &[u8], count: usize) -> io::Result<usize> {
        match self.local_addr {
            Some(_) => {
                let send = |fd: BorrowedFd<'_>| match self.unconnected_target {
                    Some(target) => mmsg::send_repeated_to(fd, bytes, target, count),
                    None => mmsg::send_repeated(fd, bytes, count),
                };
                self.socket.write_with(send).await
            }
            None => self.send(bytes).await.map(|()| 1),
        }
    }

    /// Returns whether the sender of a datagram is, or claims to be, this socket itself.
    pub fn is_from_self(&self, datagram: &Datagram<'_>) -> bool {
        match (datagram.peer, self.local_addr) {
            (Peer::Inet(peer), Some(local_addr)) => {
                let local_ip = || datagram.local_ip.unwrap_or(local_addr.ip()).to_canonical();
                peer.port() == local_addr.port() && peer.ip().to_canonical() == local_ip()
            }
            (Peer::Unix(Some(peer)), None) => self.endpoint == Endpoint::Unix(peer.clone()),
            _ => false,
        }
    }
}

/// Returns whether the kernel rejected the source address of a reply.
fn is_invalid_source(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::INVAL | Errno::ADDRNOTAVAIL | Errno::NETUNREACH))
}

#[cfg(test)]
mod tests;
