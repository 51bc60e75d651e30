//! Formatting of a measuring client's statistics as a table for people.

use std::time::Duration;

use crate::actors::{LatencySummary, Stats};
use crate::scenario::Scenario;
use crate::wire::units::format_duration;

/// The width of the longest bar of a histogram, in characters.
const MAX_BAR_WIDTH: u64 = 40;

/// The number of replies from which on a histogram is shown.
const MIN_HISTOGRAM_COUNT: u64 = 20;

/// Formats the statistics of a client: counts, times and a histogram.
pub fn format(scenario: Scenario, stats: &Stats) -> String {
    let mut lines = vec![format_counts(stats)];
    lines.extend(format_rate(stats));
    lines.extend(format_failures(stats));
    let rtt_name = match scenario {
        Scenario::Tcp => "greeting",
        _ => "round trip",
    };
    let times = [("connect", &stats.connect), (rtt_name, &stats.rtt)];
    let times: Vec<_> =
        times.iter().filter_map(|(name, times)| Some((*name, times.as_ref()?))).collect();
    if !times.is_empty() {
        lines.push(format_row(
            "",
            ["min", "median", "p90", "p99", "max", "jitter"].map(str::to_owned),
        ));
        lines.extend(times.iter().map(|(name, times)| format_row(name, latency_cells(times))));
    }
    if let (Some((_, latency)), MIN_HISTOGRAM_COUNT..) = (times.last(), stats.received) {
        lines.extend(format_histogram(latency));
    }
    lines.join("\n")
}

/// Formats a percentage with one decimal place if it needs one: `0.5%`, `100%`.
fn format_percent(percent: f64) -> String {
    match percent {
        whole if whole == whole.trunc() => format!("{whole:.0}%"),
        percent => format!("{percent:.1}%"),
    }
}

fn format_counts(stats: &Stats) -> String {
    let Stats { sent, received, .. } = stats;
    let mut text =
        format!("{sent} sent, {received} received, {} lost", format_percent(stats.loss_percent()));
    for (count, name) in [(stats.duplicated, "duplicated"), (stats.reordered, "reordered")] {
        if let Some(count) = count {
            text.push_str(&format!(", {count} {name}"));
        }
    }
    text
}

/// Formats the rate of replies, unless no time has passed.
fn format_rate(stats: &Stats) -> Option<String> {
    let seconds = stats.elapsed.as_secs_f64();
    (seconds > 0.0).then(|| {
        let rate = stats.received as f64 / seconds;
        let mbit = stats.mbit_per_second().map(|(sent, received)| {
            format!(", {sent:.2} Mbit/s sent, {received:.2} Mbit/s received")
        });
        let (elapsed, mbit) = (format_duration(stats.elapsed), mbit.unwrap_or_default());
        format!("in {elapsed}, {rate:.0} replies per second{mbit}")
    })
}

fn format_failures(stats: &Stats) -> Option<String> {
    let failures = stats.failures.iter().map(|(reason, count)| format!("{count} {reason}"));
    let failures: Vec<_> = failures.collect();
    (!failures.is_empty()).then(|| format!("failures: {}", failures.join(", ")))
}

fn latency_cells(latency: &LatencySummary) -> [String; 6] {
    let LatencySummary { min, median, p90, p99, max, jitter, .. } = *latency;
    [min, median, p90, p99, max, jitter].map(format_time)
}

fn format_row(name: &str, cells: [String; 6]) -> String {
    let cells: String = cells.iter().map(|cell| format!(" {cell:>9}")).collect();
    format!("{name:<10}{cells}")
}

/// Draws a bar per bucket. A bucket that is not empty gets at least one character.
fn format_histogram(latency: &LatencySummary) -> Vec<String> {
    let largest = latency.buckets.iter().map(|bucket| bucket.1).max().unwrap_or(1).max(1);
    let bars = latency.buckets.iter().map(|(edge, count)| {
        let width =
            count.saturating_mul(MAX_BAR_WIDTH).div_ceil(largest).min(MAX_BAR_WIDTH) as usize;
        let bar = "#".repeat(width);
        format!("up to {:>9} {count:>9} {bar}", format_time(*edge)).trim_end().to_owned()
    });
    bars.collect()
}

fn format_time(time: Duration) -> String {
    format_duration(time).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample_latency() -> LatencySummary {
        let ms = Duration::from_millis;
        let [min, mean, median, p90, p99, max] = [1, 3, 2, 8, 9, 10].map(ms);
        let buckets = vec![(ms(5), 80), (ms(7), 0), (ms(10), 1)];
        LatencySummary { min, mean, median, p90, p99, max, jitter: ms(1), buckets }
    }

    #[test]
    fn udp_table_shows_losses_and_a_histogram() {
        let stats = Stats {
            sent: 200,
            received: 199,
            duplicated: Some(1),
            reordered: Some(2),
            failures: vec![("refused", 1)],
            rtt: Some(sample_latency()),
            elapsed: Duration::from_secs(2),
            ..Stats::default()
        };
        let bar = "#".repeat(40);
        let expected = format!(
            "200 sent, 199 received, 0.5% lost, 1 duplicated, 2 reordered
in 2 s, 100 replies per second
failures: 1 refused
                 min    median       p90       p99       max    jitter
round trip      1 ms      2 ms      8 ms      9 ms     10 ms      1 ms
up to      5 ms        80 {bar}
up to      7 ms         0
up to     10 ms         1 #"
        );
        assert_eq!(format(Scenario::Udp, &stats), expected);
    }

    #[test]
    fn tcp_table_shows_connect_and_greeting_times() {
        let (connect, rtt) = (Some(sample_latency()), Some(sample_latency()));
        let mut stats = Stats { sent: 20, received: 20, connect, rtt, ..Stats::default() };
        let table = format(Scenario::Tcp, &stats);
        assert!(table.starts_with("20 sent, 20 received, 0% lost\n"), "{table}");
        assert!(table.contains("\nconnect ") && table.contains("\ngreeting "), "{table}");
        assert_eq!(table.matches("up to").count(), 3);
        stats.received = 19;
        assert_eq!(format(Scenario::Tcp, &stats).matches("up to").count(), 0);
    }

    #[test]
    fn table_without_replies_shows_no_times() {
        let stats = Stats { sent: 2, ..Stats::default() };
        assert_eq!(format(Scenario::Udp, &stats), "2 sent, 0 received, 100% lost");
    }
}
