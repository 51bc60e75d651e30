//! What a measuring client measured, as a table for people.

use std::time::Duration;

use crate::actors::{LatencySummary, Stats};
use crate::scenario::Scenario;
use crate::wire::units::format_duration;

/// The longest bar, in characters.
const MAX_BAR_WIDTH: u64 = 40;

/// Words the figures of a client: how many, how long, and a histogram.
pub fn format(kind: Scenario, figures: &Stats) -> String {
    let mut lines = vec![format_counts(figures)];
    lines.extend(format_rate(figures));
    lines.extend(format_failures(figures));
    let what = match kind {
        Scenario::Tcp => "greeting",
        _ => "round trip",
    };
    let times = [("connect", &figures.connect), (what, &figures.rtt)];
    let times: Vec<_> =
        times.iter().filter_map(|(name, times)| Some((*name, times.as_ref()?))).collect();
    if !times.is_empty() {
        lines.push(format_row(
            "",
            ["min", "median", "p90", "p99", "max", "jitter"].map(str::to_owned),
        ));
        lines.extend(times.iter().map(|(name, times)| format_row(name, latency_cells(times))));
    }
    if let Some((_, spread)) = times.last() {
        lines.extend(format_histogram(spread));
    }
    lines.join("\n")
}

/// Words a share in percent with one digit: `0.5%`, and `100%` without.
fn format_percent(share: f64) -> String {
    match share {
        whole if whole == whole.trunc() => format!("{whole:.0}%"),
        share => format!("{share:.1}%"),
    }
}

fn format_counts(figures: &Stats) -> String {
    let Stats { sent, received, .. } = figures;
    let mut text = format!(
        "{sent} sent, {received} received, {} lost",
        format_percent(figures.loss_percent())
    );
    for (count, what) in [(figures.duplicated, "duplicated"), (figures.reordered, "reordered")] {
        if let Some(count) = count {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

/// Words how fast answers came, where it was long enough to say so.
fn format_rate(figures: &Stats) -> Option<String> {
    let seconds = figures.elapsed.as_secs_f64();
    (seconds > 0.0).then(|| {
        let rate = figures.received as f64 / seconds;
        format!("in {}, {rate:.0} answers a second", format_duration(figures.elapsed))
    })
}

fn format_failures(figures: &Stats) -> Option<String> {
    let failures = figures.failures.iter().map(|(why, count)| format!("{count} {why}"));
    let failures: Vec<_> = failures.collect();
    (!failures.is_empty()).then(|| format!("failures: {}", failures.join(", ")))
}

fn latency_cells(spread: &LatencySummary) -> [String; 6] {
    let LatencySummary { min, median, p90, p99, max, jitter, .. } = *spread;
    [min, median, p90, p99, max, jitter].map(format_time)
}

fn format_row(name: &str, cells: [String; 6]) -> String {
    let cells: String = cells.iter().map(|cell| format!(" {cell:>9}")).collect();
    format!("{name:<10}{cells}")
}

/// Draws a bar for each of a spread's, with at least one character where there is anything.
fn format_histogram(spread: &LatencySummary) -> Vec<String> {
    let most = spread.buckets.iter().map(|bar| bar.1).max().unwrap_or(1).max(1);
    let bars = spread.buckets.iter().map(|(edge, count)| {
        let width = count.saturating_mul(MAX_BAR_WIDTH).div_ceil(most).min(MAX_BAR_WIDTH) as usize;
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
        let bars = vec![(ms(5), 80), (ms(7), 0), (ms(10), 1)];
        LatencySummary { min, mean, median, p90, p99, max, jitter: ms(1), buckets: bars }
    }

    #[test]
    fn a_probe_of_datagrams_is_told_with_its_losses_and_a_histogram() {
        let figures = Stats {
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
in 2s, 100 answers a second
failures: 1 refused
                 min    median       p90       p99       max    jitter
round trip       1ms       2ms       8ms       9ms      10ms       1ms
up to       5ms        80 {bar}
up to       7ms         0
up to      10ms         1 #"
        );
        assert_eq!(format(Scenario::Udp, &figures), expected);
    }

    #[test]
    fn connections_are_told_with_both_of_their_times() {
        let (connect, rtt) = (Some(sample_latency()), Some(sample_latency()));
        let figures = Stats { sent: 3, received: 3, connect, rtt, ..Stats::default() };
        let table = format(Scenario::Tcp, &figures);
        assert!(table.starts_with("3 sent, 3 received, 0% lost\n"), "{table}");
        assert!(table.contains("\nconnect ") && table.contains("\ngreeting "), "{table}");
        assert_eq!(table.matches("up to").count(), 3);
    }

    #[test]
    fn without_an_answer_there_are_no_times() {
        let figures = Stats { sent: 2, ..Stats::default() };
        assert_eq!(format(Scenario::Udp, &figures), "2 sent, 0 received, 100% lost");
    }
}
