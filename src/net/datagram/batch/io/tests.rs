//! Batches on loopback addresses and Unix paths.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;

use futures_lite::future::block_on;

use crate::net::datagram::batch::io::*;

async fn bind(endpoint: &str) -> DatagramSocket {
    DatagramSocket::bind(&endpoint.parse().unwrap()).await.unwrap()
}

fn texts(batch: &DatagramBatch) -> Vec<String> {
    let datagrams = (0..batch.len()).map(|index| batch.get(index).unwrap());
    datagrams.map(|datagram| String::from_utf8_lossy(datagram.bytes).into_owned()).collect()
}

/// Sends requests from several clients, and checks that all of them get a reply.
async fn assert_all_answered(server: &DatagramSocket, endpoint: &Endpoint) {
    let mut clients = Vec::new();
    for text in ["one", "two", "three"] {
        let client = DatagramSocket::connect(endpoint).await.unwrap();
        client.send(text.as_bytes()).await.unwrap();
        clients.push(client);
    }
    let mut batch = DatagramBatch::new(64);
    server.recv_batch(&mut batch).await.unwrap();
    assert_eq!(texts(&batch), ["one", "two", "three"]);
    let peers: Vec<_> = (0..3).map(|index| batch.get(index).unwrap().peer.to_string()).collect();
    let expected: Vec<_> = clients.iter().map(|client| client.endpoint().to_string()).collect();
    assert_eq!(peers, expected);
    let mut indices = &[0, 1, 2][..];
    while !indices.is_empty() {
        indices = &indices[server.reply_batch(&batch, indices, b"reply").await.unwrap()..];
    }
    for client in clients {
        let mut buf = [0; 64];
        let length = client.recv(&mut buf).await.unwrap();
        assert_eq!(&buf[..length], b"reply");
    }
}

#[test]
fn batch_receives_and_answers_all() {
    let has_v6 = UdpSocket::bind("[::1]:0").is_ok();
    let endpoints = ["127.0.0.1:0", "[::1]:0"];
    for endpoint in endpoints.into_iter().filter(|text| has_v6 || !text.starts_with('[')) {
        block_on(async {
            let server = bind(endpoint).await;
            assert_all_answered(&server, server.endpoint()).await;
        });
    }
}

