//! Draws a chart: a group of bars per workload, on a logarithmic scale of the ratio to sockactors.

use std::fmt::Write as _;

use crate::peers::PEERS;
use crate::table::Row;

const COLOURS: [&str; 7] =
    ["#d1495b", "#8d99ae", "#2b6cb0", "#c08a1e", "#4b8b5a", "#7b5ea7", "#5f6b6d"];
/// The range of the scale.
const RANGE: (f64, f64) = (0.25, 16.0);
const BAR: f64 = 10.0;
const GROUP: f64 = BAR * 7.0 + 22.0;
const LEFT: f64 = 190.0;
const WIDTH: f64 = 560.0;

/// Draws the rows of one thread.
pub fn svg(rows: &[Row]) -> String {
    let rows: Vec<&Row> = rows.iter().filter(|row| row.threads == 1).collect();
    let height = 60.0 + GROUP * rows.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\">CPU time per operation, relative to sockactors \
         (* = unbounded mailbox; less is better)</text>\n",
        LEFT + WIDTH + 130.0
    );
    let place = |ratio: f64| {
        let (least, most) = (RANGE.0.ln(), RANGE.1.ln());
        LEFT + WIDTH * (ratio.clamp(RANGE.0, RANGE.1).ln() - least) / (most - least)
    };
    for tick in [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0] {
        let (x, width) = (place(tick), if tick == 1.0 { 1.5 } else { 0.4 });
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"44\" y2=\"{height}\" stroke=\"#999\" \
             stroke-width=\"{width}\"/>\
             <text x=\"{x:.1}\" y=\"40\" text-anchor=\"middle\" fill=\"#555\">{tick}x</text>"
        );
    }
    for (at, row) in rows.iter().enumerate() {
        let top = 52.0 + GROUP * at as f64;
        let _ = writeln!(
            svg,
            "<text x=\"10\" y=\"{:.1}\" font-weight=\"bold\">({}) {}</text>",
            top + 10.0,
            row.letter,
            row.name
        );
        for (peer, entry) in PEERS.iter().enumerate() {
            let Some(cell) = row.cell(peer) else { continue };
            let y = top + BAR * peer as f64;
            let (from, to) = (place(RANGE.0), place(cell.ratio));
            let mark = if entry.bounded { "" } else { "*" };
            let unit = if row.work.is_some() { "ns" } else { "B" };
            let _ = writeln!(
                svg,
                "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\">{}{mark} {:.0} {unit}</text>",
                to - from,
                BAR - 1.5,
                COLOURS[peer],
                to + 4.0,
                y + 8.0,
                entry.name,
                cell.cpu
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}
