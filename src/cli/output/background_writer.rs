//! A thread that writes lines, for those who must not wait for a reader.
//!
//! A terminal can be paused and a pipe can be full. Whoever runs on the executor hands its lines to a
//! scribe, which has room for some, drops what comes beyond, and says how many it dropped as soon as
//! somebody reads again.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Lines that wait at most.
const ROOM: usize = 256;

/// Writes lines on a thread of its own.
#[derive(Debug)]
pub struct Scribe {
    queue: SyncSender<String>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Lines that were handed over and are not written yet.
    waiting: Mutex<usize>,
    written: Condvar,
    /// Lines that found no room.
    dropped: AtomicU64,
}

impl Scribe {
    /// Starts a scribe that writes each text, which ends with a line feed, by `write`.
    ///
    /// `dropped` words how many lines were dropped. Without a thread to be had, every line is dropped.
    pub fn new(
        name: &str,
        write: impl FnMut(&str) + Send + 'static,
        dropped: impl Fn(u64) -> String + Send + 'static,
    ) -> Scribe {
        let (queue, lines) = sync_channel(ROOM);
        let state = Arc::new(State::default());
        let shared = state.clone();
        let work = move || shared.work(&lines, write, dropped);
        // A process that can start no thread can start no tree either, which tells it.
        let _ = thread::Builder::new().name(name.into()).spawn(work);
        Scribe { queue, state }
    }

    /// Hands over a text; drops and counts it where there is no room.
    pub fn write(&self, text: String) {
        *self.state.waiting() += 1;
        if self.queue.try_send(text).is_err() {
            *self.state.waiting() -= 1;
            self.state.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all is written that was handed over, at most `within`.
    pub fn finish(&self, within: Duration) {
        let waiting = self.state.waiting();
        // Who does not read in time does not want it.
        let _ = self.state.written.wait_timeout_while(waiting, within, |waiting| *waiting > 0);
    }
}

impl State {
    fn waiting(&self) -> MutexGuard<'_, usize> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(
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
            *self.waiting() -= 1;
            self.written.notify_all();
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
        let scribe =
            Scribe::new("test", move |text| on.lock().unwrap().push_str(text), |_| panic!());
        scribe.write("one\n".into());
        scribe.write("two\n".into());
        scribe.finish(Duration::from_secs(20));
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
        let scribe = Scribe::new("test", write, |lost| format!("{lost} lost\n"));
        for _ in 0..ROOM + 10 {
            scribe.write("x\n".into());
        }
        scribe.finish(Duration::ZERO);
        drop(go);
        scribe.finish(Duration::from_secs(20));
        let lines: Vec<String> = lines.try_iter().collect();
        let lost = lines.iter().find_map(|line| line.strip_suffix(" lost\n"));
        let written = lines.iter().filter(|line| *line == "x\n").count();
        assert_eq!(written + lost.unwrap().parse::<usize>().unwrap(), ROOM + 10);
    }
}
