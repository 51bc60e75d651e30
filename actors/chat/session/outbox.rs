//! The outbox of a chat session: bytes that wait to be written to its peer.
//!
//! A room's message is shared, not copied: the outbox holds a reference until the message is
//! written, and writes many items in one vectored call. Progress is kept here, so cancelling a
//! wait cuts no line in two.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::actors::chat::broadcast::message::RoomMessage;
use crate::net::{Stream, WriteQueue};

/// Time after which a peer that takes none of its pending bytes is disconnected.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Time after which a session that ends is closed, although its peer has not taken all bytes.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Number of bytes in the outbox from which no more room messages are added to it. With as many
/// private bytes, no more input is read from the peer.
pub(crate) const HIGH_WATER: usize = 64 << 10;

/// Maximum number of bytes in the outbox: [`HIGH_WATER`] and one more reply or message. The longest
/// one is a batch of short messages, each with its time.
pub(crate) const MAX_PENDING: usize = HIGH_WATER + (128 << 10);

/// The bytes that wait to be written. An empty outbox has no allocation.
#[derive(Debug, Default)]
pub(crate) struct Outbox(Option<Box<PendingWrites>>);

#[derive(Debug, Default)]
struct PendingWrites {
    queue: WriteQueue<OutboxItem>,
    /// Length of all private items, including the written part of the first one.
    private_bytes: usize,
    /// When the peer last took bytes. `None` until a flush has left bytes unwritten.
    stalled_since: Option<Instant>,
}

#[derive(Debug)]
enum OutboxItem {
    /// Bytes for this peer alone.
    Private(Box<[u8]>),
    /// A message of the room.
    Shared(Arc<RoomMessage>),
}

impl AsRef<[u8]> for OutboxItem {
    fn as_ref(&self) -> &[u8] {
        match self {
            OutboxItem::Private(bytes) => bytes,
            OutboxItem::Shared(message) => message.text.as_bytes(),
        }
    }
}

impl Outbox {
    /// Adds a text for this peer alone.
    pub(crate) fn push(&mut self, text: impl Into<Box<str>>) {
        self.push_remainder(text.into().into());
    }

    /// Adds the unwritten bytes of a partly written message.
    pub(crate) fn push_remainder(&mut self, bytes: Box<[u8]>) {
        // An outbox with only empty items would count as non-empty and never be drained.
        if !bytes.is_empty() {
            let pending = self.0.get_or_insert_default();
            pending.private_bytes += bytes.len();
            pending.queue.push_back(OutboxItem::Private(bytes));
        }
    }

    /// Adds a message of the room.
    pub(crate) fn push_shared(&mut self, message: Arc<RoomMessage>) {
        if !message.text.is_empty() {
            self.0.get_or_insert_default().queue.push_back(OutboxItem::Shared(message));
        }
    }

    /// Returns the number of unwritten bytes.
    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |pending| pending.queue.len())
    }

    /// Returns the length of the items for this peer alone.
    pub(crate) fn private_bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |pending| pending.private_bytes)
    }

    /// Returns whether the outbox is empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Returns when the peer last took bytes, if a flush has left bytes unwritten.
    pub(crate) fn stalled_since(&self) -> Option<Instant> {
        self.0.as_ref()?.stalled_since
    }

    /// Writes as many bytes as the peer takes now.
    ///
    /// # Errors
    ///
    /// The connection failed.
    pub(crate) fn flush(
        &mut self,
        stream: &Stream,
        now: impl FnOnce() -> Instant,
    ) -> io::Result<()> {
        let Some(pending) = &mut self.0 else { return Ok(()) };
        let PendingWrites { queue, private_bytes, stalled_since } = &mut **pending;
        let has_written = queue.try_flush(stream, |item| {
            if let OutboxItem::Private(bytes) = item {
                *private_bytes -= bytes.len();
            }
        })?;
        if queue.is_empty() {
            self.0 = None;
        } else if has_written || stalled_since.is_none() {
            *stalled_since = Some(now());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outbox_flushes_in_order_to_slow_peer() {
        let (ours, theirs) = Stream::pair().unwrap();
        let mut outbox = Outbox::default();
        let mut expected = String::new();
        for k in 0..5000 {
            let line = format!("{k} {}\n", "x".repeat(k % 300));
            expected.push_str(&line);
            outbox.push(line);
        }
        assert_eq!(outbox.len(), expected.len());
        let mut received = Vec::new();
        while received.len() < expected.len() {
            outbox.flush(&ours, Instant::now).unwrap();
            while theirs.try_read_with(|bytes| received.extend_from_slice(bytes)).is_ok() {}
        }
        assert!(outbox.is_empty() && received == expected.as_bytes());
    }
}
