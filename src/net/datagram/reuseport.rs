//! Several UDP sockets on one address, one for each thread.

use std::io;
use std::os::fd::OwnedFd;

use crate::net::address;
use crate::net::bind::{BindPurpose, bind_address, bind_inet};
use crate::net::datagram::DatagramSocket;
use crate::net::endpoint::Endpoint;
use crate::net::error::BindError;

impl DatagramSocket {
    /// Binds `count` UDP sockets to one address (`SO_REUSEPORT`). The kernel distributes the peers
    /// among them.
    ///
    /// The address must be free when the first socket is bound. Later, other programs of the same
    /// user can share it, too, if they ask for it. If `count` is less than 2, or the endpoint is a
    /// Unix path, the result is one socket, bound as by [`bind`](DatagramSocket::bind).
    ///
    /// A datagram to a multicast group or a broadcast address arrives at each of the sockets.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub async fn bind_reuseport(
        endpoint: &Endpoint,
        count: usize,
    ) -> Result<Vec<DatagramSocket>, BindError> {
        if count < 2 || matches!(endpoint, Endpoint::Unix(_)) {
            return Ok(vec![DatagramSocket::bind(endpoint).await?]);
        }
        let first = bind_inet(endpoint, BindPurpose::FirstSharedDatagram).await?;
        share_address(first, endpoint, count).map_err(|error| BindError::new(endpoint, error))
    }
}

/// Binds more sockets to the address of the first one, until there are `count`.
fn share_address(
    first: OwnedFd,
    endpoint: &Endpoint,
    count: usize,
) -> io::Result<Vec<DatagramSocket>> {
    let local_addr = address::local_addr(&first)?;
    let dual_stack = matches!(endpoint, Endpoint::Any(_));
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

    #[test]
    fn sockets_share_port_and_peers() {
        for endpoint in ["127.0.0.1:0", ":0"] {
            let sockets =
                block_on(DatagramSocket::bind_reuseport(&endpoint.parse().unwrap(), 4)).unwrap();
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
        let sockets =
            block_on(DatagramSocket::bind_reuseport(&"127.0.0.1:0".parse().unwrap(), 2)).unwrap();
        let error = block_on(DatagramSocket::bind_reuseport(sockets[0].endpoint(), 2)).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
    }
}
