//! A connection in memory, so that what serves one can be simulated and fuzzed.
//!
//! Two pipes, one for each direction, each bounded. There is no reactor: whoever waits is woken on the thread that
//! writes, reads or drops, within that call, in the order in which they began to wait. So a run with the same steps
//! is the same run.
//!
//! An end that is dropped ends its side; the other end reads what was written before, then the end of the stream,
//! and its writes fail with [`BrokenPipe`](io::ErrorKind::BrokenPipe). Nothing is reset: unread input destroys nothing.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, Read};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use crate::net::stream::transport::Transport;
use crate::net::{Peer, Stream};
use crate::sync::lock;

impl Stream {
    /// Makes two ends of a connection in memory; at most `capacity` bytes (at least 1) wait in each direction.
    ///
    /// It has no descriptor and no address; options of sockets are ignored.
    ///
    /// # Examples
    ///
    /// ```
    /// use sockactors::net::Stream;
    ///
    /// let (ours, theirs) = Stream::duplex(4);
    /// smol::block_on(async {
    ///     assert_eq!(ours.write(b"hello").await?, 4);
    ///     drop(ours);
    ///     let mut heard = [0; 16];
    ///     assert_eq!(theirs.read(&mut heard).await?, 4);
    ///     assert_eq!(theirs.read(&mut heard).await?, 0);
    ///     assert!(theirs.write(b"?").await.is_err());
    ///     # Ok::<(), std::io::Error>(())
    /// })?;
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn duplex(capacity: usize) -> (Stream, Stream) {
        let (there, back) = (DuplexBuffer::new(capacity), DuplexBuffer::new(capacity));
        let one = DuplexEnd { input: back.clone(), output: there.clone() };
        let other = DuplexEnd { input: there, output: back };
        let stream = |end| Stream::new(Transport::Duplex(end), Peer::Unix(None), false);
        (stream(one), stream(other))
    }
}

/// One end of a connection in memory.
pub(crate) struct DuplexEnd {
    input: DuplexBuffer,
    output: DuplexBuffer,
}

/// One direction.
#[derive(Clone)]
pub(crate) struct DuplexBuffer(Arc<Mutex<DuplexState>>);

struct DuplexState {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// The writer has ended its side.
    write_closed: bool,
    /// Nobody is left who could read.
    read_closed: bool,
    readers: Vec<Waker>,
    writers: Vec<Waker>,
}

impl DuplexBuffer {
    fn new(capacity: usize) -> DuplexBuffer {
        DuplexBuffer(Arc::new(Mutex::new(DuplexState {
            bytes: VecDeque::new(),
            capacity: capacity.max(1),
            write_closed: false,
            read_closed: false,
            readers: Vec::new(),
            writers: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, DuplexState> {
        lock(&self.0)
    }

    pub(crate) fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state();
        if state.write_closed || state.read_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let before = state.bytes.len();
        for buf in bufs {
            let room = state.capacity - state.bytes.len();
            state.bytes.extend(&buf[..buf.len().min(room)]);
        }
        let length = state.bytes.len() - before;
        if length > 0 {
            let readers = std::mem::take(&mut state.readers);
            drop(state);
            wake_all(readers);
        } else if bufs.iter().any(|buf| !buf.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(length)
    }
}

impl DuplexEnd {
    pub(crate) fn try_read(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.input.state();
        let length = state.bytes.read(buf)?;
        if length > 0 {
            let writers = std::mem::take(&mut state.writers);
            drop(state);
            wake_all(writers);
        } else if !state.write_closed && !buf.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(length)
    }

    pub(crate) fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.output.try_write(bufs)
    }

    /// Returns the pipe that this end writes to.
    pub(crate) fn output(&self) -> DuplexBuffer {
        self.output.clone()
    }

    pub(crate) fn poll_readable(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.input.state();
        if state.write_closed || !state.bytes.is_empty() {
            return Poll::Ready(Ok(()));
        }
        register_waker(&mut state.readers, cx)
    }

    pub(crate) fn poll_writable(&self, cx: &Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.output.state();
        if state.write_closed || state.read_closed || state.bytes.len() < state.capacity {
            return Poll::Ready(Ok(()));
        }
        register_waker(&mut state.writers, cx)
    }

    pub(crate) fn shutdown_write(&self) {
        let mut state = self.output.state();
        state.write_closed = true;
        let (mut woken, writers) =
            (std::mem::take(&mut state.readers), std::mem::take(&mut state.writers));
        drop(state);
        woken.extend(writers);
        wake_all(woken);
    }
}

impl Drop for DuplexEnd {
    fn drop(&mut self) {
        let mut state = self.input.state();
        state.read_closed = true;
        state.bytes = VecDeque::new();
        let writers = std::mem::take(&mut state.writers);
        drop(state);
        wake_all(writers);
        self.shutdown_write();
    }
}

impl fmt::Debug for DuplexBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pipe({} bytes)", self.state().bytes.len())
    }
}

impl fmt::Debug for DuplexEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (input, output) = (self.input.state().bytes.len(), self.output.state().bytes.len());
        write!(f, "Memory({input} bytes to read, {output} written)")
    }
}

/// Notes who waits; a task that asks again is noted once.
fn register_waker<T>(wakers: &mut Vec<Waker>, cx: &Context<'_>) -> Poll<T> {
    if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
        wakers.push(cx.waker().clone());
    }
    Poll::Pending
}

/// Wakes them, outside of any lock: a waker may run its task at once.
fn wake_all(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests;
