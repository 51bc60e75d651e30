//! Reports, worded for programs: one JSON object a line.
//!
//! Each object begins with `"v":1`, the version of this wording, and `"event"`; a field without a value is
//! left out. Texts are whole and unchanged once they are parsed, yet the line itself is safe to show:
//! control characters and those that change the direction of text are written as `\uXXXX`, which RFC 8259
//! allows for every character.

pub mod object;

use std::time::Duration;

use crate::actors::{Figures, Progress, Report, Spread};
use crate::cli::args::names::{Side, kind_name};
use crate::scenario::Kind;
use object::{Object, quoted};

/// Words one report of one side of a scenario, without a line feed at the end.
pub fn json(kind: Kind, side: Side, report: &Report) -> String {
    match report {
        Report::Listening { endpoint } => Object::new("listening")
            .text("scenario", kind_name(kind))
            .text("endpoint", &endpoint.to_string()),
        Report::Connected { peer, conn } => {
            Object::new("connected").shown("peer", peer).plain("conn", conn)
        }
        Report::Disconnected { peer, conn, why } => {
            Object::new("disconnected").shown("peer", peer).plain("conn", conn).text("why", why)
        }
        Report::Message { peer, nick, room, text } => Object::new("message")
            .shown("peer", peer)
            .maybe("nick", nick.as_deref())
            .maybe("room", room.as_deref())
            .text("text", text),
        Report::File { name, bytes, blake3, took, peer } => Object::new("file")
            .text("name", name)
            .plain("bytes", bytes)
            .maybe("blake3", blake3.as_deref())
            .seconds(took.as_secs_f64())
            .maybe("peer", peer.as_ref().map(ToString::to_string).as_deref()),
        Report::Sent { name, bytes, took, blake3, stored } => Object::new("sent")
            .text("name", name)
            .plain("bytes", bytes)
            .seconds(took.as_secs_f64())
            .maybe("blake3", blake3.as_deref())
            .maybe("stored", stored.as_deref()),
        Report::Reply { text, bytes, rtt } => Object::new("reply")
            .text("text", text)
            .plain("bytes", bytes)
            .plain("rtt_us", rtt.as_micros()),
        Report::Refused { peer, why } => {
            let peer = peer.as_ref().map(ToString::to_string);
            Object::new("refused").maybe("peer", peer.as_deref()).text("why", why)
        }
        Report::Cut { peer, bytes, kept } => {
            Object::new("cut").shown("peer", peer).plain("bytes", bytes).plain("kept", kept)
        }
        Report::Summary { sent, received, rtt } => summary(*sent, *received, *rtt),
        Report::Progress(file) => progress(file),
        Report::Total(total) => Object::new("summary")
            .plain("sent", total.files)
            .plain("failed", total.failed)
            .plain("bytes", total.bytes)
            .seconds(total.took.as_secs_f64()),
        Report::Answer { number, bytes, rtt, again } => Object::new("answer")
            .plain("number", number)
            .plain("bytes", bytes)
            .plain("rtt_us", rtt.as_micros())
            .plain("again", again),
        Report::Tally { sent, received } => {
            Object::new("progress").plain("sent", sent).plain("received", received)
        }
        Report::Figures(figures) => measured(figures),
        Report::Line(text) => Object::new("message").text("text", text),
        Report::Ready => Object::new("ready"),
    }
    .text("role", side.name())
    .end()
}

/// Words the restart of an actor.
pub fn restarted(actor: &str, why: &str, count: u32) -> String {
    Object::new("restarted").text("actor", actor).text("why", why).plain("count", count).end()
}

/// Words how many lifecycle events were dropped because nobody read them.
pub fn dropped(count: u64) -> String {
    Object::new("dropped").plain("count", count).end()
}

/// Words the end of a drain: how many connections were left, and how long it took.
pub fn drained(left: usize, seconds: f64) -> String {
    Object::new("drained").plain("left", left).seconds(seconds).end()
}

