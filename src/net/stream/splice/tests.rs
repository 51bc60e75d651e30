//! Transfers between sockets and files, their ends, and unsupported streams and files.

use std::io::{Seek, SeekFrom, Write};
use std::pin::pin;
use std::time::Duration;

use crate::net::stream::splice::*;
use crate::net::{Endpoint, ListeningSocket};

const TIMEOUT: Duration = Duration::from_secs(20);

/// Returns the two ends of a TCP connection.
fn connected_pair() -> (Stream, Stream) {
    smol::block_on(async {
        let endpoint: Endpoint = "127.0.0.1:0".parse().unwrap();
        let server = ListeningSocket::bind(&endpoint, 1).await.unwrap();
        let client = Stream::connect(server.endpoint(), TIMEOUT).await.unwrap();
        (client, server.accept().await.unwrap())
    })
}

/// Returns bytes without repetitions.
fn random_bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn read_contents(file: &File) -> Vec<u8> {
    let mut contents = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut contents, 0).unwrap();
    contents
}

/// Sends bytes over a connection, and splices them into a file.
fn transfer(sender: Stream, receiver: &Stream, sent: &[u8], file: &File) {
    let mut pipe = SplicePipe::new().unwrap();
    let receive = async {
        let mut offset = 0;
        loop {
            match pipe.fill(receiver, 1 << 20) {
                Ok(0) => break offset,
                Ok(_) => offset += pipe.drain(file, offset).unwrap() as u64,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    receiver.readable().await.unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    let send = async {
        sender.write_all(sent).await.unwrap();
        drop(sender);
    };
    let (received, ()) = smol::block_on(futures_lite::future::zip(receive, send));
    assert_eq!(received, sent.len() as u64);
    assert_eq!(pipe.buffered(), 0);
}

#[test]
fn splice_copies_socket_to_file_exactly() {
    let sent = random_bytes((5 << 20) + 7);
    for (sender, receiver) in [connected_pair(), Stream::pair().unwrap()] {
        let file = tempfile::tempfile().unwrap();
        transfer(sender, &receiver, &sent, &file);
        assert!(read_contents(&file) == sent);
    }
}

#[test]
fn file_without_splice_support_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    // The kernel does not splice into a file that is open for appending.
    let file = File::options().read(true).append(true).create(true).open(path).unwrap();
    let (sender, receiver) = connected_pair();
    let sent = random_bytes((1 << 20) + 7);
    transfer(sender, &receiver, &sent, &file);
    assert!(read_contents(&file) == sent);
}

#[test]
fn fill_blocks_until_end_of_stream() {
    let (sender, receiver) = connected_pair();
    let mut pipe = SplicePipe::new().unwrap();
    assert_eq!(pipe.fill(&receiver, 10).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert_eq!(pipe.fill(&receiver, 0).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    sender.shutdown_write().unwrap();
    smol::block_on(receiver.readable()).unwrap();
    assert_eq!(pipe.fill(&receiver, 10).unwrap(), 0);
}

#[test]
fn failed_drain_keeps_bytes_in_pipe() {
    let (sender, receiver) = connected_pair();
    let mut pipe = SplicePipe::new().unwrap();
    smol::block_on(async {
        sender.write_all(b"hello").await.unwrap();
        receiver.readable().await.unwrap();
    });
    assert_eq!(pipe.fill(&receiver, 3).unwrap(), 3);
    let writable = tempfile::NamedTempFile::new().unwrap();
    let read_only = File::open(writable.path()).unwrap();
    pipe.drain(&read_only, 0).unwrap_err();
    assert_eq!(pipe.buffered(), 3);
    assert_eq!(pipe.fill(&receiver, 3).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(pipe.drain(writable.as_file(), 0).unwrap(), 3);
    assert_eq!(read_contents(writable.as_file()), b"hel");
}

#[test]
fn sendfile_starts_at_position_and_stops_at_end() {
    let (sender, receiver) = connected_pair();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"a file").unwrap();
    assert_eq!(sender.try_sendfile(&file, 100).unwrap(), 0);
    file.seek(SeekFrom::Start(2)).unwrap();
    assert_eq!(sender.try_sendfile(&file, 3).unwrap(), 3);
    assert_eq!(file.stream_position().unwrap(), 5);
    let mut buf = [0; 16];
    let length = smol::block_on(receiver.read(&mut buf)).unwrap();
    assert_eq!(&buf[..length], b"fil");
}

#[test]
fn sendfile_waits_for_buffer_space() {
    let (sender, receiver) = connected_pair();
    let mut file = tempfile::tempfile().unwrap();
    let sent = random_bytes(32 << 20);
    file.write_all(&sent).unwrap();
    file.rewind().unwrap();
    let mut received = Vec::new();
    let send = async {
        let mut waits = 0;
        loop {
            match sender.try_sendfile(&file, 1 << 30) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    waits += 1;
                    sender.writable().await.unwrap();
                }
                Err(error) => panic!("{error}"),
            }
        }
        drop(sender);
        waits
    };
    let receive = async {
        let mut buffer = vec![0; 1 << 20];
        loop {
            match receiver.read(&mut buffer).await.unwrap() {
                0 => break,
                length => received.extend_from_slice(&buffer[..length]),
            }
        }
    };
    let (waits, ()) = smol::block_on(futures_lite::future::zip(send, receive));
    assert!(waits > 0);
    assert!(received == sent);
}

#[test]
fn sendfile_of_pipe_is_unsupported() {
    let (sender, _receiver) = connected_pair();
    let read_end = SplicePipe::new().unwrap().read_end;
    let error = sender.try_sendfile(&read_end, 10).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Unsupported);
}

#[cfg(feature = "testing")]
#[test]
fn stream_in_memory_is_unsupported() {
    let (stream, _other) = Stream::duplex(16);
    let file = tempfile::tempfile().unwrap();
    let filled = SplicePipe::new().unwrap().fill(&stream, 10).unwrap_err();
    assert_eq!(filled.kind(), io::ErrorKind::Unsupported);
    let sent = stream.try_sendfile(&file, 10).unwrap_err();
    assert_eq!(sent.kind(), io::ErrorKind::Unsupported);
}

#[test]
fn block_until_readable_waits_on_thread() {
    let (ours, theirs) = connected_pair();
    assert!(!theirs.block_until_readable(Duration::ZERO));
    let writer = std::thread::spawn(move || {
        smol::block_on(ours.write_all(b"late")).unwrap();
        ours
    });
    assert!(theirs.block_until_readable(TIMEOUT));
    assert_eq!(theirs.try_read(&mut [0; 9]).unwrap(), 4);
    let ours = writer.join().unwrap();
    assert!(!theirs.block_until_readable(Duration::ZERO));
    drop(ours);
    assert!(theirs.block_until_readable(TIMEOUT));
}

#[test]
fn several_tasks_wait_for_writable() {
    let (sender, receiver) = connected_pair();
    while sender.try_write(&[0; 65536]).is_ok() {}
    let (mut first, mut second) = (pin!(sender.writable()), pin!(sender.writable()));
    smol::block_on(async {
        assert!(futures_lite::future::poll_once(&mut first).await.is_none());
        assert!(futures_lite::future::poll_once(&mut second).await.is_none());
        let drain = async {
            let mut buffer = vec![0; 1 << 20];
            while receiver.read(&mut buffer).await.unwrap() > 0 {}
        };
        let waited = futures_lite::future::zip(first, second);
        futures_lite::future::or(async { drop(waited.await) }, drain).await;
    });
}
