//! What the measuring clients measured.
//!
//! Times are collected in a histogram of fixed size, however many there are, whose figures are exact to 1 %; the least,
//! the most and the mean are exact.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time that is told from longer ones: an hour, in nanoseconds.
const MAX_TRACKED_NANOS: u64 = 3_600_000_000_000;

/// The bars of a histogram that is drawn, at most.
const MAX_BUCKETS: usize = 12;

/// What a measuring client measured, from its start to its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Requests sent, or connections tried.
    pub sent: u64,
    /// Those that were answered in time.
    pub received: u64,
    /// Further answers to what was answered already; `None` where that cannot be told.
    pub duplicated: Option<u64>,
    /// Answers that came after the answer to a later request; `None` where that cannot be told.
    pub reordered: Option<u64>,
    /// What failed, in a few words each, and how often.
    pub failures: Vec<(&'static str, u64)>,
    /// From the attempt to connect until there was a connection.
    pub connect: Option<LatencySummary>,
    /// From a request, or from the attempt to connect, until its answer.
    pub rtt: Option<LatencySummary>,
    /// From the first request to the last answer; nothing if there was none.
    pub elapsed: Duration,
}

impl Stats {
    /// Counts a failure of a kind.
    pub(crate) fn record_failure(&mut self, why: &'static str) {
        match self.failures.iter_mut().find(|failure| failure.0 == why) {
            Some(failure) => failure.1 += 1,
            None => self.failures.push((why, 1)),
        }
    }

    /// Returns how many requests got no answer in time.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// Returns [`lost`](Stats::lost) in percent of what was sent, from 0 to 100.
    pub fn loss_percent(&self) -> f64 {
        self.lost() as f64 * 100.0 / self.sent.max(1) as f64
    }
}

/// How times are distributed.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencySummary {
    /// The shortest.
    pub min: Duration,
    /// The mean.
    pub mean: Duration,
    /// The one that half of them do not exceed.
    pub median: Duration,
    /// The one that 90 % of them do not exceed.
    pub p90: Duration,
    /// The one that 99 % of them do not exceed.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
    /// The mean difference between one time and the next.
    pub jitter: Duration,
    /// How many were at most so long and longer than the bar before, from the shortest to the longest; at most 12.
    pub buckets: Vec<(Duration, u64)>,
}

/// Times that are being collected.
#[derive(Debug)]
pub(crate) struct LatencyRecorder {
    histogram: Histogram<u64>,
    count: u32,
    sum: Duration,
    min: Duration,
    max: Duration,
    previous: Option<Duration>,
    jitter_sum: Duration,
}

impl LatencyRecorder {
    pub(crate) fn new() -> LatencyRecorder {
        // Two digits are 1 %; the bounds are ones that it takes.
        let histogram = Histogram::new_with_bounds(100, MAX_TRACKED_NANOS, 2);
        LatencyRecorder {
            histogram: histogram.expect("bounds of a histogram"),
            count: 0,
            sum: Duration::ZERO,
            min: Duration::MAX,
            max: Duration::ZERO,
            previous: None,
            jitter_sum: Duration::ZERO,
        }
    }

    pub(crate) fn record(&mut self, time: Duration) {
        self.histogram.saturating_record(saturating_nanos(time));
        self.count = self.count.saturating_add(1);
        self.sum += time;
        self.min = self.min.min(time);
        self.max = self.max.max(time);
        if let Some(last) = self.previous.replace(time) {
            self.jitter_sum += last.abs_diff(time);
        }
    }

    /// Returns how they are distributed, if there are any.
    pub(crate) fn summary(&self) -> Option<LatencySummary> {
        if self.count == 0 {
            return None;
        }
        let within = |share| {
            let time = Duration::from_nanos(self.histogram.value_at_quantile(share));
            time.clamp(self.min, self.max)
        };
        Some(LatencySummary {
            min: self.min,
            mean: self.sum / self.count,
            median: within(0.5),
            p90: within(0.9),
            p99: within(0.99),
            max: self.max,
            jitter: self.jitter_sum / self.count.saturating_sub(1).max(1),
            buckets: self.buckets(),
        })
    }

