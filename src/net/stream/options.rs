//! What a connection asks of TCP: to find out who is gone, and to send at once.

use std::io;
use std::time::Duration;

use rustix::net::sockopt;

use super::Stream;

/// The longest times that TCP's keepalive options take, in seconds (tcp(7)).
const MAX_KEEPALIVE_SECS: u64 = 32_767;

/// How many times a silent peer is asked, each a quarter of the silence after the last time.
const KEEPALIVE_PROBES: u32 = 4;

impl Stream {
    /// Lets the kernel find out whether a peer is still there, one that says nothing (`SO_KEEPALIVE`, tcp(7)) and one that
    /// acknowledges nothing (`TCP_USER_TIMEOUT`).
    ///
    /// After `idle` without a word the peer is asked, then four times more at a quarter of `idle` each; a peer that answers
    /// none of them is gone, and reads fail with [`io::ErrorKind::TimedOut`] after about twice `idle`. While something that
    /// was written is not acknowledged the kernel does not ask, but sends that again, for a quarter of an hour as it comes:
    /// here for no longer than it would have asked. By this clock a peer is gone, too, that lives but has had no room for
    /// so long for what waits for it. The kernel counts in seconds from 1 to 32767, to which `idle` is rounded. A Unix
    /// socket needs none of this and ignores it.
    ///
    /// # Errors
    ///
    /// Fails when the kernel refuses, which it does for no live socket.
    pub fn set_keepalive(&self, idle: Duration) -> io::Result<()> {
        let Some(socket) = self.inet_socket() else { return Ok(()) };
        let idle = Duration::from_secs(idle.as_secs().clamp(1, MAX_KEEPALIVE_SECS));
        let between = Duration::from_secs((idle.as_secs() / u64::from(KEEPALIVE_PROBES)).max(1));
        sockopt::set_tcp_keepidle(socket, idle)?;
        sockopt::set_tcp_keepintvl(socket, between)?;
        sockopt::set_tcp_keepcnt(socket, KEEPALIVE_PROBES)?;
        // Some 18 hours at most, which are few enough milliseconds.
        let gone = (idle + KEEPALIVE_PROBES * between).as_millis().try_into().unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(socket, gone)?;
        Ok(sockopt::set_socket_keepalive(socket, true)?)
    }

    /// Sends small writes at once instead of waiting to join them (`TCP_NODELAY`, RFC 896); ignored
    /// by Unix sockets.
    ///
    /// # Errors
    ///
    /// Fails when the kernel refuses, which it does for no live socket.
    pub fn set_nodelay(&self, on: bool) -> io::Result<()> {
        self.inet_socket().map_or(Ok(()), |socket| Ok(sockopt::set_tcp_nodelay(socket, on)?))
    }
}
