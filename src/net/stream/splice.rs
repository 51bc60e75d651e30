//! Transfers between sockets and files without copies through the process: `splice` and
//! `sendfile`.
//!
//! An ordinary transfer copies every byte twice, into the process and out of it. A [`SplicePipe`]
//! saves one copy: the kernel moves the socket's buffers into the pipe, and copies them from there
//! into the file. `sendfile` saves a copy in the other direction.
//!
//! Both touch the disk, so they belong on a thread that may block. Neither waits for the socket. If
//! a call fails with [`io::ErrorKind::WouldBlock`], wait with [`Stream::readable`] or
//! [`Stream::writable`] on an executor, and call it again. Some streams and files do not support
//! these calls. The error is [`io::ErrorKind::Unsupported`] then, and the caller has to read and
//! write.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::sendfile;
use rustix::io::{Errno, retry_on_intr};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::net::stream::Stream;

/// The requested capacity of a pipe in bytes: the default limit for unprivileged users.
const PIPE_SIZE: usize = 1 << 20;

/// The number of bytes copied at a time into a file that does not support `splice`.
const COPY_CHUNK: usize = 64 << 10;

/// A pipe that moves bytes from sockets to files. It must be drained before it is filled again.
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
    /// Creates a pipe, with a capacity of up to 1 MiB.
    ///
    /// # Errors
    ///
    /// Fails if the process is out of file descriptors.
    pub fn new() -> io::Result<SplicePipe> {
        let (read_end, write_end) = pipe_with(PipeFlags::CLOEXEC)?;
        // The kernel refuses a user with too many large pipes. A small pipe works, too, but slower.
        let _ = fcntl_setpipe_size(&write_end, PIPE_SIZE);
        Ok(SplicePipe { write_end, read_end: read_end.into(), buffered: 0 })
    }

    /// Returns the number of bytes in the pipe.
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// Moves up to `max_len` received bytes of a stream into the empty pipe, without waiting.
    /// Returns their number, which is 0 at the end of the stream.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::WouldBlock`] if there is nothing to read
    /// - [`io::ErrorKind::Unsupported`] if the stream cannot be spliced
    /// - [`io::ErrorKind::InvalidInput`] if the pipe is not empty or `max_len` is 0
    /// - the error of the connection if it has failed
    pub fn fill(&mut self, stream: &Stream, max_len: usize) -> io::Result<usize> {
        if self.buffered > 0 || max_len == 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let Some(socket) = stream.socket_fd() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        let filled = retry_on_intr(|| splice(socket, None, &self.write_end, None, max_len, flags));
        self.buffered = filled.map_err(map_unsupported)?;
        Ok(self.buffered)
    }

    /// Writes all bytes in the pipe to a file at `offset`, and returns their number. If the file
    /// does not support `splice`, they are copied through a buffer.
    ///
    /// # Errors
    ///
    /// Fails with the error of the file, for example [`io::ErrorKind::StorageFull`]. A part of the
    /// bytes may be written then. The others stay in the pipe.
    pub fn drain(&mut self, file: &File, mut offset: u64) -> io::Result<usize> {
        let total = self.buffered;
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
        Ok(total)
    }

    /// Copies up to [`COPY_CHUNK`] bytes from the pipe to the file, and returns their number.
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
    /// Sends up to `max_len` bytes of a file from its current position, without waiting. Returns
    /// their number, and advances the position by it. 0 means the end of the file, or that
    /// `max_len` is 0.
    ///
    /// If the peer has gone, the result is an error, and the kernel raises SIGPIPE. `sendfile` has
    /// no flag against the signal, but Rust programs ignore it by default.
    ///
    /// # Errors
    ///
    /// - [`io::ErrorKind::WouldBlock`] if the send buffer is full
    /// - [`io::ErrorKind::Unsupported`] if the stream or the file (a pipe, for example) does not
    ///   support it
    /// - the error of the file or the connection if it has failed
    pub fn try_sendfile(&self, file: &File, max_len: usize) -> io::Result<usize> {
        let Some(socket) = self.socket_fd() else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        retry_on_intr(|| sendfile(socket, file, None, max_len)).map_err(map_unsupported)
    }
}

/// Maps the errors of unsupported files and sockets to [`io::ErrorKind::Unsupported`].
fn map_unsupported(error: Errno) -> io::Error {
    match error {
        Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::SPIPE => {
            io::ErrorKind::Unsupported.into()
        }
        error => error.into(),
    }
}

/// Repeats a call of the standard library for as long as signals interrupt it.
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
