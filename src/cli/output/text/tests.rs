//! Tests of the text of each report. The other tests of the output use these reports too.

use std::net::{Ipv4Addr, SocketAddr};

use crate::cli::output::text::*;

/// Returns a peer with an IPv4 address.
pub(crate) fn test_peer() -> Peer {
    Peer::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 4711)))
}

/// Returns the report of a message.
pub(crate) fn message_report(text: &str) -> Report {
    Report::Message { peer: test_peer(), nick: None, room: None, text: text.to_owned() }
}

/// Returns the report of a reply.
pub(crate) fn reply_report(text: &str) -> Report {
    let rtt = Duration::from_micros(1500);
    Report::Reply { text: text.to_owned(), bytes: text.len(), rtt }
}

fn stdout_text(scenario: Scenario, side: Side, report: &Report) -> String {
    assert_eq!(output_stream(scenario, side, report), OutputStream::Stdout);
    format_report(scenario, side, report).expect("a text")
}

fn log_line(side: Side, report: &Report) -> (Level, String) {
    let text = format_report(Scenario::Chat, side, report).expect("a text");
    match output_stream(Scenario::Chat, side, report) {
        OutputStream::Log(level) => (level, text),
        OutputStream::Stdout => panic!("not for stderr: {text}"),
    }
}

#[test]
fn server_prints_the_lines_of_the_lecture() {
    let connected = Report::Connected { peer: test_peer(), conn: 2 };
    let says = |scenario, report: &Report| {
        stdout_text(scenario, Side::Server, report).replace(&test_peer().to_string(), "PEER")
    };
    assert_eq!(says(Scenario::Tcp, &connected), "Got connection from PEER");
    assert_eq!(says(Scenario::File, &connected), "Connected with client 2");
    assert_eq!(says(Scenario::Chat, &connected), "Accepted connection from PEER");
    assert_eq!(says(Scenario::Chat, &message_report("hi")), "Received message: hi");
    let datagram = "Message from Client: hi\nClient IP Address: PEER";
    assert_eq!(says(Scenario::Udp, &message_report("hi")), datagram);
    let file = Report::FileStored {
        name: "output2.txt".to_owned(),
        bytes: 1,
        blake3: None,
        elapsed: Duration::ZERO,
        peer: Some(test_peer()),
    };
    let stored = "Received successfully! New filename is: output2.txt\n\
                  output2.txt: 1 B in 0 s from PEER";
    assert_eq!(says(Scenario::File, &file), stored);
}

#[test]
fn client_prints_replies() {
    let shows = |scenario, report: &Report| stdout_text(scenario, Side::Client, report);
    assert_eq!(
        shows(Scenario::Tcp, &reply_report("Thank you for connecting")),
        "Thank you for connecting"
    );
    assert_eq!(shows(Scenario::Tcp, &reply_report("two\nlines\x07\r\n")), "two\nlines\\u{7}");
    assert_eq!(shows(Scenario::Udp, &reply_report("Hello")), "Message from Server \"Hello\"");
    assert_eq!(shows(Scenario::Chat, &reply_report("Hello")), "Server response: Hello");
    assert_eq!(shows(Scenario::Chat, &Report::ChatLine("ada: hi".to_owned())), "ada: hi");
    let (name, elapsed) = ("a.txt".to_owned(), Duration::from_secs(2));
    let sent = Report::FileSent {
        name,
        bytes: 1 << 20,
        elapsed,
        blake3: None,
        stored_name: None,
        resumed_bytes: 0,
    };
    let sent = shows(Scenario::File, &sent);
    let (size, elapsed) = (format_size(1 << 20), format_duration(elapsed));
    assert_eq!(sent, format!("Sent a.txt: {size} in {elapsed}"));
}

#[test]
fn renamed_file_shows_its_stored_name() {
    let sent = |name: &str, stored_name: &str| {
        let (name, stored_name) = (name.to_owned(), Some(stored_name.to_owned()));
        let elapsed = Duration::from_secs(2);
        let report = Report::FileSent {
            name,
            bytes: 3,
            elapsed,
            blake3: None,
            stored_name,
            resumed_bytes: 0,
        };
        stdout_text(Scenario::File, Side::Client, &report)
    };
    assert_eq!(sent("here/a.txt", "a.txt"), "Sent here/a.txt: 3 B in 2 s");
    assert_eq!(sent("a.txt", "a.txt"), "Sent a.txt: 3 B in 2 s");
    assert_eq!(sent("aa.txt", "a.txt"), "Sent aa.txt: 3 B in 2 s, stored as a.txt");
    let escaped = sent("a", "\u{1b}[2J");
    assert!(escaped.starts_with("Sent a: ") && !escaped.contains('\u{1b}'), "{escaped}");
}

