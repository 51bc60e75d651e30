//! Writes with a timeout.
//!
//! A timeout for a whole message would disconnect a peer whose connection is slow but steady. So
//! the timeout applies to each write that the kernel accepts.

use std::io;
use std::time::Duration;

use crate::net::Stream;
use crate::runtime::Clock;
use crate::wire::units::format_duration;

/// Writes all bytes, with a timeout for each write that the kernel accepts. Not cancel-safe.
///
/// # Errors
///
/// An error of the stream, or [`io::ErrorKind::TimedOut`].
pub(crate) async fn write_all_with_timeout(
    clock: &Clock,
    stream: &Stream,
    timeout: Duration,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = clock.timeout(timeout, stream.write(bytes)).await;
        let written = written.unwrap_or_else(|| {
            let error = format!("the peer accepted no data for {}", format_duration(timeout));
            Err(io::Error::new(io::ErrorKind::TimedOut, error))
        });
        bytes = &bytes[written?..];
    }
    Ok(())
}