#[test]
fn unix_socket_receives_batches() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let server = DatagramSocket::bind(&Endpoint::Unix(path.clone())).await.unwrap();
        assert_all_answered(&server, server.endpoint()).await;
        UnixDatagram::unbound().unwrap().send_to(b"unnamed", &path).unwrap();
        let mut batch = DatagramBatch::new(4);
        server.recv_batch(&mut batch).await.unwrap();
        let datagram = batch.get(0).unwrap();
        assert_eq!((datagram.bytes, datagram.length), (&b"unna"[..], 7));
        let error = server.reply_batch(&batch, &[0], b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

/// The clients are connected, so they receive only from the address to which they send.
#[test]
fn any_endpoint_replies_from_requested_address() {
    for any in [":0", "0.0.0.0:0"] {
        block_on(async {
            let server = bind(any).await;
            let port = server.local_addr.unwrap().port();
            for target in ["127.0.0.2", "127.0.0.3", "127.0.0.1"] {
                let endpoint = format!("{target}:{port}").parse().unwrap();
                assert_all_answered(&server, &endpoint).await;
            }
            // Requests to both addresses in one batch.
            let clients = ["127.0.0.2", "127.0.0.3"].map(|target| {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                client.connect((target, port)).unwrap();
                client.send(b"?").unwrap();
                client
            });
            let mut batch = DatagramBatch::new(8);
            server.recv_batch(&mut batch).await.unwrap();
            let local_ip = |index| batch.get(index).unwrap().local_ip.unwrap().to_canonical();
            assert_eq!(
                [local_ip(0), local_ip(1)].map(|ip: IpAddr| ip.to_string()),
                ["127.0.0.2", "127.0.0.3"]
            );
            assert_eq!(server.reply_batch(&batch, &[0, 1], b"one").await.unwrap(), 1);
            assert_eq!(server.reply_batch(&batch, &[1], b"two").await.unwrap(), 1);
            for (client, expected) in clients.iter().zip([b"one", b"two"]) {
                let mut buf = [0; 8];
                assert_eq!(client.recv(&mut buf).unwrap(), 3);
                assert_eq!(&buf[..3], expected);
            }
        });
    }
}

#[test]
fn sockets_of_all_kinds_share_headers() {
    block_on(async {
        let servers = [bind("127.0.0.1:0").await, bind(":0").await, bind("0.0.0.0:0").await];
        for _ in 0..3 {
            for server in &servers {
                let port = server.local_addr.unwrap().port();
                let endpoint = format!("127.0.0.1:{port}").parse().unwrap();
                assert_all_answered(server, &endpoint).await;
            }
        }
    });
}

#[test]
fn truncated_datagram_has_full_length() {
    block_on(async {
        let server = bind("127.0.0.1:0").await;
        let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
        for length in [0, 3, 4, 5, 1400] {
            client.send(&vec![b'x'; length]).await.unwrap();
        }
        let mut batch = DatagramBatch::new(4);
        server.recv_batch(&mut batch).await.unwrap();
        let lengths = (0..5).map(|index| {
            let datagram = batch.get(index).unwrap();
            (datagram.bytes.len(), datagram.length, datagram.is_truncated())
        });
        let lengths: Vec<_> = lengths.collect();
        let expected = [(0, 0, false), (3, 3, false), (4, 4, false), (4, 5, true), (4, 1400, true)];
        assert_eq!(lengths, expected);
    });
}

#[test]
fn batch_is_bounded_and_reusable() {
    block_on(async {
        let server = bind("127.0.0.1:0").await;
        let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
        let mut batch = DatagramBatch::new(65_535);
        assert_eq!(batch.capacity(), 4);
        for text in ["a", "b", "c", "d", "e"] {
            client.send(text.as_bytes()).await.unwrap();
        }
        server.recv_batch(&mut batch).await.unwrap();
        assert_eq!(texts(&batch), ["a", "b", "c", "d"]);
        server.recv_batch(&mut batch).await.unwrap();
        assert_eq!(texts(&batch), ["e"]);
        let error = server.try_recv_batch(&mut batch).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
        assert!(batch.is_empty() && batch.get(0).is_none());
        assert_eq!(DatagramBatch::new(0).capacity(), 64);
    });
}

#[test]
fn datagram_from_self_is_detected() {
    block_on(async {
        for endpoint in ["127.0.0.1:0", ":0"] {
            let server = bind(endpoint).await;
            let port = server.local_addr.unwrap().port();
            server.send_to(b"own", &Peer::Inet(([127, 0, 0, 1], port).into())).await.unwrap();
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", ("127.0.0.1", port)).unwrap();
            let mut batch = DatagramBatch::new(8);
            server.recv_batch(&mut batch).await.unwrap();
            assert!(server.is_from_self(&batch.get(0).unwrap()), "{endpoint}");
            assert!(!server.is_from_self(&batch.get(1).unwrap()), "{endpoint}");
        }
    });
}

#[test]
fn send_repeated_sends_up_to_64() {
    block_on(async {
        let server = bind("127.0.0.1:0").await;
        let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
        assert_eq!(client.send_repeated(b"x", 100).await.unwrap(), 64);
        let mut batch = DatagramBatch::new(8);
        let (lengths, _) = receive_all(&server, &mut batch);
        // Each call offers twice as many buffers as the last call has filled.
        assert_eq!(lengths, [8, 16, 32, 8]);
    });
}

/// Sends `count` datagrams, each with its number as the text, and returns the texts.
async fn send_numbered(client: &DatagramSocket, count: usize) -> Vec<String> {
    let sent: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    for text in &sent {
        client.send(text.as_bytes()).await.unwrap();
    }
    sent
}

/// Receives all waiting datagrams. Returns the length of each batch, and all texts.
fn receive_all(server: &DatagramSocket, batch: &mut DatagramBatch) -> (Vec<usize>, Vec<String>) {
    let (mut lengths, mut received) = (Vec::new(), Vec::new());
    while server.try_recv_batch(batch).is_ok() {
        lengths.push(batch.len());
        received.extend(texts(batch));
    }
    (lengths, received)
}

/// Each size of the slice arrays has to offer all of its buffers.
#[test]
fn batch_grows_in_steps_with_load() {
    block_on(async {
        let server = bind("127.0.0.1:0").await;
        let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
        let mut batch = DatagramBatch::new(64);
        let sent = send_numbered(&client, 130).await;
        let (lengths, received) = receive_all(&server, &mut batch);
        assert_eq!((lengths, received), (vec![8, 16, 32, 64, 10], sent));
    });
}

#[test]
fn selected_datagrams_are_answered_in_any_order() {
    block_on(async {
        let server = bind("127.0.0.1:0").await;
        let clients: Vec<_> = (0..5).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let SocketAddr::V4(address) = server.local_addr.unwrap() else { panic!("not IPv4") };
        for client in &clients {
            client.set_nonblocking(true).unwrap();
            client.send_to(b"?", address).unwrap();
        }
        let mut batch = DatagramBatch::new(8);
        server.recv_batch(&mut batch).await.unwrap();
        let received = || {
            let mut buf = [0; 8];
            clients.iter().map(|client| client.recv(&mut buf).is_ok()).collect::<Vec<_>>()
        };
        for indices in [&[1, 2, 3][..], &[4], &[0, 2, 4], &[3, 1], &[2, 3, 0], &[1, 2, 99]] {
            let valid: Vec<usize> = indices.iter().copied().filter(|index| *index < 5).collect();
            assert_eq!(server.reply_batch(&batch, indices, b"!").await.unwrap(), valid.len());
            let expected: Vec<_> = (0..5).map(|index| valid.contains(&index)).collect();
            assert_eq!(received(), expected, "{indices:?}");
        }
    });
}

#[test]
fn single_datagrams_are_received_without_loss() {
    block_on(async {
        let server = bind("127.0.0.1:0").await;
        let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
        let mut batch = DatagramBatch::new(8);
        for number in 0..40 {
            let sent = format!("{number} is too long");
            client.send(sent.as_bytes()).await.unwrap();
            server.recv_batch(&mut batch).await.unwrap();
            let datagram = batch.get(0).unwrap();
            assert_eq!((datagram.bytes, datagram.length), (&sent.as_bytes()[..8], sent.len()));
            assert_eq!(server.reply_batch(&batch, &[0], b"!").await.unwrap(), 1);
            assert_eq!(client.recv(&mut [0; 8]).await.unwrap(), 1);
        }
        // Now more arrive together, which a recheck of the predictor notices.
        let sent = send_numbered(&client, 40).await;
        let (lengths, received) = receive_all(&server, &mut batch);
        assert_eq!(received, sent);
        assert!(lengths.contains(&1) && lengths.contains(&16), "{lengths:?}");
    });
}
