//! Measures the two loads of all servers in rounds, and prints tables.

use std::io;

use crate::cpu::{per_mille, spread};
use crate::loads::{Amount, Figures, measure};
use crate::server::{KINDS, Kind, Places};

/// The results of one server.
struct Row {
    kind: Kind,
    rounds: Vec<[Figures; 2]>,
}

/// Measures all servers whose names contain `only` in turns, and prints the tables.
///
/// # Errors
///
/// Fails on a wrong line. A missing server is skipped and named.
pub fn compare(places: &Places, only: &str, rounds: usize, amount: Amount) -> io::Result<()> {
    let kinds = KINDS.into_iter().filter(|kind| kind.name().contains(only));
    let mut rows: Vec<Row> = kinds.map(|kind| Row { kind, rounds: Vec::new() }).collect();
    for round in 0..rounds {
        eprintln!("round {} of {rounds}", round + 1);
        rows.retain_mut(|row| match measure(row.kind, places, amount) {
            Ok(figures) => {
                row.rounds.push(figures);
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                println!("SKIPPED: {}: no such program", row.kind.name());
                false
            }
            Err(error) => {
                println!("FAILED: {}: {error}", row.kind.name());
                false
            }
        });
    }
    let Some(ours) = rows.first() else {
        return Err(io::Error::other("there is nothing to compare"));
    };
    for (load, title) in ["in bulk", "in turn"].into_iter().enumerate() {
        let count = ours.rounds[0][load].deliveries;
        println!("\n{title}, {} members, {count} deliveries a round", amount.members);
        println!("{:<18}{HEAD}", "");
        for row in &rows {
            println!("{:<18}{}", row.kind.name(), row.figures(ours, load));
        }
    }
    Ok(())
}

const HEAD: &str =
    "    CPU s   µs each    min    max  per CPU s        ratio   wall s   p50 µs   p99 µs";

impl Row {
    fn figures(&self, ours: &Row, load: usize) -> String {
        let each = |figures: &Figures| figures.cpu / figures.deliveries as f64 * 1e6;
        let of = |row: &Row| row.rounds.iter().map(|round| each(&round[load])).collect::<Vec<_>>();
        let [min, median, max] = spread(of(self));
        let ratios = of(self).into_iter().zip(of(ours)).map(|(theirs, ours)| theirs / ours);
        let [_, ratio, _] = spread(ratios);
        let mid = |figure: &dyn Fn(&Figures) -> f64| {
            spread(self.rounds.iter().map(|round| figure(&round[load])))[1]
        };
        let line = format!(
            "{:>9.4} {median:>9.3} {min:>6.3} {max:>6.3} {:>10.0} {ratio:>13.2} {:>8.3}",
            mid(&|figures| figures.cpu),
            1e6 / median,
            mid(&|figures| figures.wall),
        );
        if ours.rounds[0][load].turns.is_empty() {
            return line;
        }
        let late = |share| mid(&|figures| per_mille(&figures.turns, share) / 1e3);
        format!("{line} {:>8.0} {:>8.0}", late(500), late(990))
    }
}
