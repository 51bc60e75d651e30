//! Formatting of reports as text for people.
//!
//! A server prints the lines of the lecture's programs, and a client prints its results, both on
//! stdout. Further information goes to the log on stderr, with a level: the endpoint of a server,
//! rejections, connects and disconnects.
//!
//! No text from a peer reaches a terminal unescaped. Texts, names and addresses pass through
//! [`escape`]. A trailing line feed is removed, because it only marks the end of the input.

use std::time::Duration;

use log::Level;

use crate::actors::{Report, TransferSummary};
use crate::cli::output::line_limit::MAX_LINES;
use crate::cli::output::stats_table;
use crate::net::Peer;
use crate::scenario::{Scenario, Side};
use crate::wire::text::escape;
use crate::wire::units::{format_duration, format_size};

/// The prompt for a file name.
pub const PROMPT: &str = "Enter the file name: ";

/// The destination of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputStream {
    /// The scenario's own output on stdout.
    Stdout,
    /// The log on stderr, with a level.
    Log(Level),
}

/// Returns where the text of one report of one side of a scenario goes.
pub fn output_stream(scenario: Scenario, side: Side, report: &Report) -> OutputStream {
    OutputStream::Log(match (side, report) {
        (_, Report::Listening { .. } | Report::OperatorAction { .. }) => Level::Info,
        (Side::Server, Report::Connected { .. }) if scenario == Scenario::Udp => Level::Debug,
        (Side::Client, Report::Connected { conn: 0, .. }) => Level::Debug,
        (Side::Client, Report::Connected { .. }) => Level::Info,
        (Side::Client, Report::Disconnected { .. }) => Level::Warn,
        (Side::Server, Report::Disconnected { .. }) => Level::Debug,
        (_, Report::Rejected { .. } | Report::Warning { .. } | Report::Truncated { .. }) => {
            Level::Warn
        }
        _ => return OutputStream::Stdout,
    })
}

/// Formats one report of one side of a scenario, without a line feed at the end.
///
/// Returns `None` for a report that is not shown.
pub fn format_report(scenario: Scenario, side: Side, report: &Report) -> Option<String> {
    Some(match (side, report) {
        (_, Report::Listening { endpoint }) => {
            format!("listening on {}", escape_line(&endpoint.to_string()))
        }
        (Side::Server, Report::Connected { peer, conn }) => format_connected(scenario, peer, *conn),
        (Side::Client, Report::Connected { peer, conn }) => {
            let again = if *conn == 0 { "" } else { " again" };
            format!("connected to {}{again}", format_peer(peer))
        }
        (Side::Client, Report::Disconnected { reason, .. }) => {
            format!("{}; trying again, your input is kept", escape_line(reason))
        }
        (Side::Server, Report::Disconnected { peer, conn, reason }) => {
            let (peer, reason) = (format_peer(peer), escape_line(reason));
            format!("connection {conn} from {peer} ended: {reason}")
        }
        (_, Report::Rejected { peer, reason }) => {
            let prefix = peer.as_ref().map(|peer| format!("{}: ", format_peer(peer)));
            format!("{}{}", prefix.unwrap_or_default(), escape_line(reason))
        }
        (_, Report::OperatorAction { peer, nick, action, succeeded }) => {
            let peer = peer.as_ref().map_or("at the terminal".into(), format_peer);
            let nick = nick.as_ref().map(|nick| format!("{} ", escape_line(nick)));
            let (nick, action) = (nick.unwrap_or_default(), escape_line(action));
            let failed = if *succeeded { "" } else { " (failed)" };
            format!("operator {nick}{peer}: {action}{failed}")
        }
        (_, Report::Warning { reason }) => escape_line(reason),
        (_, Report::Truncated { peer, bytes, kept }) => {
            let peer = format_peer(peer);
            format!("{peer}: datagram of {bytes} bytes was truncated to {kept} (--buffer-size)")
        }
        (_, report) => format_output(scenario, report)?,
    })
}

/// Formats the number of lines that were dropped because they were too many.
pub fn format_dropped(lines: u64) -> String {
    format!("dropped lines of output: {lines}; the limit is {MAX_LINES} per second")
}

/// Formats what only a verbose run shows about a report: the digest of a sent file.
pub fn format_details(report: &Report) -> Option<String> {
    match report {
        Report::FileSent { name, blake3: Some(blake3), .. } => {
            Some(format!("{}: BLAKE3 {blake3}", escape_line(name)))
        }
        _ => None,
    }
}

/// Returns whether a report is a result. Results are shown in a quiet run too.
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

/// Formats the arrival of a client at a server.
fn format_connected(scenario: Scenario, peer: &Peer, conn: u64) -> String {
    let peer = format_peer(peer);
    match scenario {
        Scenario::Tcp => format!("Got connection from {peer}"),
        Scenario::File => format!("Connected with client {conn}"),
        Scenario::Chat => format!("Accepted connection from {peer}"),
        Scenario::Udp => format!("first datagram from {peer}"),
    }
}

