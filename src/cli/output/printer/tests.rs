//! Narrators over paper that remembers what is written, or refuses to take it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cli::output::printer::*;
use crate::cli::output::text::tests::{message_report, reply_report, test_peer};

/// Remembers each write, or fails with the error that it has.
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
        kind: Scenario,
        side: Side,
        style: Style,
        error: Option<io::ErrorKind>,
    ) -> PrinterHarness {
        let paper = Arc::new(Mutex::new(RecordingSink { writes: Vec::new(), error }));
        let closed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&closed);
        let on_error: OnError = Arc::new(move |error| {
            let closed = error.kind() == io::ErrorKind::BrokenPipe;
            count.fetch_add(usize::from(closed), Ordering::Relaxed);
        });
        let sink: Sink = Arc::clone(&paper) as Sink;
        PrinterHarness {
            printer: Printer::new(kind, side, style, sink, on_error),
            recorder: paper,
            broken_pipes: closed,
        }
    }

    /// Lets the narrator tell some reports, all of them waiting when it begins.
    fn print(&self, reports: Vec<Report>, sight: SinkState) -> SinkState {
        let mut reports = reports.into_iter();
        let first = reports.next().expect("a report to begin with");
        let batch = self.printer.build_batch(&first, || reports.next());
        self.printer.write_batch(batch, sight)
    }

    fn writes(&self) -> Vec<String> {
        self.recorder.lock().unwrap().writes.clone()
    }
}

fn connected_report() -> Report {
    Report::Connected { peer: test_peer(), conn: 0 }
}

#[test]
fn what_waits_is_written_at_once() {
    let desk = PrinterHarness::new(Scenario::Chat, Side::Server, Style::default(), None);
    desk.print(vec![message_report("one"), message_report("two")], SinkState::Open);
    assert_eq!(desk.writes(), ["Received message: one\nReceived message: two\n"]);
}

#[test]
fn a_batch_has_an_end() {
    let desk = PrinterHarness::new(Scenario::Chat, Side::Server, Style::default(), None);
    desk.print(vec![message_report("x"); MAX_BATCH + 1], SinkState::Open);
    assert_eq!(desk.writes().concat().lines().count(), MAX_BATCH);
}

#[test]
fn a_quiet_narrator_tells_results_alone() {
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
fn json_tells_what_people_read_on_stderr_too() {
    let style = Style { json: true, quiet: false, prompt: false };
    let desk = PrinterHarness::new(Scenario::Udp, Side::Client, style, None);
    desk.print(vec![connected_report(), reply_report("hello")], SinkState::Open);
    let written = desk.writes().concat();
    let events: Vec<&str> = written.lines().map(|line| &line[..17]).collect();
    assert_eq!(events, [r#"{"v":1,"event":"c"#, r#"{"v":1,"event":"r"#]);
}

#[test]
fn a_closed_pipe_asks_for_the_end_once_and_is_not_written_to_again() {
    let broken = Some(io::ErrorKind::BrokenPipe);
    let desk = PrinterHarness::new(Scenario::Chat, Side::Server, Style::default(), broken);
    let sight = desk.print(vec![message_report("one")], SinkState::Open);
    assert_eq!(sight, SinkState::Closed);
    assert_eq!(desk.print(vec![message_report("two")], sight), SinkState::Closed);
    assert_eq!(desk.broken_pipes.load(Ordering::Relaxed), 1);
    assert_eq!(desk.writes().len(), 1);
}

#[test]
fn a_full_disk_is_survived() {
    let full = Some(io::ErrorKind::StorageFull);
    let desk = PrinterHarness::new(Scenario::Chat, Side::Server, Style::default(), full);
    let sight = desk.print(vec![message_report("one")], SinkState::Open);
    assert_eq!(sight, SinkState::Failing);
    desk.recorder.lock().unwrap().error = None;
    desk.print(vec![message_report("two")], sight);
    assert_eq!(desk.writes().last().map(String::as_str), Some("Received message: two\n"));
    assert_eq!(desk.broken_pipes.load(Ordering::Relaxed), 0);
}

#[test]
fn a_line_of_its_own_shares_the_sink() {
    let desk = PrinterHarness::new(Scenario::Chat, Side::Server, Style::default(), None);
    write_line(&desk.printer.sink, "{}").unwrap();
    assert_eq!(desk.writes(), ["{}\n"]);
}
