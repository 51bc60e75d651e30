//! Reports, worded for people.
//!
//! A server narrates in the words that its first users know from the lecture's programs; a client shows
//! what came back. That is stdout's. What is good to know beside it (where the server listens, what it
//! refused, which connections came and went) is for stderr, with a level.
//!
//! Nothing that a peer sent reaches a terminal raw: texts, names and addresses alike go through
//! [`escape`](crate::wire::text::escape). A line feed at the end of a text is how it was typed, not what
//! was said, and is left out.

use std::time::Duration;

use log::Level;

use crate::actors::{Report, Row, Total};
use crate::cli::args::names::Side;
use crate::cli::output::stats_table;
use crate::net::Peer;
use crate::scenario::Kind;
use crate::wire::text::escape;
use crate::wire::units::{show_duration, show_size};

/// What asks a person for the next file.
pub const PROMPT: &str = "Enter the file name: ";

/// Where a line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// To stdout: the scenario's own output.
    Out,
    /// To stderr, as a log message of a level.
    Err(Level),
}

/// Words one report of one side of a scenario, without a line feed at the end; some are not worth a word.
pub fn line(kind: Kind, side: Side, report: &Report) -> Option<(Stream, String)> {
    let aside = |level, text| Some((Stream::Err(level), text));
    match (side, report) {
        (_, Report::Listening { endpoint }) => {
            aside(Level::Info, format!("listening on {}", shown(&endpoint.to_string())))
        }
        (Side::Server, Report::Connected { peer, conn }) => connected(kind, peer, *conn),
        (Side::Client, Report::Connected { peer, conn: 0 }) => {
            aside(Level::Debug, format!("connected to {}", address(peer)))
        }
        (Side::Client, Report::Connected { peer, .. }) => {
            aside(Level::Info, format!("connected to {} again", address(peer)))
        }
        (Side::Client, Report::Disconnected { why, .. }) => {
            aside(Level::Warn, format!("{}; trying again, what is typed is kept", shown(why)))
        }
        (_, Report::Disconnected { peer, conn, why }) => {
            let why = shown(why);
            aside(Level::Debug, format!("connection {conn} of {} ended: {why}", address(peer)))
        }
        (_, Report::Refused { peer, why }) => {
            let from = peer.as_ref().map(|peer| format!("{}: ", address(peer)));
            aside(Level::Warn, format!("{}{}", from.unwrap_or_default(), shown(why)))
        }
        (_, Report::Cut { peer, bytes, kept }) => {
            let peer = address(peer);
            aside(
                Level::Warn,
                format!("{peer}: only {kept} of the {bytes} bytes of its datagram were read"),
            )
        }
        (_, report) => Some((Stream::Out, told(kind, report)?)),
    }
}

/// Whether a report is a result, which is shown in a quiet run too.
pub fn is_result(report: &Report) -> bool {
    matches!(
        report,
        Report::Reply { .. }
            | Report::File { .. }
            | Report::Sent { .. }
            | Report::Total(_)
            | Report::Line(_)
            | Report::Summary { .. }
            | Report::Figures(_)
    )
}

/// Words the arrival of a client at a server.
fn connected(kind: Kind, peer: &Peer, conn: u64) -> Option<(Stream, String)> {
    let peer = address(peer);
    Some(match kind {
        Kind::Tcp => (Stream::Out, format!("Got connection from {peer}")),
        Kind::File => (Stream::Out, format!("Connected with client {conn}")),
        Kind::Chat => (Stream::Out, format!("Accepted connection from {peer}")),
        Kind::Udp => (Stream::Err(Level::Debug), format!("first datagram from {peer}")),
    })
}

