//! Bytes on their way to a peer, with a time limit for each step of the way.
//!
//! A limit for a whole message would cut a peer whose line is slow but steady, so the limit is for each
//! write that the kernel takes. What was written so far is kept here and not in a future, so giving up a
//! wait loses nothing and cuts no line in two.

use std::io;
use std::time::Duration;

use crate::net::Stream;
use crate::runtime::Clock;

/// Bytes on their way to a peer.
#[derive(Debug, Default)]
pub(super) struct Output {
    bytes: String,
    written: usize,
}

/// A buffer that one large batch made is not kept for the many small ones.
const KEEP: usize = 4 << 10;

impl Output {
    /// Appends a text.
    pub(super) fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
    }

    /// Returns how many bytes are not written yet.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - self.written
    }

    /// Writes all of it. Cancel-safe.
    ///
    /// # Errors
    ///
    /// What the connection says, or `TimedOut` when the peer took nothing for as long as `limit`.
    pub(super) async fn write(
        &mut self,
        clock: &Clock,
        stream: &Stream,
        limit: Duration,
    ) -> io::Result<()> {
        while self.len() > 0 {
            let rest = &self.bytes.as_bytes()[self.written..];
            self.written += write_some(clock, stream, limit, rest).await?;
        }
        self.bytes.clear();
        self.bytes.shrink_to(KEEP);
        self.written = 0;
        Ok(())
    }
}

/// Writes `bytes`, with a limit for each write that the kernel takes. Not cancel-safe.
///
/// # Errors
///
/// What the connection says, or `TimedOut`.
pub(super) async fn write_all(
    clock: &Clock,
    stream: &Stream,
    limit: Duration,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        bytes = &bytes[write_some(clock, stream, limit, bytes).await?..];
    }
    Ok(())
}

async fn write_some(
    clock: &Clock,
    stream: &Stream,
    limit: Duration,
    bytes: &[u8],
) -> io::Result<usize> {
    let late =
        || Err(io::Error::new(io::ErrorKind::TimedOut, format!("it took nothing for {limit:?}")));
    clock.within(limit, stream.write(bytes)).await.unwrap_or_else(late)
}