    /// Sorts the times into bars each of which is longer than the one before by the same factor.
    fn buckets(&self) -> Vec<(Duration, u64)> {
        let (least, most) = (saturating_nanos(self.min).max(1), saturating_nanos(self.max).max(1));
        let factor = (most as f64 / least as f64).powf(1.0 / MAX_BUCKETS as f64);
        let edge = |bar: usize| (least as f64 * factor.powf(bar as f64 + 1.0)) as u64;
        let mut counts = [0; MAX_BUCKETS];
        for time in self.histogram.iter_recorded() {
            let at = time.value_iterated_to();
            let bar = (0..MAX_BUCKETS).find(|bar| at <= edge(*bar)).unwrap_or(MAX_BUCKETS - 1);
            counts[bar] += time.count_at_value();
        }
        let edges = (0..MAX_BUCKETS).map(|bar| match bar {
            last if last == MAX_BUCKETS - 1 => self.max,
            bar => Duration::from_nanos(edge(bar)),
        });
        let mut bars: Vec<(Duration, u64)> = edges.zip(counts).collect();
        // Times that are all alike share one edge.
        bars.dedup_by(|later, earlier| {
            let alike = later.0 <= earlier.0;
            earlier.1 += if alike { later.1 } else { 0 };
            alike
        });
        bars
    }
}

fn saturating_nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary_of(times: impl IntoIterator<Item = u64>) -> LatencySummary {
        let mut all = LatencyRecorder::new();
        times.into_iter().for_each(|us| all.record(Duration::from_micros(us)));
        all.summary().expect("times")
    }

    #[test]
    fn latency_percentiles_are_within_one_percent() {
        let spread = summary_of(1..=1000);
        let near = |time: Duration, us: f64| {
            let off = time.as_nanos() as f64 / 1000.0 / us;
            assert!((0.99..=1.01).contains(&off), "{time:?} for {us} µs");
        };
        near(spread.median, 500.0);
        near(spread.p90, 900.0);
        near(spread.p99, 990.0);
        assert_eq!(spread.min, Duration::from_micros(1));
        assert_eq!(spread.max, Duration::from_micros(1000));
        assert_eq!(spread.mean, Duration::from_nanos(500_500));
        assert_eq!(spread.jitter, Duration::from_micros(1));
    }

    #[test]
    fn buckets_count_each_latency_once() {
        let spread = summary_of([1, 2, 4, 100, 100, 5_000_000]);
        assert_eq!(spread.buckets.len(), MAX_BUCKETS);
        assert_eq!(spread.buckets.iter().map(|bar| bar.1).sum::<u64>(), 6);
        assert_eq!(spread.buckets.last(), Some(&(Duration::from_secs(5), 1)));
        assert!(spread.buckets.is_sorted_by(|one, next| one.0 < next.0));
    }

    #[test]
    fn equal_latencies_share_one_bucket() {
        assert_eq!(summary_of([7, 7, 7]).buckets, [(Duration::from_micros(7), 3)]);
        let longer_than_all = summary_of([3_600_000_000 * 30]);
        assert_eq!(longer_than_all.max, Duration::from_secs(3600 * 30));
        assert_eq!(longer_than_all.buckets.iter().map(|bar| bar.1).sum::<u64>(), 1);
        assert_eq!(LatencyRecorder::new().summary(), None);
    }

    #[test]
    fn stats_loss_is_sent_minus_received() {
        let figures = Stats { sent: 8, received: 6, ..Stats::default() };
        assert_eq!((figures.lost(), figures.loss_percent()), (2, 25.0));
        assert_eq!(Stats::default().loss_percent(), 0.0);
    }
}
