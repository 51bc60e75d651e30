//! Datagram sockets on loopback addresses and Unix paths.

use std::os::unix::net::UnixDatagram;

use futures_lite::future::{block_on, poll_once};

use crate::net::datagram::*;

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

async fn connected_pair(endpoint: &Endpoint) -> (DatagramSocket, DatagramSocket) {
    let server = DatagramSocket::bind(endpoint).await.unwrap();
    let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
    (client, server)
}

/// Sends a request and a reply, and returns the client's address as the server sees it.
async fn exchange(client: &DatagramSocket, server: &DatagramSocket) -> Peer {
    let mut buf = [0; 64];
    client.send(b"request").await.unwrap();
    let (length, peer) = server.recv_from(&mut buf).await.unwrap();
    assert_eq!(&buf[..length], b"request");
    server.send_to(b"reply", &peer).await.unwrap();
    let length = client.recv(&mut buf).await.unwrap();
    assert_eq!(&buf[..length], b"reply");
    peer
}

/// Returns whether this machine has IPv6. Some containers do not.
fn has_ipv6() -> bool {
    std::net::UdpSocket::bind("[::1]:0").is_ok()
}

#[test]
fn request_and_reply_arrive() {
    for text in ["127.0.0.1:0", "[::1]:0", "localhost:0"] {
        if text.starts_with('[') && !has_ipv6() {
            continue;
        }
        block_on(async {
            let (client, server) = connected_pair(&endpoint(text)).await;
            let peer = exchange(&client, &server).await;
            assert_eq!(peer.to_string(), client.endpoint().to_string());
        });
    }
}

#[test]
fn ipv4_client_of_any_endpoint_gets_reply() {
    block_on(async {
        let server = DatagramSocket::bind(&Endpoint::Any(0)).await.unwrap();
        let Endpoint::Any(port) = *server.endpoint() else { panic!("{:?}", server.endpoint()) };
        let client =
            DatagramSocket::connect(&endpoint(&format!("127.0.0.1:{port}"))).await.unwrap();
        let peer = exchange(&client, &server).await;
        assert!(matches!(peer, Peer::Inet(SocketAddr::V4(_))), "{peer}");
    });
}

#[test]
fn unix_client_gets_reply_at_abstract_name() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let (client, server) = connected_pair(&Endpoint::Unix(path.clone())).await;
        let peer = exchange(&client, &server).await;
        assert!(peer.to_string().starts_with("unix:@"), "{peer}");
        assert_eq!(peer.to_string(), client.endpoint().to_string());
        assert!(!client.socket.is_registered() && !server.socket.is_registered());
        drop(server);
        assert!(!path.exists());
    });
}

#[test]
fn empty_and_truncated_datagrams_arrive() {
    block_on(async {
        let (client, server) = connected_pair(&endpoint("127.0.0.1:0")).await;
        let mut buf = [0; 4];
        client.send(b"").await.unwrap();
        client.send(b"too long").await.unwrap();
        assert_eq!(server.recv_from(&mut buf).await.unwrap().0, 0);
        assert_eq!(server.recv_from(&mut buf).await.unwrap().0, 4);
        assert_eq!(&buf, b"too ");
    });
}

#[test]
fn dropped_recv_loses_no_datagram() {
    block_on(async {
        let (client, server) = connected_pair(&endpoint("127.0.0.1:0")).await;
        let mut buf = [0; 4];
        assert!(poll_once(server.recv_from(&mut buf)).await.is_none());
        assert_eq!(server.try_recv_from(&mut buf).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        client.send(b"late").await.unwrap();
        assert_eq!(server.recv(&mut buf).await.unwrap(), 4);
    });
}

#[test]
fn recv_reports_missing_server() {
    block_on(async {
        let (client, server) = connected_pair(&endpoint("127.0.0.1:0")).await;
        drop(server);
        client.send(b"hello").await.unwrap();
        let error = client.recv(&mut [0; 4]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn bind_to_used_port_fails() {
    block_on(async {
        let first = DatagramSocket::bind(&endpoint("127.0.0.1:0")).await.unwrap();
        let second = DatagramSocket::bind(first.endpoint()).await;
        assert!(matches!(second, Err(BindError::InUse { .. })));
    });
}

#[test]
fn only_stale_socket_file_is_replaced() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let endpoint = Endpoint::Unix(directory.path().join("socket"));
        drop(UnixDatagram::bind(directory.path().join("socket")).unwrap());

        let error = DatagramSocket::connect(&endpoint).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");

        let (client, server) = connected_pair(&endpoint).await;
        exchange(&client, &server).await;
        let second = DatagramSocket::bind(&endpoint).await;
        assert!(matches!(second, Err(BindError::SocketInUse { .. })));
        let stream = crate::net::ListeningSocket::bind(&endpoint, 8).await;
        assert!(matches!(stream, Err(BindError::SocketInUse { .. })));
        exchange(&client, &server).await;
    });
}

#[test]
fn reply_to_unnamed_peer_fails() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let server = DatagramSocket::bind(&Endpoint::Unix(path.clone())).await.unwrap();
        UnixDatagram::unbound().unwrap().send_to(b"x", &path).unwrap();
        let (length, peer) = server.recv_from(&mut [0; 4]).await.unwrap();
        assert_eq!((length, &peer), (1, &Peer::Unix(None)));
        assert_eq!(
            server.send_to(b"y", &peer).await.unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
    });
}

#[test]
fn full_unix_receiver_fails_at_once() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let (client, server) =
            connected_pair(&Endpoint::Unix(directory.path().join("socket"))).await;
        client.send(b"x").await.unwrap();
        let (_, peer) = server.recv_from(&mut [0; 4]).await.unwrap();
        let error = loop {
            if let Err(error) = server.send_to(b"flood", &peer).await {
                break error;
            }
        };
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    });
}

#[test]
fn join_multicast_on_unicast_address_fails() {
    let group = "239.1.2.3".parse().unwrap();
    let socket = block_on(DatagramSocket::bind(&endpoint("127.0.0.1:0"))).unwrap();
    let error = socket.join_multicast(&group).unwrap_err().to_string();
    assert!(error.contains("a socket on 127.0.0.1 receives nothing"), "{error}");
}

#[test]
fn join_multicast_on_missing_interface_fails() {
    let socket = block_on(DatagramSocket::bind(&endpoint(":0"))).unwrap();
    let error = socket.join_multicast(&"239.1.2.3%nonesuch".parse().unwrap()).unwrap_err();
    assert!(matches!(error, BindError::CannotJoinGroup { .. }), "{error}");
    assert!(error.to_string().contains("239.1.2.3%nonesuch"), "{error}");
}
