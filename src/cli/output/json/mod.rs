//! Formatting of reports as JSON for programs, one object per line.
//!
//! Each object begins with `"v":1`, the version of the format, and `"event"`. A field without a
//! value is omitted. A parsed text is complete and unchanged, but the line itself is safe to show.
//! Control characters and bidirectional overrides are written as `\uXXXX`, which RFC 8259 permits
//! for every character.

pub mod object;

use std::time::Duration;

use crate::actors::{LatencySummary, Progress, Report, Stats};
use crate::cli::output::json::object::{Object, quote};
use crate::scenario::{Scenario, Side};

/// Formats one report of one side of a scenario, without a line feed at the end.
pub fn format_report(scenario: Scenario, side: Side, report: &Report) -> String {
    match report {
        Report::Listening { endpoint } => Object::new("listening")
            .string("scenario", scenario.name())
            .string("endpoint", &endpoint.to_string()),
        Report::Connected { peer, conn } => {
            Object::new("connected").display("peer", peer).raw("conn", conn)
        }
        Report::Disconnected { peer, conn, reason } => Object::new("disconnected")
            .display("peer", peer)
            .raw("conn", conn)
            .string("why", reason),
        Report::Message { peer, nick, room, text } => Object::new("message")
            .display("peer", peer)
            .opt_string("nick", nick.as_deref())
            .opt_string("room", room.as_deref())
            .string("text", text),
        Report::FileStored { name, bytes, blake3, elapsed, peer } => Object::new("file")
            .string("name", name)
            .raw("bytes", bytes)
            .opt_string("blake3", blake3.as_deref())
            .seconds(elapsed.as_secs_f64())
            .opt_string("peer", peer.as_ref().map(ToString::to_string).as_deref()),
        Report::FileSent { name, bytes, elapsed, blake3, stored_name, resumed_bytes } => {
            Object::new("sent")
                .string("name", name)
                .raw("bytes", bytes)
                .seconds(elapsed.as_secs_f64())
                .opt_string("blake3", blake3.as_deref())
                .opt_string("stored", stored_name.as_deref())
                .raw("resumed", resumed_bytes)
        }
        Report::Reply { text, bytes, rtt } => Object::new("reply")
            .string("text", text)
            .raw("bytes", bytes)
            .raw("rtt_us", rtt.as_micros()),
        Report::Rejected { peer, reason } => {
            let peer = peer.as_ref().map(ToString::to_string);
            Object::new("refused").opt_string("peer", peer.as_deref()).string("why", reason)
        }
        Report::OperatorAction { peer, nick, action, succeeded } => Object::new("operator")
            .opt_string("peer", peer.as_ref().map(ToString::to_string).as_deref())
            .opt_string("nick", nick.as_deref())
            .string("action", action)
            .raw("succeeded", succeeded),
        // Warnings share the event `refused`, because a new event would change the format.
        Report::Warning { reason } => Object::new("refused").string("why", reason),
        Report::Truncated { peer, bytes, kept } => {
            Object::new("cut").display("peer", peer).raw("bytes", bytes).raw("kept", kept)
        }
        Report::RequestSummary { sent, received, rtt } => summary_object(*sent, *received, *rtt),
        Report::Progress(file) => progress_object(file),
        Report::TransferSummary(summary) => Object::new("summary")
            .raw("sent", summary.file_count)
            .raw("failed", summary.failed)
            .raw("bytes", summary.bytes)
            .seconds(summary.elapsed.as_secs_f64()),
        Report::ProbeReply { number, bytes, rtt, duplicate } => Object::new("answer")
            .raw("number", number)
            .raw("bytes", bytes)
            .raw("rtt_us", rtt.as_micros())
            .raw("again", duplicate),
        Report::LoadProgress { sent, received } => {
            Object::new("progress").raw("sent", sent).raw("received", received)
        }
        Report::Stats(stats) => stats_object(stats),
        Report::ChatLine(text) => Object::new("message").string("text", text),
        Report::Ready => Object::new("ready"),
    }
    .string("role", side.name())
    .finish()
}

/// Formats the restart of an actor, with the reason of its exit.
pub fn format_restart(actor: &str, reason: &str, count: u32) -> String {
    let object = Object::new("restarted").string("actor", actor).string("why", reason);
    object.raw("count", count).finish()
}

/// Formats the number of lines that were dropped, because stdout was blocked or because they were
/// too many.
pub fn format_dropped(lines: u64) -> String {
    Object::new("dropped").raw("lines", lines).finish()
}

/// Formats the end of a drain: the number of connections that were cut, and its duration.
pub fn format_drain(killed: usize, seconds: f64) -> String {
    Object::new("drained").raw("left", killed).seconds(seconds).finish()
}

