//! When a datagram arrived, by the kernel's own note (SO_TIMESTAMPNS in socket(7)).
//!
//! Who measures must not count the time that an answer waits to be read, and who reads many sockets finds answers in
//! the order of the sockets and not in that of their arrival.

use std::io::{self, IoSliceMut};
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use rustix::io::Errno;

use super::DatagramSocket;
use crate::net::datagram::batch::mmsg::convert_errno;

impl DatagramSocket {
    /// Has the kernel note when each datagram arrives. It takes a moment to begin where no other socket has asked for it;
    /// what arrives meanwhile is noted when it is read.
    ///
    /// # Errors
    ///
    /// Fails where the kernel cannot.
    pub fn enable_timestamps(&self) -> io::Result<()> {
        Ok(setsockopt(self, ReceiveTimestampns, &true)?)
    }

    /// Receives the next datagram once there is one, for whoever waits for many sockets at once: its length, and when
    /// it arrived, by the clock that tells the time of day, where that [was noted](DatagramSocket::enable_timestamps). One
    /// task at a time is woken. Unix sockets note nothing.
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
    let mut told = nix::cmsg_space!(TimeSpec);
    let mut into = [IoSliceMut::new(buf)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<()>(fd, &mut into, Some(told.as_mut_slice()), flags).map_err(convert_errno)?;
    let arrived = message.cmsgs().ok().and_then(|mut all| all.find_map(timestamp_from_cmsg));
    Ok((message.bytes, arrived))
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
        let (length, arrived) = poll_fn(|cx| socket.poll_recv(cx, &mut buf)).await.unwrap();
        assert_eq!(&buf[..length], b"heard");
        arrived
    }

    #[test]
    fn what_is_read_last_may_have_arrived_first() {
        block_on(async {
            let here = "127.0.0.1:0".parse().unwrap();
            let (first, second) = (DatagramSocket::bind(&here), DatagramSocket::bind(&here));
            let (first, second) = (first.await.unwrap(), second.await.unwrap());
            let mut clients = Vec::new();
            for socket in [&first, &second] {
                socket.enable_timestamps().unwrap();
                clients.push(DatagramSocket::connect(socket.endpoint()).await.unwrap());
            }
            // The kernel takes a moment to begin, and until then notes when a datagram is read.
            for _ in 0..100_000 {
                for client in &clients {
                    client.send(b"heard").await.unwrap();
                }
                let (second, first) = (recv_timestamp(&second).await, recv_timestamp(&first).await);
                assert!(first.is_some() && second.is_some());
                if first < second {
                    return;
                }
            }
            panic!("the one that arrived first is always noted last");
        });
    }

    #[test]
    fn nothing_is_noted_unless_it_is_asked_for() {
        block_on(async {
            let socket = DatagramSocket::bind(&"127.0.0.1:0".parse().unwrap()).await.unwrap();
            let client = DatagramSocket::connect(socket.endpoint()).await.unwrap();
            client.send(b"heard").await.unwrap();
            assert_eq!(recv_timestamp(&socket).await, None);
        });
    }
}
