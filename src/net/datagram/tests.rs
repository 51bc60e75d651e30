//! Datagram sockets over loopback and Unix paths.

use crate::net::datagram::*;
use futures_lite::future::{block_on, poll_once};
use std::os::unix::net::UnixDatagram;

fn endpoint(text: &str) -> Endpoint {
    text.parse().unwrap()
}

async fn connected_pair(at: &Endpoint) -> (DatagramSocket, DatagramSocket) {
    let server = DatagramSocket::bind(at).await.unwrap();
    let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
    (client, server)
}

/// Asks, answers, and gives who the server saw.
async fn exchange(client: &DatagramSocket, server: &DatagramSocket) -> Peer {
    let mut buf = [0; 64];
    client.send(b"question").await.unwrap();
    let (length, peer) = server.recv_from(&mut buf).await.unwrap();
    assert_eq!(&buf[..length], b"question");
    server.send_to(b"answer", &peer).await.unwrap();
    let length = client.recv(&mut buf).await.unwrap();
    assert_eq!(&buf[..length], b"answer");
    peer
}

/// Tells whether this machine has IPv6, which some containers have not.
fn has_ipv6() -> bool {
    std::net::UdpSocket::bind("[::1]:0").is_ok()
}

#[test]
fn smoke() {
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
fn an_ipv4_client_of_every_interface_is_answered() {
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
fn a_unix_client_is_answered_at_its_abstract_name() {
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
fn empty_and_cut_datagrams_arrive_as_such() {
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
fn a_receive_that_is_dropped_loses_nothing() {
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
fn a_server_that_is_gone_refuses() {
    block_on(async {
        let (client, server) = connected_pair(&endpoint("127.0.0.1:0")).await;
        drop(server);
        client.send(b"anybody?").await.unwrap();
        let error = client.recv(&mut [0; 4]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_port_is_never_shared() {
    block_on(async {
        let first = DatagramSocket::bind(&endpoint("127.0.0.1:0")).await.unwrap();
        let second = DatagramSocket::bind(first.endpoint()).await;
        assert!(matches!(second, Err(BindError::InUse { .. })));
    });
}

#[test]
fn a_stale_file_is_replaced_and_a_live_one_is_not() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let at = Endpoint::Unix(directory.path().join("socket"));
        drop(UnixDatagram::bind(directory.path().join("socket")).unwrap());

        let error = DatagramSocket::connect(&at).await.unwrap_err();
        assert!(matches!(error, ConnectError::Refused { .. }), "{error}");

        let (client, server) = connected_pair(&at).await;
        exchange(&client, &server).await;
        let second = DatagramSocket::bind(&at).await;
        assert!(matches!(second, Err(BindError::SocketInUse { .. })));
        let stream = crate::net::ListeningSocket::bind(&at, 8).await;
        assert!(matches!(stream, Err(BindError::SocketInUse { .. })));
        exchange(&client, &server).await;
    });
}

#[test]
fn a_peer_without_a_name_cannot_be_answered() {
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
fn a_full_unix_receiver_stalls_nobody() {
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
