//! The schedule of a client that sends requests, and the results of its measurements.
//!
//! Latencies are recorded in a histogram of fixed size, whose percentiles are accurate to 1 %. The
//! minimum, the maximum and the mean are exact.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::actors::support::rate_limit::nanos;

/// The longest latency that the histogram distinguishes: one hour, in nanoseconds.
const MAX_TRACKED_NANOS: u64 = 3_600_000_000_000;

/// The maximum number of buckets of a [`LatencySummary`].
const MAX_BUCKETS: usize = 12;

/// The number and the timing of a client's requests.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// The number of requests.
    pub count: u64,
    /// The pause between two requests.
    pub interval: Duration,
    /// The time limit for a connection, and for a reply.
    pub timeout: Duration,
}

/// The results of a measuring client.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stats {
    /// Requests sent, or connections attempted.
    pub sent: u64,
    /// Requests that were answered in time.
    pub received: u64,
    /// Further replies to answered requests, or `None` if they cannot be detected.
    pub duplicated: Option<u64>,
    /// Replies that arrived after the reply to a later request, or `None` if they cannot be
    /// detected.
    pub reordered: Option<u64>,
    /// The number of failures of each kind. A kind is described in a few words.
    pub failures: Vec<(&'static str, u64)>,
    /// The times from the attempt to connect until the connection was made.
    pub connect: Option<LatencySummary>,
    /// The times from the request, or from the attempt to connect, until the reply.
    pub rtt: Option<LatencySummary>,
    /// The bytes of the requests sent and of the replies received, if they are counted.
    pub bytes: Option<(u64, u64)>,
    /// The time from the first request to the last reply, or zero without a reply.
    pub elapsed: Duration,
}

impl Stats {
    /// Counts a failure.
    pub(crate) fn record_failure(&mut self, kind: &'static str) {
        match self.failures.iter_mut().find(|failure| failure.0 == kind) {
            Some(failure) => failure.1 += 1,
            None => self.failures.push((kind, 1)),
        }
    }

    /// Returns the rates of the bytes sent and received in Mbit/s, if they are counted and time has
    /// passed.
    pub fn mbit_per_second(&self) -> Option<(f64, f64)> {
        let (sent, received) = self.bytes?;
        let seconds = self.elapsed.as_secs_f64();
        let rate = |bytes: u64| bytes as f64 * 8.0 / 1e6 / seconds;
        (seconds > 0.0).then(|| (rate(sent), rate(received)))
    }

    /// Returns the number of requests that were not answered in time.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// Returns [`lost`](Stats::lost) as a percentage of the requests sent, from 0 to 100.
    pub fn loss_percent(&self) -> f64 {
        self.lost() as f64 * 100.0 / self.sent.max(1) as f64
    }
}

/// The distribution of latencies.
#[derive(Debug, Clone, PartialEq)]
pub struct LatencySummary {
    /// The shortest latency.
    pub min: Duration,
    /// The mean.
    pub mean: Duration,
    /// The 50th percentile.
    pub median: Duration,
    /// The 90th percentile.
    pub p90: Duration,
    /// The 99th percentile.
    pub p99: Duration,
    /// The longest latency.
    pub max: Duration,
    /// The mean difference between consecutive latencies.
    pub jitter: Duration,
    /// The upper bound of each bucket and the number of latencies in it, shortest first. There are
    /// at most 12 buckets.
    pub buckets: Vec<(Duration, u64)>,
}

/// A collector of latencies.
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
    /// Creates a recorder without latencies.
    pub(crate) fn new() -> LatencyRecorder {
        // Two significant digits give 1 %. These bounds are always valid.
        let histogram = Histogram::new_with_bounds(100, MAX_TRACKED_NANOS, 2);
        LatencyRecorder {
            histogram: histogram.expect("valid histogram bounds"),
            count: 0,
            sum: Duration::ZERO,
            min: Duration::MAX,
            max: Duration::ZERO,
            previous: None,
            jitter_sum: Duration::ZERO,
        }
    }

    /// Adds a latency.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.histogram.saturating_record(nanos(latency));
        self.count = self.count.saturating_add(1);
        self.sum += latency;
        self.min = self.min.min(latency);
        self.max = self.max.max(latency);
        if let Some(previous) = self.previous.replace(latency) {
            self.jitter_sum += previous.abs_diff(latency);
        }
    }

    /// Returns the distribution of the latencies, or `None` if there are none.
    pub(crate) fn summary(&self) -> Option<LatencySummary> {
        if self.count == 0 {
            return None;
        }
        let quantile = |quantile| {
            let latency = Duration::from_nanos(self.histogram.value_at_quantile(quantile));
            latency.clamp(self.min, self.max)
        };
        Some(LatencySummary {
            min: self.min,
            mean: self.sum / self.count,
            median: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            max: self.max,
            jitter: self.jitter_sum / self.count.saturating_sub(1).max(1),
            buckets: self.buckets(),
        })
    }

    /// Sorts the latencies into buckets with round upper bounds.
    fn buckets(&self) -> Vec<(Duration, u64)> {
        let (min, max) = (nanos(self.min), nanos(self.max));
        let mut buckets: Vec<(u64, u64)> =
            round_bounds(min, max).into_iter().map(|bound| (bound, 0)).collect();
        for recorded in self.histogram.iter_recorded() {
            let value = recorded.value_iterated_to().clamp(min, max);
            let index = buckets.partition_point(|(bound, _)| *bound < value);
            if let Some((_, count)) = buckets.get_mut(index) {
                *count += recorded.count_at_value();
            }
        }
        buckets.into_iter().map(|(bound, count)| (Duration::from_nanos(bound), count)).collect()
    }
}

