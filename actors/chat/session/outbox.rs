//! What waits to be written to one member of a chat.
//!
//! A line that many hear is shared and not copied: the outbox holds it until it is written, and writes what
//! waits in one vectored call. What was written so far is kept here, so giving up a wait cuts no line in two.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Instant;

use crate::actors::chat::broadcast::log::RoomMessage;
use crate::net::Stream;

/// So many pieces are handed to the kernel at once.
const MAX_IOVECS: usize = 64;

/// What waits to be written. Most of the time that is nothing, and takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Option<Box<PendingWrites>>);

#[derive(Debug, Default)]
struct PendingWrites {
    items: VecDeque<OutboxItem>,
    /// How many bytes wait.
    len: usize,
    /// How many of them are in pieces of its own, as far as they are not gone entirely.
    private_bytes: usize,
    /// How many bytes of the first piece are written.
    written: usize,
    /// When the peer last took something, once it did not take all.
    stalled_since: Option<Instant>,
}

#[derive(Debug)]
enum OutboxItem {
    Private(Box<[u8]>),
    Shared(Arc<RoomMessage>),
}

impl OutboxItem {
    fn bytes(&self) -> &[u8] {
        match self {
            OutboxItem::Private(text) => text,
            OutboxItem::Shared(said) => said.text.as_bytes(),
        }
    }
}

impl Outbox {
    pub(crate) fn push(&mut self, text: impl Into<Box<str>>) {
        self.push_remainder(text.into().into());
    }

    /// Adds what was not written of a line.
    pub(crate) fn push_remainder(&mut self, bytes: Box<[u8]>) {
        // What says nothing waits for nobody.
        if !bytes.is_empty() {
            let waiting = self.0.get_or_insert_default();
            waiting.private_bytes += bytes.len();
            waiting.push(OutboxItem::Private(bytes));
        }
    }

    pub(crate) fn push_shared(&mut self, said: Arc<RoomMessage>) {
        if !said.text.is_empty() {
            self.0.get_or_insert_default().push(OutboxItem::Shared(said));
        }
    }

    /// Returns how many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.len)
    }

    /// Returns how many bytes wait that are for this member alone.
    pub(crate) fn private_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |waiting| waiting.private_bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns when the peer last took something, or left it; none if nothing waits.
    pub(crate) fn stalled_since(&self) -> Option<Instant> {
        self.0.as_ref()?.stalled_since
    }

    /// Writes as much as the peer takes now.
    ///
    /// # Errors
    ///
    /// What the connection says.
    pub(crate) fn flush(
        &mut self,
        stream: &Stream,
        now: impl FnOnce() -> Instant,
    ) -> io::Result<()> {
        let Some(waiting) = &mut self.0 else { return Ok(()) };
        let before = waiting.len;
        waiting.flush(stream)?;
        if waiting.len == 0 {
            self.0 = None;
        } else if waiting.len < before || waiting.stalled_since.is_none() {
            waiting.stalled_since = Some(now());
        }
        Ok(())
    }
}

impl PendingWrites {
    fn push(&mut self, piece: OutboxItem) {
        self.len += piece.bytes().len();
        self.items.push_back(piece);
    }

    fn flush(&mut self, stream: &Stream) -> io::Result<()> {
        while self.len > 0 {
            let mut slices = [IoSlice::new(&[]); MAX_IOVECS];
            let mut count = 0;
            for (slice, piece) in slices.iter_mut().zip(&self.items) {
                let skip = if count == 0 { self.written } else { 0 };
                *slice = IoSlice::new(&piece.bytes()[skip..]);
                count += 1;
            }
            match stream.try_write_vectored(&slices[..count]) {
                Ok(written) => self.advance(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn advance(&mut self, mut written: usize) {
        self.len -= written;
        while let Some(piece) = self.items.front() {
            let left = piece.bytes().len() - self.written;
            if written < left {
                self.written += written;
                return;
            }
            written -= left;
            self.written = 0;
            if let Some(OutboxItem::Private(text)) = self.items.pop_front() {
                self.private_bytes -= text.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_written_later_and_whole() {
        let (ours, theirs) = Stream::pair().unwrap();
        let mut outbox = Outbox::default();
        let mut expected = String::new();
        for k in 0..5000 {
            let line = format!("{k} {}\n", "x".repeat(k % 300));
            expected.push_str(&line);
            outbox.push(line);
        }
        assert_eq!(outbox.len(), expected.len());
        let mut heard = Vec::new();
        while heard.len() < expected.len() {
            outbox.flush(&ours, Instant::now).unwrap();
            while theirs.try_read_with(|bytes| heard.extend_from_slice(bytes)).is_ok() {}
        }
        assert!(outbox.is_empty() && heard == expected.as_bytes());
    }
}
