//! The table of the results.

use std::time::Duration;

/// The cost of one file.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// The time from the sender's start until its last confirmation.
    pub wall: Duration,
    /// The CPU time of the receiver.
    pub receiver: Duration,
    /// The CPU time of the sender, if it is a separate process.
    pub sender: Option<Duration>,
}

/// Prints the medians of the rounds, and the ratios of speed and CPU time to the first receiver.
pub fn print(title: &str, names: &[&str], costs: &[Vec<Cost>], bytes: u64) {
    let Some(first) = costs.first() else { return };
    let gigabytes = bytes as f64 / 1e9;
    println!("\n{} bytes, {} rounds; medians in seconds per GB", bytes, first.len());
    let titles = ["GB/s", "wall", "min", "CPU", "sender", "speed", "CPU"];
    println!(
        "{title:<24} {:>6} {:>6} {:>6} {:>6} {:>6} | {:>6} {:>6}",
        titles[0], titles[1], titles[2], titles[3], titles[4], titles[5], titles[6]
    );
    for (name, costs) in names.iter().zip(costs) {
        let each = |of: fn(&Cost) -> Duration| {
            sorted(costs.iter().map(|cost| of(cost).as_secs_f64() / gigabytes))
        };
        let [wall, cpu] = [each(|cost| cost.wall), each(|cost| cost.receiver)];
        let sender = costs[0].sender.map_or("-".into(), |_| {
            format!("{:.3}", median(&each(|cost| cost.sender.unwrap_or_default())))
        });
        let ratio = |of: fn(&Cost, &Cost) -> f64| {
            median(&sorted(costs.iter().zip(first).map(|(cost, first)| of(cost, first))))
        };
        let speed = ratio(|cost, first| first.wall.as_secs_f64() / cost.wall.as_secs_f64());
        let cost = ratio(|cost, first| cost.receiver.as_secs_f64() / first.receiver.as_secs_f64());
        println!(
            "{name:<24} {:>6.2} {:>6.3} {:>6.3} {:>6.3} {sender:>6} | {speed:>6.2} {cost:>6.2}",
            1.0 / median(&wall),
            median(&wall),
            wall[0],
            median(&cpu)
        );
    }
}

fn sorted(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = figures.collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

fn median(sorted: &[f64]) -> f64 {
    sorted[(sorted.len() - 1) / 2]
}
