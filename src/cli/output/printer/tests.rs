//! Tests of the printer, with a sink that records writes or fails.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cli::output::printer::*;
use crate::cli::output::sink::write_line;
use crate::cli::output::text::tests::{message_report, reply_report, test_peer};

/// A sink that records each write, and fails if it holds an error.
#[derive(Debug, Default)]
struct RecordingSink {
    writes: Vec<String>,
    error: Option<io::ErrorKind>,
}

impl Write for RecordingSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes.push(String::from_utf8_lossy(bytes).into_owned());
        match self.error {
            Some(error) => Err(error.into()),
            None => Ok(bytes.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct PrinterHarness {
    printer: Printer,
    recorder: Arc<Mutex<RecordingSink>>,
    broken_pipes: Arc<AtomicUsize>,
}

impl PrinterHarness {
    fn new(
        scenario: Scenario,
        side: Side,
        style: Style,
        error: Option<io::ErrorKind>,
    ) -> PrinterHarness {
        let recorder = Arc::new(Mutex::new(RecordingSink { writes: Vec::new(), error }));
        let broken_pipes = Arc::new(AtomicUsize::new(0));
        let count = broken_pipes.clone();
        let on_error: OnError = Arc::new(move |error| {
            let is_broken_pipe = error.kind() == io::ErrorKind::BrokenPipe;
            count.fetch_add(usize::from(is_broken_pipe), Ordering::Relaxed);
        });
        let sink: Sink = recorder.clone();
        let printer = Printer::new(scenario, side, style, sink, on_error);
        PrinterHarness { printer, recorder, broken_pipes }
    }

    /// Prints reports that are all in the mailbox at the start.
    fn print(&self, reports: Vec<Report>, state: SinkState) -> SinkState {
        let mut reports = reports.into_iter();
        let batch = self.printer.build_batch(None, Instant::now(), || reports.next());
        self.printer.write_batch(batch, state)
    }

    fn writes(&self) -> Vec<String> {
        self.recorder.lock().unwrap().writes.clone()
    }
}

fn connected_report() -> Report {
    Report::Connected { peer: test_peer(), conn: 0 }
}

#[test]
fn waiting_reports_are_written_at_once() {
    let harness = PrinterHarness::new(Scenario::Chat, Side::Server, Style::default(), None);
    harness.print(vec![message_report("one"), message_report("two")], SinkState::Open);
    assert_eq!(harness.writes(), ["Received message: one\nReceived message: two\n"]);
}

#[test]
fn batch_holds_at_most_its_limit() {
    let harness = PrinterHarness::new(Scenario::Chat, Side::Server, Style::default(), None);
    harness.print(vec![message_report("x"); MAX_BATCH + 1], SinkState::Open);
    assert_eq!(harness.writes().concat().lines().count(), MAX_BATCH);
}

#[test]
fn quiet_printer_prints_only_results() {
    for json in [false, true] {
        let style = Style { json, quiet: true, prompt: false };
        let server = PrinterHarness::new(Scenario::Tcp, Side::Server, style, None);
        server.print(vec![connected_report()], SinkState::Open);
        assert!(server.writes().is_empty());
        let client = PrinterHarness::new(Scenario::Tcp, Side::Client, style, None);
        client.print(vec![connected_report(), reply_report("hello")], SinkState::Open);
        assert_eq!(client.writes().concat().lines().count(), 1);
    }
}

#[test]
fn json_includes_reports_that_text_logs() {
    let style = Style { json: true, quiet: false, prompt: false };
    let harness = PrinterHarness::new(Scenario::Udp, Side::Client, style, None);
    harness.print(vec![connected_report(), reply_report("hello")], SinkState::Open);
    let written = harness.writes().concat();
    let events: Vec<&str> = written.lines().map(|line| &line[..17]).collect();
    assert_eq!(events, [r#"{"v":1,"event":"c"#, r#"{"v":1,"event":"r"#]);
}

#[test]
fn closed_pipe_is_reported_once_and_not_written_again() {
    let broken = Some(io::ErrorKind::BrokenPipe);
    let harness = PrinterHarness::new(Scenario::Chat, Side::Server, Style::default(), broken);
    let state = harness.print(vec![message_report("one")], SinkState::Open);
    assert_eq!(state, SinkState::Closed);
    assert_eq!(harness.print(vec![message_report("two")], state), SinkState::Closed);
    assert_eq!(harness.broken_pipes.load(Ordering::Relaxed), 1);
    assert_eq!(harness.writes().len(), 1);
}

#[test]
fn printer_continues_after_a_full_disk() {
    let full = Some(io::ErrorKind::StorageFull);
    let harness = PrinterHarness::new(Scenario::Chat, Side::Server, Style::default(), full);
    let state = harness.print(vec![message_report("one")], SinkState::Open);
    assert_eq!(state, SinkState::Failing);
    harness.recorder.lock().unwrap().error = None;
    harness.print(vec![message_report("two")], state);
    assert_eq!(harness.writes().last().map(String::as_str), Some("Received message: two\n"));
    assert_eq!(harness.broken_pipes.load(Ordering::Relaxed), 0);
}

#[test]
fn write_line_shares_the_sink() {
    let harness = PrinterHarness::new(Scenario::Chat, Side::Server, Style::default(), None);
    write_line(&harness.printer.sink, "{}").unwrap();
    assert_eq!(harness.writes(), ["{}\n"]);
}

#[test]
fn server_prints_at_most_its_limit_and_counts_the_rest() {
    for json in [false, true] {
        let style = Style { json, quiet: false, prompt: false };
        let harness = PrinterHarness::new(Scenario::Udp, Side::Server, style, None);
        let now = Instant::now();
        let print = |now, report: Report, count| {
            let mut reports = vec![report; count].into_iter();
            let batch = harness.printer.build_batch(None, now, || reports.next());
            harness.printer.write_batch(batch, SinkState::Open);
        };
        for _ in 0..20 {
            print(now, message_report("flood"), MAX_BATCH);
        }
        let endpoint = "127.0.0.1:1".parse().unwrap();
        print(now, Report::Listening { endpoint }, 1);
        print(now + std::time::Duration::from_secs(1), message_report("later"), 1);
        let written = harness.writes().concat();
        let (printed, dropped) = if json { (999, 4121) } else { (998, 9242) };
        assert_eq!(written.matches("flood").count() * if json { 1 } else { 2 }, printed);
        let event = format!("{{\"v\":1,\"event\":\"dropped\",\"lines\":{dropped}}}\n");
        assert_eq!(written.contains(&event), json, "{written}");
        assert_eq!(written.contains("listening"), json);
        assert!(written.contains("later"));
    }
}

#[test]
fn client_results_are_never_dropped() {
    let harness = PrinterHarness::new(Scenario::Udp, Side::Client, Style::default(), None);
    for _ in 0..20 {
        harness.print(vec![reply_report("result"); MAX_BATCH], SinkState::Open);
    }
    assert_eq!(harness.writes().concat().lines().count(), 20 * MAX_BATCH);
}
