//! Several UDP sockets on one address, one for each thread.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::SocketType;

use crate::net::address;
use crate::net::bind::{BindPurpose, Bound, DualStack, bind_address, bind_every_address};
use crate::net::datagram::DatagramSocket;
use crate::net::endpoint::Endpoint;
use crate::net::error::BindError;
use crate::net::listen::socket_file;
use crate::net::listen_address::ListenAddress;

impl DatagramSocket {
    /// Binds `count` UDP sockets to each address of a name (`SO_REUSEPORT`), with one common port
    /// if the port is 0. The kernel distributes the peers among the sockets of an address.
    ///
    /// The addresses must be free when their first sockets are bound. Later, other programs of the
    /// same user can share them, too, if they ask for it. If `count` is less than 2, or the
    /// endpoint is a Unix path, there is one socket, bound as by [`bind`](DatagramSocket::bind).
    ///
    /// A datagram to a multicast group or a broadcast address arrives at each of the sockets.
    ///
    /// # Errors
    ///
    /// Fails if no address can be bound. Otherwise the result has the errors of the others.
    pub async fn bind_all(
        address: &ListenAddress,
        count: usize,
    ) -> Result<Bound<DatagramSocket>, BindError> {
        let endpoint = &address.endpoint;
        if let Endpoint::Unix(path) = endpoint {
            let (fd, file) = socket_file::bind(endpoint, path, SocketType::DGRAM, address.mode)?;
            let socket = DatagramSocket::new_unix(fd, endpoint.clone(), file);
            return Ok(Bound { sockets: vec![socket], errors: Vec::new() });
        }
        let purpose = match count {
            0 | 1 => BindPurpose::Datagram,
            _ => BindPurpose::FirstSharedDatagram,
        };
        bind_every_address(address, purpose, |first, endpoint, dual_stack| {
            share_address(first, endpoint, count, dual_stack)
        })
        .await
    }
}

/// Binds more sockets to the address of the first one, until there are `count`.
fn share_address(
    first: OwnedFd,
    endpoint: &Endpoint,
    count: usize,
    dual_stack: DualStack,
) -> io::Result<Vec<DatagramSocket>> {
    let local_addr = address::local_addr(&first)?;
    let mut fds = vec![first];
    while fds.len() < count {
        fds.push(bind_address(local_addr, BindPurpose::SharedDatagram, dual_stack)?);
    }
    let endpoint = endpoint.with_bound_address(local_addr);
    fds.into_iter().map(|fd| DatagramSocket::new_server(fd, endpoint.clone(), local_addr)).collect()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use futures_lite::future::block_on;

    use super::*;
    use crate::net::DatagramBatch;

    fn bind(endpoint: &Endpoint, count: usize) -> Result<Vec<DatagramSocket>, BindError> {
        let bound = block_on(DatagramSocket::bind_all(&endpoint.clone().into(), count));
        bound.map(|bound| bound.sockets)
    }

    #[test]
    fn sockets_share_port_and_peers() {
        for endpoint in ["127.0.0.1:0", ":0"] {
            let sockets = bind(&endpoint.parse().unwrap(), 4).unwrap();
            let port = sockets[0].local_addr.unwrap().port();
            assert!(sockets.iter().all(|socket| socket.local_addr == sockets[0].local_addr));
            for _ in 0..64 {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                client.send_to(b"x", ("127.0.0.1", port)).unwrap();
            }
            let mut batch = DatagramBatch::new(8);
            let mut receive_count = |socket: &DatagramSocket| {
                let mut next = || socket.try_recv_batch(&mut batch).ok().map(|()| batch.len());
                std::iter::from_fn(&mut next).sum::<usize>()
            };
            let counts: Vec<_> = sockets.iter().map(&mut receive_count).collect();
            assert_eq!(counts.iter().sum::<usize>(), 64, "{counts:?}");
            assert!(counts.iter().filter(|count| **count > 0).count() > 1, "{counts:?}");
        }
    }

    #[test]
    fn shared_address_is_in_use_for_others() {
        let sockets = bind(&"127.0.0.1:0".parse().unwrap(), 2).unwrap();
        let error = bind(sockets[0].endpoint(), 2).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
    }
}
