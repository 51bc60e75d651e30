//! Reports, worded for programs: one JSON object a line.
//!
//! Each object begins with `"v":1`, the version of this wording, and `"event"`; a field without a value is
//! left out. Texts are whole and unchanged once they are parsed, yet the line itself is safe to show:
//! control characters and those that change the direction of text are written as `\uXXXX`, which RFC 8259
//! allows for every character.

pub mod object;

use std::time::Duration;

use crate::actors::{LatencySummary, Progress, Report, Stats};
use crate::cli::args::names::{Side, scenario_name};
use crate::scenario::Scenario;
use object::{Object, quote};

/// Words one report of one side of a scenario, without a line feed at the end.
pub fn format_report(kind: Scenario, side: Side, report: &Report) -> String {
    match report {
        Report::Listening { endpoint } => Object::new("listening")
            .string("scenario", scenario_name(kind))
            .string("endpoint", &endpoint.to_string()),
        Report::Connected { peer, conn } => {
            Object::new("connected").display("peer", peer).raw("conn", conn)
        }
        Report::Disconnected { peer, conn, reason: why } => {
            Object::new("disconnected").display("peer", peer).raw("conn", conn).string("why", why)
        }
        Report::Message { peer, nick, room, text } => Object::new("message")
            .display("peer", peer)
            .opt_string("nick", nick.as_deref())
            .opt_string("room", room.as_deref())
            .string("text", text),
        Report::FileStored { name, bytes, blake3, elapsed: took, peer } => Object::new("file")
            .string("name", name)
            .raw("bytes", bytes)
            .opt_string("blake3", blake3.as_deref())
            .seconds(took.as_secs_f64())
            .opt_string("peer", peer.as_ref().map(ToString::to_string).as_deref()),
        Report::FileSent { name, bytes, elapsed: took, blake3, stored_name: stored } => {
            Object::new("sent")
                .string("name", name)
                .raw("bytes", bytes)
                .seconds(took.as_secs_f64())
                .opt_string("blake3", blake3.as_deref())
                .opt_string("stored", stored.as_deref())
        }
        Report::Reply { text, bytes, rtt } => Object::new("reply")
            .string("text", text)
            .raw("bytes", bytes)
            .raw("rtt_us", rtt.as_micros()),
        Report::Rejected { peer, reason: why } => {
            let peer = peer.as_ref().map(ToString::to_string);
            Object::new("refused").opt_string("peer", peer.as_deref()).string("why", why)
        }
        // An event of its own would be a change of the output's format.
        Report::Warning { reason } => Object::new("refused").string("why", reason),
        Report::Truncated { peer, bytes, kept } => {
            Object::new("cut").display("peer", peer).raw("bytes", bytes).raw("kept", kept)
        }
        Report::RequestSummary { sent, received, rtt } => summary_object(*sent, *received, *rtt),
        Report::Progress(file) => progress_object(file),
        Report::TransferSummary(total) => Object::new("summary")
            .raw("sent", total.file_count)
            .raw("failed", total.failed)
            .raw("bytes", total.bytes)
            .seconds(total.elapsed.as_secs_f64()),
        Report::ProbeReply { number, bytes, rtt, duplicate: again } => Object::new("answer")
            .raw("number", number)
            .raw("bytes", bytes)
            .raw("rtt_us", rtt.as_micros())
            .raw("again", again),
        Report::LoadProgress { sent, received } => {
            Object::new("progress").raw("sent", sent).raw("received", received)
        }
        Report::Stats(figures) => stats_object(figures),
        Report::ChatLine(text) => Object::new("message").string("text", text),
        Report::Ready => Object::new("ready"),
    }
    .string("role", side.name())
    .finish()
}

/// Words the restart of an actor.
pub fn format_restart(actor: &str, why: &str, count: u32) -> String {
    Object::new("restarted").string("actor", actor).string("why", why).raw("count", count).finish()
}

/// Words how many lifecycle events were dropped because nobody read them.
pub fn format_dropped_events(count: u64) -> String {
    Object::new("dropped").raw("count", count).finish()
}

