//! Sources that are answered slowly, because they are in a loop with the server.
//!
//! A datagram over the rate is not dropped but answered later, so that a client that waits for each
//! reply is slowed and not stopped. One datagram of each source waits. More of them are not
//! answered.

use std::time::{Duration, Instant};

use crate::net::{Datagram, DatagramBatch, Peer};
use crate::time::deadline_after;

/// The time between two replies to a slowed source.
const REPLY_INTERVAL: Duration = Duration::from_millis(10);

/// The pause of a source after which it is answered at once again.
const MIN_PAUSE: Duration = Duration::from_secs(1);

/// The maximum number of slowed sources.
const MAX_SOURCES: usize = 64;

/// The slowed sources of one socket.
#[derive(Debug, Default)]
pub(crate) struct SlowedSources(Vec<SlowedSource>);

#[derive(Debug)]
struct SlowedSource {
    source: Peer,
    last_received: Instant,
    next_reply_at: Instant,
    /// The datagram that is answered at that time.
    waiting: Option<DatagramBatch>,
}

impl SlowedSources {
    /// Returns whether every source is answered at once.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a source. If there are too many, the one that was added first is removed.
    pub(crate) fn add(&mut self, source: Peer, now: Instant) {
        if self.0.len() >= MAX_SOURCES {
            self.0.remove(0);
        }
        let (last_received, next_reply_at) = (now, deadline_after(now, REPLY_INTERVAL));
        self.0.push(SlowedSource { source, last_received, next_reply_at, waiting: None });
    }

    /// Returns whether a datagram is answered now. Otherwise it waits, or is not answered.
    pub(crate) fn admit(&mut self, datagram: &Datagram<'_>, now: Instant) -> bool {
        let Some(index) = self.0.iter().position(|it| it.source == *datagram.peer) else {
            return true;
        };
        let slowed = &mut self.0[index];
        if now.saturating_duration_since(slowed.last_received) >= MIN_PAUSE {
            self.0.remove(index);
            return true;
        }
        slowed.last_received = now;
        if slowed.waiting.is_some() {
            return false;
        }
        let is_due = now >= slowed.next_reply_at;
        match is_due {
            true => slowed.next_reply_at = deadline_after(now, REPLY_INTERVAL),
            false => slowed.waiting = Some(DatagramBatch::with_sender_of(datagram)),
        }
        is_due
    }

    /// Returns the time until the next waiting datagram is to be answered, if there is one.
    pub(crate) fn next_due(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        let waiting = self.0.iter().filter(|it| it.waiting.is_some());
        let due = waiting.map(|it| it.next_reply_at).min()?;
        Some(due.saturating_duration_since(now()))
    }

    /// Takes a waiting datagram that is to be answered now. It is alone in its batch.
    pub(crate) fn pop_due(&mut self, now: impl FnOnce() -> Instant) -> Option<DatagramBatch> {
        let waiting = self.0.iter_mut().filter(|it| it.waiting.is_some());
        let first = waiting.min_by_key(|it| it.next_reply_at)?;
        let now = now();
        if now < first.next_reply_at {
            return None;
        }
        first.next_reply_at = deadline_after(now, REPLY_INTERVAL);
        first.waiting.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(peer: &Peer) -> Datagram<'_> {
        Datagram { bytes: b"same", length: 4, peer, local_ip: None }
    }

    #[test]
    fn lock_step_source_gets_hundred_replies_per_second() {
        let (start, source) = (Instant::now(), Peer::Inet("127.0.0.1:9".parse().unwrap()));
        let mut slowed = SlowedSources::default();
        slowed.add(source.clone(), start);
        let (mut now, mut replies) = (start, 0);
        while now - start < Duration::from_secs(1) {
            // The source sends its next datagram as soon as it has a reply.
            if !slowed.admit(&datagram(&source), now) {
                now += slowed.next_due(|| now).expect("a datagram that waits");
                assert!(slowed.pop_due(|| now).is_some());
            }
            replies += 1;
        }
        assert!((99..=101).contains(&replies), "{replies} replies");
    }

    #[test]
    fn flood_of_slowed_source_gets_hundred_replies_per_second() {
        let (start, source) = (Instant::now(), Peer::Inet("127.0.0.1:9".parse().unwrap()));
        let mut slowed = SlowedSources::default();
        slowed.add(source.clone(), start);
        let replies = (0..100_000).filter(|number| {
            let now = start + Duration::from_micros(10) * *number;
            slowed.admit(&datagram(&source), now) || slowed.pop_due(|| now).is_some()
        });
        let replies = replies.count();
        assert!((98..=101).contains(&replies), "{replies} replies");
    }

    #[test]
    fn source_is_answered_in_full_after_pause() {
        let (start, source) = (Instant::now(), Peer::Inet("127.0.0.1:9".parse().unwrap()));
        let mut slowed = SlowedSources::default();
        slowed.add(source.clone(), start);
        let other = Peer::Inet("127.0.0.1:10".parse().unwrap());
        assert!(slowed.admit(&datagram(&other), start));
        assert!(!slowed.admit(&datagram(&source), start));
        assert!(slowed.pop_due(|| start + REPLY_INTERVAL).is_some());
        let later = start + MIN_PAUSE;
        assert!(slowed.admit(&datagram(&source), later) && slowed.is_empty());
        assert!(slowed.admit(&datagram(&source), later));
    }

    #[test]
    fn number_of_slowed_sources_is_bounded() {
        let (start, mut slowed) = (Instant::now(), SlowedSources::default());
        for port in 1..=1000 {
            slowed.add(Peer::Inet(([127, 0, 0, 1], port).into()), start);
        }
        assert_eq!(slowed.0.len(), MAX_SOURCES);
    }
}