/// The two-digit numbers that are the upper bounds of buckets in each decade, finest first.
const BOUND_SERIES: [&[u64]; 5] = [
    &[10, 12, 14, 16, 18, 20, 25, 30, 35, 40, 45, 50, 60, 70, 80, 90],
    &[10, 15, 20, 30, 40, 50, 60, 70, 80, 90],
    &[10, 20, 40, 60, 80],
    &[10, 20, 50],
    &[10],
];

/// Returns the upper bounds of at most [`MAX_BUCKETS`] buckets from `min` to `max`, which have at
/// most two digits. The finest series that is short enough is used.
fn round_bounds(min: u64, max: u64) -> Vec<u64> {
    let mut bounds = Vec::new();
    for series in BOUND_SERIES {
        let powers = (0..).map_while(|exponent| 10_u64.checked_pow(exponent));
        let all = powers.flat_map(|power| series.iter().map(move |two| two.saturating_mul(power)));
        let above = all.skip_while(|bound| *bound < min);
        bounds.clear();
        for bound in above {
            bounds.push(bound);
            if bound >= max {
                break;
            }
        }
        if bounds.len() <= MAX_BUCKETS {
            return bounds;
        }
    }
    // The range has more decades than buckets: the first bucket holds the shortest latencies.
    bounds.split_off(bounds.len() - MAX_BUCKETS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary_of(micros: impl IntoIterator<Item = u64>) -> LatencySummary {
        let mut recorder = LatencyRecorder::new();
        micros.into_iter().for_each(|us| recorder.record(Duration::from_micros(us)));
        recorder.summary().expect("latencies")
    }

    #[test]
    fn latency_percentiles_are_within_one_percent() {
        let summary = summary_of(1..=1000);
        let assert_near = |latency: Duration, us: f64| {
            let ratio = latency.as_nanos() as f64 / 1000.0 / us;
            assert!((0.99..=1.01).contains(&ratio), "{latency:?} for {us} µs");
        };
        assert_near(summary.median, 500.0);
        assert_near(summary.p90, 900.0);
        assert_near(summary.p99, 990.0);
        assert_eq!(summary.min, Duration::from_micros(1));
        assert_eq!(summary.max, Duration::from_micros(1000));
        assert_eq!(summary.mean, Duration::from_nanos(500_500));
        assert_eq!(summary.jitter, Duration::from_micros(1));
    }

    #[test]
    fn buckets_count_each_latency_once() {
        let summary = summary_of([1, 2, 4, 100, 100, 5_000_000]);
        assert!(summary.buckets.len() <= MAX_BUCKETS);
        assert_eq!(summary.buckets.iter().map(|bucket| bucket.1).sum::<u64>(), 6);
        assert_eq!(summary.buckets.last(), Some(&(Duration::from_secs(10), 1)));
        assert!(summary.buckets.is_sorted_by(|first, second| first.0 < second.0));
    }

    #[test]
    fn equal_latencies_share_one_bucket() {
        assert_eq!(summary_of([7, 7, 7]).buckets, [(Duration::from_micros(7), 3)]);
        let bounds = |micros: &[u64]| -> Vec<u128> {
            let summary = summary_of(micros.iter().copied());
            summary.buckets.iter().map(|bucket| bucket.0.as_micros()).collect()
        };
        assert_eq!(bounds(&[21, 47]), [25, 30, 35, 40, 45, 50]);
        assert_eq!(bounds(&[21, 470]), [40, 60, 80, 100, 200, 400, 600]);
        let beyond_range = summary_of([3_600_000_000 * 30]);
        assert_eq!(beyond_range.max, Duration::from_secs(3600 * 30));
        assert_eq!(beyond_range.buckets.iter().map(|bucket| bucket.1).sum::<u64>(), 1);
        assert_eq!(LatencyRecorder::new().summary(), None);
    }

    #[test]
    fn stats_loss_is_sent_minus_received() {
        let stats = Stats { sent: 8, received: 6, ..Stats::default() };
        assert_eq!((stats.lost(), stats.loss_percent()), (2, 25.0));
        assert_eq!(Stats::default().loss_percent(), 0.0);
        let bytes = Some((1_000_000, 250_000));
        let stats = Stats { bytes, elapsed: Duration::from_secs(2), ..Stats::default() };
        assert_eq!(stats.mbit_per_second(), Some((4.0, 1.0)));
        assert_eq!(Stats { bytes, ..Stats::default() }.mbit_per_second(), None);
    }
}
