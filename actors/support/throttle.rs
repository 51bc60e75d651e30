//! Reports of frequent events, at most once per second.
//!
//! A peer that floods a server with invalid requests must not flood its log too. So the events of
//! each kind are counted, and the last one is reported with the count.

use std::time::{Duration, Instant};

use crate::actors::support::report::Report;
use crate::net::Peer;

/// The shortest time between two reports of the same kind.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// An event that is counted by its kind.
pub(crate) trait ThrottledEvent {
    /// Returns the index of the event's kind, which is less than the number of kinds.
    fn kind(&self) -> usize;

    /// Returns the report of this event, the last one of `count` events of its kind.
    fn into_report(self, peer: Option<Peer>, count: u64) -> Report;
}

/// A counter of events of `N` kinds, which reports each kind at most once per second.
#[derive(Debug)]
pub(crate) struct ThrottledReports<E, const N: usize> {
    /// The number of events of each kind since the start.
    counts: [u64; N],
    /// The last event of each kind that has not been reported.
    pending: [Option<(E, Option<Peer>)>; N],
    last_reported: Option<Instant>,
}

impl<E, const N: usize> Default for ThrottledReports<E, N> {
    fn default() -> ThrottledReports<E, N> {
        ThrottledReports { counts: [0; N], pending: [const { None }; N], last_reported: None }
    }
}

impl<E: ThrottledEvent, const N: usize> ThrottledReports<E, N> {
    /// Counts `count` events of the same kind, of which `event` is the last one.
    pub(crate) fn add(&mut self, event: E, peer: Option<&Peer>, count: u64) {
        let kind = event.kind();
        self.counts[kind] += count;
        self.pending[kind] = Some((event, peer.cloned()));
    }

    /// Returns whether there is nothing to report, now or later.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.iter().all(Option::is_none)
    }

    /// Returns the time until the next report, or `None` if there is nothing to report.
    pub(crate) fn next_due(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        if self.is_empty() {
            return None;
        }
        let elapsed = self.last_reported.map(|last| now().saturating_duration_since(last));
        Some(elapsed.map_or(Duration::ZERO, |elapsed| REPORT_INTERVAL.saturating_sub(elapsed)))
    }

    /// Returns the reports that are due now.
    pub(crate) fn take_due(&mut self, now: impl Fn() -> Instant) -> Vec<Report> {
        if self.next_due(&now) != Some(Duration::ZERO) {
            return Vec::new();
        }
        self.last_reported = Some(now());
        self.drain()
    }

    /// Returns all pending reports, even if they are not due.
    pub(crate) fn drain(&mut self) -> Vec<Report> {
        let pending = self.pending.iter_mut().zip(self.counts);
        let report = |(event, count): (&mut Option<(E, Option<Peer>)>, u64)| {
            let (event, peer) = event.take()?;
            Some(event.into_report(peer, count))
        };
        pending.filter_map(report).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Event(usize, &'static str);

    impl ThrottledEvent for Event {
        fn kind(&self) -> usize {
            self.0
        }

        fn into_report(self, _: Option<Peer>, count: u64) -> Report {
            Report::ChatLine(format!("{} {count} {}", self.0, self.1))
        }
    }

    fn texts(reports: Vec<Report>) -> Vec<String> {
        let texts = reports.into_iter().map(|report| match report {
            Report::ChatLine(text) => text,
            other => panic!("{other:?}"),
        });
        texts.collect()
    }

    #[test]
    fn each_kind_reported_once_per_second() {
        let mut events = ThrottledReports::<Event, 2>::default();
        let start = Instant::now();
        let at = |millis| move || start + Duration::from_millis(millis);
        assert!(events.take_due(at(0)).is_empty());
        events.add(Event(1, "a"), None, 1);
        assert_eq!(texts(events.take_due(at(0))), ["1 1 a"]);
        for text in ["b", "c"] {
            events.add(Event(1, text), None, 2);
        }
        events.add(Event(0, "d"), None, 1);
        assert_eq!(events.next_due(at(400)), Some(Duration::from_millis(600)));
        assert!(events.take_due(at(999)).is_empty());
        assert_eq!(texts(events.take_due(at(1000))), ["0 1 d", "1 5 c"]);
        assert!(events.take_due(at(5000)).is_empty());
        events.add(Event(0, "e"), None, 1);
        assert_eq!(texts(events.drain()), ["0 2 e"]);
        assert!(events.drain().is_empty() && events.next_due(at(9000)).is_none());
    }
}
