//! Streams in memory behave like sockets, and wake tasks within the call that makes them ready.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::Duration;

use futures_lite::future::{block_on, poll_once, zip};

use crate::net::Stream;
use crate::net::stream::duplex::*;

/// A waker that counts its wake-ups.
#[derive(Default)]
struct DuplexWakeCounter(AtomicUsize);

impl Wake for DuplexWakeCounter {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn error_kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.err().map_or(io::ErrorKind::Other, |error| error.kind())
}

#[test]
fn data_passes_smaller_buffers() {
    block_on(async {
        let (ours, theirs) = Stream::duplex(7);
        let sent: Vec<u8> = (0..10_000_u32).map(|n| n as u8).collect();
        let write = async {
            ours.write_all(&sent).await.unwrap();
            ours.shutdown_write().unwrap();
        };
        let read = async {
            let (mut received, mut buf) = (Vec::new(), [0; 5]);
            while let length @ 1.. = theirs.read(&mut buf).await.unwrap() {
                received.extend_from_slice(&buf[..length]);
            }
            received
        };
        assert!(zip(write, read).await.1 == sent);
        // The other direction is still open.
        theirs.write_all(b"thanks").await.unwrap();
        let mut received = Vec::new();
        assert_eq!(ours.try_read_with(|bytes| received.extend_from_slice(bytes)).unwrap(), 6);
        assert_eq!(received, b"thanks");
        assert_eq!(error_kind(ours.write(b"x").await), io::ErrorKind::BrokenPipe);
    });
}

#[test]
fn write_stops_at_capacity() {
    let (ours, theirs) = Stream::duplex(4);
    let bufs = [IoSlice::new(b"a"), IoSlice::new(b""), IoSlice::new(b"bcdef")];
    assert_eq!(ours.try_write_vectored(&bufs).unwrap(), 4);
    assert_eq!(error_kind(ours.try_write_vectored(&bufs)), io::ErrorKind::WouldBlock);
    assert_eq!(ours.try_write_vectored(&[]).unwrap(), 0);
    let mut buf = [0; 3];
    assert_eq!(theirs.try_read(&mut buf).unwrap(), 3);
    assert_eq!(&buf, b"abc");
    assert_eq!(ours.try_write_vectored(&bufs).unwrap(), 3);
    assert_eq!(theirs.try_read(&mut [0; 16]).unwrap(), 4);
    assert_eq!(error_kind(theirs.try_read(&mut buf)), io::ErrorKind::WouldBlock);
    assert_eq!(theirs.try_read(&mut []).unwrap(), 0);
}

#[test]
fn waiting_task_is_woken_once_within_call() {
    let (ours, theirs) = Stream::duplex(2);
    let wake_counter = Arc::new(DuplexWakeCounter::default());
    let waker = Waker::from(wake_counter.clone());
    let mut cx = Context::from_waker(&waker);
    let count = || wake_counter.0.load(Ordering::Relaxed);

    assert!(
        theirs.poll_readable(&mut cx).is_pending() && theirs.poll_readable(&mut cx).is_pending()
    );
    ours.try_write_vectored(&[IoSlice::new(b"hey")]).unwrap();
    assert_eq!(count(), 1);
    assert!(theirs.poll_readable(&mut cx).is_ready());
    assert!(ours.poll_writable(&mut cx).is_pending());
    theirs.try_read(&mut [0]).unwrap();
    assert_eq!(count(), 2);
    assert!(ours.poll_writable(&mut cx).is_ready());

    assert!(ours.poll_readable(&mut cx).is_pending());
    theirs.shutdown_write().unwrap();
    assert_eq!(count(), 3);
    assert!(ours.poll_readable(&mut cx).is_ready());
    ours.try_write_vectored(&[IoSlice::new(b"!")]).unwrap();
    assert!(ours.poll_writable(&mut cx).is_pending());
    drop(theirs);
    assert_eq!(count(), 4);
    assert!(ours.poll_writable(&mut cx).is_ready());
}

#[test]
fn dropped_end_ends_stream() {
    block_on(async {
        let (ours, theirs) = Stream::duplex(100);
        theirs.write_all(b"last words").await.unwrap();
        ours.write_all(b"never read").await.unwrap();
        assert!(poll_once(ours.readable()).await.is_some());
        theirs.close(Duration::MAX).await.unwrap();
        assert_eq!(ours.read(&mut [0; 100]).await.unwrap(), 10);
        assert_eq!(ours.read(&mut [0; 100]).await.unwrap(), 0);
        assert_eq!(error_kind(ours.write(b"x").await), io::ErrorKind::BrokenPipe);
        assert!(ours.shutdown_write().is_ok());
    });
}

#[test]
fn socket_options_are_ignored() {
    let (ours, _theirs) = Stream::duplex(0);
    ours.set_keepalive(Duration::from_secs(1)).unwrap();
    ours.set_nodelay(true).unwrap();
    assert!(ours.socket_fd().is_none() && ours.peer().is_loopback());
    assert_eq!(ours.try_write_vectored(&[IoSlice::new(b"xy")]).unwrap(), 1);
}
