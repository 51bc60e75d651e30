//! Many datagrams at once: a batch received, and answered.
//!
//! UDP sockets have system calls for it, which cost more than those for one where there is but one. A Unix socket, where a
//! peer may have a path for a name and whose receiver may be full by itself, takes one datagram after the other.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recvfrom};

use crate::net::datagram::DatagramSocket;
use crate::net::datagram::batch::DatagramMeta;
use crate::net::datagram::batch::mmsg;
use crate::net::error::errno;
use crate::net::{Datagram, DatagramBatch, Endpoint, Peer, address};

impl DatagramSocket {
    /// Receives datagrams that wait, in place of those that are in the batch; waits for the first.
    ///
    /// It takes up to twice as many as the last time, at least 8, if the batch has room for them: so a batch grows
    /// with what comes, and room that nothing would fill costs nothing. Of those that have come alone for a while it mostly takes
    /// one. The future may be dropped at any time: what was not returned was not received.
    ///
    /// # Errors
    ///
    /// See [`recv_from`](DatagramSocket::recv_from); the batch is empty then.
    pub async fn recv_batch(&self, batch: &mut DatagramBatch) -> io::Result<()> {
        self.socket.read_with(|fd| self.fill_batch(fd, batch)).await
    }

    /// Receives without waiting, like [`receive_batch`](DatagramSocket::recv_batch).
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] when the queue is empty.
    pub fn try_recv_batch(&self, batch: &mut DatagramBatch) -> io::Result<()> {
        self.socket.retry_on_intr(|fd| self.fill_batch(fd, batch))
    }

    /// Waits until there may be datagrams, for whoever then [tries](DatagramSocket::try_recv_batch) until
    /// there are none left. The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// Fails when the reactor does not take the socket.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    fn fill_batch(&self, fd: BorrowedFd<'_>, batch: &mut DatagramBatch) -> Result<(), Errno> {
        let most = match self.local_addr {
            // One alone is had for less, unless it is to tell the address that was asked.
            Some(local) if self.receives_pktinfo || batch.offer > 1 => {
                return mmsg::recv_batch(fd, local.is_ipv6(), self.receives_pktinfo, batch);
            }
            Some(_) => batch.offer,
            None => batch.capacity(),
        };
        batch.received.clear();
        for buffer in batch.bytes.chunks_exact_mut(batch.slot_size).take(most) {
            match recvfrom(fd, buffer, RecvFlags::TRUNC) {
                Ok((_, length, from)) => {
                    batch.received.push(DatagramMeta {
                        length,
                        peer: address::decode_peer(from),
                        local_ip: None,
                    });
                }
                Err(_) if !batch.received.is_empty() => break,
                Err(error) => return Err(error),
            }
        }
        batch.adapt_offer();
        Ok(())
    }

    /// Sends one text to the senders of some datagrams of a batch, and says how many of them, from the first on, were
    /// sent to: at least one. Waits for room as [`send_to`](DatagramSocket::send_to) does.
    ///
    /// A socket that is bound to no address in particular answers from the one that was asked.
    ///
    /// # Errors
    ///
    /// Fails as [`send_to`](DatagramSocket::send_to) does where the first of them cannot be sent to; with
    /// [`io::ErrorKind::InvalidInput`] where there is none.
    pub async fn reply_batch(
        &self,
        batch: &DatagramBatch,
        which: &[usize],
        bytes: &[u8],
    ) -> io::Result<usize> {
        loop {
            match self.try_reply_batch(batch, which, bytes) {
                // The room that a Unix receiver has is its own, see `send_to`.
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && self.local_addr.is_some() =>
                {
                    self.socket.writable().await?;
                }
                tried => return tried,
            }
        }
    }

    /// Sends without waiting, like [`answer`](DatagramSocket::reply_batch).
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] when there is no room, and as [`answer`](DatagramSocket::reply_batch) does.
    pub fn try_reply_batch(
        &self,
        batch: &DatagramBatch,
        which: &[usize],
        bytes: &[u8],
    ) -> io::Result<usize> {
        let first = which.first().and_then(|first| batch.received.get(*first));
        let (first, local) = match (first, self.local_addr) {
            (Some(first), Some(local)) if which.len() > 1 || first.local_ip.is_some() => {
                (first, local)
            }
            (Some(first), _) => return self.try_send_to(bytes, &first.peer).map(|()| 1),
            (None, _) => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let send = |fd: BorrowedFd<'_>, from| {
            mmsg::send_replies(fd, local.is_ipv6(), bytes, (&batch.received, which), from)
        };
        match self.socket.retry_on_intr(|fd| send(fd, first.local_ip)) {
            // A broadcast address of a network looks like any other, and is no address to answer from.
            Err(error) if first.local_ip.is_some() && is_invalid_source(&error) => {
                self.socket.retry_on_intr(|fd| send(fd, None))
            }
            sent => sent,
        }
    }

    /// Sends one text several times to where a UDP socket is connected, and says how often: at least once, at most as
    /// often as it was asked to or 64 times. Waits for room.
    ///
    /// # Errors
    ///
    /// See [`send`](DatagramSocket::send).
    pub async fn send_repeated(&self, bytes: &[u8], count: usize) -> io::Result<usize> {
        match self.local_addr {
            Some(_) => {
                let send = |fd: BorrowedFd<'_>| match self.unconnected_target {
                    Some(many) => mmsg::send_repeated_to(fd, bytes, many, count),
                    None => mmsg::send_repeated(fd, bytes, count),
                };
                self.socket.write_with(send).await
            }
            None => self.send(bytes).await.map(|()| 1),
        }
    }

    /// Tells whether a datagram claims to come from this very socket.
    pub fn is_from_self(&self, datagram: &Datagram<'_>) -> bool {
        match (datagram.peer, self.local_addr) {
            (Peer::Inet(peer), Some(own)) => {
                let ip = || datagram.local_ip.unwrap_or(own.ip()).to_canonical();
                peer.port() == own.port() && peer.ip().to_canonical() == ip()
            }
            (Peer::Unix(Some(peer)), None) => self.endpoint == Endpoint::Unix(peer.clone()),
            _ => false,
        }
    }
}

/// Tells whether the kernel refused the address that an answer was to come from.
fn is_invalid_source(error: &io::Error) -> bool {
    matches!(errno(error), Some(Errno::INVAL | Errno::ADDRNOTAVAIL | Errno::NETUNREACH))
}

#[cfg(test)]
mod tests;
