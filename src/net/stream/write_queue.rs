//! A queue of items that wait to be written to a stream, many of them with one system call.

use std::collections::VecDeque;
use std::io::{self, IoSlice};

use crate::net::stream::Stream;

/// The largest number of items in one vectored write.
const MAX_IOVECS: usize = 64;

/// A queue of items whose bytes wait to be written to a stream.
///
/// The progress within the first item is a part of the queue. So a task may stop waiting at any
/// time, without losing or repeating bytes. An item can own its bytes or share them with
/// others.
#[derive(Debug)]
pub(crate) struct WriteQueue<T> {
    items: VecDeque<T>,
    /// The number of unwritten bytes.
    len: usize,
    /// The number of written bytes of the first item.
    written: usize,
}

impl<T> Default for WriteQueue<T> {
    fn default() -> WriteQueue<T> {
        WriteQueue { items: VecDeque::new(), len: 0, written: 0 }
    }
}

impl<T: AsRef<[u8]>> WriteQueue<T> {
    /// Returns the number of unwritten bytes.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns whether no item is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the queued items in order. The first of them may be partly written.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    /// Queues an item behind all others.
    pub(crate) fn push_back(&mut self, item: T) {
        self.len += item.as_ref().len();
        self.items.push_back(item);
    }

    /// Queues an item before all others. No item may be partly written.
    pub(crate) fn push_front(&mut self, item: T) {
        debug_assert_eq!(self.written, 0, "the first item is partly written");
        self.len += item.as_ref().len();
        self.items.push_front(item);
    }

    /// Removes and returns the first item, even if it is partly written.
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let item = self.items.pop_front()?;
        self.len -= item.as_ref().len() - self.written;
        self.written = 0;
        Some(item)
    }

    /// Prepares the queue for another stream: keeps the items for which `keep` returns true, and
    /// writes a partly written item again as a whole.
    pub(crate) fn restart(&mut self, keep: impl FnMut(&T) -> bool) {
        self.items.retain(keep);
        self.written = 0;
        self.len = self.items.iter().map(|item| item.as_ref().len()).sum();
    }

    /// Writes as many bytes as the stream accepts without waiting, and passes each item that is
    /// completely written to `on_written`. Returns whether the stream accepted any bytes.
    ///
    /// # Errors
    ///
    /// Fails if the connection has failed. The items that are not completely written stay queued.
    pub(crate) fn try_flush(
        &mut self,
        stream: &Stream,
        mut on_written: impl FnMut(T),
    ) -> io::Result<bool> {
        let mut has_written = false;
        while self.len > 0 {
            let mut slices = [IoSlice::new(&[]); MAX_IOVECS];
            let mut count = 0;
            for (slice, item) in slices.iter_mut().zip(&self.items) {
                let skip = if count == 0 { self.written } else { 0 };
                *slice = IoSlice::new(&item.as_ref()[skip..]);
                count += 1;
            }
            match stream.try_write_vectored(&slices[..count]) {
                Ok(written) => self.advance(written, &mut on_written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
            has_written = true;
        }
        Ok(has_written)
    }

    fn advance(&mut self, mut written: usize, on_written: &mut impl FnMut(T)) {
        self.len -= written;
        while let Some(item) = self.items.front() {
            let remaining = item.as_ref().len() - self.written;
            if written < remaining {
                self.written += written;
                return;
            }
            written -= remaining;
            self.written = 0;
            if let Some(item) = self.items.pop_front() {
                on_written(item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queue_flushes_in_order_to_slow_peer() {
        let (ours, theirs) = Stream::pair().unwrap();
        let mut queue = WriteQueue::default();
        let mut expected = String::new();
        for k in 0..5000 {
            let line = format!("{k} {}\n", "x".repeat(k % 300));
            expected.push_str(&line);
            queue.push_back(line);
        }
        assert_eq!(queue.len(), expected.len());
        let (mut received, mut items) = (Vec::new(), 0);
        while received.len() < expected.len() {
            queue.try_flush(&ours, |_| items += 1).unwrap();
            while theirs.try_read_with(|bytes| received.extend_from_slice(bytes)).is_ok() {}
        }
        assert!(queue.is_empty() && received == expected.as_bytes());
        assert_eq!(items, 5000);
    }

    #[test]
    fn restart_writes_partial_item_again() {
        let (ours, theirs) = Stream::pair().unwrap();
        let mut queue = WriteQueue::default();
        let long = "x".repeat(4 << 20);
        queue.push_back(long.clone());
        queue.push_back("dropped".to_owned());
        assert!(queue.try_flush(&ours, drop).unwrap() && queue.len() < long.len() + 7);
        drop(theirs);
        queue.restart(|item| item != "dropped");
        assert_eq!(queue.len(), long.len());
        queue.push_front("first".to_owned());
        assert_eq!(queue.pop_front().as_deref(), Some("first"));
        assert_eq!((queue.pop_front(), queue.len()), (Some(long), 0));
    }
}
