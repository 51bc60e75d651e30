//! Narrators over paper that remembers what is written, or refuses to take it.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cli::output::printer::*;
use crate::cli::output::text::tests::{peer, reply, said};

/// Remembers each write, or fails with the error that it has.
#[derive(Debug, Default)]
struct Paper {
    writes: Vec<String>,
    error: Option<io::ErrorKind>,
}

impl Write for Paper {
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

struct Desk {
    narrator: Narrator,
    paper: Arc<Mutex<Paper>>,
    closed: Arc<AtomicUsize>,
}

impl Desk {
    fn new(kind: Kind, side: Side, style: Style, error: Option<io::ErrorKind>) -> Desk {
        let paper = Arc::new(Mutex::new(Paper { writes: Vec::new(), error }));
        let closed = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&closed);
        let on_error: OnError = Arc::new(move |error| {
            let closed = error.kind() == io::ErrorKind::BrokenPipe;
            count.fetch_add(usize::from(closed), Ordering::Relaxed);
        });
        let sink: Sink = Arc::clone(&paper) as Sink;
        Desk { narrator: Narrator::new(kind, side, style, sink, on_error), paper, closed }
    }

    /// Lets the narrator tell some reports, all of them waiting when it begins.
    fn tell(&self, reports: Vec<Report>, sight: Sight) -> Sight {
        let mut reports = reports.into_iter();
        let first = reports.next().expect("a report to begin with");
        let batch = self.narrator.batch(&first, || reports.next());
        self.narrator.tell(batch, sight)
    }

    fn writes(&self) -> Vec<String> {
        self.paper.lock().unwrap().writes.clone()
    }
}

fn connected() -> Report {
    Report::Connected { peer: peer(), conn: 0 }
}

#[test]
fn what_waits_is_written_at_once() {
    let desk = Desk::new(Kind::Chat, Side::Server, Style::default(), None);
    desk.tell(vec![said("one"), said("two")], Sight::Seen);
    assert_eq!(desk.writes(), ["Received message: one\nReceived message: two\n"]);
}

#[test]
fn a_batch_has_an_end() {
    let desk = Desk::new(Kind::Chat, Side::Server, Style::default(), None);
    desk.tell(vec![said("x"); BATCH + 1], Sight::Seen);
    assert_eq!(desk.writes().concat().lines().count(), BATCH);
}

#[test]
fn a_quiet_narrator_tells_results_alone() {
    for json in [false, true] {
        let style = Style { json, quiet: true, prompt: false };
        let server = Desk::new(Kind::Tcp, Side::Server, style, None);
        server.tell(vec![connected()], Sight::Seen);
        assert!(server.writes().is_empty());
        let client = Desk::new(Kind::Tcp, Side::Client, style, None);
        client.tell(vec![connected(), reply("hello")], Sight::Seen);
        assert_eq!(client.writes().concat().lines().count(), 1);
    }
}

#[test]
fn json_tells_what_people_read_on_stderr_too() {
    let style = Style { json: true, quiet: false, prompt: false };
    let desk = Desk::new(Kind::Udp, Side::Client, style, None);
    desk.tell(vec![connected(), reply("hello")], Sight::Seen);
    let written = desk.writes().concat();
    let events: Vec<&str> = written.lines().map(|line| &line[..17]).collect();
    assert_eq!(events, [r#"{"v":1,"event":"c"#, r#"{"v":1,"event":"r"#]);
}

#[test]
fn a_closed_pipe_asks_for_the_end_once_and_is_not_written_to_again() {
    let broken = Some(io::ErrorKind::BrokenPipe);
    let desk = Desk::new(Kind::Chat, Side::Server, Style::default(), broken);
    let sight = desk.tell(vec![said("one")], Sight::Seen);
    assert_eq!(sight, Sight::Closed);
    assert_eq!(desk.tell(vec![said("two")], sight), Sight::Closed);
    assert_eq!(desk.closed.load(Ordering::Relaxed), 1);
    assert_eq!(desk.writes().len(), 1);
}

#[test]
fn a_full_disk_is_survived() {
    let full = Some(io::ErrorKind::StorageFull);
    let desk = Desk::new(Kind::Chat, Side::Server, Style::default(), full);
    let sight = desk.tell(vec![said("one")], Sight::Seen);
    assert_eq!(sight, Sight::Failing);
    desk.paper.lock().unwrap().error = None;
    desk.tell(vec![said("two")], sight);
    assert_eq!(desk.writes().last().map(String::as_str), Some("Received message: two\n"));
    assert_eq!(desk.closed.load(Ordering::Relaxed), 0);
}

#[test]
fn a_line_of_its_own_shares_the_sink() {
    let desk = Desk::new(Kind::Chat, Side::Server, Style::default(), None);
    write_line(&desk.narrator.sink, "{}").unwrap();
    assert_eq!(desk.writes(), ["{}\n"]);
}
