//! Bytes between sockets and files that never enter the process: `splice` one way, `sendfile` the other.
//!
//! A byte that is received and written is copied twice, into the process and out of it again. A [`SplicePipe`] in between
//! saves one of these: the kernel hangs the socket's buffers into the pipe and copies them from there into the file.
//! `sendfile` saves as much in the other direction.
//!
//! Both touch the disk, so they belong on a thread that may block; neither ever waits for the socket. Whoever finds it not
//! ready waits with [`Stream::readable`] or [`Stream::writable`] on an executor, and comes back. Not every stream and not
//! every file can: that is told as [`io::ErrorKind::Unsupported`], and the caller reads and writes as ever.

use crate::net::Stream;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::sendfile;
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// What a pipe is asked to hold, in bytes: as much as anybody may ask for, where an administrator has not said otherwise.
const PIPE_SIZE: usize = 1 << 20;

/// The bytes that are copied at a time where a file takes none from a pipe.
const COPY_CHUNK: usize = 64 << 10;

/// A pipe through which bytes go from sockets to files, one filling after the other.
///
/// # Examples
///
/// ```
/// use sockactors::net::{SplicePipe, Stream};
///
/// # fn main() -> std::io::Result<()> {
/// let file = tempfile::tempfile()?;
/// let (ours, theirs) = Stream::pair()?;
/// smol::block_on(ours.write_all(b"hello"))?;
///
/// let mut pipe = SplicePipe::new()?;
/// assert_eq!(pipe.fill(&theirs, 1 << 20)?, 5);
/// assert_eq!(pipe.drain(&file, 0)?, 5);
/// assert_eq!(file.metadata()?.len(), 5);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct SplicePipe {
    write_end: OwnedFd,
    read_end: File,
    buffered: usize,
}

impl SplicePipe {
    /// Makes a pipe, as large as the kernel lets it be up to 1 MiB.
    ///
    /// # Errors
    ///
    /// Fails when descriptors have run out.
    pub fn new() -> io::Result<SplicePipe> {
        let (end, mouth) = pipe_with(PipeFlags::CLOEXEC)?;
        // A user who has too many large pipes gets a small one, which is slower and nothing else.
        let _ = fcntl_setpipe_size(&mouth, PIPE_SIZE);
        Ok(SplicePipe { write_end: mouth, read_end: end.into(), buffered: 0 })
    }

    /// Returns how many bytes were filled in and not drained yet.
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// Takes in what has come over a stream, at most `most` bytes, without waiting. 0 means that the peer has ended its side.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] when nothing is there, with [`io::ErrorKind::Unsupported`] when it is no
    /// stream to splice from, with [`io::ErrorKind::InvalidInput`] unless the pipe was drained before, and when the
    /// connection has failed.
    pub fn fill(&mut self, stream: &Stream, most: usize) -> io::Result<usize> {
        if self.buffered > 0 || most == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Some(socket) = stream.socket_fd() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let filled = retry_on_intr(|| splice(socket, None, &self.write_end, None, most, flags));
        self.buffered = filled.map_err(map_unsupported)?;
        Ok(self.buffered)
    }

    /// Writes all that the pipe holds into a file at `offset`, and returns how many bytes that were. A file that takes
    /// nothing from a pipe is written as ever.
    ///
    /// # Errors
    ///
    /// Fails when the file does, for instance with [`io::ErrorKind::StorageFull`]. Some of the bytes may be written then;
    /// the pipe still holds the others, and may be dropped with them.
    pub fn drain(&mut self, file: &File, mut offset: u64) -> io::Result<usize> {
        let all = self.buffered;
        while self.buffered > 0 {
            let flags = SpliceFlags::MOVE;
            let moved = retry_on_intr(|| {
                splice(&self.read_end, None, file, Some(&mut offset), self.buffered, flags)
            });
            match moved.map_err(map_unsupported) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(moved) => self.buffered -= moved,
                Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                    offset += self.copy_through_buffer(file, offset)? as u64;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// Writes some of what the pipe holds by way of the process.
    fn copy_through_buffer(&mut self, file: &File, offset: u64) -> io::Result<usize> {
        let mut buffer = vec![0; self.buffered.min(COPY_CHUNK)];
        let length = retry_interrupted(|| self.read_end.read(&mut buffer))?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffered -= length;
        file.write_all_at(&buffer[..length], offset)?;
        Ok(length)
    }
}

impl Stream {
    /// Waits until a write would not block, which an error also causes.
    ///
    /// It always joins the reactor, and any number of tasks may wait. The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// Fails when the reactor cannot take the socket, because descriptors or memory have run out.
    pub async fn writable(&self) -> io::Result<()> {
        self.transport.writable().await
    }

    /// Waits for something to read, for so long and on this very thread, which must be one that may block. Tells whether
    /// there is something by then, or the connection has ended; there never is on a stream in memory.
    pub fn block_until_readable(&self, limit: Duration) -> bool {
        let Some(socket) = self.socket_fd() else { return false };
        let mut wanted = [PollFd::from_borrowed_fd(socket, PollFlags::IN)];
        let limit = Timespec::try_from(limit).ok();
        poll(&mut wanted, limit.as_ref()).is_ok_and(|ready| ready > 0)
    }

    /// Sends a file's bytes from its position on, at most `most`, as far as there is room and without waiting for more;
    /// returns how many were taken, by which the position is advanced. 0 means the end of the file, or that `most` is 0.
    ///
    /// A peer that is gone is an error. It is a SIGPIPE, too, which the kernel cannot be asked to leave out here: a Rust
    /// program ignores it from its start.
    ///
    /// # Errors
    ///
    /// Fails with [`io::ErrorKind::WouldBlock`] when there is no room, with [`io::ErrorKind::Unsupported`] when it is no
    /// stream or no file that can do so (a pipe cannot), and when the file or the connection has failed.
    pub fn try_sendfile(&self, file: &File, most: usize) -> io::Result<usize> {
        let Some(socket) = self.socket_fd() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        retry_on_intr(|| sendfile(socket, file, None, most)).map_err(map_unsupported)
    }
}

/// Tells what a kernel says of things that it cannot join from what has failed.
fn map_unsupported(error: Errno) -> io::Error {
    match error {
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::SPIPE => {
            io::ErrorKind::Unsupported.into()
        }
        error => error.into(),
    }
}

fn retry_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests;