#[test]
fn chat_message_names_member_and_room() {
    let (nick, room) = (Some("ada".to_owned()), Some("lobby".to_owned()));
    let report = Report::Message { peer: test_peer(), nick, room, text: "hello\n".to_owned() };
    let text = stdout_text(Scenario::Chat, Side::Server, &report);
    assert_eq!(text, "Received message: hello\nada in lobby: hello");
}

#[test]
fn sent_file_tells_what_was_resumed() {
    let sent = |bytes, resumed_bytes| {
        let (name, elapsed) = ("a".to_owned(), Duration::from_millis(1500));
        let (blake3, stored_name) = (Some("0f".to_owned()), Some("a".to_owned()));
        let report = Report::FileSent { name, bytes, elapsed, blake3, stored_name, resumed_bytes };
        assert_eq!(format_details(&report).as_deref(), Some("a: BLAKE3 0f"));
        stdout_text(Scenario::File, Side::Client, &report)
    };
    assert_eq!(sent(1 << 30, 395 << 20), "Sent a: 1 GiB in 1.5 s, resumed at 395 MiB");
    assert_eq!(sent(1 << 30, 1 << 30), "a: already there, not sent again");
    assert_eq!(sent(0, 0), "Sent a: 0 B in 1.5 s");
}

#[test]
fn transfer_summary_is_one_line() {
    let format = |file_count, failed| {
        let elapsed = Duration::from_millis(612);
        let summary = TransferSummary { file_count, bytes: 833 << 10, failed, elapsed };
        format_report(Scenario::File, Side::Client, &Report::TransferSummary(summary))
    };
    let line = |text: &str| Some(text.to_owned());
    assert_eq!(format(150, 0), line("150 files, 833 KiB in 612 ms"));
    assert_eq!(format(1, 2), line("1 file, 833 KiB in 612 ms, 2 not sent"));
    assert_eq!(format(1, 0), None);
}

#[test]
fn request_summary_needs_two_requests() {
    let times = [1, 2, 4].map(Duration::from_millis);
    let summary = |sent, received, rtt| Report::RequestSummary { sent, received, rtt };
    assert_eq!(format_report(Scenario::Udp, Side::Client, &summary(1, 1, Some(times))), None);
    let text = stdout_text(Scenario::Udp, Side::Client, &summary(3, 2, Some(times)));
    assert_eq!(text, "3 sent, 2 received, 33% lost, round trip 1 ms/2 ms/4 ms (min/mean/max)");
    let text = stdout_text(Scenario::Udp, Side::Client, &summary(2, 0, None));
    assert_eq!(text, "2 sent, 0 received, 100% lost");
}

#[test]
fn connection_events_go_to_the_log() {
    let connected = |conn| log_line(Side::Client, &Report::Connected { peer: test_peer(), conn });
    assert_eq!(connected(0).0, Level::Debug);
    // The loss of the first connection was logged as a warning.
    assert_eq!(connected(1).0, Level::Info);
    let endpoint = "127.0.0.1:7".parse().expect("an endpoint");
    let listening = log_line(Side::Server, &Report::Listening { endpoint });
    assert_eq!(listening, (Level::Info, "listening on 127.0.0.1:7".to_owned()));
    let disconnected =
        Report::Disconnected { peer: test_peer(), conn: 2, reason: "reset by peer".to_owned() };
    let (level, text) = log_line(Side::Server, &disconnected);
    assert_eq!(level, Level::Debug);
    assert!(text.ends_with("reset by peer"), "{text}");
    assert_eq!(log_line(Side::Client, &disconnected).0, Level::Warn);
    let rejected = Report::Rejected { peer: None, reason: "too many".to_owned() };
    assert_eq!(log_line(Side::Server, &rejected), (Level::Warn, "too many".to_owned()));
}

#[test]
fn operator_actions_name_operator_and_address() {
    let action = |peer, nick: Option<&str>, succeeded| Report::OperatorAction {
        peer,
        nick: nick.map(str::to_owned),
        action: "/kick eve \x1b[1m".to_owned(),
        succeeded,
    };
    let (level, text) = log_line(Side::Server, &action(Some(test_peer()), Some("op"), true));
    assert_eq!(level, Level::Info);
    assert_eq!(text, format!("operator op {}: /kick eve \\u{{1b}}[1m", test_peer()));
    let (_, text) = log_line(Side::Server, &action(None, None, false));
    assert_eq!(text, "operator at the terminal: /kick eve \\u{1b}[1m (failed)");
}

#[test]
fn text_from_a_peer_is_escaped() {
    let bad = "\x1b[2J\u{202e}\n next";
    for scenario in [Scenario::Udp, Scenario::Chat] {
        let text = stdout_text(scenario, Side::Server, &message_report(bad));
        assert!(text.contains(r"\u{1b}[2J\u{202e}\n next"), "{text}");
    }
    let text = stdout_text(Scenario::Chat, Side::Client, &Report::ChatLine(bad.to_owned()));
    assert_eq!(text, r"\u{1b}[2J\u{202e}\n next");
}
