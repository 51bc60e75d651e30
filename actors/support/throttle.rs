//! What happens again and again, told at most once a second.
//!
//! Whoever is flooded with what has to be refused must not flood a log with it in turn. So each kind of it is counted, and
//! told with its count and with the last of them.

use std::time::{Duration, Instant};

/// How long what happens is gathered before it is told.
const GATHER: Duration = Duration::from_secs(1);

/// Counts `N` kinds of what happens. `T` is what is told of the last one.
#[derive(Debug)]
pub(crate) struct Gathered<T, const N: usize> {
    counts: [u64; N],
    /// The last one, where it has not been told.
    untold: [Option<T>; N],
    told: Option<Instant>,
}

impl<T, const N: usize> Default for Gathered<T, N> {
    fn default() -> Gathered<T, N> {
        Gathered { counts: [0; N], untold: [const { None }; N], told: None }
    }
}

impl<T, const N: usize> Gathered<T, N> {
    /// Counts so many of a kind, of which the last is `last`.
    pub(crate) fn add(&mut self, kind: usize, more: u64, last: T) {
        self.counts[kind] += more;
        self.untold[kind] = Some(last);
    }

    /// Tells whether there is nothing to be told, now or later.
    pub(crate) fn is_quiet(&self) -> bool {
        self.untold.iter().all(Option::is_none)
    }

    /// Returns how long it is until something is to be told, if there is anything.
    pub(crate) fn due(&self, now: impl FnOnce() -> Instant) -> Option<Duration> {
        if self.is_quiet() {
            return None;
        }
        let since = self.told.map(|told| now().saturating_duration_since(told));
        Some(since.map_or(Duration::ZERO, |since| GATHER.saturating_sub(since)))
    }

    /// Returns what is to be told now: each kind, its count since the start, and the last one.
    pub(crate) fn take(&mut self, now: impl Fn() -> Instant) -> Vec<(usize, u64, T)> {
        if self.due(&now) != Some(Duration::ZERO) {
            return Vec::new();
        }
        self.told = Some(now());
        self.rest()
    }

    /// Returns what has not been told.
    pub(crate) fn rest(&mut self) -> Vec<(usize, u64, T)> {
        let untold = self.untold.iter_mut().zip(self.counts).enumerate();
        untold.filter_map(|(kind, (last, count))| Some((kind, count, last.take()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_once_a_second_with_its_count_and_the_last() {
        let mut gathered = Gathered::<&str, 2>::default();
        let start = Instant::now();
        let at = |millis| move || start + Duration::from_millis(millis);
        assert!(gathered.take(at(0)).is_empty());
        gathered.add(1, 1, "a");
        assert_eq!(gathered.take(at(0)), [(1, 1, "a")]);
        for last in ["b", "c"] {
            gathered.add(1, 2, last);
        }
        gathered.add(0, 1, "d");
        assert_eq!(gathered.due(at(400)), Some(Duration::from_millis(600)));
        assert!(gathered.take(at(999)).is_empty());
        assert_eq!(gathered.take(at(1000)), [(0, 1, "d"), (1, 5, "c")]);
        assert!(gathered.take(at(5000)).is_empty());
        gathered.add(0, 1, "e");
        assert_eq!(gathered.rest(), [(0, 2, "e")]);
        assert!(gathered.rest().is_empty() && gathered.due(at(9000)).is_none());
    }
}