/// Words the end of a drain: how many connections were left, and how long it took.
pub fn format_drain(left: usize, seconds: f64) -> String {
    Object::new("drained").raw("left", left).seconds(seconds).finish()
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
        Some([least, mean, most]) => object
            .raw("rtt_min_us", least.as_micros())
            .raw("rtt_mean_us", mean.as_micros())
            .raw("rtt_max_us", most.as_micros()),
        None => object,
    }
}

/// Words what a measuring client measured; its bars are pairs of an upper edge in µs and a count.
fn stats_object(figures: &Stats) -> Object {
    let mut object = Object::new("summary")
        .raw("sent", figures.sent)
        .raw("received", figures.received)
        .raw("lost", figures.lost())
        .raw("loss_percent", format_args!("{:.3}", figures.loss_percent()))
        .seconds(figures.elapsed.as_secs_f64());
    for (name, count) in [("duplicated", figures.duplicated), ("reordered", figures.reordered)] {
        object = match count {
            Some(count) => object.raw(name, count),
            None => object,
        };
    }
    let failures: Vec<_> =
        figures.failures.iter().map(|(why, count)| format!("{}:{count}", quote(why))).collect();
    object = object.raw("failures", format_args!("{{{}}}", failures.join(",")));
    for (name, spread) in [("connect", &figures.connect), ("rtt", &figures.rtt)] {
        object = match spread {
            Some(spread) => add_latency(object, name, spread),
            None => object,
        };
    }
    object
}

fn add_latency(mut object: Object, name: &str, spread: &LatencySummary) -> Object {
    let LatencySummary { min, mean, median, p90, p99, max, jitter, buckets: bars } = spread;
    for (which, time) in [
        ("min", min),
        ("mean", mean),
        ("median", median),
        ("p90", p90),
        ("p99", p99),
        ("max", max),
        ("jitter", jitter),
    ] {
        object = object.raw(&format!("{name}_{which}_us"), time.as_micros());
    }
    let bars: Vec<_> =
        bars.iter().map(|(edge, count)| format!("[{},{count}]", edge.as_micros())).collect();
    object.raw(&format!("{name}_bars"), format_args!("[{}]", bars.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::TransferSummary;
    use crate::cli::output::text::tests::{message_report, reply_report, test_peer};

    #[test]
    fn an_event_names_its_version_first() {
        let json = format_report(Scenario::Udp, Side::Client, &reply_report("Hello"));
        let expected =
            r#"{"v":1,"event":"reply","text":"Hello","bytes":5,"rtt_us":1500,"role":"client"}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let json = format_report(Scenario::Udp, Side::Server, &message_report("hi"));
        let expected = r#"{"v":1,"event":"message","peer":"PEER","text":"hi","role":"server"}"#;
        assert_eq!(json, expected.replace("PEER", &test_peer().to_string()));
        let silent = summary_object(3, 0, None).finish();
        assert_eq!(silent, r#"{"v":1,"event":"summary","sent":3,"received":0}"#);
    }

    #[test]
    fn files_are_told_one_by_one_and_in_all() {
        let took = Duration::from_secs(1);
        let total = TransferSummary {
            file_count: 2,
            bytes: 9,
            failed: 1,
            elapsed: took,
            listed_files: Vec::new(),
        };
        let json = format_report(Scenario::File, Side::Client, &Report::TransferSummary(total));
        let expected = r#"{"v":1,"event":"summary","sent":2,"failed":1,"bytes":9,"seconds":1.000000,"role":"client"}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn what_comes_from_no_role_has_its_own_words() {
        let expected = r#"{"v":1,"event":"restarted","actor":"chat/room","why":"\"x\"","count":2}"#;
        assert_eq!(format_restart("chat/room", "\"x\"", 2), expected);
        assert_eq!(
            format_drain(0, 0.25),
            r#"{"v":1,"event":"drained","left":0,"seconds":0.250000}"#
        );
        assert!(format_drain(1, f64::NAN).contains("\"seconds\":0.0"));
    }
}
