//! The arrival times of datagrams, recorded by the kernel (`SO_TIMESTAMPNS`, socket(7)).
//!
//! A measurement must not include the time that a reply waits to be read. A task that reads many
//! sockets also finds replies in the order of the sockets, not in the order of arrival.

use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use rustix::io::Errno;

use crate::net::datagram::DatagramSocket;
use crate::net::error::convert_errno;

impl DatagramSocket {
    /// Makes the kernel record the arrival time of each datagram.
    ///
    /// If no other socket has asked for it, the kernel needs a moment to begin. Until then, the
    /// time of a datagram is the time at which it is read.
    ///
    /// # Errors
    ///
    /// Fails if the kernel does not support the option.
    pub fn enable_timestamps(&self) -> io::Result<()> {
        Ok(setsockopt(self, ReceiveTimestampns, &true)?)
    }

    /// Polls for the next datagram. Returns its length and its arrival time.
    ///
    /// The time is that of the system clock. It is `None` unless [timestamps are
    /// enabled](DatagramSocket::enable_timestamps), and on Unix sockets. The call is for tasks that
    /// wait for many sockets. It wakes one task at a time.
    ///
    /// # Errors
    ///
    /// See [`recv_from`](DatagramSocket::recv_from).
    pub fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<(usize, Option<SystemTime>)>> {
        loop {
            ready!(self.socket.poll_readable(cx))?;
            match self.socket.retry_on_intr(|fd| recv_with_timestamp(fd.as_raw_fd(), buf)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
        }
    }
}

fn recv_with_timestamp(fd: i32, buf: &mut [u8]) -> Result<(usize, Option<SystemTime>), Errno> {
    let mut cmsg_buffer = nix::cmsg_space!(TimeSpec);
    let mut slices = [IoSliceMut::new(buf)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message = recvmsg::<()>(fd, &mut slices, Some(cmsg_buffer.as_mut_slice()), flags)
        .map_err(convert_errno)?;
    let arrived_at = message.cmsgs().ok().and_then(|mut cmsgs| cmsgs.find_map(timestamp_from_cmsg));
    Ok((message.bytes, arrived_at))
}

fn timestamp_from_cmsg(message: ControlMessageOwned) -> Option<SystemTime> {
    match message {
        ControlMessageOwned::ScmTimestampns(time) => UNIX_EPOCH.checked_add(Duration::from(time)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_lite::future::block_on;

    use super::*;

    async fn recv_timestamp(socket: &DatagramSocket) -> Option<SystemTime> {
        let mut buf = [0; 64];
        let (length, arrived_at) = poll_fn(|cx| socket.poll_recv(cx, &mut buf)).await.unwrap();
        assert_eq!(&buf[..length], b"probe");
        arrived_at
    }

    #[test]
    fn timestamps_show_arrival_order_not_read_order() {
        block_on(async {
            let endpoint = "127.0.0.1:0".parse().unwrap();
            let first = DatagramSocket::bind(&endpoint).await.unwrap();
            let second = DatagramSocket::bind(&endpoint).await.unwrap();
            let mut clients = Vec::new();
            for socket in [&first, &second] {
                socket.enable_timestamps().unwrap();
                clients.push(DatagramSocket::connect(socket.endpoint()).await.unwrap());
            }
            // The kernel needs a moment to begin. Until then it records the time of the read.
            for _ in 0..100_000 {
                for client in &clients {
                    client.send(b"probe").await.unwrap();
                }
                let (second, first) = (recv_timestamp(&second).await, recv_timestamp(&first).await);
                assert!(first.is_some() && second.is_some());
                if first < second {
                    return;
                }
            }
            panic!("the first datagram never has the earlier timestamp");
        });
    }

    #[test]
    fn timestamps_are_off_by_default() {
        block_on(async {
            let socket = DatagramSocket::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
            let client = DatagramSocket::connect(socket.endpoint()).await.unwrap();
            client.send(b"probe").await.unwrap();
            assert_eq!(recv_timestamp(&socket).await, None);
        });
    }
}
