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

use crate::actors::{Report, SentFile, TransferSummary};
use crate::cli::args::names::Side;
use crate::cli::output::stats_table;
use crate::net::Peer;
use crate::scenario::Scenario;
use crate::wire::text::escape;
use crate::wire::units::{format_duration, format_size};

/// What asks a person for the next file.
pub const PROMPT: &str = "Enter the file name: ";

/// Where a line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// To stdout: the scenario's own output.
    Stdout,
    /// To stderr, as a log message of a level.
    Log(Level),
}

/// Words one report of one side of a scenario, without a line feed at the end; some are not worth a word.
pub fn format_report(
    kind: Scenario,
    side: Side,
    report: &Report,
) -> Option<(OutputStream, String)> {
    let aside = |level, text| Some((OutputStream::Log(level), text));
    match (side, report) {
        (_, Report::Listening { endpoint }) => {
            aside(Level::Info, format!("listening on {}", escape_line(&endpoint.to_string())))
        }
        (Side::Server, Report::Connected { peer, conn }) => format_connected(kind, peer, *conn),
        (Side::Client, Report::Connected { peer, conn: 0 }) => {
            aside(Level::Debug, format!("connected to {}", format_peer(peer)))
        }
        (Side::Client, Report::Connected { peer, .. }) => {
            aside(Level::Info, format!("connected to {} again", format_peer(peer)))
        }
        (Side::Client, Report::Disconnected { reason: why, .. }) => {
            aside(Level::Warn, format!("{}; trying again, what is typed is kept", escape_line(why)))
        }
        (_, Report::Disconnected { peer, conn, reason: why }) => {
            let why = escape_line(why);
            aside(Level::Debug, format!("connection {conn} of {} ended: {why}", format_peer(peer)))
        }
        (_, Report::Rejected { peer, reason: why }) => {
            let from = peer.as_ref().map(|peer| format!("{}: ", format_peer(peer)));
            aside(Level::Warn, format!("{}{}", from.unwrap_or_default(), escape_line(why)))
        }
        (_, Report::Warning { reason }) => aside(Level::Warn, escape_line(reason)),
        (_, Report::Truncated { peer, bytes, kept }) => {
            let peer = format_peer(peer);
            aside(
                Level::Warn,
                format!("{peer}: only {kept} of the {bytes} bytes of its datagram were read"),
            )
        }
        (_, report) => Some((OutputStream::Stdout, format_output(kind, report)?)),
    }
}

/// Whether a report is a result, which is shown in a quiet run too.
pub fn is_result(report: &Report) -> bool {
    matches!(
        report,
        Report::Reply { .. }
            | Report::FileStored { .. }
            | Report::FileSent { .. }
            | Report::TransferSummary(_)
            | Report::ChatLine(_)
            | Report::RequestSummary { .. }
            | Report::Stats(_)
    )
}

/// Words the arrival of a client at a server.
fn format_connected(kind: Scenario, peer: &Peer, conn: u64) -> Option<(OutputStream, String)> {
    let peer = format_peer(peer);
    Some(match kind {
        Scenario::Tcp => (OutputStream::Stdout, format!("Got connection from {peer}")),
        Scenario::File => (OutputStream::Stdout, format!("Connected with client {conn}")),
        Scenario::Chat => (OutputStream::Stdout, format!("Accepted connection from {peer}")),
        Scenario::Udp => (OutputStream::Log(Level::Debug), format!("first datagram from {peer}")),
    })
}

