//! A second handle to a stream, which only writes.
//!
//! Who waits for something to write may lend its stream to somebody who has it. A handle is all that is needed for
//! that: it costs no descriptor, and the connection is closed when both are gone.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::{SendFlags, send};

use crate::net::Stream;
#[cfg(feature = "testing")]
use crate::net::stream::duplex::DuplexBuffer;

/// Writes to a stream that somebody else has.
#[derive(Debug, Clone)]
pub(crate) enum StreamWriter {
    Socket(Arc<OwnedFd>),
    #[cfg(feature = "testing")]
    Duplex(DuplexBuffer),
}

impl Stream {
    /// Returns a second handle to write with. Whoever has both sees to it that no two lines get into each other.
    pub(crate) fn writer(&self) -> StreamWriter {
        self.transport.writer()
    }
}

impl StreamWriter {
    /// Writes without waiting, as [`Stream::try_write_vectored`] does.
    ///
    /// # Errors
    ///
    /// As there.
    pub(crate) fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        match self {
            StreamWriter::Socket(fd) => {
                Ok(rustix::io::retry_on_intr(|| send(fd, buf, SendFlags::NOSIGNAL))?)
            }
            #[cfg(feature = "testing")]
            StreamWriter::Duplex(pipe) => pipe.try_write(&[io::IoSlice::new(buf)]),
        }
    }
}
