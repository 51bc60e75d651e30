//! What the measuring clients measured.
//!
//! Times are collected in a histogram of fixed size, however many there are, whose figures are exact to 1 %; the least,
//! the most and the mean are exact.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest time that is told from longer ones: an hour, in nanoseconds.
const LONGEST: u64 = 3_600_000_000_000;

/// The bars of a histogram that is drawn, at most.
const BARS: usize = 12;

/// What a measuring client measured, from its start to its end.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
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
    pub connect: Option<Spread>,
    /// From a request, or from the attempt to connect, until its answer.
    pub rtt: Option<Spread>,
    /// From the first request to the last answer; nothing if there was none.
    pub took: Duration,
}

impl Figures {
    /// Counts a failure of a kind.
    pub(crate) fn fail(&mut self, why: &'static str) {
        match self.failures.iter_mut().find(|failure| failure.0 == why) {
            Some(failure) => failure.1 += 1,
            None => self.failures.push((why, 1)),
        }
    }

    /// Returns how many requests got no answer in time.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    /// Returns [`lost`](Figures::lost) in percent of what was sent, from 0 to 100.
    pub fn loss(&self) -> f64 {
        self.lost() as f64 * 100.0 / self.sent.max(1) as f64
    }
}

/// How times are distributed.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
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
    pub bars: Vec<(Duration, u64)>,
}

/// Times that are being collected.
#[derive(Debug)]
pub(crate) struct Times {
    histogram: Histogram<u64>,
    count: u32,
    sum: Duration,
    least: Duration,
    most: Duration,
    last: Option<Duration>,
    changes: Duration,
}

impl Times {
    pub(crate) fn new() -> Times {
        // Two digits are 1 %; the bounds are ones that it takes.
        let histogram = Histogram::new_with_bounds(100, LONGEST, 2);
        Times {
            histogram: histogram.expect("bounds of a histogram"),
            count: 0,
            sum: Duration::ZERO,
            least: Duration::MAX,
            most: Duration::ZERO,
            last: None,
            changes: Duration::ZERO,
        }
    }

    pub(crate) fn add(&mut self, time: Duration) {
        self.histogram.saturating_record(nanoseconds(time));
        self.count = self.count.saturating_add(1);
        self.sum += time;
        self.least = self.least.min(time);
        self.most = self.most.max(time);
        if let Some(last) = self.last.replace(time) {
            self.changes += last.abs_diff(time);
        }
    }

    /// Returns how they are distributed, if there are any.
    pub(crate) fn spread(&self) -> Option<Spread> {
        if self.count == 0 {
            return None;
        }
        let within = |share| {
            let time = Duration::from_nanos(self.histogram.value_at_quantile(share));
            time.clamp(self.least, self.most)
        };
        Some(Spread {
            min: self.least,
            mean: self.sum / self.count,
            median: within(0.5),
            p90: within(0.9),
            p99: within(0.99),
            max: self.most,
            jitter: self.changes / self.count.saturating_sub(1).max(1),
            bars: self.bars(),
        })
    }

    /// Sorts the times into bars each of which is longer than the one before by the same factor.
    fn bars(&self) -> Vec<(Duration, u64)> {
        let (least, most) = (nanoseconds(self.least).max(1), nanoseconds(self.most).max(1));
        let factor = (most as f64 / least as f64).powf(1.0 / BARS as f64);
        let edge = |bar: usize| (least as f64 * factor.powf(bar as f64 + 1.0)) as u64;
        let mut counts = [0; BARS];
        for time in self.histogram.iter_recorded() {
            let at = time.value_iterated_to();
            let bar = (0..BARS).find(|bar| at <= edge(*bar)).unwrap_or(BARS - 1);
            counts[bar] += time.count_at_value();
        }
        let edges = (0..BARS).map(|bar| match bar {
            last if last == BARS - 1 => self.most,
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

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = u64>) -> Spread {
        let mut all = Times::new();
        times.into_iter().for_each(|us| all.add(Duration::from_micros(us)));
        all.spread().expect("times")
    }

    #[test]
    fn a_share_of_the_times_is_exact_to_one_percent() {
        let spread = of(1..=1000);
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
    fn bars_hold_every_time_once() {
        let spread = of([1, 2, 4, 100, 100, 5_000_000]);
        assert_eq!(spread.bars.len(), BARS);
        assert_eq!(spread.bars.iter().map(|bar| bar.1).sum::<u64>(), 6);
        assert_eq!(spread.bars.last(), Some(&(Duration::from_secs(5), 1)));
        assert!(spread.bars.is_sorted_by(|one, next| one.0 < next.0));
    }

    #[test]
    fn times_that_are_all_alike_are_one_bar() {
        assert_eq!(of([7, 7, 7]).bars, [(Duration::from_micros(7), 3)]);
        let longer_than_all = of([3_600_000_000 * 30]);
        assert_eq!(longer_than_all.max, Duration::from_secs(3600 * 30));
        assert_eq!(longer_than_all.bars.iter().map(|bar| bar.1).sum::<u64>(), 1);
        assert_eq!(Times::new().spread(), None);
    }

    #[test]
    fn what_was_not_received_was_lost() {
        let figures = Figures { sent: 8, received: 6, ..Figures::default() };
        assert_eq!((figures.lost(), figures.loss()), (2, 25.0));
        assert_eq!(Figures::default().loss(), 0.0);
    }
}