/// Words what was said, stored, sent or counted.
fn format_output(kind: Scenario, report: &Report) -> Option<String> {
    Some(match report {
        Report::Message { peer, text, .. } => match kind {
            Scenario::Udp => {
                let (text, peer) = (escape_line(text), format_peer(peer));
                format!("Message from Client: {text}\nClient IP Address: {peer}")
            }
            _ => format!("Received message: {}", escape_line(text)),
        },
        Report::FileStored { name, .. } => {
            format!("Received successfully! New filename is: {}", escape_line(name))
        }
        Report::FileSent { name, bytes, elapsed: took, stored_name: stored, .. } => {
            let (bytes, took) = (format_size(*bytes), format_duration(*took));
            let renamed = stored.as_ref().filter(|stored| !path_ends_with(name, stored));
            let renamed = renamed.map(|stored| format!(", stored as {}", escape_line(stored)));
            format!("Sent {}: {bytes} in {took}{}", escape_line(name), renamed.unwrap_or_default())
        }
        Report::Reply { text, .. } => match kind {
            Scenario::Udp => format!("Message from Server \"{}\"", escape_line(text)),
            Scenario::Chat => format!("Server response: {}", escape_line(text)),
            _ => escape_lines(text),
        },
        Report::TransferSummary(sent) => format_transfer_summary(sent)?,
        Report::ProbeReply { number, bytes, rtt, duplicate: again } => {
            let again = if *again { ", again" } else { "" };
            format!("{bytes} bytes for request {number} after {}{again}", format_duration(*rtt))
        }
        Report::LoadProgress { sent, received } => {
            format!("{sent} sent, {received} received so far")
        }
        Report::Stats(figures) => stats_table::format(kind, figures),
        Report::ChatLine(text) => escape_line(text),
        Report::RequestSummary { sent, received, rtt } if *sent > 1 => {
            format_summary(*sent, *received, *rtt)
        }
        _ => return None,
    })
}

/// Words a client's figures: `3 sent, 2 received, 33% lost, round trip 1ms/2ms/3ms (least/mean/most)`.
fn format_summary(sent: u64, received: u64, rtt: Option<[Duration; 3]>) -> String {
    let lost = sent.saturating_sub(received).saturating_mul(100) / sent.max(1);
    let mut text = format!("{sent} sent, {received} received, {lost}% lost");
    if let Some(times) = rtt {
        let times = times.map(|time| format_duration(time).to_string()).join("/");
        text.push_str(&format!(", round trip {times} (least/mean/most)"));
    }
    text
}

/// Tells whether a path ends in a name, component by component.
fn path_ends_with(path: &str, name: &str) -> bool {
    path == name || path.strip_suffix(name).is_some_and(|rest| rest.ends_with('/'))
}

/// Words what was sent as a table.
fn format_transfer_summary(sent: &TransferSummary) -> Option<String> {
    if sent.file_count == 0 {
        return None;
    }
    let mut lines = vec![format!("{:<64}  {:>15}  {:>9}  name", "BLAKE3", "bytes", "seconds")];
    let row = |row: &SentFile| {
        let (seconds, name) = (row.elapsed.as_secs_f64(), escape_line(&row.name));
        format!("{:<64}  {:>15}  {seconds:>9.3}  {name}", row.blake3, row.bytes)
    };
    lines.extend(sent.listed_files.iter().map(row));
    let unlisted = sent.file_count.saturating_sub(sent.listed_files.len() as u64);
    if unlisted > 0 {
        lines.push(format!("and {unlisted} more"));
    }
    if sent.file_count > 1 || sent.failed > 0 {
        let (files, seconds) = (format!("{} sent", sent.file_count), sent.elapsed.as_secs_f64());
        let failed = match sent.failed {
            0 => String::new(),
            failed => format!(", {failed} not sent"),
        };
        let files = format!("{files}{failed}");
        lines.push(format!("{files:<64}  {:>15}  {seconds:>9.3}", sent.bytes));
    }
    Some(lines.join("\n"))
}

fn format_peer(peer: &Peer) -> String {
    escape_line(&peer.to_string())
}

/// Escapes a text for one line.
fn escape_line(text: &str) -> String {
    escape(trim_line_end(text)).into_owned()
}

/// Escapes an answer that may have several lines, each by itself.
fn escape_lines(text: &str) -> String {
    let lines: Vec<_> = trim_line_end(text).lines().map(escape).collect();
    lines.join("\n")
}

fn trim_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(test)]
pub(super) mod tests;
