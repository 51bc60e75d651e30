//! The rate limits of a session's input: its own, and the one of all sessions of its source.
//!
//! A session that is over a limit is delayed, not disconnected: it reads its next line later, and
//! backpressure slows the sender. So a pasted text arrives completely. All sessions of a source
//! together may send [`SESSIONS_PER_SOURCE`] times as much as one, so that reconnecting and many
//! connections gain little. Connections count like lines.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::actors::support::rate_limit::RateLimiter;
use crate::actors::support::source_rate_limit::SourceRateLimiter;
use crate::wire::chat::MAX_LINE_LEN;
use crate::wire::text::escape;

/// The number of sessions whose rate all sessions of a source have together.
const SESSIONS_PER_SOURCE: u32 = 10;

/// The rate limits of a session's input.
#[derive(Debug)]
pub(crate) struct InputRate {
    own: RateLimiter,
    /// The address that counts, or `None` for all Unix sockets.
    source: Option<IpAddr>,
    sources: Arc<SourceRateLimiter>,
    /// When the next input may be handled. `None` if there is no need to wait.
    ready_at: Option<Instant>,
}

/// Creates the limit of all sessions of each source, for the rate of one session.
pub(crate) fn new_source_limiter((count, period): (u32, Duration)) -> Arc<SourceRateLimiter> {
    Arc::new(SourceRateLimiter::new((count.saturating_mul(SESSIONS_PER_SOURCE), period)))
}

impl InputRate {
    /// Creates the limits of a new session, and counts its connection.
    pub(crate) fn new(
        rate: (u32, Duration),
        sources: Arc<SourceRateLimiter>,
        source: Option<IpAddr>,
        now: Instant,
    ) -> InputRate {
        let ready_at = sources.record(&source, 1, now);
        InputRate { own: RateLimiter::new(rate, now), source, sources, ready_at }
    }

    /// Counts a line or a chunk. A text whose escapes are longer than a line counts as several.
    pub(crate) fn record(&mut self, text: &str, now: Instant) {
        let count = escape(text).len().div_ceil(MAX_LINE_LEN).max(1) as u64;
        // The later of both times. `None` is the earliest.
        let source_ready_at = self.sources.record(&self.source, count, now);
        self.ready_at = self.own.record(count, now).max(source_ready_at);
    }

    /// Returns when the next input may be handled, or `None` if it may be handled now.
    pub(crate) fn ready_at(&self, now: Instant) -> Option<Instant> {
        self.ready_at.filter(|ready_at| *ready_at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: (u32, Duration) = (10, Duration::from_secs(10));

    #[test]
    fn new_connections_of_one_source_share_limit() {
        let (sources, now) = (new_source_limiter(RATE), Instant::now());
        let connect = |source| InputRate::new(RATE, sources.clone(), source, now).ready_at(now);
        for connection in 0..100 {
            assert_eq!(connect(None).is_some(), connection == 99, "{connection}");
        }
        assert_eq!(connect(None), Some(now + Duration::from_millis(200)));
        assert_eq!(connect(Some([192, 0, 2, 1].into())), None);
    }

    #[test]
    fn text_with_long_escapes_counts_as_several_lines() {
        let (sources, now) = (new_source_limiter(RATE), Instant::now());
        let mut rate = InputRate::new(RATE, sources, None, now);
        let bells = "\u{7}".repeat(MAX_LINE_LEN);
        rate.record(&bells, now);
        assert_eq!(rate.ready_at(now), None);
        rate.record(&bells, now);
        assert_eq!(rate.ready_at(now), Some(now + Duration::from_secs(1)));
    }
}
