//! The output and the exit of a program.

use std::fmt;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::DEADLINE;

/// The output of one pipe so far, and whether it has ended.
#[derive(Default)]
pub struct OutputLog {
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl OutputLog {
    /// Reads a pipe to its end on a new thread.
    pub fn capture(pipe: Option<impl Read + Send + 'static>) -> Arc<OutputLog> {
        let log = Arc::new(OutputLog::default());
        let writer = log.clone();
        std::thread::spawn(move || {
            if let Some(mut pipe) = pipe {
                let mut buffer = [0; 64 * 1024];
                while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                    writer.state.lock().unwrap().0.extend_from_slice(&buffer[..n]);
                    writer.changed.notify_all();
                }
            }
            writer.state.lock().unwrap().1 = true;
            writer.changed.notify_all();
        });
        log
    }

    /// Waits until `find` returns a value. Returns `None` at the end of the pipe or after the
    /// timeout.
    ///
    /// `find` receives the bytes so far, and whether more may follow.
    pub fn wait_for<T>(
        &self,
        timeout: Duration,
        mut find: impl FnMut(&[u8], bool) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + timeout;
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(value) = find(&state.0, !state.1) {
                return Some(value);
            }
            let remaining = deadline.saturating_duration_since(Instant::now());
            if state.1 || remaining.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, remaining).unwrap().0;
        }
    }

    /// Waits for a matching line, complete or the last one, and returns it without its terminator.
    pub fn wait_for_line(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        self.wait_for(DEADLINE, |bytes, more| {
            let text = String::from_utf8_lossy(bytes);
            let mut lines = text.split_inclusive('\n').filter(|line| !more || line.ends_with('\n'));
            lines.find(|line| wanted(line.trim_end())).map(|line| line.trim_end().to_owned())
        })
    }

    /// Returns the output so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().0.clone()
    }
}

/// The exit code and the output of a program.
pub struct ProgramOutput {
    /// The exit code, or 128 plus the signal's number.
    pub code: i32,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl ProgramOutput {
    pub fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Returns the lines of stdout.
    pub fn lines(&self) -> Vec<String> {
        self.out().lines().map(str::to_owned).collect()
    }

    /// Asserts the exit code and that nothing panicked.
    #[track_caller]
    pub fn with_code(self, code: i32) -> ProgramOutput {
        assert_eq!(self.code, code, "the exit code\n{self:?}");
        assert!(!self.err().contains("panicked"), "a panic was reported\n{self:?}");
        self
    }

    /// Asserts that stderr contains `text`.
    #[track_caller]
    pub fn with_stderr(self, text: &str) -> ProgramOutput {
        assert!(self.err().contains(text), "stderr does not contain {text:?}\n{self:?}");
        self
    }
}

impl fmt::Debug for ProgramOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--- code {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.out(), self.err())
    }
}
