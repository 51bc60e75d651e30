//! Detection of two servers on this machine that answer each other without end (CVE-2024-2169).
//!
//! The other server takes each of our replies for a request, and its reply is always the same. So
//! its datagrams repeat the same bytes, arrive one at a time, and arrive as fast as both servers
//! can answer. A client on loopback that is answered in full does not do that for long.
//!
//! The detector observes one source at a time, the *suspect*. There is none while fewer datagrams
//! arrive alone than a loop would send, so that slow traffic costs a counter. Once per window the
//! suspect's rate is checked, and another source may become the suspect if the rate is low. A
//! second datagram in one batch, or one with other bytes, clears the suspect.

use std::time::{Duration, Instant};

use crate::net::{Datagram, DatagramBatch, Peer};

/// The number of lone datagrams between two reads of the clock.
const CHECK_EVERY: u32 = 1024;

/// The criteria by which a source that repeats a datagram is in a loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoopCriteria {
    /// The time over which a rate is measured.
    pub(crate) window: Duration,
    /// The rate per second that a loop exceeds.
    pub(crate) min_rate: u32,
    /// The time for which a loop keeps that rate.
    pub(crate) min_time: Duration,
}

impl Default for LoopCriteria {
    fn default() -> LoopCriteria {
        LoopCriteria {
            window: Duration::from_secs(1),
            min_rate: 20_000,
            min_time: Duration::from_secs(10),
        }
    }
}

/// The detector of the sources of one socket.
#[derive(Debug)]
pub(crate) struct LoopDetector {
    criteria: LoopCriteria,
    suspect: Option<Suspect>,
    /// The number of lone datagrams since the last check.
    unchecked: u32,
    checked_at: Option<Instant>,
}

/// A source that repeats a datagram.
#[derive(Debug)]
struct Suspect {
    source: Peer,
    bytes: Vec<u8>,
    length: usize,
    window_start: Instant,
    /// The number of datagrams in this window.
    count: u32,
    /// The end of the first window with a high rate.
    fast_since: Option<Instant>,
}

impl LoopDetector {
    /// Creates a detector without a suspect.
    pub(crate) fn new(criteria: LoopCriteria) -> LoopDetector {
        LoopDetector { criteria, suspect: None, unchecked: 0, checked_at: None }
    }

    /// Records the datagrams that were received with one call. Returns their source if it is in a
    /// loop.
    pub(crate) fn record(
        &mut self,
        batch: &DatagramBatch,
        now: impl FnOnce() -> Instant,
    ) -> Option<Peer> {
        if batch.len() != 1 {
            self.record_many(batch.iter());
            return None;
        }
        if self.suspect.is_none() && self.unchecked + 1 < CHECK_EVERY {
            self.unchecked += 1;
            return None;
        }
        self.record_lone(&batch.get(0)?, now)
    }

    /// Records a datagram that arrived alone.
    fn record_lone(
        &mut self,
        datagram: &Datagram<'_>,
        now: impl FnOnce() -> Instant,
    ) -> Option<Peer> {
        if let Some(suspect) = self.suspect.as_mut().filter(|it| it.source == *datagram.peer) {
            match suspect.length == datagram.length && suspect.bytes == datagram.bytes {
                true => suspect.count = suspect.count.saturating_add(1),
                false => self.suspect = None,
            }
        }
        self.unchecked += 1;
        if self.unchecked < CHECK_EVERY {
            return None;
        }
        self.unchecked = 0;
        self.check(datagram, now())
    }

