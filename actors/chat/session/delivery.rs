//! How a room's lines pass from the ring to a peer.
//!
//! As they are, and with one call, as long as the peer takes what it is sent; what it does not take is held in its
//! outbox, and nothing more is heard for it until that is written.

use std::cell::RefCell;
use std::io;
use std::task::Poll;

use crate::actors::chat::broadcast::subscription::{Delivery, Subscription, WriteBatch};
use crate::actors::chat::session::io::HIGH_WATER;
use crate::actors::chat::session::outbox::Outbox;
use crate::net::Stream;

thread_local! {
    static WRITE_BATCH: RefCell<WriteBatch> = const { RefCell::new(WriteBatch::new()) };
}

/// Writes what there is to hear as it is, many lines in one piece. Is pending once the peer took all that there is; what
/// it did not take is in the outbox.
pub(crate) fn poll_deliver(
    stream: &Stream,
    outbox: &mut Outbox,
    ear: &mut Subscription,
) -> Poll<io::Result<()>> {
    WRITE_BATCH.with_borrow_mut(|lines| {
        let more = match ear.collect_into(lines, HIGH_WATER) {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        };
        let passed = write_batch(stream, outbox, ear, lines, more);
        // What is shared is not held on to until the next session's turn.
        lines.clear();
        passed
    })
}

/// Writes what was gathered; `more` tells whether that was all.
fn write_batch(
    stream: &Stream,
    outbox: &mut Outbox,
    ear: &mut Subscription,
    lines: &WriteBatch,
    more: Poll<io::Result<()>>,
) -> Poll<io::Result<()>> {
    let mut written = 0;
    if lines.byte_len > 0 {
        written = match lines.write(|slices| stream.try_write_vectored(slices)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            tried => tried?,
        };
    }
    let WriteBatch { message_ends: ends, next_position: after, .. } = lines;
    let whole = ends.partition_point(|(end, _)| *end <= written);
    let Some((end, next)) = ends.get(whole) else {
        if lines.byte_len == 0 && more.is_ready() {
            // It was overtaken, and is told so.
            fill_outbox(ear, outbox, push_verbatim);
        } else {
            ear.advance_to(*after);
        }
        return more;
    };
    let (begin, at) = if whole > 0 { ends[whole - 1] } else { (0, ear.position()) };
    ear.advance_to(at);
    if written > begin {
        outbox.push_remainder(lines.copy_range(written, *end).into());
        ear.advance_to(*next);
    }
    fill_outbox(ear, outbox, push_verbatim);
    Poll::Ready(Ok(()))
}

/// Takes what there is to hear into the outbox.
pub(crate) fn fill_outbox(
    ear: &mut Subscription,
    outbox: &mut Outbox,
    mut word: impl FnMut(Delivery, &mut Outbox),
) {
    ear.drain(|heard| {
        word(heard, outbox);
        outbox.len() < HIGH_WATER
    });
}

/// Puts what was heard into the outbox as it is.
pub(crate) fn push_verbatim(heard: Delivery, outbox: &mut Outbox) {
    match heard {
        Delivery::Message(said) => outbox.push_shared(said),
        Delivery::Lagged(missed) => outbox.push(format!("* you missed {missed} messages\n")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Instant, SystemTime};

    use super::*;
    use crate::actors::chat::broadcast::log::MessageLog;

    #[test]
    fn what_a_slow_peer_does_not_take_at_once_it_is_sent_later_and_whole() {
        let (ours, theirs) = Stream::pair().unwrap();
        let ring = MessageLog::default();
        let (mut ear, mut outbox) = (ring.subscribe(1), Outbox::default());
        let (mut expected, mut heard) = (Vec::new(), Vec::new());
        for k in 0..3000 {
            let line = format!("{k} {}\n", "x".repeat(k % if k % 50 == 3 { 3000 } else { 300 }));
            let own = k % 5 == 0;
            if !own {
                expected.extend_from_slice(line.as_bytes());
            }
            ring.publish(own.then_some(1), line, SystemTime::UNIX_EPOCH);
        }
        let mut was_cut = false;
        while heard.len() < expected.len() {
            outbox.flush(&ours, Instant::now).unwrap();
            if outbox.is_empty() {
                if let Poll::Ready(passed) = poll_deliver(&ours, &mut outbox, &mut ear) {
                    passed.unwrap();
                }
                was_cut |= outbox.private_bytes() > 0;
            }
            theirs.try_read_with(|bytes| heard.extend_from_slice(bytes)).unwrap();
        }
        assert!(was_cut && heard == expected);
    }
}