fn progress_object(file: &Progress) -> Object {
    let object = Object::new("progress").string("name", &file.name).raw("bytes", file.bytes);
    let object = match file.size {
        Some(size) => object.raw("size", size),
        None => object,
    };
    let peer = file.peer.as_ref().map(ToString::to_string);
    object.seconds(file.elapsed.as_secs_f64()).opt_string("peer", peer.as_deref())
}

fn summary_object(sent: u64, received: u64, rtt: Option<[Duration; 3]>) -> Object {
    let object = Object::new("summary").raw("sent", sent).raw("received", received);
    match rtt {
        Some([min, mean, max]) => object
            .raw("rtt_min_us", min.as_micros())
            .raw("rtt_mean_us", mean.as_micros())
            .raw("rtt_max_us", max.as_micros()),
        None => object,
    }
}

/// Formats the statistics of a measuring client.
///
/// The bars of a histogram are pairs of an upper bound in µs and a count.
fn stats_object(stats: &Stats) -> Object {
    let mut object = Object::new("summary")
        .raw("sent", stats.sent)
        .raw("received", stats.received)
        .raw("lost", stats.lost())
        .raw("loss_percent", format_args!("{:.3}", stats.loss_percent()))
        .seconds(stats.elapsed.as_secs_f64());
    if let Some((sent, received)) = stats.bytes {
        object = object.raw("bytes_sent", sent).raw("bytes_received", received);
    }
    if let Some((sent, received)) = stats.mbit_per_second() {
        object = object.raw("mbit_per_s_sent", format_args!("{sent:.3}"));
        object = object.raw("mbit_per_s_received", format_args!("{received:.3}"));
    }
    for (name, count) in [("duplicated", stats.duplicated), ("reordered", stats.reordered)] {
        object = match count {
            Some(count) => object.raw(name, count),
            None => object,
        };
    }
    let failures: Vec<_> =
        stats.failures.iter().map(|(reason, count)| format!("{}:{count}", quote(reason))).collect();
    object = object.raw("failures", format_args!("{{{}}}", failures.join(",")));
    for (name, latency) in [("connect", &stats.connect), ("rtt", &stats.rtt)] {
        object = match latency {
            Some(latency) => add_latency(object, name, latency),
            None => object,
        };
    }
    object
}

fn add_latency(mut object: Object, name: &str, latency: &LatencySummary) -> Object {
    let LatencySummary { min, mean, median, p90, p99, max, jitter, buckets } = latency;
    for (quantity, time) in [
        ("min", min),
        ("mean", mean),
        ("median", median),
        ("p90", p90),
        ("p99", p99),
        ("max", max),
        ("jitter", jitter),
    ] {
        object = object.raw(&format!("{name}_{quantity}_us"), time.as_micros());
    }
    let bars: Vec<_> =
        buckets.iter().map(|(bound, count)| format!("[{},{count}]", bound.as_micros())).collect();
    object.raw(&format!("{name}_bars"), format_args!("[{}]", bars.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::TransferSummary;
    use crate::cli::output::text::tests::{message_report, reply_report, test_peer};

    #[test]
    fn object_begins_with_its_version() {
        let json = format_report(Scenario::Udp, Side::Client, &reply_report("Hello"));
        let expected =
            r#"{"v":1,"event":"reply","text":"Hello","bytes":5,"rtt_us":1500,"role":"client"}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn unknown_fields_are_omitted() {
        let json = format_report(Scenario::Udp, Side::Server, &message_report("hi"));
        let expected = r#"{"v":1,"event":"message","peer":"PEER","text":"hi","role":"server"}"#;
        assert_eq!(json, expected.replace("PEER", &test_peer().to_string()));
        let unanswered = summary_object(3, 0, None).finish();
        assert_eq!(unanswered, r#"{"v":1,"event":"summary","sent":3,"received":0}"#);
    }

    #[test]
    fn transfer_summary_counts_files_and_bytes() {
        let summary =
            TransferSummary { file_count: 2, bytes: 9, failed: 1, elapsed: Duration::from_secs(1) };
        let json = format_report(Scenario::File, Side::Client, &Report::TransferSummary(summary));
        let counts = r#""sent":2,"failed":1,"bytes":9,"seconds":1.000000"#;
        let expected = format!(r#"{{"v":1,"event":"summary",{counts},"role":"client"}}"#);
        assert_eq!(json, expected);
    }

    #[test]
    fn lifecycle_events_have_their_own_objects() {
        let expected = r#"{"v":1,"event":"restarted","actor":"chat/room","why":"\"x\"","count":2}"#;
        assert_eq!(format_restart("chat/room", "\"x\"", 2), expected);
        assert_eq!(
            format_drain(0, 0.25),
            r#"{"v":1,"event":"drained","left":0,"seconds":0.250000}"#
        );
        assert_eq!(format_dropped(7), r#"{"v":1,"event":"dropped","lines":7}"#);
        assert!(format_drain(1, f64::NAN).contains("\"seconds\":0.0"));
    }
}
