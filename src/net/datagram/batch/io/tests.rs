//! Batches over loopback and Unix paths.

use crate::net::datagram::batch::io::*;
use futures_lite::future::block_on;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;

async fn bind(at: &str) -> DatagramSocket {
    DatagramSocket::bind(&at.parse().unwrap()).await.unwrap()
}

fn texts(batch: &DatagramBatch) -> Vec<String> {
    let datagrams = (0..batch.len()).map(|index| batch.get(index).unwrap());
    datagrams.map(|datagram| String::from_utf8_lossy(datagram.bytes).into_owned()).collect()
}

/// Has several clients ask at once, and answers them all with one call.
async fn assert_all_answered(server: &DatagramSocket, at: &Endpoint) {
    let mut clients = Vec::new();
    for text in ["one", "two", "three"] {
        let client = DatagramSocket::connect(at).await.unwrap();
        client.send(text.as_bytes()).await.unwrap();
        clients.push(client);
    }
    let mut batch = DatagramBatch::new(64);
    server.recv_batch(&mut batch).await.unwrap();
    assert_eq!(texts(&batch), ["one", "two", "three"]);
    let peers: Vec<_> = (0..3).map(|index| batch.get(index).unwrap().peer.to_string()).collect();
    let expected: Vec<_> = clients.iter().map(|client| client.endpoint().to_string()).collect();
    assert_eq!(peers, expected);
    let mut rest = &[0, 1, 2][..];
    while !rest.is_empty() {
        rest = &rest[server.reply_batch(&batch, rest, b"answer").await.unwrap()..];
    }
    for client in clients {
        let mut buf = [0; 64];
        let length = client.recv(&mut buf).await.unwrap();
        assert_eq!(&buf[..length], b"answer");
    }
}

#[test]
fn all_that_wait_are_received_and_answered_at_once() {
    let has_v6 = UdpSocket::bind("[::1]:0").is_ok();
    for at in ["127.0.0.1:0", "[::1]:0"].into_iter().filter(|at| has_v6 || !at.starts_with('[')) {
        block_on(async {
            let server = bind(at).await;
            assert_all_answered(&server, server.endpoint()).await;
        });
    }
}

#[test]
fn a_unix_socket_has_batches_too() {
    block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let server = DatagramSocket::bind(&Endpoint::Unix(path.clone())).await.unwrap();
        assert_all_answered(&server, server.endpoint()).await;
        UnixDatagram::unbound().unwrap().send_to(b"nobody", &path).unwrap();
        let mut batch = DatagramBatch::new(4);
        server.recv_batch(&mut batch).await.unwrap();
        let nobody = batch.get(0).unwrap();
        assert_eq!((nobody.bytes, nobody.length), (&b"nobo"[..], 6));
        let error = server.reply_batch(&batch, &[0], b"x").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    });
}

