//! TCP options of a connection: keepalive and Nagle's algorithm.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;

use crate::net::stream::Stream;

/// The largest value of TCP's keepalive options, in seconds (tcp(7)).
const MAX_KEEPALIVE_SECS: u64 = 32_767;

/// The maximum number of keepalive probes. The interval between them is a quarter of the idle time,
/// but at least a second.
const MAX_KEEPALIVE_PROBES: u32 = 4;

impl Stream {
    /// Makes the kernel detect a dead peer, by keepalive probes (`SO_KEEPALIVE`, tcp(7)) and by
    /// unacknowledged data (`TCP_USER_TIMEOUT`).
    ///
    /// After `idle` without any data the kernel sends a probe, and then up to three more at
    /// intervals of a quarter of `idle`. If the peer answers none of them, reads fail with
    /// [`io::ErrorKind::TimedOut`], about two times `idle` after its last data.
    ///
    /// While written data is unacknowledged, the kernel sends no probes. It retransmits the data
    /// instead, by default for about 15 minutes. Here it gives up after the same two times `idle`.
    /// So a living peer that accepts no data for that long counts as dead, too.
    ///
    /// `idle` is truncated to seconds and clamped to 1..=32767. A Unix socket needs no keepalive
    /// and ignores this.
    ///
    /// # Errors
    ///
    /// Fails if the kernel refuses the request. It does not for an open socket.
    pub fn set_keepalive(&self, idle: Duration) -> io::Result<()> {
        let Some(socket) = self.inet_socket() else { return Ok(()) };
        let idle = Duration::from_secs(idle.as_secs().clamp(1, MAX_KEEPALIVE_SECS));
        let quarter = idle.as_secs() / u64::from(MAX_KEEPALIVE_PROBES);
        let interval = Duration::from_secs(quarter.max(1));
        // An idle time of a few seconds is too short for all probes.
        let probes = MAX_KEEPALIVE_PROBES.min(idle.as_secs().try_into().unwrap_or(u32::MAX));
        sockopt::set_tcp_keepidle(socket, idle)?;
        sockopt::set_tcp_keepintvl(socket, interval)?;
        sockopt::set_tcp_keepcnt(socket, probes)?;
        // At most 65531 s (about 18 hours), which fit into a `u32` of milliseconds.
        let timeout = idle.saturating_add(interval.saturating_mul(probes));
        let timeout_ms = timeout.as_millis().try_into().unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(socket, timeout_ms)?;
        Ok(sockopt::set_socket_keepalive(socket, true)?)
    }

    /// Sends small writes at once instead of collecting them (`TCP_NODELAY`, RFC 896). Unix sockets
    /// ignore this.
    ///
    /// # Errors
    ///
    /// Fails if the kernel refuses the request. It does not for an open socket.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.inet_socket().map_or(Ok(()), |socket| Ok(sockopt::set_tcp_nodelay(socket, on)?))
    }
}
