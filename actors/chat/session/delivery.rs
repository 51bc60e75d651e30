//! Delivery of a room's messages from its log to a peer.
//!
//! While the peer keeps up, messages are written straight from the log, many with one
//! call. What the peer does not take goes into its outbox, and no further messages are read for
//! it until the outbox is written.

use std::cell::RefCell;
use std::io;
use std::task::Poll;
use std::time::SystemTime;

use crate::actors::chat::broadcast::subscription::{Delivery, Subscription, WriteBatch};
use crate::actors::chat::session::outbox::{HIGH_WATER, Outbox};
use crate::net::Stream;
use crate::wire::date::format_timestamp;

thread_local! {
    static WRITE_BATCH: RefCell<WriteBatch> = const { RefCell::new(WriteBatch::new()) };
}

/// Writes the new messages to the peer, many with one call. Returns `Pending` once the peer has
/// taken all of them, and `Ready` if there may be more. Bytes that the peer did not take are in
/// the outbox.
pub(crate) fn poll_deliver(
    stream: &Stream,
    outbox: &mut Outbox,
    subscription: &mut Subscription,
) -> Poll<io::Result<()>> {
    WRITE_BATCH.with_borrow_mut(|batch| {
        let more = match subscription.collect_into(batch, HIGH_WATER) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        };
        let result = write_batch(stream, outbox, subscription, batch, more);
        // Releases the shared messages now, not when the next session runs.
        batch.clear();
        result
    })
}

/// Writes a batch and moves the subscription. Returns `more` if the peer took the whole batch.
fn write_batch(
    stream: &Stream,
    outbox: &mut Outbox,
    subscription: &mut Subscription,
    batch: &WriteBatch,
    more: Poll<io::Result<()>>,
) -> Poll<io::Result<()>> {
    let mut written = 0;
    if batch.byte_len > 0 {
        written = match batch.write(|slices| stream.try_write_vectored(slices)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            result => result?,
        };
    }
    let WriteBatch { message_ends, next_position, .. } = batch;
    let whole = message_ends.partition_point(|(end, _)| *end <= written);
    let Some((end, after)) = message_ends.get(whole) else {
        if batch.byte_len == 0 && more.is_ready() {
            // The subscription has lagged: the outbox gets the notice about it.
            fill_outbox(subscription, outbox, push_verbatim);
        } else {
            subscription.advance_to(*next_position);
        }
        return more;
    };
    let (begin, position) =
        if whole > 0 { message_ends[whole - 1] } else { (0, subscription.position()) };
    subscription.advance_to(position);
    if written > begin {
        outbox.push_remainder(batch.copy_range(written, *end).into());
        subscription.advance_to(*after);
    }
    fill_outbox(subscription, outbox, push_verbatim);
    Poll::Ready(Ok(()))
}

/// Moves new messages to the outbox with `push`, until it holds [`HIGH_WATER`] bytes.
pub(crate) fn fill_outbox(
    subscription: &mut Subscription,
    outbox: &mut Outbox,
    mut push: impl FnMut(Delivery, &mut Outbox),
) {
    subscription.drain(|delivery| {
        push(delivery, outbox);
        outbox.len() < HIGH_WATER
    });
}

/// Adds a message to the outbox as it is, or a notice about the missed ones.
pub(crate) fn push_verbatim(delivery: Delivery, outbox: &mut Outbox) {
    match delivery {
        Delivery::Message(message) => outbox.push_shared(message),
        Delivery::Lagged(missed) => outbox.push(format!("* you missed {missed} messages\n")),
    }
}

/// Formats a line with the time at which it was sent: `[15:04] ada: hello`.
pub(crate) fn with_timestamp(line: &str, sent_at: SystemTime, now: SystemTime) -> String {
    format!("[{}] {line}", format_timestamp(sent_at, now))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::actors::chat::broadcast::log::MessageLog;

    #[test]
    fn slow_peer_receives_all_messages_whole() {
        let (ours, theirs) = Stream::pair().unwrap();
        let log = MessageLog::default();
        let (mut subscription, mut outbox) = (Subscription::new(&log, 1), Outbox::default());
        let (mut expected, mut received) = (Vec::new(), Vec::new());
        for k in 0..3000 {
            let line = format!("{k} {}\n", "x".repeat(k % if k % 50 == 3 { 3000 } else { 300 }));
            let is_own = k % 5 == 0;
            if !is_own {
                expected.extend_from_slice(line.as_bytes());
            }
            log.publish(is_own.then_some(1), line, SystemTime::UNIX_EPOCH);
        }
        let mut was_partial = false;
        while received.len() < expected.len() {
            outbox.flush(&ours, Instant::now).unwrap();
            if outbox.is_empty() {
                if let Poll::Ready(result) = poll_deliver(&ours, &mut outbox, &mut subscription) {
                    result.unwrap();
                }
                was_partial |= outbox.private_bytes() > 0;
            }
            theirs.try_read_with(|bytes| received.extend_from_slice(bytes)).unwrap();
        }
        assert!(was_partial && received == expected);
    }
}
