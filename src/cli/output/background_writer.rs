//! A thread that writes lines, for those who must not wait for a reader.
//!
//! A terminal can be paused and a pipe can be full. Whoever runs on the executor hands its lines to a
//! scribe, which has room for some, drops what comes beyond, and says how many it dropped as soon as
//! somebody reads again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::sync::lock;

/// Lines that wait at most.
const MAX_QUEUED: usize = 256;

/// Writes lines on a thread of its own.
#[derive(Debug)]
pub struct BackgroundWriter {
    queue: SyncSender<String>,
    shared: Arc<BackgroundWriterShared>,
}

#[derive(Debug, Default)]
struct BackgroundWriterShared {
    /// Lines that were handed over and are not written yet.
    pending: Mutex<usize>,
    line_written: Condvar,
    /// Lines that found no room.
    dropped: AtomicU64,
}

impl BackgroundWriter {
    /// Starts a scribe that writes each text, which ends with a line feed, by `write`.
    ///
    /// `dropped` words how many lines were dropped. Without a thread to be had, every line is dropped.
    pub fn new(
        name: &str,
        write: impl FnMut(&str) + Send + 'static,
        dropped: impl Fn(u64) -> String + Send + 'static,
    ) -> BackgroundWriter {
        let (queue, lines) = sync_channel(MAX_QUEUED);
        let state = Arc::new(BackgroundWriterShared::default());
        let shared = state.clone();
        let work = move || shared.run(&lines, write, dropped);
        // A process that can start no thread can start no tree either, which tells it.
        let _ = thread::Builder::new().name(name.into()).spawn(work);
        BackgroundWriter { queue, shared: state }
    }

    /// Hands over a text; drops and counts it where there is no room.
    pub fn write(&self, text: String) {
        *self.shared.pending() += 1;
        if self.queue.try_send(text).is_err() {
            *self.shared.pending() -= 1;
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all is written that was handed over, at most `within`.
    pub fn flush(&self, within: Duration) {
        let waiting = self.shared.pending();
        // Who does not read in time does not want it.
        let _ =
            self.shared.line_written.wait_timeout_while(waiting, within, |waiting| *waiting > 0);
    }
}

impl BackgroundWriterShared {
    fn pending(&self) -> MutexGuard<'_, usize> {
        lock(&self.pending)
    }

    fn run(
        &self,
        lines: &Receiver<String>,
        mut write: impl FnMut(&str),
        dropped: impl Fn(u64) -> String,
    ) {
        for line in lines {
            write(&line);
            match self.dropped.swap(0, Ordering::Relaxed) {
                0 => {}
                lost => write(&dropped(lost)),
            }
            *self.pending() -= 1;
            self.line_written.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn lines_are_written_in_order() {
        let paper = Arc::new(Mutex::new(String::new()));
        let on = paper.clone();
        let scribe = BackgroundWriter::new(
            "test",
            move |text| on.lock().unwrap().push_str(text),
            |_| panic!(),
        );
        scribe.write("one\n".into());
        scribe.write("two\n".into());
        scribe.flush(Duration::from_secs(20));
        assert_eq!(*paper.lock().unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_reader_that_is_stuck_delays_nobody_and_learns_what_it_missed() {
        let (go, stuck) = sync_channel::<()>(0);
        let (read, lines) = std::sync::mpsc::channel();
        let write = move |text: &str| {
            // The first write waits; once the gate is gone the others pass.
            let _ = stuck.recv();
            read.send(text.to_owned()).unwrap();
        };
        let scribe = BackgroundWriter::new("test", write, |lost| format!("{lost} lost\n"));
        for _ in 0..MAX_QUEUED + 10 {
            scribe.write("x\n".into());
        }
        scribe.flush(Duration::ZERO);
        drop(go);
        scribe.flush(Duration::from_secs(20));
        let lines: Vec<String> = lines.try_iter().collect();
        let lost = lines.iter().find_map(|line| line.strip_suffix(" lost\n"));
        let written = lines.iter().filter(|line| *line == "x\n").count();
        assert_eq!(written + lost.unwrap().parse::<usize>().unwrap(), MAX_QUEUED + 10);
    }
}
