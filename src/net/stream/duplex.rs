//! A connection in memory, for simulations and fuzzing.
//!
//! A connection is two bounded buffers, one for each direction. There is no reactor: a task that
//! waits is woken by the call that writes, reads or drops, on the thread of that call. Tasks are
//! woken in the order in which they began to wait. So runs with the same steps are identical.
//!
//! Dropping an end closes its side. The other end reads everything that was written before, then
//! the end of the stream. Its writes fail with [`BrokenPipe`](io::ErrorKind::BrokenPipe). There are
//! no resets: unread input destroys nothing.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, IoSlice, Read};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use crate::sync::lock;

/// One end of a connection in memory.
pub(crate) struct DuplexEnd {
    input: DuplexBuffer,
    output: DuplexBuffer,
}

/// One direction of a connection in memory.
#[derive(Clone)]
pub(crate) struct DuplexBuffer(Arc<Mutex<DuplexState>>);

struct DuplexState {
    bytes: VecDeque<u8>,
    capacity: usize,
    /// Whether the writing end has shut down.
    write_closed: bool,
    /// Whether the reading end has been dropped.
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

    /// Returns whether the reading end has been dropped.
    pub(crate) fn is_read_closed(&self) -> bool {
        self.state().read_closed
    }

    pub(crate) fn try_write(&self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut state = self.state();
        if state.write_closed || state.read_closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let old_len = state.bytes.len();
        for buf in bufs {
            let space = state.capacity - state.bytes.len();
            state.bytes.extend(&buf[..buf.len().min(space)]);
        }
        let written = state.bytes.len() - old_len;
        if written > 0 {
            let readers = std::mem::take(&mut state.readers);
            drop(state);
            wake_all(readers);
        } else if bufs.iter().any(|buf| !buf.is_empty()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(written)
    }
}

impl DuplexEnd {
    /// Creates the two ends of a connection. Each direction buffers at most `capacity` bytes (at
    /// least 1).
    pub(crate) fn pair(capacity: usize) -> (DuplexEnd, DuplexEnd) {
        let (forward, backward) = (DuplexBuffer::new(capacity), DuplexBuffer::new(capacity));
        let first = DuplexEnd { input: backward.clone(), output: forward.clone() };
        let second = DuplexEnd { input: forward, output: backward };
        (first, second)
    }

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

    /// Returns the buffer that this end writes to.
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
        let mut wakers = std::mem::take(&mut state.readers);
        wakers.append(&mut state.writers);
        drop(state);
        wake_all(wakers);
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
        write!(f, "DuplexBuffer({} bytes)", self.state().bytes.len())
    }
}

impl fmt::Debug for DuplexEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (input, output) = (self.input.state().bytes.len(), self.output.state().bytes.len());
        write!(f, "DuplexEnd({input} bytes to read, {output} written)")
    }
}

/// Registers the waker of a task, once even if the task polls again.
fn register_waker<T>(wakers: &mut Vec<Waker>, cx: &Context<'_>) -> Poll<T> {
    if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
        wakers.push(cx.waker().clone());
    }
    Poll::Pending
}

/// Wakes all tasks. Call it without any lock, because a waker may run its task at once.
fn wake_all(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests;