/// Words what was said, stored, sent or counted.
fn told(kind: Kind, report: &Report) -> Option<String> {
    Some(match report {
        Report::Message { peer, text, .. } => match kind {
            Kind::Udp => {
                let (text, peer) = (shown(text), address(peer));
                format!("Message from Client: {text}\nClient IP Address: {peer}")
            }
            _ => format!("Received message: {}", shown(text)),
        },
        Report::File { name, .. } => {
            format!("Received successfully! New filename is: {}", shown(name))
        }
        Report::Sent { name, bytes, took, stored, .. } => {
            let (bytes, took) = (show_size(*bytes), show_duration(*took));
            let renamed = stored.as_ref().filter(|stored| !ends_in(name, stored));
            let renamed = renamed.map(|stored| format!(", stored as {}", shown(stored)));
            format!("Sent {}: {bytes} in {took}{}", shown(name), renamed.unwrap_or_default())
        }
        Report::Reply { text, .. } => match kind {
            Kind::Udp => format!("Message from Server \"{}\"", shown(text)),
            Kind::Chat => format!("Server response: {}", shown(text)),
            _ => lines(text),
        },
        Report::Total(sent) => table(sent)?,
        Report::Answer { number, bytes, rtt, again } => {
            let again = if *again { ", again" } else { "" };
            format!("{bytes} bytes for request {number} after {}{again}", show_duration(*rtt))
        }
        Report::Tally { sent, received } => format!("{sent} sent, {received} received so far"),
        Report::Figures(figures) => stats_table::table(kind, figures),
        Report::Line(text) => shown(text),
        Report::Summary { sent, received, rtt } if *sent > 1 => summary(*sent, *received, *rtt),
        _ => return None,
    })
}

/// Words a client's figures: `3 sent, 2 received, 33% lost, round trip 1ms/2ms/3ms (least/mean/most)`.
fn summary(sent: u64, received: u64, rtt: Option<[Duration; 3]>) -> String {
    let lost = sent.saturating_sub(received).saturating_mul(100) / sent.max(1);
    let mut text = format!("{sent} sent, {received} received, {lost}% lost");
    if let Some(times) = rtt {
        let times = times.map(|time| show_duration(time).to_string()).join("/");
        text.push_str(&format!(", round trip {times} (least/mean/most)"));
    }
    text
}

/// Tells whether a path ends in a name, component by component.
fn ends_in(path: &str, name: &str) -> bool {
    path == name || path.strip_suffix(name).is_some_and(|rest| rest.ends_with('/'))
}

/// Words what was sent as a table.
fn table(sent: &Total) -> Option<String> {
    if sent.files == 0 {
        return None;
    }
    let mut lines = vec![format!("{:<64}  {:>15}  {:>9}  name", "BLAKE3", "bytes", "seconds")];
    let row = |row: &Row| {
        let (seconds, name) = (row.took.as_secs_f64(), shown(&row.name));
        format!("{:<64}  {:>15}  {seconds:>9.3}  {name}", row.blake3, row.bytes)
    };
    lines.extend(sent.rows.iter().map(row));
    let unlisted = sent.files.saturating_sub(sent.rows.len() as u64);
    if unlisted > 0 {
        lines.push(format!("and {unlisted} more"));
    }
    if sent.files > 1 || sent.failed > 0 {
        let (files, seconds) = (format!("{} sent", sent.files), sent.took.as_secs_f64());
        let failed = match sent.failed {
            0 => String::new(),
            failed => format!(", {failed} not sent"),
        };
        let files = format!("{files}{failed}");
        lines.push(format!("{files:<64}  {:>15}  {seconds:>9.3}", sent.bytes));
    }
    Some(lines.join("\n"))
}

fn address(peer: &Peer) -> String {
    shown(&peer.to_string())
}

/// Escapes a text for one line.
fn shown(text: &str) -> String {
    escape(without_end(text)).into_owned()
}

/// Escapes an answer that may have several lines, each by itself.
fn lines(text: &str) -> String {
    let lines: Vec<_> = without_end(text).lines().map(escape).collect();
    lines.join("\n")
}

fn without_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
pub(super) mod tests;
