//! One address for several sockets, a thread each; groups to hear.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::DatagramSocket;
use crate::net::listen::{BindPurpose, bind_address, bind_inet};
use crate::net::{BindError, Endpoint, MulticastGroup, address};

impl DatagramSocket {
    /// Binds `count` UDP sockets to one address (`SO_REUSEPORT`); the kernel deals the peers out among them. The
    /// first one has to find the address free of all others; another program of the same user that asks for less may
    /// join them later. A single socket, and a Unix one, is bound as
    /// [`bind`](DatagramSocket::bind) does.
    ///
    /// What is sent to a multicast group or a broadcast address arrives at each of them.
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

    /// Has the socket hear a multicast group. It has to be bound to every interface, or to the group's own address.
    ///
    /// # Errors
    ///
    /// [`BindError::CannotJoinGroup`], where the socket is bound to another address or a path, there is no such interface or none that carries groups, or the group and the
    /// socket are of different families.
    pub fn join_multicast(&self, group: &MulticastGroup) -> Result<(), BindError> {
        let failed = |source| BindError::CannotJoinGroup { group: group.clone(), source };
        match self.local_addr.map(|local| local.ip()) {
            Some(own) if !own.is_unspecified() && own != group.address => {
                let deaf =
                    format!("what is sent to a group does not arrive at {own}; listen on :PORT");
                Err(failed(io::Error::new(io::ErrorKind::InvalidInput, deaf)))
            }
            None => Err(failed(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a Unix socket hears no group",
            ))),
            _ => group.join(self.as_fd()).map_err(failed),
        }
    }
}

/// Adds the others to the first of several sockets that share its address.
fn share_address(
    first: OwnedFd,
    endpoint: &Endpoint,
    count: usize,
) -> io::Result<Vec<DatagramSocket>> {
    let (local, dual) = (address::local_addr(&first)?, matches!(endpoint, Endpoint::Any(_)));
    let mut sockets = vec![first];
    while sockets.len() < count {
        sockets.push(bind_address(local, BindPurpose::SharedDatagram, dual)?);
    }
    let endpoint = endpoint.with_bound_address(local);
    sockets.into_iter().map(|fd| DatagramSocket::new_server(fd, endpoint.clone(), local)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::DatagramBatch;
    use futures_lite::future::block_on;
    use std::net::UdpSocket;

    #[test]
    fn sockets_share_a_port_and_each_peer_reaches_one_of_them() {
        for at in ["127.0.0.1:0", ":0"] {
            let sockets =
                block_on(DatagramSocket::bind_reuseport(&at.parse().unwrap(), 4)).unwrap();
            let port = sockets[0].local_addr.unwrap().port();
            assert!(sockets.iter().all(|socket| socket.local_addr == sockets[0].local_addr));
            for _ in 0..64 {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                client.send_to(b"x", ("127.0.0.1", port)).unwrap();
            }
            let mut batch = DatagramBatch::new(8);
            let mut waits = |socket: &DatagramSocket| {
                let mut next = || socket.try_recv_batch(&mut batch).ok().map(|()| batch.len());
                std::iter::from_fn(&mut next).sum::<usize>()
            };
            let dealt: Vec<_> = sockets.iter().map(&mut waits).collect();
            assert_eq!(dealt.iter().sum::<usize>(), 64, "{dealt:?}");
            assert!(dealt.iter().filter(|count| **count > 0).count() > 1, "{dealt:?}");
        }
    }

    #[test]
    fn an_address_that_others_share_already_is_in_use() {
        let ours =
            block_on(DatagramSocket::bind_reuseport(&"127.0.0.1:0".parse().unwrap(), 2)).unwrap();
        let error = block_on(DatagramSocket::bind_reuseport(ours[0].endpoint(), 2)).unwrap_err();
        assert!(matches!(error, BindError::InUse { .. }), "{error}");
    }

    #[test]
    fn a_socket_that_a_group_does_not_reach_is_told() {
        let group = "239.1.2.3".parse().unwrap();
        let socket = block_on(DatagramSocket::bind(&"127.0.0.1:0".parse().unwrap())).unwrap();
        let error = socket.join_multicast(&group).unwrap_err().to_string();
        assert!(error.contains("does not arrive at 127.0.0.1"), "{error}");
    }

    #[test]
    fn a_group_on_an_interface_that_is_not_there_is_told() {
        let socket = block_on(DatagramSocket::bind(&":0".parse().unwrap())).unwrap();
        let error = socket.join_multicast(&"239.1.2.3%nonesuch".parse().unwrap()).unwrap_err();
        assert!(matches!(error, BindError::CannotJoinGroup { .. }), "{error}");
        assert!(error.to_string().contains("239.1.2.3%nonesuch"), "{error}");
    }
}
