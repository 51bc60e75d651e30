//! The results as a table and as JSON.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::meter::{Spent, median};
use crate::peers::PEERS;
use crate::works::Work;

/// The results of one workload, a row of a table.
pub struct Row {
    /// The workload, or none for the memory of an idle actor.
    pub work: Option<Work>,
    /// The letter in the table.
    pub letter: &'static str,
    /// The name in the table.
    pub name: &'static str,
    /// The number of threads.
    pub threads: usize,
    /// The result of each round for each peer, or none if the peer cannot do it.
    pub rounds: Vec<Vec<Option<Spent>>>,
}

/// The summary of one peer in one workload.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// The median CPU time in ns, or the bytes.
    pub cpu: f64,
    /// The median wall-clock time in ns.
    pub wall: f64,
    /// The median of the ratios to sockactors within a round.
    pub ratio: f64,
}

impl Row {
    /// Returns the summary of a peer, or none if it cannot do the work.
    pub fn cell(&self, peer: usize) -> Option<Cell> {
        let of = |get: &dyn Fn(Spent) -> f64| {
            let figures: Vec<f64> =
                self.rounds[peer].iter().flatten().map(|one| get(*one)).collect();
            (!figures.is_empty()).then(|| median(figures))
        };
        let pairs = self.rounds[peer].iter().zip(&self.rounds[0]);
        let ratios = pairs.filter_map(|(one, ours)| Some((*one)?.cpu / (*ours)?.cpu));
        Some(Cell { cpu: of(&|one| one.cpu)?, wall: of(&|one| one.wall)?, ratio: median(ratios) })
    }
}

/// Formats the tables as Markdown: a figure, and its ratio to sockactors.
pub fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for threads in [1, 2] {
        let _ = writeln!(
            text,
            "\n{threads} thread(s): ns of CPU time per operation, bytes in (e), and the ratio to \
             sockactors\n"
        );
        let _ = write!(text, "| {:<27} |", "");
        for peer in PEERS {
            let mark = if peer.bounded { "" } else { "*" };
            let _ = write!(text, " {:>21} |", format!("{}{mark}", peer.name));
        }
        let _ = writeln!(
            text,
            "\n|-----------------------------|{}",
            "----------------------:|".repeat(PEERS.len())
        );
        for row in rows.iter().filter(|row| row.threads == threads) {
            let _ = write!(text, "| ({}) {:<23} |", row.letter, row.name);
            for peer in 0..PEERS.len() {
                let cell = row.cell(peer);
                let cell =
                    cell.map_or("-".into(), |cell| format!("{:.0} ({:.2})", cell.cpu, cell.ratio));
                let _ = write!(text, " {cell:>21} |");
            }
            text.push('\n');
        }
    }
    text.push_str("\n\\* unbounded mailbox: a sender never waits.\n");
    text
}

/// Formats the figures as JSON.
pub fn json(rows: &[Row], rounds: usize) -> Value {
    let works = rows.iter().map(|row| {
        let peers = PEERS.iter().enumerate().filter_map(|(at, peer)| {
            let Cell { cpu, wall, ratio } = row.cell(at)?;
            let round = |figure: f64| (figure * 100.0).round() / 100.0;
            let (cpu, wall, ratio) = (round(cpu), round(wall), round(ratio));
            let figures = if row.work.is_some() {
                json!({ "cpu_ns": cpu, "wall_ns": wall, "ratio": ratio, "bounded": peer.bounded })
            } else {
                json!({ "bytes": cpu, "ratio": ratio, "bounded": peer.bounded })
            };
            Some((peer.name.to_owned(), figures))
        });
        json!({ "letter": row.letter, "work": row.name, "threads": row.threads,
            "peers": Value::Object(peers.collect()) })
    });
    let statistic = "median; a ratio is the median of the ratios to sockactors within a round";
    json!({ "rounds": rounds, "statistic": statistic,
        "works": works.collect::<Vec<_>>() })
}
