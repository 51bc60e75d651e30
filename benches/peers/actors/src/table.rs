//! The figures of all rounds, and what comes of them: a table, and a file for other programs.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::meter::{Spent, median};
use crate::peers::PEERS;
use crate::works::Work;

/// What one work gave: a row of a table.
pub struct Row {
    /// The work; none for the memory.
    pub work: Option<Work>,
    /// Its letter and what it is called.
    pub letter: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// On how many threads.
    pub threads: usize,
    /// For each peer what each round gave, if it can do it.
    pub rounds: Vec<Vec<Option<Spent>>>,
}

/// What the rounds of one peer in one work come to.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// The median, in nanoseconds of CPU time (or bytes) each.
    pub cpu: f64,
    /// The median on the clock.
    pub wall: f64,
    /// The median of the ratios to ours within a round.
    pub ratio: f64,
}

impl Row {
    /// Returns what a peer gave, if it can do the work.
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

/// Writes the tables as Markdown: a figure, and behind it how many times ours that is.
pub fn text(rows: &[Row]) -> String {
    let mut text = String::new();
    for threads in [1, 2] {
        let _ = writeln!(
            text,
            "\n{threads} thread(s): ns of CPU time each (bytes in (e)), and the ratio to ours\n"
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
    text.push_str("\n\\* unbounded: a sender waits for nobody.\n");
    text
}

/// Makes the figures into JSON.
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
    json!({ "rounds": rounds, "statistic": "median; a ratio is the median of the ratios to sockactors within a round",
        "works": works.collect::<Vec<_>>() })
}