    /// Clears the suspect if it has sent several of these datagrams at once.
    fn record_many<'a>(&mut self, mut datagrams: impl Iterator<Item = Datagram<'a>>) {
        // A source that is not fast yet is not looked for, as the search costs time.
        if let Some(suspect) = self.suspect.as_ref().filter(|it| it.fast_since.is_some()) {
            let mut is_from_suspect = |datagram: Datagram<'a>| *datagram.peer == suspect.source;
            if datagrams.any(&mut is_from_suspect) && datagrams.any(&mut is_from_suspect) {
                self.suspect = None;
            }
        }
    }

    /// Checks the rate of the suspect at the end of its window, and clears it if the rate was low.
    /// Without a suspect, the source of `datagram` becomes it if the rate of all is high.
    fn check(&mut self, datagram: &Datagram<'_>, now: Instant) -> Option<Peer> {
        let LoopCriteria { window: min_window, min_rate, min_time } = self.criteria;
        let last_check = self.checked_at.replace(now);
        let is_fast = |count: u32, time: Duration| {
            f64::from(count) > f64::from(min_rate) * time.as_secs_f64()
        };
        if let Some(suspect) = &mut self.suspect {
            let window = now.saturating_duration_since(suspect.window_start);
            if window < min_window {
                return None;
            }
            if is_fast(suspect.count, window) {
                (suspect.window_start, suspect.count) = (now, 0);
                let fast_since = *suspect.fast_since.get_or_insert(now);
                if now.saturating_duration_since(fast_since) < min_time {
                    return None;
                }
                return self.suspect.take().map(|suspect| suspect.source);
            }
        }
        let elapsed = last_check.map(|last| now.saturating_duration_since(last));
        if !elapsed.is_some_and(|elapsed| is_fast(CHECK_EVERY, elapsed)) {
            self.suspect = None;
            return None;
        }
        let is_local = matches!(datagram.peer, Peer::Inet(_)) && datagram.peer.is_loopback();
        self.suspect = is_local.then(|| Suspect {
            source: datagram.peer.clone(),
            bytes: datagram.bytes.to_vec(),
            length: datagram.length,
            window_start: now,
            count: 0,
            fast_since: None,
        });
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A detector on a virtual clock.
    struct Traffic {
        detector: LoopDetector,
        now: Instant,
    }

    fn peer(text: &str) -> Peer {
        Peer::Inet(text.parse().unwrap())
    }

    impl Traffic {
        fn new() -> Traffic {
            Traffic { detector: LoopDetector::new(LoopCriteria::default()), now: Instant::now() }
        }

        /// Sends a lone datagram, and then lets the clock advance. Returns whether a loop is
        /// detected.
        fn send(&mut self, peer: &Peer, bytes: &[u8], pause: Duration) -> bool {
            let datagram = Datagram { bytes, length: bytes.len(), peer, local_ip: None };
            let source = self.detector.record_lone(&datagram, || self.now);
            self.now += pause;
            assert!(source.as_ref().is_none_or(|source| *source != self::peer(CLIENT)));
            source.is_some()
        }

        /// Sends lone datagrams for `time`, until a loop is detected. Returns whether it is.
        fn run(
            &mut self,
            per_second: u32,
            time: Duration,
            mut next: impl FnMut(u32) -> (Peer, &'static [u8]),
        ) -> bool {
            let end = self.now + time;
            let mut numbers = 0..;
            let mut is_loop = false;
            while !is_loop && self.now < end {
                let (peer, bytes) = next(numbers.next().unwrap_or_default());
                is_loop = self.send(&peer, bytes, Duration::from_secs(1) / per_second);
            }
            is_loop
        }
    }

    const MIN_TIME: Duration = Duration::from_secs(10);

    const LOOPBACK: &str = "127.0.0.1:20002";

    /// A client that is not in a loop.
    const CLIENT: &str = "127.0.0.1:9";

    #[test]
    fn fast_repeated_datagram_is_loop_after_ten_seconds() {
        let mut traffic = Traffic::new();
        let start = traffic.now;
        assert!(!traffic.run(25_000, MIN_TIME, |_| (peer(LOOPBACK), b"same")));
        assert!(traffic.run(25_000, Duration::from_secs(3), |_| (peer(LOOPBACK), b"same")));
        let detected_after = traffic.now - start;
        assert!(detected_after > MIN_TIME, "{detected_after:?}");
    }

    #[test]
    fn slow_repeated_datagram_is_no_loop() {
        let minute = Duration::from_secs(60);
        assert!(!Traffic::new().run(19_000, minute, |_| (peer(LOOPBACK), b"same")));
    }

    #[test]
    fn changed_bytes_clear_suspect() {
        let mut traffic = Traffic::new();
        // One of 150,000 datagrams differs, which is one in six seconds.
        let is_other = |number| number % 150_000 == 7;
        let next = |number| (peer(LOOPBACK), &if is_other(number) { b"more" } else { b"same" }[..]);
        assert!(!traffic.run(25_000, Duration::from_secs(40), next));
    }

    #[test]
    fn datagram_of_other_machine_is_no_loop() {
        let mut traffic = Traffic::new();
        let half_minute = Duration::from_secs(30);
        assert!(!traffic.run(25_000, half_minute, |_| (peer("192.0.2.1:9"), b"same")));
    }

    #[test]
    fn two_loops_are_found_one_after_another() {
        let mut traffic = Traffic::new();
        let peers = [peer(LOOPBACK), peer("[::1]:9")];
        let next = |number| (peers[number as usize % 2].clone(), &b"same"[..]);
        assert!(traffic.run(50_000, Duration::from_secs(30), next));
        assert!(traffic.run(50_000, Duration::from_secs(30), next));
    }

    #[test]
    fn other_client_does_not_hide_loop() {
        let mut traffic = Traffic::new();
        let next = |number| match number % 4 {
            0 => (peer(CLIENT), &b"request"[..]),
            _ => (peer(LOOPBACK), &b"same"[..]),
        };
        assert!(traffic.run(60_000, Duration::from_secs(60), next));
    }

    #[test]
    fn pipelined_datagrams_clear_suspect() {
        let mut traffic = Traffic::new();
        let source = peer(LOOPBACK);
        for _ in 0..20 {
            assert!(!traffic.run(25_000, Duration::from_secs(3), |_| (peer(LOOPBACK), b"same")));
            let datagram = Datagram { bytes: b"same", length: 4, peer: &source, local_ip: None };
            traffic.detector.record_many([datagram; 2].into_iter());
        }
    }
}
