//! A thread that writes lines for callers that must not block.
//!
//! A terminal can be paused and a pipe can be full. Code on the executor passes its lines to a
//! [`BackgroundWriter`]. Its queue is bounded: lines that do not fit are dropped and counted, and
//! the count is written as soon as a write completes again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use crate::sync::lock;

/// The maximum number of queued lines.
const MAX_QUEUED: usize = 256;

/// A queue of lines and the thread that writes them.
#[derive(Debug)]
pub struct BackgroundWriter {
    queue: SyncSender<String>,
    shared: Arc<BackgroundWriterShared>,
}

#[derive(Debug, Default)]
struct BackgroundWriterShared {
    /// The number of lines that are queued or being written.
    pending: Mutex<usize>,
    line_written: Condvar,
    /// The number of lines that were dropped since the last written line.
    dropped: AtomicU64,
}

impl BackgroundWriter {
    /// Starts the thread. It passes each text, which includes its line feed, to `write`.
    ///
    /// `format_dropped` formats the number of dropped lines. If the thread cannot be started,
    /// every line is dropped.
    pub fn new(
        name: &str,
        write: impl FnMut(&str) + Send + 'static,
        format_dropped: impl Fn(u64) -> String + Send + 'static,
    ) -> BackgroundWriter {
        let (queue, lines) = sync_channel(MAX_QUEUED);
        let shared = Arc::new(BackgroundWriterShared::default());
        let thread_shared = shared.clone();
        let work = move || thread_shared.run(&lines, write, format_dropped);
        // A process that cannot start this thread cannot start its workers either, and ends with
        // that error.
        let _ = thread::Builder::new().name(name.into()).spawn(work);
        BackgroundWriter { queue, shared }
    }

    /// Queues a text. Drops and counts it if the queue is full.
    pub fn write(&self, text: String) {
        *self.shared.pending() += 1;
        if self.queue.try_send(text).is_err() {
            *self.shared.pending() -= 1;
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all queued texts are written, at most for `timeout`.
    pub fn flush(&self, timeout: Duration) {
        let pending = self.shared.pending();
        // After the timeout the rest is abandoned.
        let _ =
            self.shared.line_written.wait_timeout_while(pending, timeout, |pending| *pending > 0);
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
        format_dropped: impl Fn(u64) -> String,
    ) {
        for line in lines {
            write(&line);
            match self.dropped.swap(0, Ordering::Relaxed) {
                0 => {}
                count => write(&format_dropped(count)),
            }
            *self.pending() -= 1;
            self.line_written.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn lines_are_written_in_order() {
        let written = Arc::new(Mutex::new(String::new()));
        let target = written.clone();
        let writer = BackgroundWriter::new(
            "test",
            move |text| target.lock().unwrap().push_str(text),
            |_| panic!("no line is dropped"),
        );
        writer.write("one\n".into());
        writer.write("two\n".into());
        writer.flush(Duration::from_secs(20));
        assert_eq!(*written.lock().unwrap(), "one\ntwo\n");
    }

    #[test]
    fn blocked_write_drops_and_counts_lines() {
        let (gate, blocked) = sync_channel::<()>(0);
        let (sender, receiver) = mpsc::channel();
        let write = move |text: &str| {
            // The first write blocks until the gate is dropped. Later writes return at once.
            let _ = blocked.recv();
            sender.send(text.to_owned()).unwrap();
        };
        let writer = BackgroundWriter::new("test", write, |count| format!("{count} lost\n"));
        for _ in 0..MAX_QUEUED + 10 {
            writer.write("x\n".into());
        }
        writer.flush(Duration::ZERO);
        drop(gate);
        writer.flush(Duration::from_secs(20));
        let lines: Vec<String> = receiver.try_iter().collect();
        let lost = lines.iter().find_map(|line| line.strip_suffix(" lost\n"));
        let written = lines.iter().filter(|line| *line == "x\n").count();
        assert_eq!(written + lost.unwrap().parse::<usize>().unwrap(), MAX_QUEUED + 10);
    }
}
