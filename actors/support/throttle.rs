//! What happens again and again, told at most once a second.
//!
//! Whoever is flooded with what has to be refused must not flood a log with it in turn. So each kind of it is counted, and
//! told with its count and with the last of them.

use std::time::{Duration, Instant};

/// How long what happens is gathered before it is told.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Counts `N` kinds of what happens. `T` is what is told of the last one.
#[derive(Debug)]
pub(crate) struct ThrottledCounter<T, const N: usize> {
    counts: [u64; N],
    /// The last one, where it has not been told.
    pending: [Option<T>; N],
    last_reported: Option<Instant>,
}

impl<T, const N: usize> Default for ThrottledCounter<T, N> {
    fn default() -> ThrottledCounter<T, N> {
        ThrottledCounter { counts: [0; N], pending: [const { None }; N], last_reported: None }
    }
}

impl<T, const N: usize> ThrottledCounter<T, N> {
    /// Counts so many of a kind, of which the last is `last`.
    pub(crate) fn add(&mut self, kind: usize, more: u64, last: T) {
        self.counts[kind] += more;
        self.pending[kind] = Some(last);
    }

    /// Tells whether there is nothing to be told, now or later.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.iter().all(Option::is_none)
    }

    /// Returns how long it is until something is to be told, if there is anything.
    pub(crate) fn next_due(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        if self.is_empty() {
            return None;
        }
        let since = self.last_reported.map(|told| now().saturating_duration_since(told));
        Some(since.map_or(Duration::ZERO, |since| REPORT_INTERVAL.saturating_sub(since)))
    }

    /// Returns what is to be told now: each kind, its count since the start, and the last one.
    pub(crate) fn take_due(&mut self, now: impl Fn() -> Instant) -> Vec<(usize, u64, T)> {
        if self.next_due(&now) != Some(Duration::ZERO) {
            return Vec::new();
        }
        self.last_reported = Some(now());
        self.drain()
    }

    /// Returns what has not been told.
    pub(crate) fn drain(&mut self) -> Vec<(usize, u64, T)> {
        let untold = self.pending.iter_mut().zip(self.counts).enumerate();
        untold.filter_map(|(kind, (last, count))| Some((kind, count, last.take()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_reported_once_per_second() {
        let mut gathered = ThrottledCounter::<&str, 2>::default();
        let start = Instant::now();
        let at = |millis| move || start + Duration::from_millis(millis);
        assert!(gathered.take_due(at(0)).is_empty());
        gathered.add(1, 1, "a");
        assert_eq!(gathered.take_due(at(0)), [(1, 1, "a")]);
        for last in ["b", "c"] {
            gathered.add(1, 2, last);
        }
        gathered.add(0, 1, "d");
        assert_eq!(gathered.next_due(at(400)), Some(Duration::from_millis(600)));
        assert!(gathered.take_due(at(999)).is_empty());
        assert_eq!(gathered.take_due(at(1000)), [(0, 1, "d"), (1, 5, "c")]);
        assert!(gathered.take_due(at(5000)).is_empty());
        gathered.add(0, 1, "e");
        assert_eq!(gathered.drain(), [(0, 2, "e")]);
        assert!(gathered.drain().is_empty() && gathered.next_due(at(9000)).is_none());
    }
}
