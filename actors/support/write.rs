//! Bytes on their way to a peer, with a time limit for each step of the way.
//!
//! A limit for a whole message would cut a peer whose line is slow but steady, so the limit is for each
//! write that the kernel takes.

use std::io;
use std::time::Duration;

use crate::net::Stream;
use crate::runtime::Clock;

/// Writes `bytes`, with a limit for each write that the kernel takes. Not cancel-safe.
///
/// # Errors
///
/// What the connection says, or `TimedOut`.
pub(crate) async fn write_all_with_timeout(
    clock: &Clock,
    stream: &Stream,
    limit: Duration,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        bytes = &bytes[write_with_timeout(clock, stream, limit, bytes).await?..];
    }
    Ok(())
}

async fn write_with_timeout(
    clock: &Clock,
    stream: &Stream,
    limit: Duration,
    bytes: &[u8],
) -> io::Result<usize> {
    let late =
        || Err(io::Error::new(io::ErrorKind::TimedOut, format!("it took nothing for {limit:?}")));
    clock.timeout(limit, stream.write(bytes)).await.unwrap_or_else(late)
}
