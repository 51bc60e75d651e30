//! The writers behind stdout and stderr, shared by everything that writes there.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use crate::sync::lock;

/// A shared writer of lines.
pub type Sink = Arc<Mutex<dyn Write + Send>>;

/// Returns a sink that writes to the program's stdout.
pub fn stdout() -> Sink {
    Arc::new(Mutex::new(io::stdout()))
}

/// Returns a sink that writes to the program's stderr.
pub fn stderr() -> Sink {
    Arc::new(Mutex::new(io::stderr()))
}

/// Writes one whole line and a line feed to a sink, and flushes it.
///
/// # Errors
///
/// Returns the error of the sink's `write` or `flush`.
pub fn write_line(sink: &Sink, line: &str) -> io::Result<()> {
    write_all(sink, format!("{line}\n").as_bytes())
}

/// Writes bytes to a sink, and flushes it.
///
/// # Errors
///
/// Returns the error of the sink's `write` or `flush`.
pub fn write_all(sink: &Sink, bytes: &[u8]) -> io::Result<()> {
    // A writer that panicked has left at most an incomplete line.
    let mut sink = lock(sink);
    sink.write_all(bytes)?;
    sink.flush()
}
