//! What a program said, and how it ended.

use std::fmt;
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::DEADLINE;

/// Everything that has come out of one pipe so far, and whether it is at its end.
#[derive(Default)]
pub struct OutputLog {
    state: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

impl OutputLog {
    /// Reads a pipe to its end on a thread of its own.
    pub fn capture(pipe: Option<impl Read + Send + 'static>) -> Arc<OutputLog> {
        let heard = Arc::new(OutputLog::default());
        let kept = heard.clone();
        std::thread::spawn(move || {
            if let Some(mut pipe) = pipe {
                let mut buffer = [0; 64 * 1024];
                while let Ok(n @ 1..) = pipe.read(&mut buffer) {
                    kept.state.lock().unwrap().0.extend_from_slice(&buffer[..n]);
                    kept.changed.notify_all();
                }
            }
            kept.state.lock().unwrap().1 = true;
            kept.changed.notify_all();
        });
        heard
    }

    /// Waits until `found` finds something in the bytes; none when the pipe ended or time ran out.
    ///
    /// `found` is told whether more may come.
    pub fn wait_for<T>(
        &self,
        within: Duration,
        mut found: impl FnMut(&[u8], bool) -> Option<T>,
    ) -> Option<T> {
        let until = Instant::now() + within;
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(it) = found(&state.0, !state.1) {
                return Some(it);
            }
            let left = until.saturating_duration_since(Instant::now());
            if state.1 || left.is_zero() {
                return None;
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }

    /// Waits for a line, whole or the last one, and returns it without its end.
    pub fn wait_for_line(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        self.wait_for(DEADLINE, |bytes, more| {
            let text = String::from_utf8_lossy(bytes);
            let mut lines = text.split_inclusive('\n').filter(|line| !more || line.ends_with('\n'));
            lines.find(|line| wanted(line.trim_end())).map(|line| line.trim_end().to_owned())
        })
    }

    /// Everything so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.state.lock().unwrap().0.clone()
    }
}

/// How a program ended, and all that it said.
pub struct ProgramOutput {
    /// The exit code, or 128 and the signal's number.
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

    /// The lines of stdout.
    pub fn lines(&self) -> Vec<String> {
        self.out().lines().map(str::to_owned).collect()
    }

    /// Asserts the exit code, and returns itself for more.
    #[track_caller]
    pub fn with_code(self, code: i32) -> ProgramOutput {
        assert_eq!(self.code, code, "the exit code\n{self:?}");
        assert!(!self.err().contains("panicked"), "a panic was told\n{self:?}");
        self
    }

    /// Asserts that stderr names `what`.
    #[track_caller]
    pub fn with_stderr(self, what: &str) -> ProgramOutput {
        assert!(self.err().contains(what), "stderr does not name {what:?}\n{self:?}");
        self
    }
}

impl fmt::Debug for ProgramOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--- code {}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.out(), self.err())
    }
}