/// The client's socket is connected, so it hears no other address than the one that it asked.
#[test]
fn a_socket_on_every_interface_answers_from_the_address_that_was_asked() {
    for every in [":0", "0.0.0.0:0"] {
        block_on(async {
            let server = bind(every).await;
            let port = server.local_addr.unwrap().port();
            for asked in ["127.0.0.2", "127.0.0.3", "127.0.0.1"] {
                let at = format!("{asked}:{port}").parse().unwrap();
                assert_all_answered(&server, &at).await;
            }
            // Both addresses are in one batch.
            let clients = ["127.0.0.2", "127.0.0.3"].map(|asked| {
                let client = UdpSocket::bind("127.0.0.1:0").unwrap();
                client.connect((asked, port)).unwrap();
                client.send(b"?").unwrap();
                client
            });
            let mut batch = DatagramBatch::new(8);
            server.recv_batch(&mut batch).await.unwrap();
            let local = |index| batch.get(index).unwrap().local_ip.unwrap().to_canonical();
            assert_eq!(
                [local(0), local(1)].map(|ip: IpAddr| ip.to_string()),
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
fn sockets_of_all_kinds_share_a_threads_headers() {
    block_on(async {
        let servers = [bind("127.0.0.1:0").await, bind(":0").await, bind("0.0.0.0:0").await];
        for _ in 0..3 {
            for server in &servers {
                let port = server.local_addr.unwrap().port();
                let at = format!("127.0.0.1:{port}").parse().unwrap();
                assert_all_answered(server, &at).await;
            }
        }
    });
}

#[test]
fn a_datagram_that_is_cut_tells_its_length() {
    block_on(async {
        let server = bind("127.0.0.1:0").await;
        let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
        for length in [0, 3, 4, 5, 1400] {
            client.send(&vec![b'x'; length]).await.unwrap();
        }
        let mut batch = DatagramBatch::new(4);
        server.recv_batch(&mut batch).await.unwrap();
        let told: Vec<_> = (0..5).map(|index| batch.get(index).unwrap()).collect();
        let told: Vec<_> =
            told.iter().map(|one| (one.bytes.len(), one.length, one.is_truncated())).collect();
        let expected = [(0, 0, false), (3, 3, false), (4, 4, false), (4, 5, true), (4, 1400, true)];
        assert_eq!(told, expected);
    });
}

#[test]
fn a_batch_is_bounded_and_used_again() {
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
fn what_claims_to_come_from_the_socket_itself_is_its_own() {
    block_on(async {
        for at in ["127.0.0.1:0", ":0"] {
            let server = bind(at).await;
            let port = server.local_addr.unwrap().port();
            server.send_to(b"own", &Peer::Inet(([127, 0, 0, 1], port).into())).await.unwrap();
            UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"x", ("127.0.0.1", port)).unwrap();
            let mut batch = DatagramBatch::new(8);
            server.recv_batch(&mut batch).await.unwrap();
            assert!(server.is_from_self(&batch.get(0).unwrap()), "{at}");
            assert!(!server.is_from_self(&batch.get(1).unwrap()), "{at}");
        }
    });
}

#[test]
fn a_text_is_sent_many_times_at_once() {
    block_on(async {
        let server = bind("127.0.0.1:0").await;
        let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
        assert_eq!(client.send_repeated(b"x", 100).await.unwrap(), 64);
        let mut batch = DatagramBatch::new(8);
        let (brought, _) = receive_all(&server, &mut batch);
        // Each time twice as many as the last time: what came fills the batch.
        assert_eq!(brought, [8, 16, 32, 8]);
    });
}

/// Sends so many datagrams, each with its number, and returns their texts.
async fn send_numbered(client: &DatagramSocket, count: usize) -> Vec<String> {
    let sent: Vec<String> = (0..count).map(|number| number.to_string()).collect();
    for text in &sent {
        client.send(text.as_bytes()).await.unwrap();
    }
    sent
}

/// Receives all that wait: how many came with each batch, and their texts.
fn receive_all(server: &DatagramSocket, batch: &mut DatagramBatch) -> (Vec<usize>, Vec<String>) {
    let (mut lengths, mut heard) = (Vec::new(), Vec::new());
    while server.try_recv_batch(batch).is_ok() {
        lengths.push(batch.len());
        heard.extend(texts(batch));
    }
    (lengths, heard)
}

/// Between a few and all there are steps, and each has to offer as much as it says.
#[test]
fn a_batch_grows_by_steps_with_what_waits() {
    block_on(async {
        let server = bind("127.0.0.1:0").await;
        let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
        let mut batch = DatagramBatch::new(64);
        let sent = send_numbered(&client, 130).await;
        let (lengths, heard) = receive_all(&server, &mut batch);
        assert_eq!((lengths, heard), (vec![8, 16, 32, 64, 10], sent));
    });
}

#[test]
fn some_of_a_batch_are_answered_in_any_order_and_the_others_hear_nothing() {
    block_on(async {
        let server = bind("127.0.0.1:0").await;
        let clients: Vec<_> = (0..5).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let SocketAddr::V4(at) = server.local_addr.unwrap() else { panic!("not IPv4") };
        for client in &clients {
            client.set_nonblocking(true).unwrap();
            client.send_to(b"?", at).unwrap();
        }
        let mut batch = DatagramBatch::new(8);
        server.recv_batch(&mut batch).await.unwrap();
        let heard = || {
            let mut buf = [0; 8];
            clients.iter().map(|client| client.recv(&mut buf).is_ok()).collect::<Vec<_>>()
        };
        for which in [&[1, 2, 3][..], &[4], &[0, 2, 4], &[3, 1], &[2, 3, 0], &[1, 2, 99]] {
            let there: Vec<usize> = which.iter().copied().filter(|index| *index < 5).collect();
            assert_eq!(server.reply_batch(&batch, which, b"!").await.unwrap(), there.len());
            let expected: Vec<_> = (0..5).map(|index| there.contains(&index)).collect();
            assert_eq!(heard(), expected, "{which:?}");
        }
    });
}

#[test]
fn those_that_come_alone_are_taken_alone_and_none_is_lost() {
    block_on(async {
        let server = bind("127.0.0.1:0").await;
        let client = DatagramSocket::connect(server.endpoint()).await.unwrap();
        let mut batch = DatagramBatch::new(8);
        for number in 0..40 {
            let sent = format!("{number} is too long");
            client.send(sent.as_bytes()).await.unwrap();
            server.recv_batch(&mut batch).await.unwrap();
            let taken = batch.get(0).unwrap();
            assert_eq!((taken.bytes, taken.length), (&sent.as_bytes()[..8], sent.len()));
            assert_eq!(server.reply_batch(&batch, &[0], b"!").await.unwrap(), 1);
            assert_eq!(client.recv(&mut [0; 8]).await.unwrap(), 1);
        }
        // Now there are more, which is found out in the end.
        let sent = send_numbered(&client, 40).await;
        let (lengths, heard) = receive_all(&server, &mut batch);
        assert_eq!(heard, sent);
        assert!(lengths.contains(&1) && lengths.contains(&16), "{lengths:?}");
    });
}