/// Formats a report for stdout.
fn format_output(scenario: Scenario, report: &Report) -> Option<String> {
    Some(match report {
        Report::Message { peer, nick, room, text } => match scenario {
            Scenario::Udp => {
                let (text, peer) = (escape_line(text), format_peer(peer));
                format!("Message from Client: {text}\nClient IP Address: {peer}")
            }
            _ => format_chat_message(nick.as_deref(), room.as_deref(), &escape_line(text)),
        },
        Report::FileStored { name, bytes, elapsed, peer, .. } => {
            let (name, size, elapsed) =
                (escape_line(name), format_size(*bytes), format_duration(*elapsed));
            let from = peer.as_ref().map(|peer| format!(" from {}", format_peer(peer)));
            let details = format!("{name}: {size} in {elapsed}{}", from.unwrap_or_default());
            format!("Received successfully! New filename is: {name}\n{details}")
        }
        Report::FileSent { name, bytes, elapsed, stored_name, resumed_bytes, .. } => {
            let renamed = stored_name.as_ref().filter(|stored| !path_ends_with(name, stored));
            let renamed = renamed.map(|stored| format!(", stored as {}", escape_line(stored)));
            let (name, renamed) = (escape_line(name), renamed.unwrap_or_default());
            if (1..=*resumed_bytes).contains(bytes) {
                return Some(format!("{name}: already there, not sent again{renamed}"));
            }
            let resumed = match resumed_bytes {
                0 => String::new(),
                bytes => format!(", resumed at {}", format_size(*bytes)),
            };
            let (size, elapsed) = (format_size(*bytes), format_duration(*elapsed));
            format!("Sent {name}: {size} in {elapsed}{resumed}{renamed}")
        }
        Report::Reply { text, .. } => match scenario {
            Scenario::Udp => format!("Message from Server \"{}\"", escape_line(text)),
            Scenario::Chat => format!("Server response: {}", escape_line(text)),
            _ => escape_lines(text),
        },
        Report::TransferSummary(summary) => format_transfer_summary(summary)?,
        Report::ProbeReply { number, bytes, rtt, duplicate } => {
            let duplicate = if *duplicate { " (duplicate)" } else { "" };
            let rtt = format_duration(*rtt);
            format!("{bytes} bytes for request {number} after {rtt}{duplicate}")
        }
        Report::LoadProgress { sent, received } => {
            format!("{sent} sent, {received} received so far")
        }
        Report::Stats(stats) => stats_table::format(scenario, stats),
        Report::ChatLine(text) => escape_line(text),
        Report::RequestSummary { sent, received, rtt } if *sent > 1 => {
            format_summary(*sent, *received, *rtt)
        }
        _ => return None,
    })
}

/// Formats a client's statistics: `3 sent, 2 received, 33% lost, round trip 1 ms/2 ms/3 ms
/// (min/mean/max)`.
fn format_summary(sent: u64, received: u64, rtt: Option<[Duration; 3]>) -> String {
    let lost = sent.saturating_sub(received).saturating_mul(100) / sent.max(1);
    let mut text = format!("{sent} sent, {received} received, {lost}% lost");
    if let Some(times) = rtt {
        let times = times.map(|time| format_duration(time).to_string()).join("/");
        text.push_str(&format!(", round trip {times} (min/mean/max)"));
    }
    text
}

/// Returns whether `name` is the last components of `path`.
fn path_ends_with(path: &str, name: &str) -> bool {
    path == name || path.strip_suffix(name).is_some_and(|rest| rest.ends_with('/'))
}

/// Formats a message with the lecture's sentence, and with the member and its room.
fn format_chat_message(nick: Option<&str>, room: Option<&str>, text: &str) -> String {
    let received = format!("Received message: {text}");
    match (nick, room) {
        (Some(nick), Some(room)) => {
            format!("{received}\n{} in {}: {text}", escape_line(nick), escape_line(room))
        }
        _ => received,
    }
}

/// Formats the summary of several files: `150 files, 833 KiB in 0.6 s`.
fn format_transfer_summary(summary: &TransferSummary) -> Option<String> {
    let TransferSummary { file_count, bytes, failed, elapsed } = summary;
    if file_count.saturating_add(*failed) < 2 {
        return None;
    }
    let files = if *file_count == 1 { "file" } else { "files" };
    let failed = match failed {
        0 => String::new(),
        failed => format!(", {failed} not sent"),
    };
    let (size, elapsed) = (format_size(*bytes), format_duration(*elapsed));
    Some(format!("{file_count} {files}, {size} in {elapsed}{failed}"))
}

fn format_peer(peer: &Peer) -> String {
    escape_line(&peer.to_string())
}

/// Escapes a text for one line.
fn escape_line(text: &str) -> String {
    escape(trim_line_end(text)).into_owned()
}

/// Escapes each line of a reply, which may have several.
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