fn progress(file: &Progress) -> Object {
    let object = Object::new("progress").text("name", &file.name).plain("bytes", file.bytes);
    let object = match file.size {
        Some(size) => object.plain("size", size),
        None => object,
    };
    let peer = file.peer.as_ref().map(ToString::to_string);
    object.seconds(file.took.as_secs_f64()).maybe("peer", peer.as_deref())
}

fn summary(sent: u64, received: u64, rtt: Option<[Duration; 3]>) -> Object {
    let object = Object::new("summary").plain("sent", sent).plain("received", received);
    match rtt {
        Some([least, mean, most]) => object
            .plain("rtt_min_us", least.as_micros())
            .plain("rtt_mean_us", mean.as_micros())
            .plain("rtt_max_us", most.as_micros()),
        None => object,
    }
}

/// Words what a measuring client measured; its bars are pairs of an upper edge in µs and a count.
fn measured(figures: &Figures) -> Object {
    let mut object = Object::new("summary")
        .plain("sent", figures.sent)
        .plain("received", figures.received)
        .plain("lost", figures.lost())
        .plain("loss_percent", format_args!("{:.3}", figures.loss()))
        .seconds(figures.took.as_secs_f64());
    for (name, count) in [("duplicated", figures.duplicated), ("reordered", figures.reordered)] {
        object = match count {
            Some(count) => object.plain(name, count),
            None => object,
        };
    }
    let failures: Vec<_> =
        figures.failures.iter().map(|(why, count)| format!("{}:{count}", quoted(why))).collect();
    object = object.plain("failures", format_args!("{{{}}}", failures.join(",")));
    for (name, spread) in [("connect", &figures.connect), ("rtt", &figures.rtt)] {
        object = match spread {
            Some(spread) => times(object, name, spread),
            None => object,
        };
    }
    object
}

fn times(mut object: Object, name: &str, spread: &Spread) -> Object {
    let Spread { min, mean, median, p90, p99, max, jitter, bars } = spread;
    for (which, time) in [
        ("min", min),
        ("mean", mean),
        ("median", median),
        ("p90", p90),
        ("p99", p99),
        ("max", max),
        ("jitter", jitter),
    ] {
        object = object.plain(&format!("{name}_{which}_us"), time.as_micros());
    }
    let bars: Vec<_> =
        bars.iter().map(|(edge, count)| format!("[{},{count}]", edge.as_micros())).collect();
    object.plain(&format!("{name}_bars"), format_args!("[{}]", bars.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::Total;
    use crate::cli::output::text::tests::{peer, reply, said};

    #[test]
    fn an_event_names_its_version_first() {
        let json = json(Kind::Udp, Side::Client, &reply("Hello"));
        let expected =
            r#"{"v":1,"event":"reply","text":"Hello","bytes":5,"rtt_us":1500,"role":"client"}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn what_is_not_known_is_left_out() {
        let json = json(Kind::Udp, Side::Server, &said("hi"));
        let expected = r#"{"v":1,"event":"message","peer":"PEER","text":"hi","role":"server"}"#;
        assert_eq!(json, expected.replace("PEER", &peer().to_string()));
        let silent = summary(3, 0, None).end();
        assert_eq!(silent, r#"{"v":1,"event":"summary","sent":3,"received":0}"#);
    }

    #[test]
    fn files_are_told_one_by_one_and_in_all() {
        let took = Duration::from_secs(1);
        let total = Total { files: 2, bytes: 9, failed: 1, took, rows: Vec::new() };
        let json = json(Kind::File, Side::Client, &Report::Total(total));
        let expected = r#"{"v":1,"event":"summary","sent":2,"failed":1,"bytes":9,"seconds":1.000000,"role":"client"}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn what_comes_from_no_role_has_its_own_words() {
        let expected = r#"{"v":1,"event":"restarted","actor":"chat/room","why":"\"x\"","count":2}"#;
        assert_eq!(restarted("chat/room", "\"x\"", 2), expected);
        assert_eq!(drained(0, 0.25), r#"{"v":1,"event":"drained","left":0,"seconds":0.250000}"#);
        assert!(drained(1, f64::NAN).contains("\"seconds\":0.0"));
    }
}
